"""The recipe: how a scan becomes a volume that a model fits on, and how a map finds its way back."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from mri3d import files
from mri3d.arguments import plain
from mri3d.errors import UserError, did_you_mean, option
from mri3d.parallel import map_threads, num_cores
from mri3d.scans.head import Head, find_head
from mri3d.scans.scan import Scan, ScanError, canonical, read_scan, stored_order
from mri3d.volumes.resample import interpolation_matrix, resample, shrinking_matrix

VERSION = 1  # part of the digest: raise it when the same arguments begin to give other volumes
MAX_RESOLUTION = 1024
MAX_SPACING_RATIO = 1.05  # beyond this a native volume shows a head of another size than the cohort's

Sides = tuple[int, int, int]
Box = tuple[tuple[int, int], ...]


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

    def __post_init__(self) -> None:
        for field in fields(self):
            object.__setattr__(self, field.name, plain(getattr(self, field.name)))
        whole = type(self.resolution) is int and 2 <= self.resolution <= MAX_RESOLUTION
        if not whole and self.resolution != "native":
            raise UserError(
                f"{option('resolution')} is {self.resolution!r}. Give a whole number from 2 to {MAX_RESOLUTION}, or "
                "native."
            )
        _check_choice("orientation", self.orientation, ("ras", "stored"))
        _check_choice("resize", self.resize, ("pad", "warp"))
        _check_choice("intensity", self.intensity, ("zscore", "minmax", "none"))
        if isinstance(self.crop, str):
            _check_choice("crop", self.crop, ("head", "none"))
        else:
            object.__setattr__(self, "crop", _checked_box(self.crop))  # tuples: YAML's lists cannot be hashed
        for name, number in (("shape", int), ("spacing_mm", float)):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, _checked_sides(name, value, number))
        if self.shape is not None and whole:
            raise UserError(
                f"{option('preprocess.shape')} is {self.shape}, but {option('resolution', self.resolution)} decides "
                "it. Leave it out."
            )

    def arguments(self) -> dict[str, Any]:
        """Return the constructor's arguments as JSON values."""
        return {name: _as_json(value) for name, value in asdict(self).items()}

    def digest(self) -> str:
        """Hash what decides the volume of a scan."""
        return files.digest_json({"version": VERSION, **self.arguments(), "spacing_mm": None})

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

    def for_cohort(self, scans: Sequence[Scan | Path]) -> "Recipe":
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
        cropped = placed.data[tuple(slice(first, end) for first, end in placed.box)]
        matrices = [
            shrinking_matrix(end - first, num_out, start - first, step)
            for (first, end), num_out, start, step in zip(
                placed.box, placed.shape, placed.start, placed.step, strict=True
            )
        ]
        head = placed.head
        limits = None if self.intensity == "none" else head.limits
        values = self._normalize(resample(cropped, matrices, limits=limits, outside=head.air), head, scan)
        if values.min() == values.max():
            raise ScanError(f"{scan.path} is constant inside its crop. Choose another {option('preprocess.crop')}.")
        return values[np.newaxis]

    def affine(self, scan: Scan) -> np.ndarray:
        """Return the matrix [4, 4] from the voxels of this scan's volume to its world; axes R, A, S in mm."""
        placed = self._place(scan)
        to_view = np.diag(np.append(placed.step, 1.0))
        to_view[:3, 3] = placed.start
        return np.asarray(placed.affine @ to_view)

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
        matrices = []
        for axis, (first, end) in enumerate(placed.box):
            voxels = np.arange(placed.data.shape[axis])
            at = (voxels - placed.start[axis]) / placed.step[axis]
            shown = (voxels >= first) & (voxels < end) & (at >= -0.5) & (at <= placed.shape[axis] - 0.5)
            matrices.append(interpolation_matrix(placed.shape[axis], at) * shown[:, np.newaxis])
        carried = resample(values, matrices)
        return np.ascontiguousarray(stored_order(carried, scan) if self.orientation == "ras" else carried)

    def warnings(self, scan: Scan) -> tuple[str, ...]:
        """List what a user should know about this recipe on this scan, one sentence each.

        Args:
            scan: A scan of the cohort, or a new one.
        """
        if self.resolution != "native" or self.shape is None:
            return ()
        told = []
        sides, spacing_mm = self._size(scan)
        if (sides > self.shape).any():
            told.append(f"the crop of {_by(sides)} voxels is cut to the {_by(self.shape)} of the cohort")
        if self.spacing_mm is not None:
            ratio = spacing_mm / self.spacing_mm
            if max(ratio.max(), (1 / ratio).max()) > MAX_SPACING_RATIO:
                told.append(
                    f"voxels of {_by(spacing_mm)} mm where the cohort has {_by(self.spacing_mm)} mm: a native recipe "
                    "does not resize"
                )
        return tuple(told)

    def _size(self, scan: Scan | Path) -> tuple[np.ndarray, np.ndarray]:
        """Return sides of the crop [3] in voxels and spacing [3] in mm."""
        placed = self._place(scan if isinstance(scan, Scan) else read_scan(scan))
        return np.diff(placed.box, axis=1)[:, 0], np.linalg.norm(placed.affine[:3, :3], axis=0)

    def _place(self, scan: Scan) -> "_Placed":
        """Decide how the voxels of the volume lie in the scan; everything in this class follows from it."""
        if self.orientation == "ras" and not scan.oriented:
            raise ScanError(
                f"{scan.path} does not say which way it points (sform and qform codes are 0). Set its sform, or take "
                f"all scans in their stored order: {option('preprocess.orientation', 'stored')}."
            )
        data, affine = canonical(scan) if self.orientation == "ras" else (scan.data, scan.affine)
        spacing_mm = np.linalg.norm(affine[:3, :3], axis=0)
        head = find_head(data)
        box = self._box(scan, data.shape, head)
        first, sides = np.array(box)[:, 0], np.diff(box, axis=1)[:, 0]
        if isinstance(self.resolution, int):
            shape = np.full(3, self.resolution)
            edges_mm = sides * spacing_mm
            step = (edges_mm.max() if self.resize == "pad" else edges_mm) / spacing_mm / self.resolution
            start = first + (sides - 1) / 2 - (shape - 1) / 2 * step
        else:
            shape = sides if self.shape is None else np.array(self.shape)
            step = np.ones(3)
            start = first - (shape - sides) // 2.0
        return _Placed(data, affine, head, box, tuple(shape.tolist()), start, step)

    def _box(self, scan: Scan, sides: tuple[int, ...], head: Head) -> Box:
        """Return the part of the scan that is used."""
        if self.crop == "head":
            return head.box
        if isinstance(self.crop, str):
            return tuple((0, side) for side in sides)
        if any(end > side for (_, end), side in zip(self.crop, sides, strict=True)):
            raise ScanError(
                f"{scan.path} has {_by(sides)} voxels, too few for {option('preprocess.crop', _as_json(self.crop))}. "
                f"Choose a box that every scan holds, or {option('preprocess.crop', 'head')}."
            )
        return self.crop

    def _normalize(self, values: np.ndarray, head: Head, scan: Scan) -> np.ndarray:
        """Bring intensities to a scale that scans share; air, and with it padding, has no say in it."""
        if self.intensity == "none":
            return values
        if self.intensity == "minmax":
            low, high = (float(limit) for limit in head.limits)
            return (values - np.float32(low)) / np.float32(high - low)
        tissue = values[values > head.threshold].astype(np.float64)
        if not tissue.size or not (deviation := tissue.std()):
            raise ScanError(f"{scan.path} shows no tissue inside its crop. Choose another {option('preprocess.crop')}.")
        return (values - np.float32(tissue.mean())) / np.float32(deviation)


