"""What a classifier reads volumes from: a cohort's cache on disk, or arrays in memory."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np


class VolumeSequence(Protocol):
    """Volumes addressed by row. `mri3d.volumes.cache.Volumes` is one."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Sides of every volume, [C, X, Y, Z]."""
        ...

    def __len__(self) -> int:
        """Count the volumes."""
        ...

    def __getitem__(self, row: int) -> np.ndarray:
        """Give one volume, float32 [C, X, Y, Z]."""
        ...

    def block(self, rows: Sequence[int] | np.ndarray, voxels: slice) -> np.ndarray:
        """Give the same flattened voxels of several volumes, float32 [len(rows), V]."""
        ...


class InMemory:
    """Volumes that are in memory already, such as one new scan's.

    Args:
        volumes: float32 [N, C, X, Y, Z].
    """

    def __init__(self, volumes: np.ndarray) -> None:
        self.volumes = volumes

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Sides of every volume, [C, X, Y, Z]."""
        channels, x, y, z = self.volumes.shape[1:]
        return channels, x, y, z

    def __len__(self) -> int:
        return len(self.volumes)

    def __getitem__(self, row: int) -> np.ndarray:
        volume: np.ndarray = self.volumes[row]
        return volume

    def block(self, rows: Sequence[int] | np.ndarray, voxels: slice) -> np.ndarray:
        """Give the same flattened voxels of several volumes, float32 [len(rows), V]."""
        return np.stack([self.volumes[row].reshape(-1)[voxels] for row in rows])
