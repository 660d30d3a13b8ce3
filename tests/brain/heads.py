"""Brains whose pose is known: the template, seen by a scanner that distorts what it shows, and heads; both moved."""

import functools
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from mri3d import BrainRecipe, files
from mri3d.brain.brain import Brain
from mri3d.brain.template import mni_template
from mri3d.scans.scan import Scan, canonical

CENTER_MM = np.array([0.0, -18.0, 10.0])

MARKERS_MM = ((0, -17, 5), (-40, -20, 10), (40, -20, 10), (0, 45, 10), (0, -85, 5), (0, -20, 65), (25, -55, -40))
"""In MNI152: the middle, left, right, front, back, top, and the right half of the cerebellum."""


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


def sealed(scan: Scan) -> Scan:
    """Give a scan that was changed the digest of what it holds now, so that its brain is kept as its own."""
    data = np.ascontiguousarray(scan.data)
    kind = f"{data.dtype} {data.shape} {scan.code}".encode()
    return replace(scan, digest=files.digest(kind, data.data.cast("B"), scan.affine.tobytes()))


def under_header(scan: Scan, change: np.ndarray) -> Scan:
    """Move a head by its header alone: a matrix [4, 4] of the world."""
    return sealed(replace(scan, affine=change @ scan.affine))


def resampled(scan: Scan, change: np.ndarray | None = None, *, axes: np.ndarray | None = None, order: int = 3) -> Scan:
    """Move a head, and sample it on a grid around all of it.

    Args:
        scan: Stored in any order, which stays.
        change: Matrix [4, 4] of the world.
        axes: Of the grid, one voxel's steps in mm [3, 3]; those of the scan unless given.
        order: Of the splines.
    """
    change = np.eye(4) if change is None else change
    affine = np.eye(4)
    affine[:3, :3] = scan.affine[:3, :3] if axes is None else axes
    corners = np.argwhere(np.ones((2, 2, 2))) * (np.array(scan.data.shape) - 1)
    voxels = np.linalg.inv(affine) @ change @ scan.affine @ np.c_[corners, np.ones(8)].T
    first = np.floor(voxels.min(axis=1)[:3])
    affine[:3, 3] = affine[:3, :3] @ first
    sides = tuple(int(side) for side in np.ceil(voxels.max(axis=1)[:3] - first) + 1)
    back = np.linalg.inv(scan.affine) @ np.linalg.inv(change) @ affine
    data, low = np.asarray(scan.data, np.float32), float(scan.data.min())
    moved = ndimage.affine_transform(data, back[:3, :3], back[:3, 3], output_shape=sides, order=order, cval=low)
    return sealed(replace(scan, data=np.clip(moved, low, data.max()), affine=affine))


def tilted_axes(spacing_mm=(1.2, 2.5, 3.5), degrees=(12.0, -9.0, 17.0)) -> np.ndarray:
    """Return the steps [3, 3] of an oblique, anisotropic grid, which is stored in the order P, R, S."""
    turn = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    return (turn * spacing_mm)[:, [1, 0, 2]] * [-1, 1, 1]


def brain_centre_mm(scan: Scan, brain: Brain) -> np.ndarray:
    """Return the centre of a brain [3] in the world of its scan."""
    return (canonical(scan)[1] @ [*np.argwhere(brain.mask).mean(axis=0), 1])[:3]


def marker(recipe: BrainRecipe, at_mm: np.ndarray, sigma_mm: float = 2.0) -> np.ndarray:
    """Return a Gaussian blob [X, Y, Z] in a volume of the recipe, in mm of MNI152."""
    voxels = np.moveaxis(np.indices(recipe.volume_shape), 0, -1)
    apart_mm = voxels @ recipe.shared_affine[:3, :3].T + recipe.shared_affine[:3, 3] - at_mm
    return np.exp(-0.5 * np.square(apart_mm / sigma_mm).sum(axis=-1)).astype(np.float32)


@functools.cache
def inside_brain(recipe: BrainRecipe) -> np.ndarray:
    """Return which voxels of a volume are brain in the template [X, Y, Z]."""
    template = mni_template()
    back = np.linalg.inv(template.affine) @ recipe.shared_affine
    mask = template.mask.astype(np.float32)
    return ndimage.affine_transform(mask, back[:3, :3], back[:3, 3], output_shape=recipe.volume_shape, order=1) > 0.5
