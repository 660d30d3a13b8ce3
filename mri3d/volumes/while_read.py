"""Volumes made while an audit has the scans in memory, so that each scan is read once."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mri3d.scans.scan import Scan
from mri3d.volumes.cache import Volumes
from mri3d.volumes.recipes import AnyRecipe


@dataclass(frozen=True)
class MadeWhileRead:
    """A recipe as what scans have to pass, see `mri3d.cohort.audit.Check`: a scan that does leaves its volume.

    What an audit remembers of files it does not read, and no volume is made: `Volumes.fill` makes what is missing. It
    lies beside the recipe because by the source of this room an audit knows whether what it remembers still holds.

    Attributes:
        recipe: How a scan becomes a volume; a native one must know its shape.
    """

    recipe: AnyRecipe

    @property
    def reading(self) -> str:
        """What is done while scans are read."""
        return self.recipe.reading

    def digest(self) -> str:
        """Hash what decides whether a scan passes."""
        return self.recipe.digest()

    def check(self, scan: Scan) -> None:
        """Make the volume of a scan and keep it, unless it is kept already.

        Raises:
            ScanError: No volume can be made of it.
            UserError: It cannot be kept.
        """
        _OfScan(scan, self.recipe).keep()

    def warnings(self, scan: Scan) -> tuple[str, ...]:
        """List what a user should know about a scan that passes, one sentence each."""
        return self.recipe.warnings(scan)

    def figures(self, scan: Scan) -> Mapping[str, float]:
        """Return what tells how well the recipe did on a scan."""
        return self.recipe.figures(scan)

    def head_size_ml(self, scan: Scan) -> float | None:
        """Estimate the size of the head in a scan that passes."""
        return self.recipe.head_size_ml(scan)


class _OfScan(Volumes):
    """The volume of a scan that was read."""

    def __init__(self, scan: Scan, recipe: AnyRecipe) -> None:
        super().__init__([scan.path], [scan.digest], recipe)
        self._scan = scan

    def keep(self) -> None:
        """Make the volume if it is not there."""
        if self._path(0).exists():
            self.recipe.check(self._scan)
        else:
            self._make(0)

    def _made(self, row: int) -> np.ndarray:
        return self.recipe.volume(self._scan)
