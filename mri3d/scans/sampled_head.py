"""The head as mri3d 0.1 and 0.2 found it, on a coarse sample: for the models that they trained, which expect it."""

import numpy as np
from scipy import ndimage

from mri3d.scans.head import Head
from mri3d.scans.intensities import otsu_threshold, outermost_values

SAMPLES_PER_AXIS = 64


def sampled_head(data: np.ndarray) -> Head:
    """Find the largest connected piece of tissue, on a sample of at most 64 voxels per axis.

    Spikes are clipped and noise averaged away first. Tissue is what is brighter than the middle between air and
    Otsu's threshold (Otsu 1979). What is found depends a little on the air around the head: `find_head` is better.

    Args:
        data: Intensities [X, Y, Z], finite, not constant, any real type.

    Returns:
        The head; its box is the whole scan where no tissue stands out.
    """
    steps = [-(-side // SAMPLES_PER_AXIS) for side in data.shape]
    sample = data[tuple(slice(None, None, step) for step in steps)]
    whole = tuple((0, side) for side in data.shape)
    limits = outermost_values(sample)
    if limits[0] == limits[1]:
        limits = data.min(), data.max()
    smooth = ndimage.uniform_filter(np.clip(sample, *limits).astype(np.float32), 3, mode="nearest")
    otsu = otsu_threshold(smooth)
    air = float(np.median(smooth[smooth <= otsu]))
    threshold = (air + otsu) / 2
    pieces, num_pieces = ndimage.label(smooth > threshold)
    if not num_pieces:
        return Head(whole, whole, air, threshold, limits)
    largest = int(np.bincount(pieces.ravel())[1:].argmax())
    box = tuple(
        (max(0, (piece.start - 1) * step), min(side, piece.stop * step + 1))  # one sample more on either side
        for piece, step, side in zip(ndimage.find_objects(pieces)[largest], steps, data.shape, strict=True)
    )
    return Head(box, whole, air, threshold, limits)
