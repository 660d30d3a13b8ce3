"""How a brain lies in the space of MNI152: the affine that makes both agree best, and how well they agree."""

import itertools
from collections.abc import Iterator

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from mri3d.brain.descent import (
    GRID_MM,
    TURNS_SHIFTS_AND_SIZE,
    WHOLE_AFFINE,
    View,
    descend,
    downsampled_template,
    goal_at,
)
from mri3d.brain.downsampling import LEAST_VOXELS, Downsampled, downsampled, volume_mm3
from mri3d.brain.template import mni_template

_COARSE, _MIDDLE, _FINE = 5, 3, 2  # voxels of `GRID_MM` between points: about 8, 4 and 3 mm
_STEPS = 30  # at most: 2 to 20 are made
_FAR_MM, _ROUGH_MM, _CLOSE_MM = 0.3, 0.05, 0.01  # steps that are smaller end the search of a level

_PITCHES, _ROLLS, _YAWS = (-40, -20, 0, 20, 40), (-25, 0, 25), (-25, 0, 25)
"""Degrees about R, A and S from which the search begins: it goes some 20 degrees, and heads nod more than they tilt."""

_NUM_FOLLOWED = 4  # starts that fit best: the first of them nearly always ends best, too

_OUTLINE, _HARDLY = 1.0, 0.05
"""Weights of the mask. It leads from afar, as intensities do not; these are more exact, whatever a mask leaves out."""

_INSIDE = 0.5  # share of brain in a point of the brain
_FLAT = 1e-3  # volume of a cube of 1 mm after a matrix that flattens it
_EVERY = 2  # voxels of the template, where agreement is measured
_MOST_STRETCH = 3.0  # of the size that the volumes tell, or its inverse: nothing that is aligned lies beyond


