"""Where the head lies in a scan, and what its air and tissue look like, whatever surrounds it."""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from mri3d.scans.intensities import (
    TISSUE_FROM,
    clipped,
    darkest,
    otsu_threshold,
    outermost_values,
    spike_free_limits,
    tissue_threshold,
)

SAMPLES_PER_AXIS = 48
MAX_ROUNDS = 6
MARGIN = 1  # voxels around the outermost tissue
MIN_FILL = 0.2  # share of the faces of a scan that a background of one value has at least
# The spread of the voxels next to the background, as a share of the contrast, is 0.02 to 0.1 in noise and 0.3 to 0.7 in
# brains without their skulls (IXI and OpenNeuro ds002748, whole, masked, z-scored, rotated, with noise added).
MAX_NOISE = 0.2
MAX_NOISE_FAR = 0.12  # where the background lies far from them, so that it did not come about with them
NEAR = 0.25  # of the contrast
MIN_BLOCKS = 4  # of 2 x 2 voxels in one plane, so that neither a spike nor a speck of noise is where the head begins
DARKER_THAN_TISSUE = 0.05  # of the way from mean to darkest tissue: about there raw brains have their background
MIN_SHARE = 1e-3  # of the voxels; fewer that differ from all others show no head
SIZE_RANGE_MM = (80.0, 400.0)
"""Longest side of what a scan of a human head can show: a newborn's brain without its skull is 100 mm long, an adult's
head with the neck 300 mm high. A header ten times or a tenth life size lies far outside, half and double mostly."""

Box = tuple[tuple[int, int], ...]
Levels = tuple[float, float, tuple[np.number, np.number], np.number | None]  # the last four of a head


@dataclass(frozen=True)
class Head:
    """What a scan shows of its head.

    Attributes:
        box: First voxel and one past the last, for each axis; may reach beyond the scan.
        field: The part of the scan that holds an image, likewise; around it there is air.
        air: Intensity of the background.
        threshold: Intensity between air and tissue.
        limits: Lowest and highest intensity that are not spikes, of the data's own type.
        fill: The exact value of voxels that hold no image and count as `air`; None where air was measured too.
    """

    box: Box
    field: Box
    air: float
    threshold: float
    limits: tuple[np.number, np.number]
    fill: np.number | None = None


def find_head(data: np.ndarray, box: Box | None = None) -> Head:
    """Find the head: the largest connected piece of tissue, to the voxel.

    More air around a head changes nothing of what is found: planes of one value are taken off first, and box,
    threshold and limits are then determined from inside the box, until they agree with it.

    Two kinds of background are told apart by the voxels next to it. Where they are dark and alike, it is air with its
    noise, and tissue is what is clearly brighter. Else somebody has written one exact value around the head, of any
    rank: tissue is what differs from it, and the background counts as a little darker than the darkest tissue, so that
    a brain and its z-scores are the same.

    Args:
        data: Intensities [X, Y, Z], finite, not constant, any real type.
        box: The part of the scan that counts, where the head is not to be looked for.

    Returns:
        The head; its box is all that is not background where no tissue stands out.
    """
    field = _field(data)
    sample, steps = _sample(data, field)
    fill = _fill(sample)
    if fill is not None and (sample == fill).all():
        low, high = data.min(), data.max()
        return Head(box or field, field, float(low), (float(low) + float(high)) / 2, (low, high))
    noise = _is_noise(sample, fill)
    found = None
    if box is None and noise:
        found = _box_in_noise(data, field, sample, steps)
    elif box is None and fill is not None:
        piece = _largest_piece(sample != fill, field, steps)
        found = _refined(data, field, piece, max(steps) + 1, functools.partial(_planes_of_others, fill=fill))
    inside = found or box or field
    levels = _levels_in_noise(data, inside) if noise else _levels_in_fill(data, inside, fill)
    return Head(_grown(found) if found else inside, field, *levels)


