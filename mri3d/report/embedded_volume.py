"""Volumes that travel inside a page: cut to what is there, made smaller, and written as NIfTI in a few kilobytes."""

import base64
import gzip
from collections.abc import Sequence
from dataclasses import dataclass

import nibabel as nib
import numpy as np

from mri3d.report.figures import bounding_box
from mri3d.report.picture import intensity_window

MAX_EDGE = 96
"""Voxels along the longest edge of an embedded volume."""

MAX_BYTES = 300_000
"""Letters that a scan may take up in a page, heatmap included."""

_SHADES = 63  # more are not seen, and cost a third more
_AIR = 0.08  # share of the window from black to white that counts as black: noise does not compress
_LEVELS = 127  # of a heatmap, on each side of 0
_SMALLEST_EDGE, _FIRST_EDGE = 24, 48
_AIM = 0.92  # share of the letters that are aimed at: each that does not fit is written in vain
_GROWTH = 2.6  # power of the edge with which letters grow: less than voxels do, since coarser ones differ more


@dataclass(frozen=True)
class EmbeddedVolumes:
    """A head and its heatmap on one grid, each a gzipped NIfTI file in base64.

    Attributes:
        head: Intensities, uint8 with slope and intercept.
        heatmap: Evidence, int8 with a slope; None where there is none.
        strongest: Largest absolute value of the heatmap; 0 where there is none.
        signed: Whether some of it is negative.
        peak_mm: Where it is strongest, world R, A, S in mm [3]; the middle of the head where it is nowhere.
    """

    head: str
    heatmap: str | None
    strongest: float
    signed: bool
    peak_mm: tuple[float, float, float]

    @property
    def num_bytes(self) -> int:
        """How much of a page it takes up."""
        return len(self.head) + len(self.heatmap or "")


def embed(
    volume: np.ndarray,
    affine: np.ndarray,
    heatmap: np.ndarray | None = None,
    *,
    max_edge: int = MAX_EDGE,
    max_bytes: int = MAX_BYTES,
) -> EmbeddedVolumes:
    """Cut a volume to the head, make it smaller, and write it and its heatmap as text.

    The order and the direction of the axes stay as they are stored. A small voxel of the head is the mean of what it
    covers; one of the heatmap is the strongest value in it, so that no sign is lost and the peak stays where it is.

    Args:
        volume: Intensities [X, Y, Z] in any stored order, finite.
        affine: Voxel to RAS+ world, mm [4, 4].
        heatmap: Evidence on the same grid [X, Y, Z], finite, 0 where there is none; or None.
        max_edge: Voxels along the longest edge afterwards.
        max_bytes: Letters of both files together; noisy images become smaller for that.

    Raises:
        ValueError: The arrays do not fit together, or are not finite.
    """
    if volume.ndim != 3 or np.shape(affine) != (4, 4):
        raise ValueError(f"{volume.shape} and {np.shape(affine)} are no volume and affine.")
    if heatmap is not None and heatmap.shape != volume.shape:
        raise ValueError(f"a heatmap of {heatmap.shape} is none of {volume.shape}.")
    if not all(np.isfinite(array).all() for array in (volume, affine, *([] if heatmap is None else [heatmap]))):
        raise ValueError("some values are NaN or infinite.")
    heatmap = None if heatmap is None else np.asarray(heatmap, np.float32)  # of which -128 has an absolute value too
    black, white = intensity_window(volume)
    box = bounding_box(volume > black + 0.1 * (white - black), None if heatmap is None else _coloured(heatmap))
    volume, affine = np.asarray(volume[box], np.float32), moved(affine, [side.start for side in box], np.ones(3))
    heatmap = None if heatmap is None else heatmap[box]
    edge, window = min(max_edge, _FIRST_EDGE), (black, white)  # writing a large one that does not fit takes longest
    embedded = _embed(volume, affine, heatmap, window, edge)
    if edge < max_edge and embedded.num_bytes < max_bytes:
        edge = min(int(edge * (_AIM * max_bytes / embedded.num_bytes) ** (1 / _GROWTH)), max_edge)
        embedded = _embed(volume, affine, heatmap, window, edge)
    while embedded.num_bytes > max_bytes and edge > _SMALLEST_EDGE:
        smaller = edge * (_AIM * max_bytes / embedded.num_bytes) ** (1 / _GROWTH)
        edge = max(min(int(smaller), edge - 1), _SMALLEST_EDGE)
        embedded = _embed(volume, affine, heatmap, window, edge)
    return embedded


def moved(affine: np.ndarray, start: Sequence[float], step: np.ndarray) -> np.ndarray:
    """Return the affine of a grid that begins where voxel `start` [3] does, with voxels `step` [3] times as large.

    >>> moved(np.diag([2.0, 2.0, 2.0, 1.0]), [1, 0, 0], np.array([1.0, 2.0, 1.0]))
    array([[2., 0., 0., 2.],
           [0., 4., 0., 1.],
           [0., 0., 2., 0.],
           [0., 0., 0., 1.]])
    """
    within = np.diag([*step, 1.0])
    within[:3, 3] = np.asarray(start) + (step - 1) / 2
    return np.asarray(affine, np.float64) @ within


