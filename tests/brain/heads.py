"""Brains whose pose is known: the template, seen by a scanner that distorts what it shows, and moved."""

from typing import NamedTuple

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from mri3d.brain.template import mni_template

CENTER_MM = np.array([0.0, -18.0, 10.0])


class Seen(NamedTuple):
    """A brain as `register` takes it."""

    brain: np.ndarray
    mask: np.ndarray
    affine: np.ndarray


def moving(degrees=(15.0, 15.0, 15.0), shift_mm=(30.0, -30.0, 30.0), scale=1.1, about_mm=CENTER_MM) -> np.ndarray:
    """Build the matrix [4, 4] that turns about a point, scales, then shifts."""
    matrix = np.eye(4)
    matrix[:3, :3] = scale * Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    matrix[:3, 3] = about_mm + np.array(shift_mm) - matrix[:3, :3] @ about_mm
    return matrix


def grid(matrix: np.ndarray, spacing_mm, *, oblique=(0.0, 0.0, 0.0), shear=0.0) -> tuple[np.ndarray, tuple[int, ...]]:
    """Lay a grid around the moved template: its voxel-to-world matrix [4, 4] and its sides."""
    affine = np.eye(4)
    axes = Rotation.from_euler("xyz", oblique, degrees=True).as_matrix() @ np.array(
        [[1, shear, 0], [0, 1, 0], [0, 0, 1]]
    )
    affine[:3, :3] = axes * spacing_mm
    corners = np.argwhere(np.ones((2, 2, 2))) * (np.array(mni_template().brain.shape) - 1)
    voxels = np.linalg.inv(affine) @ matrix @ mni_template().affine @ np.c_[corners, np.ones(8)].T
    first = np.floor(voxels.min(axis=1)[:3])
    affine[:3, 3] = affine[:3, :3] @ first
    return affine, tuple(int(side) for side in np.ceil(voxels.max(axis=1)[:3] - first) + 1)


def scanned(matrix: np.ndarray, spacing_mm=(2.0, 2.0, 2.0), *, distorted=True, seed=0, **how) -> Seen:
    """Sample the moved template, with another contrast, a bias field and noise if it is to be distorted."""
    template = mni_template()
    affine, sides = grid(matrix, spacing_mm, **how)
    to_template = np.linalg.inv(template.affine) @ np.linalg.inv(matrix) @ affine
    brain, mask = (
        ndimage.affine_transform(v, to_template[:3, :3], to_template[:3, 3], output_shape=sides, order=1)
        for v in (template.brain, template.mask.astype(np.float32))
    )
    mask = mask > 0.5
    if distorted:
        random = np.random.default_rng(seed)
        along = [
            np.linspace(-1, 1, side).reshape([-1 if a == axis else 1 for a in range(3)])
            for axis, side in enumerate(sides)
        ]
        brain = brain**0.6 * np.exp(0.3 * along[0] - 0.4 * along[2] + 0.2 * along[1] ** 2)
        brain = 40 + 900 * (brain + random.normal(0, 0.05, sides))
    return Seen(np.where(mask, brain, 0).astype(np.float32), mask, affine)


def apart_mm(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Measure how far two matrices [4, 4] take points of the template's brain from each other, mm of the scan [V]."""
    template = mni_template()
    voxels = np.argwhere(template.mask[::8, ::8, ::8]) * 8
    points = template.affine @ np.c_[voxels, np.ones(len(voxels))].T
    return np.linalg.norm(((one - other) @ points)[:3], axis=0)
