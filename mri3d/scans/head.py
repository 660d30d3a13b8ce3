"""Where the head lies in a scan, and what its air and tissue look like: found on a coarse sample in milliseconds."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

SAMPLES_PER_AXIS = 64
LIMIT_PERCENTILES = (0.1, 99.9)
MIN_SHARE = 1e-3  # of the voxels; fewer that differ from all others show no head
SIZE_RANGE_MM = (80.0, 400.0)
"""Longest side of what a scan of a human head can show: a newborn's brain without its skull is 100 mm long, an adult's
head with the neck 300 mm high. A header ten times or a tenth life size lies far outside, half and double mostly."""


@dataclass(frozen=True)
class Head:
    """What a scan shows of its head.

    Attributes:
        box: First voxel and one past the last, for each axis.
        air: Intensity of the background.
        threshold: Intensity between air and tissue.
        limits: Lowest and highest intensity that are not spikes, of the data's own type.
    """

    box: tuple[tuple[int, int], ...]
    air: float
    threshold: float
    limits: tuple[np.number, np.number]


def find_head(data: np.ndarray) -> Head:
    """Find the largest connected piece of tissue, on a sample of at most 64 voxels per axis.

    Spikes are clipped and noise averaged away first. Tissue is what is brighter than the middle between air and
    Otsu's threshold (Otsu 1979), so that dark tissue counts; in a skull-stripped scan air is exactly the fill.

    Args:
        data: Intensities [X, Y, Z], finite, not constant, any real type.

    Returns:
        The head; its box is the whole scan where no tissue stands out.
    """
    steps = [-(-side // SAMPLES_PER_AXIS) for side in data.shape]
    sample = data[tuple(slice(None, None, step) for step in steps)]
    limits = _limits(sample)
    if limits[0] == limits[1]:
        limits = data.min(), data.max()
    smooth = ndimage.uniform_filter(np.clip(sample, *limits).astype(np.float32), 3, mode="nearest")
    otsu = _otsu_threshold(smooth)
    air = float(np.median(smooth[smooth <= otsu]))
    threshold = (air + otsu) / 2
    pieces, num_pieces = ndimage.label(smooth > threshold)
    if not num_pieces:
        return Head(tuple((0, side) for side in data.shape), air, threshold, limits)
    largest = int(np.bincount(pieces.ravel())[1:].argmax())
    box = tuple(
        (max(0, (piece.start - 1) * step), min(side, piece.stop * step + 1))  # one sample more on either side
        for piece, step, side in zip(ndimage.find_objects(pieces)[largest], steps, data.shape, strict=True)
    )
    return Head(box, air, threshold, limits)


def head_warnings(data: np.ndarray, spacing_mm: np.ndarray) -> tuple[str, ...]:
    """List what speaks against a scan showing a human head at life size, one sentence each.

    Args:
        data: Intensities [X, Y, Z], finite, not constant, any real type and axis order.
        spacing_mm: Distance between neighbouring voxels along each axis [3].
    """
    steps = [-(-side // SAMPLES_PER_AXIS) for side in data.shape]
    most = np.median(data[tuple(slice(None, None, step) for step in steps)])
    num_others = int(np.count_nonzero(data != most))
    if num_others < MIN_SHARE * data.size:
        return (f"almost constant: all but {num_others:,} of its {data.size:,} voxels are {most:g}",)
    sides_mm = np.diff(find_head(data).box, axis=1)[:, 0] * spacing_mm
    low, high = SIZE_RANGE_MM
    if low <= sides_mm.max() <= high:
        return ()
    sides = " x ".join(f"{side:.0f}" for side in sides_mm)
    return (f"the head measures {sides} mm, which no human head does: check the voxel size",)


def _limits(sample: np.ndarray) -> tuple[np.number, np.number]:
    """Return the values between which all but the spikes lie; never an interpolation with a spike."""
    last = sample.size - 1
    low, high = (q / 100 * last for q in LIMIT_PERCENTILES)
    ranks = [int(np.ceil(low)), int(np.floor(high))]
    values = np.partition(sample, ranks, axis=None)
    return values[ranks[0]], values[ranks[1]]


def _otsu_threshold(values: np.ndarray, num_bins: int = 256) -> float:
    """Return the threshold that parts the values into two classes of the least variance (Otsu 1979)."""
    low, high = float(values.min()), float(values.max())
    width = (high - low) / num_bins
    if not np.float32(width):  # constant, or as good as
        return low
    bins = np.minimum((values - low) / width, num_bins - 1).astype(np.intp)
    counts = np.bincount(bins.ravel(), minlength=num_bins).astype(np.float64)
    below = np.cumsum(counts)[:-1]
    above = values.size - below
    sums = np.cumsum(counts * np.arange(num_bins))
    apart = sums[:-1] / below - (sums[-1] - sums[:-1]) / above  # both ends are occupied, so no class is empty
    return low + width * (1 + int(np.argmax(below * above * apart**2)))
