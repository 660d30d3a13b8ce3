"""Lightning's Trainer: what of it is the user's, how it is built, and what it says."""

import functools
import inspect
import logging
import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.accelerators import AcceleratorRegistry
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.strategies import DDPStrategy

from mri3d.arguments import refused_option
from mri3d.errors import UserError, did_you_mean, option
from mri3d.models.model import TrainingSet
from mri3d.models.network.checkpoints import FitCheckpoints, fit_digest
from mri3d.models.network.devices import ENDED
from mri3d.models.network.repeatable import repeatable

default_trainer = functools.partial(
    pl.Trainer, max_epochs=30, devices=1, log_every_n_steps=1, enable_model_summary=False
)

RESERVED = (
    "callbacks",
    "logger",
    "plugins",
    "use_distributed_sampler",
    "default_root_dir",
    "num_sanity_val_steps",
    "enable_checkpointing",
    "fast_dev_run",
    "barebones",
    "overfit_batches",
)
"""Arguments of the Trainer that are not the user's: results depend on them."""

PRECISIONS = ("32-true", "16-mixed", "bf16-mixed")
"""With others the weights themselves are of another type, and volumes and scores are float32."""

LENGTH = ("max_epochs", "min_epochs", "max_steps", "min_steps", "max_time")
"""Arguments of the Trainer that say for how long it trains."""

IDLE = ("accelerator", "enable_model_summary", "enable_progress_bar", "log_every_n_steps", "profiler")
"""Arguments of the Trainer that say where it computes and what it shows, and nothing of what is learnt."""

SHORT_PRECISIONS = {"32": "32-true", "16": "16-mixed", "bf16": "bf16-mixed"}
"""Lightning's other words for them."""

CHECKED = (
    *("precision", "limit_train_batches", "limit_val_batches"),
    *("max_epochs", "max_steps", "check_val_every_n_epoch", "val_check_interval", "accumulate_grad_batches"),
)
"""Arguments of the Trainer, and attributes of what is built, whose values may leave nothing to do."""

REFUSALS = (MisconfigurationException, TypeError, ValueError, RuntimeError, ImportError, AttributeError)
"""What Lightning raises where the Trainer cannot be used as it is set."""

TrainerMaker = Callable[..., pl.Trainer]


def check_trainer(make: TrainerMaker) -> None:
    """Refuse options that no trainer may have; none is built, so the machine and its batch system do not matter.

    Args:
        make: The Trainer with the user's arguments bound.

    Raises:
        UserError: An argument is not one of the Trainer's, is not the user's, or leaves nothing to do.
    """
    settings, call = getattr(make, "keywords", {}), getattr(make, "func", make)
    if taken := sorted(set(RESERVED) & set(settings)):
        raise UserError(
            f"{option(f'trainer.{taken[0]}')} is set by mri3d itself, because results depend on it. Leave it out."
        )
    try:
        parameters = inspect.signature(call).parameters
    except ValueError as error:  # a class of Python's own
        raise UserError(
            f"{option('model.trainer')} is {call!r}, which makes no trainer. Give a functools.partial of "
            "pytorch_lightning.Trainer."
        ) from error
    unknown = [name for name in settings if name not in parameters]
    if unknown and not any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values()):
        close = did_you_mean(unknown[0], parameters)
        raise UserError(f"{option(f'trainer.{unknown[0]}')} is no option of {call.__name__}.{close}")
    accelerator, offered = settings.get("accelerator", "auto"), AcceleratorRegistry.available_accelerators()
    if isinstance(accelerator, str) and accelerator not in (known := ("auto", "gpu", *sorted(offered))):
        raise UserError(
            f"the trainer cannot be used as it is set: {option('trainer.accelerator', accelerator)} is not one of "
            f"{', '.join(known)}."
        )
    _check_values(settings)


