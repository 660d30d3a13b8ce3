"""What TensorBoard shows beside the curves: the network, volumes as they are fed, how validation came out, memory."""

from typing import Any

import numpy as np
import pytorch_lightning as pl
from pytorch_lightning.loggers import TensorBoardLogger
from torch.utils.tensorboard import SummaryWriter

from mri3d.memory import peak_memory_mb
from mri3d.models.network.board_pictures import middle_slices
from mri3d.outcome import Outcome
from mri3d.volumes.datamodule import Batch

NUM_PICTURED = 4


class Board(pl.Callback):
    """Write text and pictures into the run's event files.

    Args:
        summary: Text table of the network.
        outcome: What is predicted; it writes how the validation rows came out.
    """

    def __init__(self, summary: str, outcome: Outcome) -> None:
        self.summary, self.outcome = summary, outcome
        self._judged: list[tuple[np.ndarray, np.ndarray]] = []

    def on_fit_start(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        """Write the network's table."""
        if writer := writer_of(trainer):
            writer.add_text("network", f"```\n{self.summary}\n```")

    def on_train_batch_start(
        self, trainer: pl.Trainer, learner: pl.LightningModule, batch: Batch, batch_index: int
    ) -> None:
        """Picture the first volumes of the first epoch, augmentation and all."""
        writer = writer_of(trainer)
        if writer and trainer.current_epoch == 0 and batch_index == 0:
            writer.add_image("training volumes", middle_slices(batch["volume"][:NUM_PICTURED, 0].cpu().numpy()), 0)

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        learner: pl.LightningModule,
        outputs: Any,  # noqa: ANN401 (the learner's predictions; the base class says what any step may return)
        batch: Batch,
        batch_index: int,
        dataloader_index: int = 0,
    ) -> None:
        """Gather predictions and the truth."""
        self._judged.append((batch["target"].cpu().numpy(), outputs.cpu().numpy()))

    def on_validation_epoch_start(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        """Forget the last epoch."""
        self._judged.clear()

    def on_train_epoch_end(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        """Log memory."""
        learner.log("memory_mb", peak_memory_mb(), rank_zero_only=True)

    def on_validation_end(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        """Write how the validation rows of this rank came out."""
        if (writer := writer_of(trainer)) and self._judged:
            targets, predictions = (np.concatenate(parts) for parts in zip(*self._judged, strict=True))
            if table := self.outcome.words.validation_table(targets, predictions):
                writer.add_text("validation", table, trainer.current_epoch)


def writer_of(trainer: pl.Trainer) -> SummaryWriter | None:
    """Return the event writer on the first rank, None on the others."""
    logger = trainer.logger
    if isinstance(logger, TensorBoardLogger) and trainer.is_global_zero:
        writer: SummaryWriter = logger.experiment
        return writer
    return None
