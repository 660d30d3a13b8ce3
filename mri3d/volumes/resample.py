"""Antialiased, separable resampling: one small banded matrix per axis, applied while the scan streams by once.

Shrinking smooths with a Gaussian of sigma = (factor - 1) / 2 voxels (the convention of scikit-image and MONAI), then
interpolates linearly; growing only interpolates. Both are linear and separable, so that each axis has one matrix.
"""

from collections.abc import Sequence

import numpy as np

TRUNCATE_SIGMAS = 4.0  # as in scipy.ndimage
SLAB_VOXELS = 1 << 19  # as float32 they stay in the processor's cache between conversion and product


def shrinking_matrix(num_in: int, num_out: int, start: float, step: float) -> np.ndarray:
    """Build the matrix that resamples one axis with antialiasing.

    Args:
        num_in: Voxels before.
        num_out: Voxels after.
        start: Where the centre of the first voxel after lies, in voxels before; voxel 0's centre is at 0.
        step: Voxels before per voxel after.

    Returns:
        Matrix [num_out, num_in], float32. A row sums to 1 where its kernel lies on the axis; where the voxels after
        reach beyond the axis (padding) the missing weight belongs to what is outside.

    >>> shrinking_matrix(4, 2, start=0.5, step=2.0).round(2)
    array([[0.49, 0.45, 0.05, 0.  ],
           [0.  , 0.05, 0.45, 0.49]], dtype=float32)
    """
    beyond = -0.5 - (start - step / 2), (start + step * (num_out - 0.5)) - (num_in - 0.5)
    before, after = (max(0, int(np.ceil(round(b, 6)))) for b in beyond)
    length = before + num_in + after
    weights = interpolation_matrix(length, before + start + step * np.arange(num_out))
    if (sigma := (step - 1) / 2) > 0:
        apart = np.abs(np.subtract.outer(np.arange(length), np.arange(length)))
        kernels = np.where(apart <= int(TRUNCATE_SIGMAS * sigma + 0.5), np.exp(-0.5 * (apart / sigma) ** 2), 0.0)
        weights = weights @ (kernels / kernels.sum(axis=1, keepdims=True))
    return weights[:, before : before + num_in].astype(np.float32)


def interpolation_matrix(num_in: int, at: np.ndarray) -> np.ndarray:
    """Build the matrix that interpolates one axis linearly, with the outermost voxels going on for ever.

    Args:
        num_in: Voxels on the axis.
        at: Where to interpolate [num_out], in voxels; voxel 0's centre is at 0.

    Returns:
        Matrix [num_out, num_in], float64; rows sum to 1.

    >>> interpolation_matrix(3, np.array([-1.0, 0.25, 2.0]))
    array([[1.  , 0.  , 0.  ],
           [0.75, 0.25, 0.  ],
           [0.  , 0.  , 1.  ]])
    """
    at = np.clip(at, 0, num_in - 1)
    low = np.floor(at).astype(np.int64)
    rows = np.arange(len(at))
    weights = np.zeros((len(at), num_in))
    weights[rows, low] = 1 - (at - low)
    weights[rows, np.minimum(low + 1, num_in - 1)] += at - low
    return weights


def resample(
    data: np.ndarray,
    matrices: Sequence[np.ndarray],
    *,
    limits: tuple[np.number, np.number] | None = None,
    outside: float = 0.0,
    fill: np.number | None = None,
    flat: bool = False,
) -> np.ndarray:
    """Apply one matrix to each axis.

    The slowest axis in memory goes first, slab by slab, so that each voxel is converted to float32 once, in cache,
    and meets only the rows of the matrix that reach it.

    Args:
        data: Values [X, Y, Z], any real type, any memory order.
        matrices: For each axis [num_out, num_in]; banded matrices are quick.
        limits: Clip the values to these first (of the data's own type), so that a spike cannot spread.
        outside: What a row that sums to less than 1 meets with the rest of its weight.
        fill: Exact value of voxels that hold nothing and count as `outside`.
        flat: Whether all that is darker than `outside` counts as that.

    Returns:
        Values [X', Y', Z'], float32.
    """
    order = sorted(range(3), key=lambda axis: -abs(data.strides[axis]))
    data, matrices = data.transpose(order), [np.asarray(matrices[axis], np.float32) for axis in order]
    for axis in range(3):
        if data.strides[axis] < 0:
            data, matrices[axis] = np.flip(data, axis), np.ascontiguousarray(matrices[axis][:, ::-1])
    num_slow, *sides = data.shape
    slow = np.zeros((len(matrices[0]), sides[0] * sides[1]), np.float32)  # [X', Y * Z]
    num_planes = max(1, SLAB_VOXELS // slow.shape[1])
    low, high = (None, None) if limits is None else np.subtract(limits, np.float32(outside), dtype=np.float32)
    if flat:
        low = np.float32(0)
    for first in range(0, num_slow, num_planes):
        weights = matrices[0][:, first : first + num_planes]
        rows = np.flatnonzero(weights.any(axis=1))
        if len(rows):
            slab = data[first : first + num_planes]
            values = np.subtract(slab, np.float32(outside), dtype=np.float32)
            if low is not None or high is not None:
                np.clip(values, low, high, out=values)
            if fill is not None:
                values[slab == fill] = 0
            reached = slice(rows[0], rows[-1] + 1)
            slow[reached] += weights[reached] @ values.reshape(len(slab), -1)
    values = matrices[1] @ slow.reshape(-1, *sides) @ matrices[2].T  # [X', Y', Z']
    values += np.float32(outside)
    return np.ascontiguousarray(values.transpose(np.argsort(order)))
