"""Scans in memory of one made-up head: it has a front, a top, structure of its own, air with noise around it."""

from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from mri3d.scans.scan import Scan

SHAPE, SPACING_MM = (52, 62, 58), 4.0
RADII_MM = np.array([75.0, 96.0, 88.0])


def scan_of(data: np.ndarray, affine: np.ndarray | None = None) -> Scan:
    """Make a scan of an array, RAS+ with voxels of 4 mm unless told otherwise."""
    return Scan(Path("made.nii"), data, np.diag([SPACING_MM] * 3 + [1.0]) if affine is None else affine, 1, (), "")


def made_head(seed: int = 0, *, noise: float = 3.0) -> np.ndarray:
    """Return a head of about 100 in air [X, Y, Z], float32, not negative."""
    random = np.random.default_rng(seed)
    radii = RADII_MM * (1 + 0.03 * random.standard_normal(3))
    at = (np.indices(SHAPE) - (np.reshape(SHAPE, (3, 1, 1, 1)) - 1) / 2) * SPACING_MM / radii[:, None, None, None]
    inside = np.square(at).sum(axis=0)
    x, y, z = at
    texture = gaussian_filter(random.standard_normal(SHAPE), 1.0)
    data = 90 + 8 * texture / texture.std()
    data += 100 * np.exp(-(((abs(x) - 0.35) / 0.2) ** 2) - ((y - 0.6) / 0.2) ** 2 - ((z + 0.1) / 0.2) ** 2)  # eyes
    data -= 60 * np.exp(-((x / 0.3) ** 2) - ((y + 0.1) / 0.4) ** 2 - ((z - 0.2) / 0.2) ** 2)  # ventricles
    data -= 70 * np.exp(-((x / 0.4) ** 2) - ((y - 0.5) / 0.4) ** 2 - ((z + 0.6) / 0.2) ** 2)  # mouth
    data += (35 * (z > 0.2) - 35 * (y < -0.3)) * (inside < 0.8)
    data[(inside > 0.86) & (inside < 0.93)] = 12  # bone
    data = np.where(inside < 1, data, 0)
    real, imaginary = (noise * random.standard_normal(SHAPE) for _ in range(2))
    return np.hypot(data + real, imaginary).astype(np.float32)
