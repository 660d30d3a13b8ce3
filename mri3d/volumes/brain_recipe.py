"""The recipe for brains: extracted, aligned to MNI152, their intensities normalised inside the brain."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Literal

import numpy as np
from scipy import ndimage, stats

from mri3d import files
from mri3d.arguments import plain
from mri3d.brain.brain import DOUBTFUL_MISFIT, MISFIT_MM, VERSION
from mri3d.brain.kept import brain_of, found_in
from mri3d.brain.template import CENTRE_MM
from mri3d.errors import UserError, option
from mri3d.scans.head import head_size_ml
from mri3d.scans.scan import Scan, ScanError, canonical, stored_order
from mri3d.scans.scan_file import ScanFile
from mri3d.volumes.checks import check_resolution

BOX_MM = (160, 192, 160)
"""Sides of what a volume shows, R, A, S: the template's brain, 145 x 181 x 155 mm, and some air."""

MAX_SIZE = 10.0

FIELD_MM = 15.0
"""Standard deviation of the surroundings whose mean is divided out: wider than structures, and narrower than fields."""

BLUR = 0.7
"""Standard deviation, in voxels of the volume, of all blur in it, whatever the voxels of the scan are: up to 1.4 times
as long as those of the volume. Longer ones have more blur of their own."""

_OWN_BLUR = 0.5  # of the scan, in its voxels: each is a mean over a voxel (variance 1/12), linear in between (1/6)

TAILS = 0.004
"""Probability left out at the two ends of the normal distribution together: values lie between -2.9 and 2.9."""

_REACH_SIGMAS = 4.0  # of the smoothing, beyond the brain


