"""What the intensities of a scan mean: tissue apart from air, and both apart from spikes."""

from collections.abc import Iterator

import numpy as np

LIMIT_PERCENTILES = (0.1, 99.9)
TISSUE_FROM = 1 / 3  # of the way from air to the mean tissue
MAX_ROUNDS = 6
PLACES_AT_ONCE = 1 << 15  # 27 voxels of each, and where they lie, take 21 MB


def otsu_threshold(values: np.ndarray, num_bins: int = 256) -> float:
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


def tissue_threshold(values: np.ndarray, air: float) -> float:
    """Return the threshold between air and tissue: a third of the way from air to the mean of what is brighter.

    Otsu's threshold (Otsu 1979) is where the search begins; it alone would depend on how much air there is.

    Args:
        values: Intensities in the box of a head, with or without those of air.
        air: Intensity of air.
    """
    threshold = otsu_threshold(values)
    for _ in range(MAX_ROUNDS):
        brighter = values[values > threshold]
        if not brighter.size:
            break
        last, threshold = threshold, air + (float(brighter.mean(dtype=np.float64)) - air) * TISSUE_FROM
        if threshold == last:
            break
    return threshold


def darkest(values: np.ndarray) -> float:
    """Return the median of the darkest quarter: of air, where at least so much of the values is."""
    return float(np.percentile(values, 12.5, method="lower"))


def outermost_values(values: np.ndarray) -> tuple[np.number, np.number]:
    """Return the values between which all but the spikes lie; never an interpolation with a spike."""
    last = values.size - 1
    low, high = (q / 100 * last for q in LIMIT_PERCENTILES)
    ranks = [int(np.ceil(low)), int(np.floor(high))] if last > 1 else [0, last]  # of two, neither is a spike
    ordered = np.partition(values, ranks, axis=None)
    return ordered[ranks[0]], ordered[ranks[1]]


def spike_free_limits(
    part: np.ndarray, inside: np.ndarray, fill: np.number | None = None
) -> tuple[np.number, np.number]:
    """Return the lowest and the highest intensity that are not spikes.

    All but few of the values lie between them, and so does each that half of the 27 voxels around some place reach: a
    bright lesion is tissue, however small its share.

    Args:
        part: The part of a scan that counts [X, Y, Z].
        inside: Values sampled from there, those of the fill left out.
        fill: Value of voxels that do not count.
    """
    low, high = outermost_values(inside)
    if low == high and fill is None:
        return part.min(), part.max()
    part = _in_memory_order(part)
    highest = max([high, *(medians.max() for medians in _local_medians(part, part > high, fill, instead=low))])
    lowest = min([low, *(medians.min() for medians in _local_medians(part, part < low, fill, instead=high))])
    return lowest, highest


def clipped(values: np.ndarray, limits: tuple[np.number, np.number]) -> np.ndarray:
    """Clip values to limits, unless these are equal; float32."""
    return np.asarray(np.clip(values, *limits) if limits[0] < limits[1] else values, np.float32)


def _local_medians(
    data: np.ndarray, beyond: np.ndarray, fill: np.number | None, instead: np.number
) -> Iterator[np.ndarray]:
    """Yield the medians of the 27 voxels around places that are themselves beyond a limit, in parts.

    Args:
        data: Intensities [X, Y, Z].
        beyond: Which of them lie beyond the limit [X, Y, Z]; written to.
        fill: Value of voxels that do not count.
        instead: What those count as, on the near side of the limit.
    """
    if fill is not None:
        beyond &= data != fill
    found = np.flatnonzero(beyond)
    for first in range(0, len(found), PLACES_AT_ONCE):
        around = _around(np.unravel_index(found[first : first + PLACES_AT_ONCE], data.shape), data.shape)
        most = np.count_nonzero(beyond[around], axis=(0, 1, 2)) >= 14
        if most.any():
            values = data[tuple(places[..., most] for places in around)].reshape(27, -1)
            if fill is not None:
                values[values == fill] = instead
            yield np.partition(values, 13, axis=0)[13]


def _around(at: tuple[np.ndarray, ...], shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """Return what indexes the 27 voxels around places [N], as [3, 3, 3, N]; the outermost voxels go on for ever."""
    offsets = np.array([[-1], [0], [1]])
    x, y, z = (np.clip(places + offsets, 0, side - 1) for places, side in zip(at, shape, strict=True))
    return x[:, None, None], y[None, :, None], z[None, None, :]


def _in_memory_order(data: np.ndarray) -> np.ndarray:
    """Return a view whose last axis is the fastest, and all of whose axes go forwards."""
    ordered = data.transpose(np.argsort([-abs(stride) for stride in data.strides], kind="stable"))
    return ordered[tuple(slice(None, None, -1 if stride < 0 else 1) for stride in ordered.strides)]
