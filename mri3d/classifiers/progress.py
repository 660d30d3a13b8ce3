"""What a training shows of itself: plain lines where there is no terminal, and no chatter from libraries."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytorch_lightning as pl

from mri3d.classifiers.learner import Learner

log = logging.getLogger(__name__)


class EpochLines(pl.Callback):
    """One log line per epoch, for batch logs and files."""

    def on_train_epoch_end(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        """Tell the epoch that ended."""
        if trainer.is_global_zero and isinstance(learner, Learner):
            epoch = learner.history[-1]
            scores = "  ".join(
                f"{name} {epoch[name]:.3f}" for name in ("train_loss", "val_loss", "val_auc") if name in epoch
            )
            log.info("epoch %d of %s  %s  %.1f s", epoch["epoch"] + 1, trainer.max_epochs, scores, epoch["seconds"])


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Drop what Lightning says about choices that are made here on purpose."""
    with warnings.catch_warnings():
        for message in (
            ".*does not have many workers.*",  # on a CPU the cores are busy with the network
            ".*The number of training batches .* is smaller than the logging interval.*",
            ".*Checkpoint directory .* exists and is not empty.*",  # a resumed run
            ".*lr_scheduler.step.* before .optimizer.step.*",  # GradScaler skips its first steps under 16-mixed
            ".*isinstance.treespec, LeafSpec.* is deprecated.*",
        ):
            warnings.filterwarnings("ignore", message)
        yield
