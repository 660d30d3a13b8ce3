"""The recipe for brains: extracted, aligned to MNI152, their intensities normalised inside the brain."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from scipy import ndimage

from mri3d import files
from mri3d.arguments import plain
from mri3d.brain.kept import brain_of
from mri3d.scans.head import head_size_ml
from mri3d.scans.scan import Scan, ScanError, canonical, stored_order
from mri3d.volumes.checks import check_choice, check_resolution

VERSION = 1  # raise it when the same arguments begin to give other volumes, and keep the older ones for old models

BOX_MM = (160, 192, 160)
"""Sides of what a volume shows, R, A, S: the template's brain, 145 x 181 x 155 mm, and some air."""

CENTRE_MM = (0.0, -17.0, 5.0)
"""Of the template's brain, in the space of MNI152."""

_REACH_SIGMAS = 4.0  # of the smoothing, beyond the brain


@dataclass(frozen=True)
class BrainRecipe:
    """Preprocessing of brains by arguments: frozen, hashable, invertible. Volumes of all scans lie alike.

    Attributes:
        resolution: Edge of the volume in voxels, a cube of 192 mm; or "native": voxels of 1 mm, 160 x 192 x 160.
        version: How volumes are made.

    >>> BrainRecipe(resolution=96).volume_shape, BrainRecipe(resolution="native").volume_shape
    ((96, 96, 96), (160, 192, 160))
    """

    resolution: int | str = 50
    version: int = VERSION

    kind: ClassVar[str] = "brain"
    orientation: ClassVar[str] = "ras"
    shows: ClassVar[Literal["brains"]] = "brains"

    def __post_init__(self) -> None:
        for field in fields(self):
            object.__setattr__(self, field.name, plain(getattr(self, field.name)))
        check_resolution(self.resolution)
        check_choice("version", self.version, tuple(range(1, VERSION + 1)))

    def arguments(self) -> dict[str, Any]:
        """Return the constructor's arguments as JSON values, and the kind of recipe."""
        return {"kind": self.kind, "resolution": self.resolution, "version": self.version}

    def digest(self) -> str:
        """Hash what decides the volume of a scan."""
        return files.digest_json(self.arguments())

    @property
    def volume_shape(self) -> tuple[int, int, int]:
        """Sides [3] that all volumes have."""
        return BOX_MM if self.resolution == "native" else (int(self.resolution),) * 3

    @property
    def spacing_mm(self) -> float:
        """Edge of a voxel in the space of MNI152."""
        return 1.0 if self.resolution == "native" else max(BOX_MM) / int(self.resolution)

    @property
    def shared_affine(self) -> np.ndarray:
        """From the voxels of every volume to the space of MNI152 in mm [4, 4]."""
        affine = np.diag([self.spacing_mm] * 3 + [1.0])
        affine[:3, 3] = CENTRE_MM - self.spacing_mm * (np.array(self.volume_shape) - 1) / 2
        return affine

    def for_cohort(self, scans: Sequence[Scan | Path]) -> "BrainRecipe":
        """Return the recipe itself: nothing depends on the cohort."""
        return self

    def volume(self, scan: Scan) -> np.ndarray:
        """Turn a scan into a volume.

        Args:
            scan: A T1-weighted scan of a head or a brain.

        Returns:
            Intensities [C, X, Y, Z] with C = 1, float32, RAS+, in the space of MNI152: of mean 0 and standard deviation
            1 in the brain, 0 around it.

        Raises:
            ScanError: No brain was found in it.
        """
        self.check(scan)
        brain, (data, affine) = brain_of(scan), canonical(scan)
        to_data = np.linalg.inv(affine) @ brain.to_scan @ self.shared_affine
        step = np.linalg.norm(to_data[:3, :3], axis=1)  # voxels of the scan to one of the volume, along each axis
        sigmas = np.maximum(step - 1, 0) / 2
        reach = np.ceil(_REACH_SIGMAS * sigmas).astype(int) + 1
        inside = np.argwhere(brain.mask)
        first = np.maximum(inside.min(axis=0) - reach, 0)
        part = tuple(map(slice, first, inside.max(axis=0) + 1 + reach))
        values = normalised(data[part], brain.mask[part], scan)
        smooth = ndimage.gaussian_filter(values, sigmas, mode="constant", truncate=_REACH_SIGMAS)
        offset = to_data[:3, 3] - first
        volume = ndimage.affine_transform(smooth, to_data[:3, :3], offset, output_shape=self.volume_shape, order=1)
        return np.asarray(volume, np.float32)[np.newaxis]

    def check(self, scan: Scan) -> None:
        """Refuse a scan in which no brain is found.

        Raises:
            ScanError: It says why.
        """
        if what := scan.labels.what:
            raise ScanError(
                f"{scan.path} is {what}, not a scan of a head: its values are labels. Name the scan that it was made "
                "of."
            )
        brain_of(scan)

    def affine(self, scan: Scan) -> np.ndarray:
        """Return the matrix [4, 4] from the voxels of this scan's volume to its world; axes R, A, S in mm."""
        return np.asarray(brain_of(scan).to_scan @ self.shared_affine)

    def to_scan(self, values: np.ndarray, scan: Scan) -> np.ndarray:
        """Carry a map from the volume back to the scan, linear in between.

        Args:
            values: One value per voxel of the volume [X, Y, Z].
            scan: The scan that the volume was made from.

        Returns:
            Values on the scan's own grid in its stored order, float32; 0 outside what the volume shows.
        """
        assert values.shape == self.volume_shape, f"the map has sides {values.shape}, the volume {self.volume_shape}"
        data, affine = canonical(scan)
        to_volume = np.linalg.inv(self.affine(scan)) @ affine
        carried = ndimage.affine_transform(
            np.asarray(values, np.float32), to_volume[:3, :3], to_volume[:3, 3], output_shape=data.shape, order=1
        )
        return np.ascontiguousarray(stored_order(carried, scan))

    def warnings(self, scan: Scan) -> tuple[str, ...]:
        """List what a user should know about this recipe on this scan: nothing, where a brain was found."""
        return ()

    def cohort_warnings(self, scan: Scan) -> tuple[str, ...]:
        """List in what a scan differs from the cohort that the recipe has seen: it has seen none."""
        return ()

    def head_size_ml(self, scan: Scan) -> float:
        """Estimate the size of the head in a scan, in ml, as it was before it was aligned."""
        data, affine = canonical(scan)
        return head_size_ml(data, scan.head, np.linalg.norm(affine[:3, :3], axis=0))


def normalised(data: np.ndarray, mask: np.ndarray, scan: Scan) -> np.ndarray:
    """Bring the intensities of a brain to a scale that scans share.

    Args:
        data: Intensities [X, Y, Z].
        mask: Which are of the brain.
        scan: Whose they are.

    Returns:
        float32 [X, Y, Z]: mean 0 and standard deviation 1 in the brain, 0 around it.
    """
    values = np.clip(data, *scan.head.limits).astype(np.float32)
    inside = values[mask].astype(np.float64)
    values = (values - np.float32(inside.mean())) / np.float32(inside.std() or 1.0)
    return np.asarray(np.where(mask, values, 0), np.float32)
