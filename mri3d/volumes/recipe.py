"""The recipe: how a scan becomes a volume that a model fits on, and how a map finds its way back."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, ClassVar, Literal

import numpy as np

from mri3d import files
from mri3d.arguments import plain
from mri3d.errors import UserError, option
from mri3d.parallel import map_threads, num_cores
from mri3d.scans.head import find_head, head_size_ml, head_warnings
from mri3d.scans.head_box import Box
from mri3d.scans.sampled_head import sampled_head
from mri3d.scans.scan import Scan, ScanError, canonical, stored_order
from mri3d.scans.scan_file import ScanFile, read_file
from mri3d.volumes.checks import as_json, by, check_choice, check_resolution, checked_box, checked_sides
from mri3d.volumes.intensity import volume_values
from mri3d.volumes.placement import Placement
from mri3d.volumes.resample import resample

VERSION = 2  # raise it when the same arguments begin to give other volumes, and keep the older ones for old models
MAX_SPACING_RATIO = 1.05  # beyond this a native volume shows a head of another size than the cohort's
MIN_TISSUE = 1e-3  # share of the crop

Sides = tuple[int, int, int]


@dataclass(frozen=True)
class Recipe:
    """Preprocessing by arguments: orientation, crop, resize, intensity; frozen, hashable, invertible.

    Attributes:
        resolution: Edge of the volume in voxels, or "native": no resize, crops padded (centred) to `shape`.
        orientation: "ras" turns the axes to those nearest right, anterior, superior; "stored" keeps the file's order.
        crop: "head" (bounding box of the head), "none", or a voxel box [[x0, x1], [y0, y1], [z0, z1]], x1 excluded.
        resize: "pad" keeps physical proportions in a cube; "warp" stretches each axis by itself.
        intensity: "zscore" over tissue or "minmax" to 0..1, both with spikes clipped first, or "none".
        shape: Sides of a native volume; set by `for_cohort`.
        spacing_mm: Voxel size of the cohort of a native recipe; set by `for_cohort`, compared by `warnings`.
        version: How the head is found: 2, or 1 as mri3d up to 0.2 did, for models that it trained.

    >>> Recipe(resolution=100, intensity="minmax").volume_shape
    (100, 100, 100)
    """

    resolution: int | str = 50
    orientation: str = "ras"
    crop: str | Box = "head"
    resize: str = "pad"
    intensity: str = "zscore"
    shape: Sides | None = None
    spacing_mm: tuple[float, float, float] | None = None
    version: int = VERSION

    reading: ClassVar[str] = "reading scans"

    def __post_init__(self) -> None:
        for field in fields(self):
            object.__setattr__(self, field.name, plain(getattr(self, field.name)))
        check_resolution(self.resolution)
        check_choice("orientation", self.orientation, ("ras", "stored"))
        check_choice("resize", self.resize, ("pad", "warp"))
        check_choice("intensity", self.intensity, ("zscore", "minmax", "none"))
        check_choice("version", self.version, tuple(range(1, VERSION + 1)))
        if isinstance(self.crop, str):
            check_choice("crop", self.crop, ("head", "none"))
        else:
            object.__setattr__(self, "crop", checked_box(self.crop))  # tuples: YAML's lists cannot be hashed
        for name, number in (("shape", int), ("spacing_mm", float)):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, checked_sides(name, value, number))
        if self.shape is not None and self.resolution != "native":
            raise UserError(
                f"{option('preprocess.shape')} is {self.shape}, but {option('resolution', self.resolution)} decides "
                "it. Leave it out."
            )

    def arguments(self) -> dict[str, Any]:
        """Return the constructor's arguments as JSON values; without a `version` where it is 1.

        What mri3d up to 0.2 hashed of a recipe to know a training and a run by had none.
        """
        arguments = {name: as_json(value) for name, value in asdict(self).items()}
        return {name: value for name, value in arguments.items() if (name, value) != ("version", 1)}

    def digest(self) -> str:
        """Hash what decides the volume of a scan."""
        means = {"air": "one value"} if self.version > 1 else {}  # version 2 was another before it was released
        return files.digest_json({"version": self.version, **self.arguments(), "spacing_mm": None, **means})

    @property
    def shows(self) -> Literal["heads", "anything"]:
        """Heads, where they are looked for."""
        return "heads" if self.crop == "head" and self.orientation == "ras" else "anything"

    @property
    def shared_affine(self) -> None:
        """There is none: volumes lie in each scan's own world."""
        return None

    @property
    def volume_shape(self) -> Sides:
        """Sides [3] that all volumes have.

        Raises:
            UserError: A native recipe that has not seen its cohort.
        """
        if isinstance(self.resolution, int):
            return (self.resolution,) * 3
        if self.shape is None:
            raise UserError(
                f"{option('resolution', 'native')} has no shape yet. Set {option('preprocess.shape')}, or take it from "
                "the cohort."
            )
        return self.shape

    def for_cohort(self, scans: Sequence[Scan | ScanFile]) -> "Recipe":
        """Freeze what depends on the cohort: a native volume is as large as the cohort's largest crop.

        Args:
            scans: Every scan of the cohort, or its file.

        Returns:
            The recipe with `shape` and `spacing_mm`; itself, and nothing is read, where there is nothing to freeze.

        Raises:
            ScanError: A scan cannot be read or used.
        """
        if self.resolution != "native" or self.shape is not None:
            return self
        num_threads = min(8, num_cores())  # each holds a scan in memory
        sizes = map_threads(self._size, scans, what="measuring the crops", num_threads=num_threads)
        sides = np.max([sides for sides, _ in sizes], axis=0)
        spacing_mm = np.median([spacing_mm for _, spacing_mm in sizes], axis=0)
        return replace(self, shape=tuple(sides.tolist()), spacing_mm=tuple(np.round(spacing_mm, 4).tolist()))

    def volume(self, scan: Scan) -> np.ndarray:
        """Turn a scan into a volume.

        Args:
            scan: Any scan.

        Returns:
            Intensities [C, X, Y, Z] with C = 1, float32; RAS+ unless the recipe keeps the stored order.

        Raises:
            ScanError: The scan has no orientation, does not hold the voxel box, or shows no tissue in its crop.
        """
        placed = self._place(scan)
        self._check(placed, scan)
        flat = self.crop == "head" and self.version > 1
        return volume_values(placed, self.intensity, flat=flat, version=self.version)[np.newaxis]

    def check(self, scan: Scan) -> None:
        """Refuse a scan that no volume can be made of.

        Raises:
            ScanError: The scan has no orientation, does not hold the voxel box, is no head where one is looked for, or
                shows nothing in its crop.
        """
        self._check(self._place(scan), scan)

    def affine(self, scan: Scan) -> np.ndarray:
        """Return the matrix [4, 4] from the voxels of this scan's volume to its world; axes R, A, S in mm."""
        return self._place(scan).volume_affine

    def inside(self, scan: Scan) -> np.ndarray:
        """Return in which voxels of this scan's volume evidence may lie, bool [X, Y, Z]: in all of them."""
        return np.ones(self._place(scan).shape, bool)

    def to_scan(self, values: np.ndarray, scan: Scan) -> np.ndarray:
        """Carry a map from the volume back to the scan: the exact inverse in geometry, linear in between.

        Args:
            values: One value per voxel of the volume [X, Y, Z].
            scan: The scan that the volume was made from.

        Returns:
            Values on the scan's own grid in its stored order, float32; 0 outside what the volume shows.
        """
        placed = self._place(scan)
        assert values.shape == placed.shape, f"the map has sides {values.shape}, the volume {placed.shape}"
        carried = resample(values, placed.from_volume())
        return np.ascontiguousarray(stored_order(carried, scan) if self.orientation == "ras" else carried)

    def warnings(self, scan: Scan) -> tuple[str, ...]:
        """List what a user should know about this recipe on this scan, one sentence each.

        Args:
            scan: A scan of the cohort, or a new one.
        """
        placed = self._place(scan)
        spacing_mm = np.linalg.norm(placed.affine[:3, :3], axis=0)
        told = self.cohort_warnings(scan)
        if self.crop == "head":
            told = (*scan.labels.warnings, *head_warnings(placed.data, placed.box, spacing_mm), *told)
        return told

    def head_size_ml(self, scan: Scan) -> float | None:
        """Estimate the size of the head in a scan, in ml; None where the recipe does not look for one."""
        if self.crop != "head" or self.orientation != "ras":
            return None
        data, affine = canonical(scan)
        return head_size_ml(data, scan.head, np.linalg.norm(affine[:3, :3], axis=0))

    def figures(self, scan: Scan) -> dict[str, float]:
        """Return what tells how well this recipe did on a scan: nothing can be told."""
        return {}

    def cohort_warnings(self, scan: Scan) -> tuple[str, ...]:
        """List in what a scan differs from the cohort that a native recipe has seen, one sentence each."""
        if self.resolution != "native" or self.shape is None:
            return ()
        told = []
        sides, spacing_mm = self._size(scan)
        if (sides > self.shape).any():
            told.append(f"the crop of {by(sides)} voxels is cut to the {by(self.shape)} of the cohort")
        if self.spacing_mm is not None:
            ratio = spacing_mm / self.spacing_mm
            if max(ratio.max(), (1 / ratio).max()) > MAX_SPACING_RATIO:
                told.append(
                    f"voxels of {by(spacing_mm)} mm where the cohort has {by(self.spacing_mm)} mm: a native recipe "
                    "does not resize"
                )
        return tuple(told)

    def _size(self, scan: Scan | ScanFile) -> tuple[np.ndarray, np.ndarray]:
        """Return sides of the crop [3] in voxels and spacing [3] in mm."""
        placed = self._place(scan if isinstance(scan, Scan) else read_file(scan))
        return np.diff(placed.box, axis=1)[:, 0], np.linalg.norm(placed.affine[:3, :3], axis=0)

    def _place(self, scan: Scan) -> Placement:
        """Decide how the voxels of the volume lie in the scan; everything in this class follows from it."""
        if self.orientation == "ras" and not scan.oriented:
            raise ScanError(
                f"{scan.path} does not say which way its axes point (neither sform nor qform is set). Set it in the "
                f"file, or keep the stored order: {option('preprocess.orientation', 'stored')}"
            )
        data, affine = canonical(scan) if self.orientation == "ras" else (scan.data, scan.affine)
        spacing_mm = np.linalg.norm(affine[:3, :3], axis=0)
        whole = tuple((0, side) for side in data.shape)
        if self.version == 1:
            head = sampled_head(data)
        elif self.crop == "none":
            head = find_head(data, whole)
        else:
            head = scan.head if self.orientation == "ras" else find_head(data)
        box, field = (head.box, head.field) if self.crop == "head" else (self._box(scan, whole), whole)
        first, sides = np.array(box)[:, 0], np.diff(box, axis=1)[:, 0]
        if isinstance(self.resolution, int):
            shape = np.full(3, self.resolution)
            edges_mm = sides * spacing_mm
            step = (edges_mm.max() if self.resize == "pad" else edges_mm) / spacing_mm / self.resolution
            offset = (sides - 1) / 2 - (shape - 1) / 2 * step
            if self.version == 1:  # to the last bit
                offset = first + (sides - 1) / 2 - (shape - 1) / 2 * step - first
        else:
            shape = sides if self.shape is None else np.array(self.shape)
            step = np.ones(3)
            offset = -((shape - sides) // 2.0)
        return Placement(data, affine, head, box, field, tuple(shape.tolist()), offset, step)

    def _check(self, placed: Placement, scan: Scan) -> None:
        """Refuse a scan that shows nothing where the volume lies."""
        if self.crop != "head":
            cropped, head = placed.cropped, placed.head
            tissue = cropped > head.threshold if head.fill is None else cropped != head.fill
            what = ""
            if self.intensity == "zscore" and np.count_nonzero(tissue) < MIN_TISSUE * tissue.size:
                what = "shows no tissue"
            elif cropped.min() == cropped.max():
                what = "is constant"
            if what:
                raise ScanError(f"{scan.path} {what} inside its crop. Choose another {option('preprocess.crop')}.")
        elif what := scan.labels.what:
            raise ScanError(
                f"{scan.path} is {what}, not a scan of a head: its values are labels. Name the scan that it was made "
                f"of, or, if its shape is what a model should see, set {option('preprocess', 'cube')}."
            )

    def _box(self, scan: Scan, whole: Box) -> Box:
        """Return the part of the scan that is used where it is not looked for."""
        if isinstance(self.crop, str):
            return whole
        if any(end > side for (_, end), (_, side) in zip(self.crop, whole, strict=True)):
            sides = by(side for _, side in whole)
            raise ScanError(
                f"{scan.path} has {sides} voxels, too few for {option('preprocess.crop', as_json(self.crop))}. "
                f"Choose another {option('preprocess.crop')}, one that every scan holds, or "
                f"{option('preprocess.crop', 'head')}."
            )
        return self.crop
