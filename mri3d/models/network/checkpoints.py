"""Checkpoints that are written whole or not at all, in a run that may be moved; they resume, they never predict."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins import TorchCheckpointIO
from pytorch_lightning.callbacks import ModelCheckpoint

from mri3d.errors import UserError
from mri3d.files import atomic_path


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write through a temporary file in the checkpoint's own folder, and read without running code.

    Lightning's own way goes through TMPDIR, and with TMPDIR on another disk a kill destroys the old checkpoint.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:  # noqa: ANN401
        """Write a checkpoint; signature of Lightning's base class."""
        with atomic_path(Path(path)) as temporary:
            torch.save(checkpoint, temporary)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = True) -> dict[str, Any]:  # noqa: ANN401
        """Read a checkpoint; signature of Lightning's base class."""
        return read_checkpoint(Path(path))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint into memory, tensors and plain types only.

    Raises:
        UserError: It is damaged or missing.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        if isinstance(checkpoint, dict) and "state_dict" in checkpoint:
            return checkpoint
        reason = "it holds something else"
    except Exception as error:  # damaged bytes lead torch to errors of any kind
        reason = str(error).partition("\n")[0] or type(error).__name__
    raise UserError(
        f"{path} cannot be read as a checkpoint ({reason.rstrip('.')}). Copy it again, or delete the folder "
        f"{path.parent} and resume: what it was trained by then begins afresh."
    )


class Checkpoint(ModelCheckpoint):
    """Keep one checkpoint at the end of each epoch: the newest, or that of the smallest monitored value.

    Args:
        folder: Where it lies.
        name: Its file's name without the ending.
        monitor: What the best is chosen by; the newest is kept without it.
    """

    def __init__(self, folder: Path, name: str, *, monitor: str | None = None) -> None:
        super().__init__(
            folder, filename=name, monitor=monitor, save_on_train_epoch_end=True, enable_version_counter=False
        )

    def on_train_epoch_end(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        """Save, unless the value to choose by is still to come because the first epochs are not validated."""
        if self.monitor is None or self.monitor in trainer.callback_metrics:
            super().on_train_epoch_end(trainer, learner)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the state of a run that is resumed, wherever the run lay then.

        Lightning forgets the best value when the folder is another one, and would take the next epoch for the best.
        """

        def moved(path: str) -> str:
            return str(Path(str(self.dirpath)) / Path(path).name) if path else path

        names = ("best_model_path", "kth_best_model_path", "last_model_path")
        super().load_state_dict(
            state_dict
            | {name: moved(state_dict[name]) for name in names}
            | {"best_k_models": {moved(path): value for path, value in state_dict["best_k_models"].items()}}
            | {"dirpath": self.dirpath}
        )