@repeatable()
def count_processes(make: TrainerMaker) -> int:
    """Count the processes that a training is shared by, by a trainer that is built for it and writes nothing.

    Args:
        make: The Trainer with the user's arguments bound.

    Raises:
        UserError: It cannot be built on this machine, leaves nothing to do, shares by a strategy that is not ours, or
            waits for nodes that nothing starts.
    """
    with quiet_libraries(), named_settings(make):
        trainer = _idle_trainer(make)
    _check_values({name: getattr(trainer, name, None) for name in CHECKED})
    strategy = getattr(make, "keywords", {}).get("strategy", "auto")
    if strategy not in ("auto", "ddp") and not (strategy == "single_device" and trainer.world_size == 1):
        raise UserError(
            f"{option('trainer.strategy', strategy)} is not one that mri3d trains by on several devices. Leave it out: "
            "ddp is taken."
        )
    alone = isinstance(getattr(trainer.strategy, "cluster_environment", None), LightningEnvironment)
    if trainer.num_nodes > 1 and alone and "NODE_RANK" not in os.environ:
        raise UserError(
            f"{option('trainer.num_nodes', trainer.num_nodes)} needs a launcher that starts the processes of every "
            "node, such as srun or torchrun, or this process would wait for ever. Use one, or leave it out."
        )
    return trainer.world_size


def _idle_trainer(make: TrainerMaker) -> pl.Trainer:
    """Build a trainer that writes nothing."""
    return make(logger=False, enable_checkpointing=False)


def _check_values(values: Mapping[str, Any]) -> None:
    """Refuse values of the Trainer's arguments, those of `CHECKED`, that leave nothing to do."""
    precision = SHORT_PRECISIONS.get(str(values.get("precision")), values.get("precision"))
    if precision not in (None, *PRECISIONS):
        raise UserError(f"{option('trainer.precision', precision)} is not one of {', '.join(PRECISIONS)}.")
    for name, left in (("train", "learn from"), ("val", "stop by")):
        if values.get(f"limit_{name}_batches") == 0:
            raise UserError(f"{option(f'trainer.limit_{name}_batches', 0)} leaves nothing to {left}. Leave it out.")
    for name, least in (("max_epochs", -1), ("max_steps", -1), ("accumulate_grad_batches", 1)):
        given = values.get(name)
        if given is not None and (given == 0 or given < least):
            raise UserError(f"{option(f'trainer.{name}', given)} leaves no time to learn. Give 1 or more.")
    interval = values.get("val_check_interval")
    if interval == 0:
        raise UserError(f"{option('trainer.val_check_interval', 0)} leaves nothing to stop by. Leave it out.")
    if not isinstance(interval, int | float | None):
        raise UserError(
            f"{option('trainer.val_check_interval', interval)} is no number. By a time, results would depend on how "
            "fast the machine is: give a share of an epoch, or a number of batches."
        )
    most, max_time = values.get("max_epochs"), values.get("max_time")
    endless = most == -1 or (most is None and max_time is not None)  # without a time, Lightning takes null as 1000
    if endless and values.get("max_steps") in (None, -1):
        raise UserError(
            f"{option('trainer.max_epochs', most)} has no end, and the cycle of the learning rate needs a length. Give "
            f"{option('trainer.max_epochs')} or {option('trainer.max_steps')}."
        )
    parts = list(max_time.values()) if isinstance(max_time, Mapping) else max_time
    if not re.sub(r"[0:,. \[\]]", "", str(parts)):
        raise UserError(f"{option('trainer.max_time', max_time)} leaves no time to learn. Leave it out.")
    every = values.get("check_val_every_n_epoch")
    if every is not None and (every < 1 or 0 < (most or 0) < every):
        name, few = option("trainer.check_val_every_n_epoch", every), "1 epoch" if most == 1 else f"{most} epochs"
        raise UserError(f"{name} leaves none of {few} to stop by. Give 1.")


