"""Thumbnails: the three middle planes of an image in a few kilobytes, for pages that show a whole cohort."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from mri3d.report.picture import Picture, gray_window, plane

_EDGE, _GAP = 64, 2  # pixels: of the longest side of a volume, and between planes
_QUALITY = 75


def middle_planes(volume: np.ndarray) -> list[np.ndarray]:
    """Cut a sagittal, a coronal and an axial plane through the middle of a volume.

    Args:
        volume: Intensities [X, Y, Z].

    Returns:
        Three planes, each second axis upwards [rows], first to the right [columns].
    """
    return [plane(volume, axis, side // 2) for axis, side in enumerate(volume.shape)]


def thumbnail(planes: Sequence[np.ndarray], *, alt: str, spacing_mm: Sequence[float] = (1.0, 1.0, 1.0)) -> Picture:
    """Draw three planes side by side, on one scale of grey and of millimetres.

    Args:
        planes: As `middle_planes` cuts them, finite, arbitrary unit.
        alt: See `Picture`.
        spacing_mm: Voxel size [3] of the image that they were cut from.

    Returns:
        A JPEG in shades of grey.
    """
    largest = max(float(np.abs(each).max()) for each in planes) or 1.0
    scaled = [np.asarray(each, np.float64) / largest for each in planes]  # whose differences no type is too small for
    black, white = gray_window(np.concatenate([each.ravel() for each in scaled]))
    sides_mm = np.array([planes[1].shape[1], planes[0].shape[1], planes[0].shape[0]]) * spacing_mm
    pixels = np.round(sides_mm / sides_mm.max() * min(_EDGE, sides_mm.max() / min(spacing_mm))).astype(int)
    images = []
    for axis, values in enumerate(scaled):
        gray = ((values[::-1] - black) / ((white - black) or 1.0)).clip(0, 1)
        size = np.maximum(np.delete(pixels, axis), 1).tolist()
        images.append(Image.fromarray((gray * 255).astype(np.uint8)).resize(size, Image.Resampling.BILINEAR))
    height = max(image.height for image in images)
    canvas, left = Image.new("L", (sum(image.width for image in images) + 2 * _GAP, height)), 0
    for image in images:
        canvas.paste(image, (left, (height - image.height) // 2))
        left += image.width + _GAP
    buffer = io.BytesIO()
    canvas.save(buffer, "jpeg", quality=_QUALITY, optimize=True)
    return Picture(buffer.getvalue(), "image/jpeg", alt)
