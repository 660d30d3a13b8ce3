"""Volumes without what a linear fit to some of them says of a few known columns, voxel by voxel."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from mri3d.files import digest, digest_json
from mri3d.volumes.sequence import View, VolumeSequence

BLOCK_VOXELS = 65_536


class Residuals(View):
    """The volumes of a cohort, less what a least-squares fit to some rows predicts of each voxel by the columns.

    Columns that have a mean of 0 over these rows leave the mean volume as it is.

    Args:
        source: The volumes.
        columns: What is known of each volume, float64 [N, Q].
        rows: Which are fitted to; no other row has a say in the fit.
    """

    on_disk = False

    def __init__(self, source: VolumeSequence, columns: np.ndarray, rows: np.ndarray) -> None:
        super().__init__(source)
        self.columns, self.rows = columns, rows
        self._inverse = np.linalg.pinv(columns[rows])  # [Q, M]
        self._smoothed: dict[float, Residuals] = {}

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """What identifies each row [N]."""
        fit = digest(np.ascontiguousarray(self.columns).data.cast("B"), self.rows.astype(np.int64).data.cast("B"))
        return tuple(digest_json(["residual", each, fit]) for each in self.source.digests)

    @cached_property
    def combinations(self) -> np.ndarray:
        """The residuals as sums of the source's volumes, float64 [N, N]: R = combinations @ X."""
        combined = np.eye(len(self))
        combined[:, self.rows] -= self.columns @ self._inverse
        return combined

    @cached_property
    def coefficients(self) -> np.ndarray:
        """What one unit of each column adds to each voxel, float32 [Q, V]."""
        num_voxels = int(np.prod(self.shape))
        found = np.empty((len(self._inverse), num_voxels), dtype=np.float32)
        for start in range(0, num_voxels, BLOCK_VOXELS):
            voxels = slice(start, min(start + BLOCK_VOXELS, num_voxels))
            found[:, voxels] = self._inverse @ self.source.block(self.rows, voxels)
        return found

    def __getitem__(self, row: int) -> np.ndarray:
        volume = self.source[row]
        explained = (self.columns[row].astype(np.float32) @ self.coefficients).reshape(volume.shape)
        return np.asarray(volume - explained, dtype=np.float32)

    def block(self, rows: Sequence[int] | np.ndarray, voxels: slice) -> np.ndarray:
        """Return the same flattened voxels of several volumes, float32 [len(rows), V]."""
        explained = self.columns[np.asarray(rows, dtype=np.int64)] @ self.coefficients[:, voxels]
        return np.asarray(self.source.block(rows, voxels) - explained, dtype=np.float32)

    def fill(self) -> None:
        """Make the source's volumes, and fit."""
        super().fill()
        _ = self.coefficients

    def smoothed(self, share: float) -> "Residuals":
        """Return what is left of the same volumes smoothed; themselves for 0."""
        if share and share not in self._smoothed:
            self._smoothed[share] = Residuals(self.source.smoothed(share), self.columns, self.rows)
        return self._smoothed[share] if share else self
