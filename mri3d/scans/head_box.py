"""Where a head lies in a scan, to the voxel: what of the scan holds an image, and the outermost planes of a head."""

import functools
from collections.abc import Callable

import numpy as np
from scipy import ndimage

from mri3d.scans.intensities import clipped, darkest, outermost_values, tissue_threshold

SAMPLES_PER_AXIS = 48
MAX_ROUNDS = 6
PLANES_AT_ONCE = 6
MIN_BLOCKS = 4  # of 2 x 2 voxels in one plane, so that neither a spike nor a speck of noise is where the head begins

Box = tuple[tuple[int, int], ...]
"""First voxel and one past the last, for each axis; may reach beyond the scan."""

Cut = tuple[np.number, float]
"""The exact value that was written around a head, and the intensity of air that it stands for."""


def image_field(data: np.ndarray) -> Box:
    """Return the part of a scan that is left when faces of one value have been taken off, again and again."""
    box = [(0, side) for side in data.shape]
    while True:
        before = list(box)
        for axis in range(3):
            part = np.moveaxis(data[slices(box)], axis, 0)
            first = _num_constant(part)
            last = _num_constant(part[::-1]) if first < len(part) else 0
            if len(part) - first - last >= 2:
                box[axis] = box[axis][0] + first, box[axis][1] - last
        if box == before:
            return tuple(box)