def deciding(make: TrainerMaker, *, length: bool) -> TrainerMaker:
    """Return the Trainer with those of its arguments only that decide what is learnt, sorted.

    Args:
        make: The Trainer with the user's arguments bound.
        length: Whether it counts for how long it trains.

    >>> deciding(functools.partial(pl.Trainer, precision="16-mixed", max_epochs=3, profiler="simple"), length=False)
    functools.partial(<class 'pytorch_lightning.trainer.trainer.Trainer'>, precision='16-mixed')
    """
    without = IDLE if length else (*IDLE, *LENGTH)
    options = sorted(getattr(make, "keywords", {}).items())
    return functools.partial(getattr(make, "func", make), **{name: it for name, it in options if name not in without})


def build_trainer(make: TrainerMaker, training: TrainingSet, callbacks: list[pl.Callback], *, bar: bool) -> pl.Trainer:
    """Build the trainer of a fit.

    Args:
        make: The Trainer with the user's arguments bound.
        training: What is learnt from.
        callbacks: All of them.
        bar: Whether there is a progress bar.

    Raises:
        UserError: The trainer cannot be used as it is set.
    """
    options = dict(getattr(make, "keywords", {}))
    if count_processes(make) > 1:  # as Lightning counts: its own default takes all the GPUs of a machine
        if ENDED in os.environ:
            raise UserError(
                "the processes of the other devices were ended with an earlier error. Start the script again."
            )
        # The learner averages running statistics itself, see Learner.on_validation_start.
        options["strategy"] = DDPStrategy(broadcast_buffers=False)
    options["enable_progress_bar"] = bar
    options.setdefault("enable_model_summary", False)  # the model logs a table of its own
    options.setdefault("deterministic", "warn" if torch.cuda.is_available() else None)
    with quiet_libraries(), named_settings(make):
        return make(
            **options,
            callbacks=callbacks,
            logger=not training.inner and TensorBoardLogger(training.folder, name="tensorboard", version=training.name),
            plugins=[FitCheckpoints(fit_digest(training)), *_batch_system()],
            use_distributed_sampler=False,
            default_root_dir=training.checkpoints,
            num_sanity_val_steps=0,
        )


def _batch_system() -> list[ClusterEnvironment]:
    """Return SLURM as Lightning finds it, but without its requeueing.

    That leaves a checkpoint in the run, with which every later fit begins, whatever fold it is of.
    """
    if TorchElasticEnvironment.detect() or not SLURMEnvironment.detect():  # in this order, as Lightning looks for them
        return []
    return [SLURMEnvironment(auto_requeue=False)]


@contextmanager
def named_settings(make: TrainerMaker) -> Iterator[None]:
    """Raise what Lightning says of its arguments and of the machine as a mistake in the trainer's settings.

    Args:
        make: The Trainer with the user's arguments bound.
    """
    try:
        yield
    except REFUSALS as error:
        reason = " ".join(str(error).split())
        told = "the trainer cannot be used as it is set"
        if (refused := refused_option(make, _idle_trainer, REFUSALS)) is not None:
            setting = option(f"trainer.{refused}", make.keywords[refused])  # type: ignore[attr-defined]
            raise UserError(
                f"{told}: {setting} is refused by Lightning ({reason.rstrip('.')}). Change it, or leave it out."
            ) from error
        raise UserError(f"{told}: {reason}") from error


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Drop what Lightning says about itself and about choices that are made here on purpose."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    with warnings.catch_warnings():
        for message in (
            ".*does not have many workers.*",  # on a CPU the cores are busy with the network
            ".*The number of training batches .* is smaller than the logging interval.*",
            ".*Checkpoint directory .* exists and is not empty.*",  # a resumed run
            ".*lr_scheduler.step.* before .optimizer.step.*",  # GradScaler skips its first steps under 16-mixed
            ".*`broadcast_buffers` is deprecated.*",  # its successor is not in torch 2.10
            ".*It is recommended to use .*sync_dist=True.*",  # torchmetrics has gathered the ranks' values
            ".*GPU available but not used.*",  # it was asked to be left alone
            ".*a checkpoint that ended before the epoch ended and your dataloader is not resumable.*",  # see Stopping
            ".*isinstance.treespec, LeafSpec.* is deprecated.*",
        ):
            warnings.filterwarnings("ignore", message)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