@dataclass(frozen=True, eq=False)
class _Placed:
    """A scan as the recipe sees it: voxel i of the volume is centred at `start + step * i` of `data`."""

    data: np.ndarray  # [X, Y, Z], in the recipe's orientation
    affine: np.ndarray  # of `data`
    head: Head
    box: Box
    shape: tuple[int, ...]
    start: np.ndarray  # [3]
    step: np.ndarray  # [3]


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        box = " or a voxel box" if name == "crop" else ""
        hint = did_you_mean(str(value), choices)
        raise UserError(f"{option(f'preprocess.{name}')} is {value!r}. Give one of {', '.join(choices)}{box}.{hint}")


def _checked_box(value: Sequence[Sequence[int]]) -> Box:
    """Return a voxel box as tuples."""
    try:
        box = tuple((first, end) for first, end in value)
    except (TypeError, ValueError):
        box = ()
    if len(box) != 3 or not all(type(first) is type(end) is int and 0 <= first < end for first, end in box):
        raise UserError(
            f"{option('preprocess.crop')} is {value!r}. Give head, none, or three pairs of voxels, first and one past "
            "the last, e.g. [[50,205],[60,225],[30,225]]."
        )
    return box


def _checked_sides(name: str, value: Sequence[float], number: type) -> tuple[Any, ...]:
    """Return three positive numbers as a tuple."""
    sides = tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else ()
    if len(sides) != 3 or not all(isinstance(side, (int, number)) and side > 0 for side in sides):
        raise UserError(
            f"{option(f'preprocess.{name}')} is {value!r}. Give three positive numbers, or leave it to the cohort."
        )
    return tuple(number(side) for side in sides)


def _as_json(value: Any) -> Any:  # noqa: ANN401 (any JSON value)
    return [_as_json(part) for part in value] if isinstance(value, tuple) else value


def _by(sides: Iterable[float]) -> str:
    return " x ".join(f"{side:.4g}" for side in sides)
