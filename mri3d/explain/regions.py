"""Evidence by the regions of a label image."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
from scipy import ndimage

from mri3d.cohort.text_table import read_text_table
from mri3d.errors import UserError, option
from mri3d.explain.evidence import Question
from mri3d.scans.formats import scan_name
from mri3d.scans.scan import read_scan
from mri3d.scans.scan_file import farthest_corner

MAX_REGIONS = 5000

_SAME_PLACE = 0.05  # voxels, at the corners


@dataclass(frozen=True, eq=False)
class Labels:
    """An image of labels.

    Attributes:
        path: Of the file.
        data: Labels int64 [X, Y, Z] in stored order, 0 for what belongs to no region.
        affine: Voxel to RAS+ world in mm [4, 4].
        names: Of regions by their label; a label without one is called by its number.
    """

    path: Path
    data: np.ndarray
    affine: np.ndarray
    names: Mapping[int, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read an image, and the names that a TSV beside it has, in columns `index` and `name` as in BIDS.

        Raises:
            ScanError: It cannot be read.
            UserError: Its values are no labels, or the TSV has no such columns.
        """
        scan = read_scan(path)
        data = np.round(scan.data)
        if not np.array_equal(data, scan.data):
            raise UserError(f"{path} is no image of labels: it has values that are no whole numbers.")
        if (count := len(np.unique(data))) > MAX_REGIONS:
            raise UserError(f"{path} is no image of labels: it has {count} values.")
        return cls(path, data.astype(np.int64), scan.affine, _names_beside(path))

    def is_on(self, shape: tuple[int, ...], affine: np.ndarray) -> bool:
        """Return whether its voxels are those of a grid, within a twentieth of a voxel."""
        if self.data.shape != tuple(shape):
            return False
        return farthest_corner(self.affine, affine, shape) <= _SAME_PLACE

    def at(self, shape: tuple[int, ...], affine: np.ndarray) -> np.ndarray:
        """Return the label nearest to each voxel of a grid, int64 [X, Y, Z]; 0 beyond the image."""
        to_labels = np.linalg.inv(self.affine) @ affine
        return np.asarray(
            ndimage.affine_transform(
                self.data, to_labels[:3, :3], to_labels[:3, 3], output_shape=shape, order=0, mode="grid-constant"
            )
        )

    def name(self, label: int) -> str:
        """Return what a region is called."""
        return self.names.get(label, str(label))


@dataclass(frozen=True)
class RegionEvidence:
    """The evidence in a region.

    Attributes:
        label: Its number.
        name: What it is called.
        volume_ml: Its size.
        mean: Average evidence of its voxels.
        share: Of all evidence of the map, by absolute values.
        share_for: Of all that speaks for the target.
        share_against: Of all that speaks against it.
    """

    label: int
    name: str
    volume_ml: float
    mean: float
    share: float
    share_for: float
    share_against: float


def by_region(values: np.ndarray, labels: Labels) -> list[RegionEvidence]:
    """Add up the evidence of a map in each region.

    Args:
        values: Evidence [X, Y, Z] on the grid of the labels.
        labels: The regions.

    Returns:
        Of each label but 0, in order of label; shares are of the whole map, what lies in no region included.
    """
    numbers, places = np.unique(labels.data, return_inverse=True)
    places = places.ravel()
    flat = values.ravel().astype(np.float64)
    counts, sums, rising = (np.bincount(places, weights, len(numbers)) for weights in (None, flat, flat.clip(min=0)))
    falling = rising - sums
    voxel_ml = abs(float(np.linalg.det(labels.affine[:3, :3]))) / 1000
    whole, wholly_for, wholly_against = (rising + falling).sum() or 1.0, rising.sum() or 1.0, falling.sum() or 1.0
    return [
        RegionEvidence(
            int(number),
            labels.name(int(number)),
            float(counts[place] * voxel_ml),
            float(sums[place] / counts[place]),
            float((rising[place] + falling[place]) / whole),
            float(rising[place] / wholly_for),
            float(falling[place] / wholly_against),
        )
        for place, number in enumerate(numbers)
        if number
    ]


def require_regions(asked: Question) -> np.ndarray:
    """Return the regions of a question that needs such.

    Raises:
        UserError: It has none.
    """
    if asked.regions is None:
        raise UserError(f"{asked.method.kind.title} needs {option('regions')}: an image of labels.")
    return asked.regions


def _names_beside(path: Path) -> dict[int, str]:
    """Read the names of regions from a TSV that is called as the image is."""
    file = path.with_name(f"{scan_name(path)}.tsv")
    if not file.is_file():
        return {}
    table = read_text_table(file, asked="regions")
    try:
        return {
            int(label): name
            for label, name in zip(table.column("index", "regions"), table.column("name", "regions"), strict=True)
        }
    except ValueError as error:  # UserError is one
        told = f"{file} does not say what regions are called: it needs the columns index, whole numbers, and name."
        raise UserError(told) from error
