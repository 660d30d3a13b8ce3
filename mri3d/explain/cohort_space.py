"""The grid on which maps of a whole cohort lie, and how they are written."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import nibabel as nib
import numpy as np
from isal import igzip

from mri3d.parallel import map_threads
from mri3d.scans.scan import ALIGNED, MNI, ScanError, write_image
from mri3d.scans.scan_file import ScanFile, read_file
from mri3d.volumes.alignment import sample
from mri3d.volumes.recipes import AnyRecipe

log = logging.getLogger(__name__)

MAX_SCANS = 50
"""How many scans, evenly spaced through the cohort, are read for the average affine."""


_MADE_BY = "mri3d cohort space"


@dataclass(frozen=True, eq=False)
class CohortSpace:
    """The average of the places where a cohort's volumes lie.

    Volumes of the default recipe are cropped head by head, so a voxel of an average has no one place in any world.
    It gets the average one: voxel size, centre and (as the rotation nearest to their mean) directions of the volumes'
    affines, each averaged. For scans that share a space and a crop this is their own affine (less shear, if any); else
    positions in mm are those of a typical head of the cohort, good to look at, not to be compared with an atlas.

    Attributes:
        affine: Voxel of a map to world [4, 4]; axes R, A, S in mm. The map's axes run as near to R, A, S as they can.
        orientation: From the axes of the volumes to those of a map, as nibabel has it [3, 2].
        num_scans: How many scans' affines were averaged; 0 where all volumes lie in the space of MNI152.
    """

    affine: np.ndarray
    orientation: np.ndarray
    num_scans: int

    @classmethod
    def of(
        cls, recipe: AnyRecipe, scans: Sequence[ScanFile], sides: tuple[int, int, int], *, max_scans: int = MAX_SCANS
    ) -> Self:
        """Average the affines of some scans' volumes; a scan that is gone by now does not count.

        Args:
            recipe: How a scan becomes a volume.
            scans: Of the whole cohort.
            sides: Of the volumes, [X, Y, Z].
            max_scans: How many scans are read, evenly spaced.

        Raises:
            ScanError: None can be read.
        """
        if recipe.shared_affine is not None:
            return cls(recipe.shared_affine, nib.io_orientation(recipe.shared_affine), 0)
        rows = sample(range(len(scans)), max_scans)

        def affine(row: int) -> np.ndarray | ScanError:
            try:
                return recipe.affine(read_file(scans[row]))
            except ScanError as error:
                return error

        found = map_threads(affine, rows, what="placing the maps")
        errors = [each for each in found if isinstance(each, ScanError)]
        affines = [each for each in found if not isinstance(each, ScanError)]
        if not affines:
            raise errors[0]
        if errors:
            log.warning("maps are placed by %d of %d scans: %s", len(affines), len(found), errors[0])
        mean = average_affine(np.stack(affines), np.array(sides))
        orientation = nib.io_orientation(mean)
        return cls(mean @ nib.orientations.inv_ornt_aff(orientation, sides), orientation, len(affines))

    @property
    def spacing_mm(self) -> np.ndarray:
        """Voxel size of a map [3]."""
        return np.asarray(np.linalg.norm(self.affine[:3, :3], axis=0))

    def ras(self, values: np.ndarray) -> np.ndarray:
        """Turn a map on the volumes' grid [X, Y, Z] to the axes of `affine`: RAS+; a view."""
        return np.asarray(nib.apply_orientation(values, self.orientation))

    def write(self, path: Path, values: np.ndarray) -> None:
        """Write a map as float32 NIfTI, atomically; the same map gives the same bytes.

        Args:
            path: The file, ending in `.nii.gz`.
            values: One value per voxel on the volumes' grid [X, Y, Z].
        """
        told = f"mean voxel size, centre, axes of {self.num_scans} volumes" if self.num_scans else "MNI152"
        code = ALIGNED if self.num_scans else MNI
        values = self.ras(values).astype(np.float32, copy=False)
        write_image(path, values, self.affine, code=code, description=f"{_MADE_BY}: {told}")


def is_cohort_map(path: Path) -> bool:
    """Check whether `CohortSpace.write` made a file."""
    try:
        with igzip.open(path) as file:
            return _MADE_BY.encode() in file.read(348)  # the header
    except (OSError, EOFError):
        return False


def average_affine(affines: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """Average affines: voxel size, world position of the centre, and directions.

    Directions become the orthogonal matrix nearest to their mean, the chordal mean (Hartley et al. 2013, Rotation
    averaging).

    Args:
        affines: Voxel to world [N, 4, 4].
        sides: Of the grid in voxels, [3].

    Returns:
        Voxel to world [4, 4].
    """
    spacings_mm = np.linalg.norm(affines[:, :3, :3], axis=1)  # [N, 3]
    left, _, right = np.linalg.svd((affines[:, :3, :3] / spacings_mm[:, None, :]).mean(axis=0))
    centre = (sides - 1) / 2
    average = np.eye(4)
    average[:3, :3] = left @ right * spacings_mm.mean(axis=0)
    average[:3, 3] = (affines[:, :3, :3] @ centre + affines[:, :3, 3]).mean(axis=0) - average[:3, :3] @ centre
    return average