def register(brain: np.ndarray, mask: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Find the affine that aligns a brain with the template.

    Args:
        brain: Intensities [X, Y, Z] of a scan, RAS+, any unit; those outside the mask do not count.
        mask: Which voxels are brain, bool [X, Y, Z].
        affine: Voxel-to-world matrix [4, 4] of the scan; axes need be neither equally long nor orthogonal.

    Returns:
        Matrix [4, 4], float64, from mm of the template's space to mm of the scan's: the same bits whatever the number
        of threads.

    Raises:
        ValueError: The mask, its intensities or the matrix tell nothing about a brain, or nothing fits.
    """
    scan, size = _downsampled(brain, mask, affine)
    pose = _rough_pose(scan, size)
    for every, mask_weight, enough_mm in ((_MIDDLE, _OUTLINE, _ROUGH_MM), (_FINE, _HARDLY, _CLOSE_MM)):
        view, goal = View.of(scan, every), goal_at(every)
        pose = descend(
            view, goal, pose, num_steps=_STEPS, mask_weight=mask_weight, enough_mm=enough_mm, free=WHOLE_AFFINE
        )
    stretches = np.linalg.svd(pose[:3, :3], compute_uv=False) / size if np.isfinite(pose).all() else np.zeros(3)
    if not (stretches.min() > 1 / _MOST_STRETCH and stretches.max() < _MOST_STRETCH):
        raise ValueError("the brain cannot be aligned with the template")
    return np.asarray(pose, np.float64)


def similarity(brain: np.ndarray, mask: np.ndarray, affine: np.ndarray, matrix: np.ndarray) -> float:
    """Measure how alike an aligned brain and the template look.

    Args:
        brain: Intensities [X, Y, Z], RAS+.
        mask: Which voxels are brain, bool [X, Y, Z].
        affine: Voxel-to-world matrix [4, 4].
        matrix: From mm of the template to mm of the scan [4, 4], as of `register`.

    Returns:
        Correlation of the intensities, bias fields removed, over the points 2 mm apart that are brain in both.

    Raises:
        ValueError: The mask, its intensities or a matrix tell nothing, or the brains hardly meet.
    """
    points = _points_mm()
    scan, _ = _downsampled(brain, mask, affine)
    pictures = []
    for image, pose in ((scan, _regular(matrix)), (downsampled_template(), np.eye(4))):
        to_voxels = np.linalg.inv(image.affine) @ pose
        intensity, share = (_interpolated(values, to_voxels, points) for values in (image.intensity, image.mask))
        pictures.append((intensity / np.maximum(share, _INSIDE), share > _INSIDE))  # masks alone are not alike
    meeting = pictures[0][1] & pictures[1][1]
    if np.count_nonzero(meeting) < LEAST_VOXELS:
        raise ValueError("the brain hardly meets that of the template")
    one, other = (intensity[meeting] - intensity[meeting].mean() for intensity, _ in pictures)
    return float((one * other).sum() / np.sqrt(np.square(one).sum() * np.square(other).sum()))


def overlap(mask: np.ndarray, affine: np.ndarray, matrix: np.ndarray) -> float:
    """Measure how well an aligned brain covers the template's.

    Args:
        mask: Which voxels are brain, bool [X, Y, Z].
        affine: Voxel-to-world matrix [4, 4].
        matrix: From mm of the template to mm of the scan [4, 4], as of `register`.

    Returns:
        Dice coefficient of both masks, from points 2 mm apart.

    Raises:
        ValueError: The mask or a matrix tells nothing.
    """
    volume = volume_mm3(mask, affine) / abs(float(np.linalg.det(_regular(matrix)[:3, :3])))  # in the template's space
    points = _points_mm()
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    first = np.array([part.start for part in box])
    to_box = np.linalg.inv(affine) @ matrix
    to_box[:3, 3] -= first
    covered = np.count_nonzero(_interpolated(mask[box].astype(np.float32), to_box, points) > _INSIDE)
    return float(min(1.0, 2 * covered / (points.shape[1] + volume / _EVERY**3)))


def _downsampled(brain: np.ndarray, mask: np.ndarray, affine: np.ndarray) -> tuple[Downsampled, float]:
    """Downsample a brain to a grid that goes by its size, which is 1 where it is as large as the template."""
    template = mni_template()
    size = float(np.cbrt(volume_mm3(mask, affine) / volume_mm3(template.mask, template.affine)))
    return downsampled(brain, mask, affine, spacing_mm=GRID_MM * size), size


def _starts(scan: Downsampled, size: float) -> Iterator[np.ndarray]:
    """Turn the template in all ways that heads lie, its centre onto the scan's."""
    center = downsampled_template().center_mm()
    for angles in itertools.product(_PITCHES, _ROLLS, _YAWS):
        pose = np.eye(4)
        pose[:3, :3] = size * Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
        pose[:3, 3] = scan.center_mm() - pose[:3, :3] @ center
        yield pose


def _rough_pose(scan: Downsampled, size: float) -> np.ndarray:
    """Find the best pose of the coarse level, from many starts."""
    view, goal = View.of(scan, _COARSE), goal_at(_COARSE)

    def cost(pose: np.ndarray) -> float:
        return goal.cost(view.at(goal.points_mm, pose), _OUTLINE)

    ends = []
    for pose in sorted(_starts(scan, size), key=cost)[:_NUM_FOLLOWED]:
        for free in (TURNS_SHIFTS_AND_SIZE, WHOLE_AFFINE):
            pose = descend(view, goal, pose, num_steps=_STEPS, mask_weight=_OUTLINE, enough_mm=_FAR_MM, free=free)
        ends.append(pose)
    return min(ends, key=cost)


def _points_mm() -> np.ndarray:
    """Return every so many voxels of the template's brain in mm [3, V]."""
    template = mni_template()
    voxels = np.argwhere(template.mask[::_EVERY, ::_EVERY, ::_EVERY]).T * _EVERY
    return np.asarray(np.einsum("ij,jv->iv", template.affine[:3, :3], voxels) + template.affine[:3, 3:])


def _interpolated(values: np.ndarray, to_voxels: np.ndarray, points_mm: np.ndarray) -> np.ndarray:
    """Interpolate an image linearly at points [3, V]; beyond it is 0."""
    places = np.einsum("ij,jv->iv", to_voxels[:3, :3], points_mm) + to_voxels[:3, 3:]
    found = ndimage.map_coordinates(values, places, output=np.float64, order=1, mode="constant")
    return np.asarray(found)


def _regular(matrix: np.ndarray) -> np.ndarray:
    """Refuse a matrix [4, 4] that cannot be inverted."""
    if not np.isfinite(matrix).all() or not abs(np.linalg.det(matrix[:3, :3])) > _FLAT:
        raise ValueError("the matrix of the alignment is singular")
    return matrix
