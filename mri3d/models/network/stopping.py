"""A training that is stopped from outside: what it was within an epoch is kept, and it goes on to the same bits."""

import signal
import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch.utils.data import BatchSampler, Sampler

from mri3d.errors import UserError, option
from mri3d.models.network.devices import watch_others
from mri3d.models.network.learner import Learner
from mri3d.texts import number_text
from mri3d.volumes.datamodule import Batch


class Stopping(pl.Callback):
    """Answer the signals by which a batch system announces that a job will end, as the script does, and not Lightning.

    After SIGUSR1 the step is finished and a checkpoint written; then the script's own answer is given. SIGTERM is
    answered at once: who sends it waits for little more than its end. Lightning's answer to SIGTERM broadcasts to the
    other devices from inside the handler, where it can wait for ever, and ends the training as if it were complete.

    Args:
        path: Where the newest checkpoint lies.

    Attributes:
        begun: Whether a step has begun.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.begun = path, False
        self._handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}
        self._asked = False
        self._within: dict[str, Any] = {}
        """What Lightning's checkpoints have not of an epoch that was stopped in the middle; empty between epochs."""

    def on_train_start(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        """Take the signals, which belong to the main thread, and go on within an epoch that was stopped.

        Raises:
            UserError: It was stopped on another number of devices.
        """
        if threading.current_thread() is threading.main_thread():
            if (terminates := self._handlers[signal.SIGTERM]) is not None:  # None: it is no handler of Python's
                signal.signal(signal.SIGTERM, terminates)
            if self._handlers[signal.SIGUSR1] not in (None, signal.SIG_IGN):
                signal.signal(signal.SIGUSR1, self._ask)
        watch_others()
        if within := self._within:
            self._within = {}
            _go_on_within(trainer, learner, within)

    def on_train_epoch_start(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        """Stop between epochs: all that was learnt is in the last one's checkpoint."""
        self._stop_if_asked(trainer)

    def on_train_batch_start(
        self, trainer: pl.Trainer, learner: pl.LightningModule, batch: Batch, batch_index: int
    ) -> None:
        """Note that the checkpoint, if there was one, could be gone on from."""
        self.begun = True

    def on_train_batch_end(
        self, trainer: pl.Trainer, learner: pl.LightningModule, outputs: object, batch: Batch, batch_index: int
    ) -> None:
        """Save and stop within an epoch, unless its end is due, which saves by itself, or a part of a step is done."""
        if _ends_the_epoch(trainer, batch_index) or (batch_index + 1) % trainer.accumulate_grad_batches:
            return
        if self._all_asked(trainer):
            assert isinstance(learner, Learner)
            self._within = {"batches": batch_index + 1, "processes": _gathered(_own_state(trainer, learner))}
            trainer.save_checkpoint(self.path)
            self._within = {}
            self._stop()

    def on_train_end(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        """Stop after the last epoch."""
        self._stop_if_asked(trainer)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return self._within

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what was kept of an epoch that was stopped."""
        self._within = state

    def _ask(self, number: int, frame: object) -> None:
        self._asked = True

    def _stop_if_asked(self, trainer: pl.Trainer) -> None:
        if self._all_asked(trainer):
            self._stop()

    def _all_asked(self, trainer: pl.Trainer) -> bool:
        """Return whether any process was asked to stop: a batch system need not tell all, and never at one step."""
        if trainer.world_size == 1:
            return self._asked
        asked = torch.tensor(int(self._asked), device=trainer.strategy.root_device)
        torch.distributed.all_reduce(asked, op=torch.distributed.ReduceOp.MAX)
        return bool(asked)

    def _stop(self) -> None:
        """Give the script's answer: without one the process ends by the signal; after one that returns we go on."""
        self._asked = False
        signal.signal(signal.SIGUSR1, self._handlers[signal.SIGUSR1])
        signal.raise_signal(signal.SIGUSR1)
        signal.signal(signal.SIGUSR1, self._ask)


def _ends_the_epoch(trainer: pl.Trainer, batch_index: int) -> bool:
    """Return whether validation, or the end of the epoch or of the training, comes next."""
    every = trainer.val_check_batch
    validated = isinstance(every, int) and (batch_index + 1) % every == 0
    done = trainer.should_stop or trainer.global_step == trainer.max_steps
    return validated or done or trainer.is_last_batch


def _own_state(trainer: pl.Trainer, learner: Learner) -> dict[str, Any]:
    """Return what of a training within an epoch is each process's own: random numbers, running statistics, the loss."""
    device = trainer.strategy.root_device
    return {
        "random": torch.get_rng_state(),
        "random_cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
        "buffers": {name: buffer.cpu() for name, buffer in learner.network.named_buffers()},
        "train_loss": {name: torch.as_tensor(value).cpu() for name, value in learner.train_loss.metric_state.items()},
    }


def _gathered(state: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the states of all processes, in their order."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return [state]
    states: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(states, state)
    return states


def _go_on_within(trainer: pl.Trainer, learner: pl.LightningModule, within: dict[str, Any]) -> None:
    """Put back the process's own state, and leave out the batches that were trained on."""
    assert isinstance(learner, Learner)
    if (before := len(within["processes"])) != trainer.world_size:
        raise UserError(
            f"the run was stopped within an epoch on {number_text(before, 'device')}, and cannot go on on "
            f"{trainer.world_size}: set {option('trainer.devices')} in its config.yaml as it was."
        )
    state, device = within["processes"][trainer.global_rank], trainer.strategy.root_device
    torch.set_rng_state(state["random"])
    if state["random_cuda"] is not None and device.type == "cuda":
        torch.cuda.set_rng_state(state["random_cuda"], device)
    buffers = dict(learner.network.named_buffers())
    for name, value in state["buffers"].items():
        buffers[name].copy_(value)
    for name, value in state["train_loss"].items():
        setattr(learner.train_loss, name, value.to(device))
    loader: Any = trainer.train_dataloader
    batches: BatchSampler = loader.batch_sampler
    batches.sampler = _Rest(batches.sampler, within["batches"] * batches.batch_size)


class _Rest(Sampler[Any]):
    """What is left of an epoch's order the first time; all of it from then on.

    Args:
        whole: Yields an epoch's order; Lightning tells it which epoch it is.
        skipped: How many of it were trained on.
    """

    def __init__(self, whole: Any, skipped: int) -> None:  # noqa: ANN401 (any sampler)
        self._whole, self._skipped = whole, skipped

    def __iter__(self) -> Iterator[Any]:
        skipped, self._skipped = self._skipped, 0
        yield from islice(self._whole, skipped, None)

    def __len__(self) -> int:
        return len(self._whole)