def head_warnings(data: np.ndarray, box: Box, spacing_mm: np.ndarray) -> tuple[str, ...]:
    """List what speaks against a scan showing a human head at life size, one sentence each.

    Args:
        data: Intensities [X, Y, Z], finite, not constant, any real type and axis order.
        box: Where the head was found in them.
        spacing_mm: Distance between neighbouring voxels along each axis [3].
    """
    sample, _ = _sample(data, tuple((0, side) for side in data.shape))
    most = np.median(sample)
    if np.count_nonzero(sample != most) < 10 * MIN_SHARE * sample.size:  # else it need not be counted
        num_others = int(np.count_nonzero(data != most))
        if num_others < MIN_SHARE * data.size:
            return (f"almost constant: all but {num_others:,} of its {data.size:,} voxels are {most:g}",)
    sides_mm = np.diff(box, axis=1)[:, 0] * spacing_mm
    low, high = SIZE_RANGE_MM
    if low <= sides_mm.max() <= high:
        return ()
    sides = " x ".join(f"{side:.0f}" for side in sides_mm)
    return (
        f"the head measures {sides} mm, which no human head does: check the voxel size (or train with preprocess=cube, "
        "if it is none)",
    )


def _box_in_noise(data: np.ndarray, field: Box, sample: np.ndarray, steps: tuple[int, ...]) -> Box | None:
    """Find a head in air that was measured: its box and the threshold inside it follow from each other."""
    values = ndimage.uniform_filter(clipped(sample, outermost_values(sample)), 3, mode="nearest")
    threshold = tissue_threshold(values)
    if not (values > threshold).any():
        return None
    box, reach = _largest_piece(values > threshold, field, steps), 2 * max(steps)
    for _ in range(MAX_ROUNDS):
        shows_tissue = functools.partial(_planes_of_tissue, air=darkest(values), threshold=threshold)
        last, box = box, _refined(data, field, box, reach, shows_tissue)
        if box == last:
            break
        inside, _ = _sample(data, box)
        values, reach = clipped(inside, outermost_values(inside)), 2
        threshold = tissue_threshold(values)
    part = data[_slices(box)]
    return box if (part != part.flat[0]).any() else None  # one value alone has neither air nor tissue


def _levels_in_noise(data: np.ndarray, box: Box) -> Levels:
    """Return air, threshold and limits of a head in air that was measured."""
    inside, _ = _sample(data, box)
    limits = spike_free_limits(data[_slices(box)], inside)
    values = clipped(inside, limits)
    threshold = tissue_threshold(values)
    air = np.percentile(values[values <= (darkest(values) + max(threshold, values.min())) / 2], 50, method="lower")
    return float(air), threshold, limits, None


def _levels_in_fill(data: np.ndarray, box: Box, fill: np.number | None) -> Levels:
    """Return air, threshold, limits and fill of a head around which there is one exact value, or nothing at all."""
    inside, _ = _sample(data, box)
    tissue = inside if fill is None else inside[inside != fill]
    if not tissue.size:
        return float(data.min()), float(data.max()), (data.min(), data.max()), fill
    low, high = spike_free_limits(data[_slices(box)], tissue, fill)
    mean = float(clipped(tissue, (low, high)).mean(dtype=np.float64))
    air = float(low) - DARKER_THAN_TISSUE * (mean - float(low))
    if fill == 0 < low:  # no signal, where there is no negative one
        air = 0.0
    if low == high and fill is not None:  # a mask, which has no other contrast
        air, low, high = float(fill), min(fill, low), max(fill, high)
    return air, air + (mean - air) * TISSUE_FROM, (low, high), fill


def _field(data: np.ndarray) -> Box:
    """Return the part of a scan that is left when faces of one value have been taken off, again and again."""
    box = [(0, side) for side in data.shape]
    while True:
        before = list(box)
        for axis in range(3):
            part = np.moveaxis(data[_slices(box)], axis, 0)
            first = _num_constant(part)
            last = _num_constant(part[::-1]) if first < len(part) else 0
            if len(part) - first - last >= 2:
                box[axis] = box[axis][0] + first, box[axis][1] - last
        if box == before:
            return tuple(box)