def sample_of(data: np.ndarray, box: Box) -> tuple[np.ndarray, tuple[int, ...]]:
    """Take at most 48 voxels per axis, counted from the corner of a box, and return the steps too."""
    steps = tuple(-(-(end - first) // SAMPLES_PER_AXIS) for first, end in box)
    return data[slices(box, steps)], steps


def box_in_air(
    data: np.ndarray, field: Box, sample: np.ndarray, steps: tuple[int, ...], cut: Cut | None = None
) -> Box | None:
    """Find a head in air: its box and the threshold inside it follow from each other.

    Args:
        data: Intensities [X, Y, Z].
        field: The part that holds an image.
        sample: Of the field, as are the steps.
        steps: See `sample_of`.
        cut: How air was written, where it was not measured.

    Returns:
        The box; None where no tissue stands out.
    """
    sample = _with_air(sample, cut)
    values = ndimage.uniform_filter(clipped(sample, outermost_values(sample)), 3, mode="nearest")
    air = darkest(values)
    threshold = tissue_threshold(values, air)
    if not (values > threshold).any():
        return None
    box, reach = _largest_piece(values > threshold, field, steps), 2 * max(steps)
    for _ in range(MAX_ROUNDS):
        shows_tissue = functools.partial(_planes_of_tissue, air=air, threshold=threshold, cut=cut)
        last, box = box, _refined(data, field, box, reach, shows_tissue)
        if box == last:
            break
        inside = _with_air(sample_of(data, box)[0], cut)
        values, reach = clipped(inside, outermost_values(inside)), 2
        air = darkest(values)
        threshold = tissue_threshold(values, air)
    part = data[slices(box)]
    return box if (part != part.flat[0]).any() else None  # one value alone has neither air nor tissue


def box_of_image(data: np.ndarray, field: Box, sample: np.ndarray, steps: tuple[int, ...], fill: np.number) -> Box:
    """Find what lies in a fill, to its darkest rim; arguments as of `box_in_air`."""
    piece = _largest_piece(sample != fill, field, steps)
    return _refined(data, field, piece, max(steps) + 1, functools.partial(_planes_of_image, fill=fill))


def slices(box: Box | list[tuple[int, int]], steps: tuple[int, ...] = (1, 1, 1)) -> tuple[slice, ...]:
    """Return what indexes a box, which must not reach beyond the scan."""
    return tuple(slice(first, end, step) for (first, end), step in zip(box, steps, strict=True))


def _num_constant(planes: np.ndarray) -> int:
    """Count the planes of one and the same value with which an array begins."""
    value = planes[0].flat[0]
    for first in range(0, len(planes), 16):  # some at once, since planes along the fastest axis are slow to read
        some = planes[first : first + 16]
        count = len(some)
        for part in (some[:, ::16, ::16], some):  # few voxels tell of most planes that they are not constant
            constant = (part[:count] == value).all(axis=(1, 2))
            count = int(np.append(constant, False).argmin())
        if count < len(some):
            return first + count
    return len(planes)


def _largest_piece(tissue: np.ndarray, box: Box, steps: tuple[int, ...]) -> Box:
    """Return the box in the scan of the largest connected piece of a sample, in which there is one."""
    pieces, _ = ndimage.label(tissue)
    largest = int(np.bincount(pieces.ravel())[1:].argmax())
    return tuple(
        (first + piece.start * step, min(end, first + (piece.stop - 1) * step + 1))
        for piece, step, (first, end) in zip(ndimage.find_objects(pieces)[largest], steps, box, strict=True)
    )


def _refined(
    data: np.ndarray, field: Box, box: Box, reach: int, shows_tissue: Callable[[np.ndarray], np.ndarray]
) -> Box:
    """Move each side of a box, by at most `reach` voxels, to the outermost plane that shows tissue.

    Args:
        data: Intensities [X, Y, Z].
        field: The part that holds an image.
        box: What is known so far.
        reach: In voxels.
        shows_tissue: Tells which planes [N, Y, Z] do, [N].
    """
    around = [
        (max(low, first - reach), min(high, end + reach)) for (first, end), (low, high) in zip(box, field, strict=True)
    ]
    refined = []
    for axis, (first, end) in enumerate(box):
        low, high = around[axis]
        part = np.moveaxis(data[slices(around)], axis, 0)
        below = _first_shown(part[: first + reach + 1 - low], shows_tissue)
        above = _first_shown(part[::-1][: high - (end - reach - 1)], shows_tissue)
        moved = first if below is None else low + below, end if above is None else high - above
        refined.append(moved if moved[0] < moved[1] else (first, end))
    return tuple(refined)


def _first_shown(planes: np.ndarray, shows_tissue: Callable[[np.ndarray], np.ndarray]) -> int | None:
    """Return the first plane that shows tissue, if any does."""
    for first in range(0, len(planes), PLANES_AT_ONCE):
        shown = shows_tissue(planes[first : first + PLANES_AT_ONCE])
        if shown.any():
            return first + int(shown.argmax())
    return None


def _planes_of_image(planes: np.ndarray, fill: np.number) -> np.ndarray:
    """Return which planes [N, Y, Z] show an image: some blocks of voxels without the fill, whatever specks."""
    image = planes != fill
    pairs = image[:, 1:] & image[:, :-1]
    return np.asarray(np.count_nonzero(pairs[:, :, 1:] & pairs[:, :, :-1], axis=(1, 2)) >= MIN_BLOCKS)


def _planes_of_tissue(planes: np.ndarray, air: float, threshold: float, cut: Cut | None) -> np.ndarray:
    """Return which planes [N, Y, Z] show tissue: some blocks of voxels that are bright on average, whatever spikes."""
    _, depth, width = planes.shape
    planes = planes[:, : depth // 2 * 2, : width // 2 * 2]
    even = np.minimum(_with_air(planes, cut), 2 * threshold - air, dtype=np.float32)
    blocks = even[:, ::2, ::2] + even[:, 1::2, ::2] + even[:, ::2, 1::2] + even[:, 1::2, 1::2]
    return np.asarray(np.count_nonzero(blocks > 4 * threshold, axis=(1, 2)) >= MIN_BLOCKS)


def _with_air(values: np.ndarray, cut: Cut | None) -> np.ndarray:
    """Return intensities with air where there is a fill."""
    return values if cut is None else np.where(values == cut[0], np.float32(cut[1]), values)
