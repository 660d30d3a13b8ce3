"""Smoothing by a Gaussian, as images of different heads are smoothed before they are compared voxel by voxel."""

import numpy as np
from scipy.ndimage import gaussian_filter

VERSION = 1  # part of the names of smoothed volumes: raise it when the same share begins to give other ones


def smooth(volume: np.ndarray, share: float) -> np.ndarray:
    """Smooth each channel of a volume; what lies beyond its edge counts as 0.

    That makes it a symmetric matrix, so weights of smoothed voxels are carried to the voxels themselves by the same
    function: `(smooth(a, s) * b).sum() == (a * smooth(b, s)).sum()`.

    Args:
        volume: [..., X, Y, Z].
        share: Standard deviation of the Gaussian as a share of the longest edge, so that it means the same at every
            resolution; 0 for none.

    Returns:
        Of the same shape and type.

    >>> peak = np.zeros((1, 25, 25, 25))
    >>> peak[0, 12, 12, 12] = 1
    >>> float(smooth(peak, 0.08).max().round(4))  # a standard deviation of 2 voxels: 1 / (2 sqrt(2 pi))^3
    0.0079
    """
    sigma = (0.0,) * (volume.ndim - 3) + (share * max(volume.shape[-3:]),) * 3
    smoothed: np.ndarray = gaussian_filter(volume, sigma, mode="constant")
    return smoothed
