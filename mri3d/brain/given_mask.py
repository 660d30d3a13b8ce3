"""Hold a mask that somebody else made against the brain that is found in the scan."""

import numpy as np
from scipy import ndimage

from mri3d.brain.brain import MISFIT_MM

_COARSE_MM = 2.0  # finer voxels are left out: surfaces are compared by 5 mm
_CLOSED_MM = 10.0  # sulci and ventricles are closed: masks of tissue leave them out, and others do not


def misfit(mask: np.ndarray, found: np.ndarray, spacing_mm: np.ndarray) -> float:
    """Return how much of a mask's surface lies far from that of another, wherever the surface is on the whole.

    Masks of one brain by two programs may be wider or narrower all around, and may fill the sulci or not. Those of two
    brains are of different shapes, or lie elsewhere.

    Args:
        mask: The one [X, Y, Z], bool.
        found: The other.
        spacing_mm: Distance between voxels along each axis [3].

    Returns:
        Share of its surface that is more than `MISFIT_MM` nearer or farther than half of it is; 1 where one of the two
        is empty.
    """
    steps = np.maximum(1, np.floor(_COARSE_MM / spacing_mm)).astype(int)
    coarse, spacing_mm = tuple(slice(None, None, step) for step in steps), spacing_mm * steps
    pad = np.ceil(_CLOSED_MM / spacing_mm).astype(int) + 1
    pair = [np.pad(one[coarse], [(width, width) for width in pad]) for one in (mask, found)]
    if not all(one.any() for one in pair):
        return 1.0
    mask, found = (_closed(one, spacing_mm) for one in pair)
    surface = mask & ~ndimage.binary_erosion(mask)
    outside, inside = (ndimage.distance_transform_edt(one, sampling=spacing_mm)[surface] for one in (~found, found))
    half = spacing_mm.mean() / 2  # a surface lies between voxels
    distances = np.where(outside > 0, outside - half, half - inside)
    return float(np.mean(np.abs(distances - np.median(distances)) > MISFIT_MM))


def _closed(mask: np.ndarray, spacing_mm: np.ndarray) -> np.ndarray:
    """Close all that is narrower than twice `_CLOSED_MM`, and all holes."""
    near = ndimage.distance_transform_edt(~mask, sampling=spacing_mm) <= _CLOSED_MM
    return np.asarray(ndimage.binary_fill_holes(ndimage.distance_transform_edt(near, sampling=spacing_mm) > _CLOSED_MM))
