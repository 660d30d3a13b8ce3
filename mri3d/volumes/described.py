"""Volumes with what the table says of each: for models that learn from both."""

from collections.abc import Sequence

import numpy as np

from mri3d.cohort.variables import Variables
from mri3d.volumes.recipe import Recipe
from mri3d.volumes.sequence import VolumeSequence


class Described:
    """The same volumes, with covariates beside them.

    Args:
        source: The volumes.
        covariates: Of each of them, in their order.
    """

    def __init__(self, source: VolumeSequence, covariates: Variables) -> None:
        assert len(covariates) == len(source), "one row for each volume"
        self.source = source
        self.covariates: Variables | None = covariates

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Sides of every volume, [C, X, Y, Z]."""
        return self.source.shape

    @property
    def recipe(self) -> Recipe | None:
        """How a scan becomes a volume of the source."""
        return self.source.recipe

    @property
    def digests(self) -> tuple[str, ...]:
        """What identifies each volume, whatever is said of it."""
        return self.source.digests

    @property
    def on_disk(self) -> bool:
        """Whether the source is."""
        return self.source.on_disk

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, row: int) -> np.ndarray:
        return self.source[row]

    def block(self, rows: Sequence[int] | np.ndarray, voxels: slice) -> np.ndarray:
        """Return the same flattened voxels of several volumes, float32 [len(rows), V]."""
        return self.source.block(rows, voxels)

    def fill(self) -> None:
        """Make sure that every volume of the source can be read quickly."""
        self.source.fill()

    def smoothed(self, share: float) -> "Described":
        """Return the same volumes smoothed, with the same covariates; themselves for 0."""
        if not share:
            return self
        assert self.covariates is not None, "they were given"
        return Described(self.source.smoothed(share), self.covariates)