def _num_constant(planes: np.ndarray) -> int:
    """Count the planes of one and the same value with which an array begins."""
    value = planes[0].flat[0]
    for first in range(0, len(planes), 16):  # some at once, since planes along the fastest axis are slow to read
        others = (planes[first : first + 16] != value).any(axis=(1, 2))
        if others.any():
            return first + int(others.argmax())
    return len(planes)


def _fill(sample: np.ndarray) -> np.number | None:
    """Return the value that the faces of a scan are filled with, if they are."""
    faces = sample[_faces(sample.shape)]
    values, counts = np.unique(faces, return_counts=True)
    most = int(counts.argmax())
    return values[most] if counts[most] >= MIN_FILL * faces.size else None


def _is_noise(sample: np.ndarray, fill: np.number | None) -> bool:
    """Return whether the voxels next to the background are dark and alike, as noise in air is."""
    image = np.ones(sample.shape, bool) if fill is None else sample != fill
    outer = image & (_faces(sample.shape) | ~ndimage.binary_erosion(image, border_value=1))
    low, high = outermost_values(sample[image])
    values, shell = (np.clip(part, low, high).astype(np.float32) for part in (sample[image], sample[outer]))
    otsu = otsu_threshold(values)
    dark, bright = shell[shell < otsu], values[values >= otsu]
    if 2 * dark.size < shell.size or not bright.size:
        return False
    lower, middle, upper = np.percentile(dark, [25, 50, 75])
    contrast = np.median(bright) - middle
    near = fill is None or -NEAR * contrast <= float(fill) - middle <= upper - middle
    return bool(upper - lower <= (MAX_NOISE if near else MAX_NOISE_FAR) * contrast)


def _faces(shape: tuple[int, ...]) -> np.ndarray:
    """Mark the outermost voxels of an array."""
    inner = np.zeros([side - 2 for side in shape], bool)
    return np.pad(inner, 1, constant_values=True)


def _sample(data: np.ndarray, box: Box) -> tuple[np.ndarray, tuple[int, ...]]:
    """Take at most 48 voxels per axis, counted from the corner of a box, and return the steps too."""
    steps = tuple(-(-(end - first) // SAMPLES_PER_AXIS) for first, end in box)
    return data[_slices(box, steps)], steps


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
        (low, high), sides = around[axis], []
        for slab in ((low, min(high, first + reach + 1)), (max(low, end - reach - 1), high)):
            part = data[_slices([*around[:axis], slab, *around[axis + 1 :]])]
            sides.append(slab[0] + np.flatnonzero(shows_tissue(np.moveaxis(part, axis, 0))))
        refined.append((int(sides[0][0]) if sides[0].size else first, int(sides[1][-1]) + 1 if sides[1].size else end))
    return tuple(refined)


def _planes_of_others(planes: np.ndarray, fill: np.number) -> np.ndarray:
    """Return which planes [N, Y, Z] show two voxels beside each other that are no fill: one alone is a spike."""
    others = planes != fill
    beside = (others[:, 1:] & others[:, :-1]).any(axis=(1, 2)) | (others[:, :, 1:] & others[:, :, :-1]).any(axis=(1, 2))
    return np.asarray(beside)


def _planes_of_tissue(planes: np.ndarray, air: float, threshold: float) -> np.ndarray:
    """Return which planes [N, Y, Z] show tissue: some blocks of voxels that are bright on average, whatever spikes."""
    _, depth, width = planes.shape
    even = np.minimum(planes[:, : depth // 2 * 2, : width // 2 * 2], 2 * threshold - air, dtype=np.float32)
    blocks = even[:, ::2, ::2] + even[:, 1::2, ::2] + even[:, ::2, 1::2] + even[:, 1::2, 1::2]
    return np.asarray(np.count_nonzero(blocks > 4 * threshold, axis=(1, 2)) >= MIN_BLOCKS)


def _grown(box: Box) -> Box:
    return tuple((first - MARGIN, end + MARGIN) for first, end in box)


def _slices(box: Box | list[tuple[int, int]], steps: tuple[int, ...] = (1, 1, 1)) -> tuple[slice, ...]:
    return tuple(slice(first, end, step) for (first, end), step in zip(box, steps, strict=True))