@dataclass(frozen=True)
class BrainRecipe:
    """Preprocessing of brains by arguments: frozen, hashable, invertible. Volumes of all scans lie alike.

    Attributes:
        resolution: Edge of the volume in voxels, a cube of 192 mm; or "native": voxels of 1 mm, 160 x 192 x 160.
        size: How much the brain's size shows, which the alignment takes away: so much is added to every voxel of a
            brain that is a standard deviation larger than others. 0 for nothing.
        version: How brains are found and volumes made of them.

    >>> BrainRecipe(resolution=96).volume_shape, BrainRecipe(resolution="native").volume_shape
    ((96, 96, 96), (160, 192, 160))
    """

    resolution: int | str = 50
    size: float = 0.3
    version: int = VERSION

    kind: ClassVar[str] = "brain"
    orientation: ClassVar[str] = "ras"
    shows: ClassVar[Literal["brains"]] = "brains"
    reading: ClassVar[str] = "finding brains"

    def __post_init__(self) -> None:
        for field in fields(self):
            object.__setattr__(self, field.name, plain(getattr(self, field.name)))
        check_resolution(self.resolution)
        if type(self.size) not in (int, float) or not 0 <= self.size <= MAX_SIZE:
            raise UserError(
                f"{option('preprocess.size')} is {self.size!r}. Give a number from 0, which hides the size of brains, "
                f"to {MAX_SIZE:g}."
            )
        if self.version != VERSION:
            raise UserError(
                f"brains of version {self.version!r} are no longer made: this mri3d makes those of version {VERSION}. "
                "Train the model again."
            )

    def arguments(self) -> dict[str, Any]:
        """Return the constructor's arguments as JSON values, and the kind of recipe."""
        return {"kind": self.kind, **asdict(self)}

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

    def for_cohort(self, scans: Sequence[Scan | ScanFile]) -> "BrainRecipe":
        """Return the recipe itself: nothing depends on the cohort."""
        return self

    def volume(self, scan: Scan) -> np.ndarray:
        """Turn a scan into a volume.

        Args:
            scan: A T1-weighted scan of a head or a brain.

        Returns:
            Intensities [C, X, Y, Z] with C = 1, float32, RAS+, in the space of MNI152, see `normalised`: in the brain
            about as numbers of a normal distribution are, moved by its size; 0 around it.

        Raises:
            ScanError: No brain was found in it.
        """
        self.check(scan)
        brain, (data, affine) = brain_of(scan), canonical(scan)
        to_data = np.linalg.inv(affine) @ brain.to_scan @ self.shared_affine
        step = np.linalg.norm(to_data[:3, :3], axis=1)  # voxels of the scan to one of the volume, along each axis
        sigmas = np.sqrt(np.maximum((BLUR * step) ** 2 - _OWN_BLUR**2, 0))
        reach = np.ceil(_REACH_SIGMAS * sigmas).astype(int) + 1
        inside = np.argwhere(brain.mask)
        first = np.maximum(inside.min(axis=0) - reach, 0)
        part = tuple(map(slice, first, inside.max(axis=0) + 1 + reach))
        image = np.clip(data[part], *scan.head.limits).astype(np.float32) - np.float32(scan.head.air)
        values = normalised(image, brain.mask[part], np.linalg.norm(affine[:3, :3], axis=0))
        values[brain.mask[part]] += np.float32(self.size * brain.deviation_of_size)
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

    def inside(self, scan: Scan) -> np.ndarray:
        """Return which voxels of this scan's volume lie in its brain, bool [X, Y, Z]: evidence lies nowhere else."""
        mask, to_data = brain_of(scan).mask, np.linalg.inv(canonical(scan)[1]) @ self.affine(scan)
        share = ndimage.affine_transform(
            mask.astype(np.float32), to_data[:3, :3], to_data[:3, 3], output_shape=self.volume_shape, order=1
        )
        return np.asarray(share > 0.5)

    def to_scan(self, values: np.ndarray, scan: Scan) -> np.ndarray:
        """Carry a map from the volume back to the scan, linear in between.

        Args:
            values: One value per voxel of the volume [X, Y, Z].
            scan: The scan that the volume was made from.

        Returns:
            Values on the scan's own grid in its stored order, float32; 0 around the brain.
        """
        assert values.shape == self.volume_shape, f"the map has sides {values.shape}, the volume {self.volume_shape}"
        data, affine = canonical(scan)
        to_volume = np.linalg.inv(self.affine(scan)) @ affine
        carried = ndimage.affine_transform(
            np.asarray(values, np.float32), to_volume[:3, :3], to_volume[:3, 3], output_shape=data.shape, order=1
        )
        carried[~brain_of(scan).mask] = 0
        return np.ascontiguousarray(stored_order(carried, scan))

    def warnings(self, scan: Scan) -> tuple[str, ...]:
        """List what a user should know about this recipe on this scan, one sentence each."""
        if scan.mask is None:
            return ()
        misfit = brain_of(scan).misfit
        if misfit is None:
            return (f"its mask {scan.mask_path} could not be held against the scan, in which no brain was found",)
        if misfit > DOUBTFUL_MISFIT:
            return (
                f"{misfit:.0%} of the surface of its mask {scan.mask_path} lies more than {MISFIT_MM:g} mm from that "
                "of the brain in the scan: check that it is of this scan",
            )
        return ()

    def cohort_warnings(self, scan: Scan) -> tuple[str, ...]:
        """List in what a scan differs from the cohort that the recipe has seen: it has seen none."""
        return ()

    def figures(self, scan: Scan) -> dict[str, float]:
        """Return what tells how well a scan's brain was found and aligned; nothing where none was, or is looked for."""
        if scan.labels.what:
            return {}
        try:
            return found_in(scan).figures
        except ScanError:
            return {}

    def head_size_ml(self, scan: Scan) -> float:
        """Estimate the size of the head in a scan, in ml, as it was before it was aligned."""
        data, affine = canonical(scan)
        return head_size_ml(data, scan.head, np.linalg.norm(affine[:3, :3], axis=0))


def normalised(values: np.ndarray, mask: np.ndarray, spacing_mm: np.ndarray) -> np.ndarray:
    """Bring the intensities of a brain to a scale that scanners share, whatever their contrast and their coils.

    Each is divided by the mean of its wide surroundings in the brain, which takes bias fields away, and takes the place
    of its rank in a normal distribution, so that no monotone change of contrast matters.

    Args:
        values: Intensities [X, Y, Z], 0 for air.
        mask: Which are of the brain.
        spacing_mm: Distance between voxels along each axis [3].

    Returns:
        float32 [X, Y, Z], 0 around the brain.
    """
    inside = np.where(mask, values, 0).astype(np.float32)
    steps = np.maximum(1, np.floor(FIELD_MM / 4 / spacing_mm)).astype(int)
    coarse, sigmas = tuple(slice(None, None, step) for step in steps), FIELD_MM / spacing_mm / steps
    left, shares = (ndimage.uniform_filter(part, steps)[coarse] for part in (inside, mask.astype(np.float32)))
    sums, near = (ndimage.gaussian_filter(part, sigmas, mode="constant") for part in (left, shares))
    mean = sums / np.maximum(near, 1e-3)
    field = np.maximum(mean, max(1e-3 * float(mean.max()), 1e-30))
    field = ndimage.affine_transform(field, 1 / steps, output_shape=values.shape, order=1, mode="nearest")
    ranks = stats.rankdata(inside[mask] / field[mask])
    inside[mask] = stats.norm.ppf(TAILS / 2 + (1 - TAILS) * (ranks - 0.5) / len(ranks))
    return inside
