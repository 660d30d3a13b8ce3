"""Lightning's Trainer: what of it is the user's, how it is built, and what it says."""

import functools
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.strategies import DDPStrategy

from mri3d.errors import UserError, option
from mri3d.models.model import TrainingSet
from mri3d.models.network.checkpoints import AtomicCheckpointIO
from mri3d.models.network.devices import ENDED

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

TrainerMaker = Callable[..., pl.Trainer]


def check_trainer(make: TrainerMaker) -> pl.Trainer:
    """Build a trainer that writes nothing.

    Args:
        make: The Trainer with the user's arguments bound.

    Raises:
        UserError: An argument is not one of the Trainer's, is not the user's, or leaves nothing to do.
    """
    settings = getattr(make, "keywords", {})
    if taken := sorted(set(RESERVED) & set(settings)):
        raise UserError(
            f"{option(f'trainer.{taken[0]}')} is set by mri3d itself, because results depend on it. Leave it out."
        )
    if _several(settings) and settings.get("strategy", "auto") not in ("auto", "ddp"):
        raise UserError(
            f"{option('trainer.strategy', settings['strategy'])} is not one that mri3d trains by on several devices. "
            "Leave it out: ddp is taken."
        )
    with quiet_libraries(), named_settings():
        trainer = make(logger=False, enable_checkpointing=False)
    if trainer.precision not in PRECISIONS:
        raise UserError(f"{option('trainer.precision', trainer.precision)} is not one of {', '.join(PRECISIONS)}.")
    for name, left in (("train", "learn from"), ("val", "stop by")):
        if not getattr(trainer, f"limit_{name}_batches"):
            raise UserError(f"{option(f'trainer.limit_{name}_batches', 0)} leaves nothing to {left}. Leave it out.")
    for name, limit in (("max_epochs", trainer.max_epochs), ("max_steps", trainer.max_steps)):
        if limit == 0:
            raise UserError(f"{option(f'trainer.{name}', 0)} leaves no time to learn. Give 1 or more.")
    every, most = trainer.check_val_every_n_epoch, trainer.max_epochs
    if every is not None and (every < 1 or 0 < (most or 0) < every):
        name = option("trainer.check_val_every_n_epoch", every)
        raise UserError(f"{name} leaves none of {most} epochs to stop by. Give 1.")
    return trainer


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
    if _several(options):
        if ENDED in os.environ:
            raise UserError(
                "the processes of the other devices were ended with an earlier error. Start the script again."
            )
        # The learner averages running statistics itself, see Learner.on_validation_start.
        options["strategy"] = DDPStrategy(broadcast_buffers=False)
    options["enable_progress_bar"] = bar
    options.setdefault("enable_model_summary", False)  # the model logs a table of its own
    options.setdefault("deterministic", "warn" if torch.cuda.is_available() else None)
    with quiet_libraries(), named_settings():
        return make(
            **options,
            callbacks=callbacks,
            logger=not training.inner and TensorBoardLogger(training.folder, name="tensorboard", version=training.name),
            plugins=[AtomicCheckpointIO()],
            use_distributed_sampler=False,
            default_root_dir=training.folder,
            num_sanity_val_steps=0,
        )


def _several(settings: dict[str, object]) -> bool:
    """Return whether the settings ask for several processes."""
    return settings.get("devices", 1) != 1 or settings.get("num_nodes", 1) != 1


@contextmanager
def named_settings() -> Iterator[None]:
    """Raise Lightning's complaints about its arguments as mistakes in the trainer's settings."""
    try:
        yield
    except (MisconfigurationException, TypeError, ValueError) as error:
        raise UserError(f"the trainer cannot be used as it is set: {' '.join(str(error).split())}") from error


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
            ".*does not have a deterministic implementation.*",  # on a GPU: what can be fixed is, see CNN
            ".*isinstance.treespec, LeafSpec.* is deprecated.*",
        ):
            warnings.filterwarnings("ignore", message)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@contextmanager
def named_misuse() -> Iterator[None]:
    """Pass on as the user's mistake what Lightning finds in its arguments only once it trains."""
    try:
        yield
    except MisconfigurationException as error:
        raise UserError(f"the trainer cannot train as it is set: {' '.join(str(error).split())}") from error


@contextmanager
def named_interrupts() -> Iterator[None]:
    """Pass an interrupt on: Lightning tidies up after it and exits with status 1."""
    try:
        yield
    except SystemExit as exit:
        if isinstance(exit.__context__, KeyboardInterrupt):
            raise exit.__context__ from None
        raise
