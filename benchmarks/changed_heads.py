"""Real heads in which one structure was changed, so that what tells them from others is known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

STRUCTURES: Mapping[str, tuple[tuple[int, ...], ...]] = {
    "ventricles": ((51,), (52,)),
    "hippocampus": ((47,), (48,)),
    "cerebellum": ((38, 39, 40, 41, 71, 72, 73),),
}
"""Labels of DLMUSE: each part is changed around a centre of its own."""

BRIGHTER = 0.5
"""What is added, as a share of the brain's 90th percentile: about that of white matter."""

SMALLER = {"ventricles": 0.15, "hippocampus": 0.3, "cerebellum": 0.1}
"""By how much a structure is smaller along each axis: the larger it is, the farther what is around it moves."""

_EDGE_MM = 2.0  # standard deviation of the smoothing of what is added
_REACH_MM = 10.0  # from a structure that shrinks, to where nothing moves


@dataclass(frozen=True)
class Change:
    """What is done to a structure.

    Attributes:
        structure: Of `STRUCTURES`.
        kind: "darker", "brighter" or "smaller".
    """

    structure: str
    kind: str


@dataclass(frozen=True, eq=False)
class Head:
    """A whole head with labels on its grid.

    Attributes:
        values: Intensities [X, Y, Z] in stored order.
        labels: int [X, Y, Z].
        affine: Voxel to world in mm [4, 4].
    """

    values: np.ndarray
    labels: np.ndarray
    affine: np.ndarray

    @classmethod
    def read(cls, scan: Path) -> "Head":
        """Read a scan of ixi, and its labels."""
        image = nib.load(scan)
        labels = nib.load(scan.parents[1] / "segmentation" / scan.name.replace("_T1.", "_T1_DLMUSE."))
        return cls(image.get_fdata(), np.asarray(labels.dataobj).astype(int), image.affine)

    @property
    def spacing_mm(self) -> np.ndarray:
        """Edges of a voxel [3]."""
        return np.asarray(nib.affines.voxel_sizes(self.affine))

    def inside(self, structure: str) -> np.ndarray:
        """Return which voxels belong to a structure, bool [X, Y, Z]."""
        return np.isin(self.labels, [label for part in STRUCTURES[structure] for label in part])

    def changed(self, change: Change) -> np.ndarray:
        """Return the intensities with a structure changed [X, Y, Z]."""
        if change.kind == "smaller":
            return self._shrunk(STRUCTURES[change.structure], SMALLER[change.structure])
        weight = ndimage.gaussian_filter(self.inside(change.structure).astype(float), _EDGE_MM / self.spacing_mm)
        sign = 1.0 if change.kind == "brighter" else -1.0
        added = sign * BRIGHTER * np.percentile(self.values[self.labels > 0], 90)
        return np.asarray((self.values + added * weight).clip(min=0))

    def _shrunk(self, parts: Sequence[Sequence[int]], share: float) -> np.ndarray:
        """Look farther from the centre of each part, so that what is seen there is smaller."""
        places = np.indices(self.values.shape).astype(float)
        moved = places.copy()
        for part in parts:
            inside = np.isin(self.labels, part)
            away_mm = ndimage.distance_transform_edt(~inside, sampling=self.spacing_mm)
            weight = (1 - away_mm / _REACH_MM).clip(min=0)
            centre = np.array(ndimage.center_of_mass(inside))[:, None, None, None]
            moved += (1 / (1 - share) - 1) * weight * (places - centre)
        return np.asarray(ndimage.map_coordinates(self.values, moved, order=1, mode="nearest"))
