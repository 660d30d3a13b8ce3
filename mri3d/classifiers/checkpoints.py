"""Checkpoints that are written whole or not at all; they serve to resume, never to predict."""

from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins import TorchCheckpointIO

from mri3d.files import atomic_path


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write through a temporary file in the checkpoint's own folder.

    Lightning's own way goes through TMPDIR, and with TMPDIR on another disk a kill destroys the old checkpoint.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:  # noqa: ANN401
        """Write a checkpoint; signature of Lightning's base class."""
        with atomic_path(Path(path)) as temporary:
            torch.save(checkpoint, temporary)