def _embed(
    volume: np.ndarray, affine: np.ndarray, heatmap: np.ndarray | None, window: tuple[float, float], max_edge: int
) -> EmbeddedVolumes:
    """Write both volumes on a grid with that many voxels along the longest edge."""
    sides = _small_sides(volume.shape, affine, max_edge)
    small_affine = moved(affine, (0, 0, 0), np.divide(volume.shape, sides))
    head = _head_file(_means(volume, sides), small_affine, window)
    middle = affine @ [*(np.subtract(volume.shape, 1) / 2), 1]
    strongest = 0.0 if heatmap is None else float(np.abs(heatmap).max())
    if heatmap is None or not strongest:
        return EmbeddedVolumes(head, None, 0.0, False, _place(middle))
    peak = affine @ [*np.unravel_index(np.abs(heatmap).argmax(), heatmap.shape), 1]
    written = _heatmap_file(_strongest(heatmap, sides), small_affine, strongest)
    return EmbeddedVolumes(head, written, strongest, bool(heatmap.min() < 0), _place(peak))


def _place(position: np.ndarray) -> tuple[float, float, float]:
    """Round a position [4] in mm: the text of a page need not be longer."""
    x, y, z = np.round(position[:3], 3).tolist()
    return x, y, z


def _coloured(heatmap: np.ndarray) -> np.ndarray:
    """Find where a heatmap is strong enough to have a colour."""
    return np.asarray(np.abs(heatmap) > float(np.abs(heatmap).max()) / (2 * _LEVELS))


def _small_sides(sides: Sequence[int], affine: np.ndarray, max_edge: int) -> np.ndarray:
    """Choose a grid [3] whose voxels are cubes, as far as that needs no more voxels than there are."""
    spacing_mm = np.linalg.norm(affine[:3, :3], axis=0)
    extent_mm = np.array(sides) * spacing_mm
    wanted_mm = np.maximum(spacing_mm, extent_mm.max() / max_edge)
    return np.asarray(np.clip(np.round(extent_mm / wanted_mm).astype(int), 1, np.minimum(sides, max_edge)))


def _means(volume: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """Average the parts of voxels that each small voxel covers [X', Y', Z']."""
    for axis, num_out in enumerate(sides.tolist()):
        num_in = volume.shape[axis]
        step = num_in / num_out
        low = step * np.arange(num_out)[:, None]  # where each small voxel begins, in voxels
        voxels = np.arange(num_in)
        covered = np.minimum(low + step, voxels + 1) - np.maximum(low, voxels)
        weights = (covered.clip(0) / step).astype(np.float32)  # [num_out, num_in]
        volume = np.moveaxis(np.tensordot(weights, volume, (1, axis)), 0, axis)
    return volume


def _strongest(values: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """Take the value that is furthest from 0 of the voxels whose centre each small voxel holds [X', Y', Z']."""
    high = low = values
    for axis, num_out in enumerate(sides.tolist()):
        centres = np.arange(values.shape[axis]) + 0.5
        starts = np.searchsorted(centres, values.shape[axis] / num_out * np.arange(num_out))
        high, low = np.maximum.reduceat(high, starts, axis), np.minimum.reduceat(low, starts, axis)
    return np.asarray(np.where(high >= -low, high, low))


def _head_file(values: np.ndarray, affine: np.ndarray, window: tuple[float, float]) -> str:
    """Write intensities in shades from black to white."""
    black, white = window
    width = (white - black) or 1.0
    shares = ((values - black) / width).clip(0, 1)
    shares[shares < _AIR] = 0
    return _file(np.round(shares * _SHADES).astype(np.uint8), affine, slope=width / _SHADES, intercept=black)


def _heatmap_file(values: np.ndarray, affine: np.ndarray, strongest: float) -> str:
    """Write evidence in levels, of which only the peak has the highest."""
    shares = np.abs(values) / strongest
    levels = np.where(shares < 1, np.minimum(np.round(shares * _LEVELS), _LEVELS - 1), _LEVELS)
    return _file((np.sign(values) * levels).astype(np.int8), affine, slope=strongest / _LEVELS, intercept=0.0)


def _file(levels: np.ndarray, affine: np.ndarray, *, slope: float, intercept: float) -> str:
    """Write whole numbers [X, Y, Z] as NIfTI-1, gzipped, in base64; the same numbers give the same text."""
    header = nib.Nifti1Header(endianness="<")
    header.set_data_dtype(levels.dtype)
    header.set_data_shape(levels.shape)
    header.set_zooms(np.linalg.norm(affine[:3, :3], axis=0))
    header.set_xyzt_units("mm")
    header.set_sform(affine, 1)
    header.set_slope_inter(slope, intercept)
    header["cal_min"], header["cal_max"] = slope * levels.min() + intercept, slope * levels.max() + intercept
    header["magic"], header["vox_offset"] = b"n+1", 352  # one file: the voxels follow the header and four empty bytes
    data = header.binaryblock + bytes(4) + levels.tobytes(order="F")
    return base64.b64encode(gzip.compress(data, 9, mtime=0)).decode()
