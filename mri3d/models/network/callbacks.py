"""What a training tells of itself, and when it stops by itself."""

import logging
import math
import time
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping

from mri3d.errors import UserError, option
from mri3d.models.network.learner import Learner
from mri3d.outcome import score_text
from mri3d.volumes.datamodule import Batch

log = logging.getLogger(__name__)


class History(pl.Callback):
    """Record a training epoch by epoch: in TensorBoard, in the run's report, and as log lines where there is no bar.

    Args:
        guessing: Validation loss of a network that knows nothing of the volumes.
        lines: Whether each epoch is a line of the log.
        inner: True inside a hyper-parameter search: logs at DEBUG.
    """

    def __init__(self, *, guessing: float, lines: bool, inner: bool = False) -> None:
        self.guessing, self.lines, self.inner = guessing, lines, inner
        self.epochs: list[dict[str, float]] = []
        self._start, self._num_volumes = 0.0, 0
        self._validation: dict[str, float] = {}

    def on_train_epoch_start(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        """Start the clock."""
        self._start, self._num_volumes, self._validation = time.perf_counter(), 0, {}

    def on_train_batch_end(
        self, trainer: pl.Trainer, learner: pl.LightningModule, outputs: object, batch: Batch, batch_index: int
    ) -> None:
        """Count volumes."""
        self._num_volumes += len(batch["target"]) * trainer.world_size

    def on_validation_end(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        """Keep the scores; the trainer still has them after epochs that were not validated."""
        metrics = trainer.callback_metrics
        self._validation = {name: float(value) for name, value in metrics.items() if name.startswith("val_")}

    def on_train_epoch_end(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        """Record the epoch; its validation has run, if `trainer.check_val_every_n_epoch` gave it one.

        Raises:
            UserError: A loss is not finite any more.
        """
        assert isinstance(learner, Learner)
        seconds = time.perf_counter() - self._start
        train_loss = float(learner.train_loss.compute())
        learner.train_loss.reset()
        for side, loss in (("training", train_loss), ("validation", self._validation.get("val_loss", 0.0))):
            if not math.isfinite(loss):
                raise UserError(
                    f"training diverged: the {side} loss is {loss} in epoch {trainer.current_epoch + 1}. "
                    f"Lower {option('model.optimizer.lr')}, set {option('trainer.gradient_clip_val', 1)}, or use "
                    f"{option('trainer.precision', '32-true')}."
                )
        learner.log("train_loss", train_loss, rank_zero_only=True)
        learner.log("volumes_per_second", self._num_volumes / seconds, rank_zero_only=True)
        rate = float(trainer.optimizers[0].param_groups[0]["lr"])
        epoch = {"epoch": trainer.current_epoch, "train_loss": train_loss, **self._validation}
        self.epochs.append(epoch | {"learning_rate": rate, "seconds": seconds})
        if self.lines and trainer.is_global_zero:
            scores = "  ".join(f"{name} {score_text(value)}" for name, value in epoch.items() if name != "epoch")
            told = f"epoch {trainer.current_epoch + 1} of {trainer.max_epochs}  {scores}  {seconds:.1f} s"
            log.log(logging.DEBUG if self.inner else logging.INFO, "%s", told)

    def on_fit_end(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        """Warn if the network did no better than a guess: at far too high a rate the loss may stay finite."""
        best = min((epoch["val_loss"] for epoch in self.epochs if "val_loss" in epoch), default=-math.inf)
        if best >= self.guessing and trainer.is_global_zero:
            log.log(
                logging.DEBUG if self.inner else logging.WARNING,
                "the network learnt nothing that holds for the validation sessions: its best validation loss is %.3f, "
                "and guessing gives %.3f. Try another learning rate, more epochs, or more sessions.",
                best,
                self.guessing,
            )

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps, which may be written within an epoch."""
        seconds = time.perf_counter() - self._start
        return {
            "epochs": self.epochs,
            "begun": {"seconds": seconds, "num_volumes": self._num_volumes, "validation": self._validation},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the history of the run that is resumed, and of an epoch in whose middle it was stopped."""
        self.epochs = state["epochs"]
        if begun := state.get("begun"):  # earlier versions wrote at the end of epochs only
            self._start = time.perf_counter() - begun["seconds"]
            self._num_volumes, self._validation = begun["num_volumes"], begun["validation"]


class Patience(EarlyStopping):
    """Stop when the validation loss has not improved for so many epochs; stopped, a run that is resumed stays so.

    Args:
        epochs: How many; where not all are validated, as many validations as span so many epochs.
    """

    def __init__(self, epochs: int) -> None:
        super().__init__("val_loss", patience=epochs, strict=False)  # steps or time may end before a validation
        self.epochs = epochs

    def setup(self, trainer: pl.Trainer, learner: pl.LightningModule, stage: str) -> None:
        """Count in validations, as Lightning does."""
        super().setup(trainer, learner, stage)
        self.patience = math.ceil(self.epochs / (trainer.check_val_every_n_epoch or 1))

    def on_train_start(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        """Take up the decision of the run that is resumed."""
        trainer.should_stop = self.wait_count >= self.patience
