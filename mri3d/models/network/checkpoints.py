"""Checkpoints of one fit alone, the newest and that of the best epoch; they resume, they never predict."""

import secrets
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.plugins import TorchCheckpointIO
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import nn

from mri3d.errors import UserError
from mri3d.files import digest_json
from mri3d.models.model import TrainingSet
from mri3d.models.network.checkpoint_file import FIT, read_checkpoint, unusable, write_checkpoint


def check_no_requeued(folder: Path) -> None:
    """Refuse a run in which Lightning requeued a job of SLURM's: every later fit would begin with the weights it left.

    Args:
        folder: Of the run.

    Raises:
        UserError: Such a file lies in it.
    """
    pattern = "*hpc_ckpt*"  # whatever Lightning would take for one
    for found in sorted([*folder.glob(pattern), *(folder / "checkpoints").rglob(pattern)]):
        raise UserError(
            f"{found} was left by Lightning's requeueing under SLURM. It holds the weights of one fold, and those that "
            "were trained after it may have begun with them, so that they knew the sessions that they were tested on. "
            "Start a new run; mri3d leaves no such files any more."
        )


def fit_digest(training: TrainingSet) -> str:
    """Identify a fit by its name, its seed, and what it learns from; not by where the run or the scans lie."""
    volumes, parts = training.volumes, (training.train_rows, training.validation_rows)
    content = [
        [rows.tolist(), [volumes.digests[row] for row in rows], training.targets[rows].tolist()] for rows in parts
    ]
    known = [] if volumes.covariates is None else [volumes.covariates.taking(training.rows).cells()]
    return digest_json([training.name, training.seed, training.outcome.to_json(), content, *known])


class FitCheckpoints(TorchCheckpointIO):
    """Write the checkpoints of one fit through temporary files in their own folder, and read no others.

    Lightning's own way goes through TMPDIR, and with TMPDIR on another disk a kill destroys the old checkpoint.

    Args:
        fit: What identifies the fit, see `fit_digest`.

    Attributes:
        token: Of the training that wrote them, from its first start to its end; empty where an earlier version began.
        resumed: The checkpoint that the fit goes on from, once it was read.
    """

    def __init__(self, fit: str) -> None:
        self.fit, self.token = fit, secrets.token_hex(8)
        self.resumed: Path | None = None

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:  # noqa: ANN401
        """Write a checkpoint; signature of Lightning's base class."""
        write_checkpoint(Path(path), checkpoint | {FIT: {"of": self.fit, "token": self.token}})

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = True) -> dict[str, Any]:  # noqa: ANN401
        """Read the checkpoint to go on from; signature of Lightning's base class."""
        checkpoint = read_checkpoint(Path(path))
        self.token, self.resumed = self._token(checkpoint, Path(path)), Path(path)
        return checkpoint

    def load_kept(self, path: Path) -> dict[str, Any]:
        """Read a checkpoint that this training wrote.

        Raises:
            UserError: It is damaged or missing, or another training's.
        """
        checkpoint = read_checkpoint(path)
        if self._token(checkpoint, path) != self.token:
            raise _of_another(path)
        return checkpoint

    def load_weights(self, path: Path, learner: nn.Module) -> None:
        """Put the weights of a checkpoint that this training wrote into what it trains.

        Raises:
            UserError: It is damaged or missing, another training's, or of another network.
        """
        try:
            learner.load_state_dict(self.load_kept(path)["state_dict"])
        except RuntimeError as error:
            raise unusable(path, "holds other weights than this network's", error) from error

    def _token(self, checkpoint: dict[str, Any], path: Path) -> str:
        """Return by what training of this fit a checkpoint was written."""
        mark = checkpoint.get(FIT, {"of": self.fit, "token": ""})
        if mark["of"] != self.fit:
            raise _of_another(path)
        return str(mark["token"])


def _of_another(path: Path) -> UserError:
    return UserError(
        f"{path} was not written by this training: it is of another fold or run, or of other sessions or labels. Put "
        f"the right file there, or delete the folder {path.parent} and resume: what it was trained by then begins "
        "afresh."
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

    @property
    def path(self) -> Path:
        """Its file; Lightning has all processes take the first one's folder."""
        return Path(str(self.dirpath)) / f"{self.filename}{self.FILE_EXTENSION}"

    def on_train_epoch_end(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        """Save, unless the value to choose by is still to come because the first epochs are not validated."""
        if self.monitor is None or self.monitor in trainer.callback_metrics:
            super().on_train_epoch_end(trainer, learner)

    def on_load_checkpoint(self, trainer: pl.Trainer, learner: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Make sure of the best epoch's checkpoint before later epochs are held against it.

        Raises:
            UserError: It is damaged or missing, or another training's.
        """
        if self.monitor and checkpoint["callbacks"].get(self.state_key, {}).get("best_model_path"):
            checkpoints_of(trainer).load_kept(self.path)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the values of a run that is resumed, and no paths: the run may have been moved.

        Lightning forgets the best value when the folder is another one, and would take the next epoch for the best. The
        files that a checkpoint names it would delete.
        """
        path = str(self.path)
        paths = {name: path if state_dict[name] else "" for name in ("best_model_path", "kth_best_model_path")}
        best = dict.fromkeys([path] * len(state_dict["best_k_models"]), state_dict["best_model_score"])
        super().load_state_dict(
            state_dict | paths | {"best_k_models": best, "last_model_path": "", "dirpath": self.dirpath}
        )


def checkpoints_of(trainer: pl.Trainer) -> FitCheckpoints:
    """Return by what a trainer reads and writes checkpoints."""
    checkpoints = trainer.strategy.checkpoint_io
    assert isinstance(checkpoints, FitCheckpoints)
    return checkpoints
