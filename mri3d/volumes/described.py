"""Volumes with what the table says of each: for models that learn from both."""

from collections.abc import Sequence

import numpy as np

from mri3d.cohort.variables import Variables
from mri3d.volumes.sequence import View, VolumeSequence


class Described(View):
    """The same volumes, with covariates beside them.

    Args:
        source: The volumes.
        covariates: Of each of them, in their order.
    """

    def __init__(self, source: VolumeSequence, covariates: Variables) -> None:
        assert len(covariates) == len(source), "one row for each volume"
        super().__init__(source)
        self._covariates = covariates

    @property
    def covariates(self) -> Variables:
        """What was said of each volume."""
        return self._covariates

    @property
    def digests(self) -> tuple[str, ...]:
        """What identifies each volume, whatever is said of it."""
        return self.source.digests

    @property
    def on_disk(self) -> bool:
        """Whether the source is."""
        return self.source.on_disk

    def __getitem__(self, row: int) -> np.ndarray:
        return self.source[row]

    def block(self, rows: Sequence[int] | np.ndarray, voxels: slice) -> np.ndarray:
        """Return the same flattened voxels of several volumes, float32 [len(rows), V]."""
        return self.source.block(rows, voxels)

    def smoothed(self, share: float) -> "Described":
        """Return the same volumes smoothed, with the same covariates; themselves for 0."""
        return Described(self.source.smoothed(share), self.covariates) if share else self
