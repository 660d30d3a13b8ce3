"""One level of the alignment with the template: from a pose near the best one down to it.

Two images are compared: intensities and mask, both smoothed. The scan's intensities go through a cubic that is fitted
anew in each step, so that neither gain, offset nor contrast matter; what does not fit has little say (iteratively
reweighted least squares). The 12 parameters are found by the Gauss-Newton method; the derivatives are the template's
own, the same in each step (Baker and Matthews 2004, Lucas-Kanade 20 years on: inverse compositional).

Sums over points are made by `np.einsum`, which has one thread: the number of threads never changes a bit.
"""

import functools
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from mri3d.brain.downsampling import TRUNCATE, Downsampled, downsampled
from mri3d.brain.template import mni_template

GRID_MM = 1.5
"""Voxels that brains are downsampled to, in mm of the template's size: half the distance of the finest points."""

_SMOOTHED = 0.6  # sigma of the smoothing, as a share of the distance of points
_CENTER_MM, _REACH_MM = np.array([0.0, -18.0, 10.0]), 60.0  # of the template's brain; a step is in mm at this distance
_MOST_CHANGE_MM = 15.0  # farther off the derivatives tell nothing
_DAMPING = 1e-5  # share of the mean curvature: directions in which nothing changes are left alone
_RIDGE = 1e-6  # of the cubic: intensities may be few, as those of label maps

_NEAR = 0.02  # share of brain, smoothed, from which on points count: up to two sigmas away from the brain
_INSIDE = 0.5  # share of brain in a point of the brain
_FEWEST = 50  # points inside: fewer tell nothing

_FAR = 3.0  # misfit, in standard deviations, that has a quarter of the say
_LEAST_SPREAD = 1e-3  # of intensities of about 1: a perfect fit must not divide by zero
_MASK_SPREAD = 0.25  # of the misfit of masks, which tells of the surface only: most of it is 0

WHOLE_AFFINE = np.eye(12)
"""What a step may change [12, P]: all entries of a matrix [3, 4], row by row."""


def _turns_shifts_and_size() -> np.ndarray:
    """Build the columns [12, 7] of what keeps angles."""
    columns = np.zeros((7, 3, 4))
    for column, (one, other) in enumerate(((0, 1), (0, 2), (1, 2))):
        columns[column, one, other], columns[column, other, one] = 1, -1
    columns[3:6, :, 3] = np.eye(3)
    columns[6, :, :3] = np.eye(3)
    return columns.reshape(7, 12).T


TURNS_SHIFTS_AND_SIZE = _turns_shifts_and_size()
"""What a step may change [12, 7] as long as the pose is rough: angles stay as they are."""


@dataclass(frozen=True, eq=False)
class View:
    """A scan's brain, smoothed for one level.

    Attributes:
        channels: Intensity and mask [2, X, Y, Z], float32.
        to_voxels: From mm of the scan to voxels [4, 4].
    """

    channels: np.ndarray
    to_voxels: np.ndarray

    @classmethod
    def of(cls, brain: Downsampled, every: int) -> "View":
        """Smooth a brain for a level whose points are so many voxels apart, and keep no more voxels than that needs."""
        step = every // 2
        kept = (slice(None), *[slice(None, None, step)] * 3)
        channels = np.ascontiguousarray(brain.smoothed(_SMOOTHED * every)[kept])
        return cls(channels, np.diag([1 / step] * 3 + [1.0]) @ np.linalg.inv(brain.affine))

    def at(self, points: np.ndarray, pose: np.ndarray) -> np.ndarray:
        """Interpolate at points of the template [3, V]: intensity and mask [2, V], float64."""
        matrix = self.to_voxels @ pose
        places = np.einsum("ij,jv->iv", matrix[:3, :3], points) + matrix[:3, 3:]
        interpolate = functools.partial(ndimage.map_coordinates, output=np.float64, order=1, mode="constant")
        return np.stack([interpolate(channel, places) for channel in self.channels])


@dataclass(frozen=True, eq=False)
class Goal:
    """The template's brain and its surroundings at the points of one level.

    Attributes:
        points_mm: Where they are [3, V].
        values: Intensity and mask [2, V].
        changes: How these change with the entries of a matrix [3, 4] that moves the template [2, 12, V].
    """

    points_mm: np.ndarray
    values: np.ndarray
    changes: np.ndarray

    def cost(self, seen: np.ndarray, mask_weight: float) -> float:
        """Measure how badly what is seen of a scan [2, V] fits: 0 is perfect, 1 to 2 no likeness at all."""
        inside = seen[1] > _INSIDE
        both = inside & (self.values[1] > _INSIDE)
        if np.count_nonzero(both) < _FEWEST:
            return float("inf")
        misfit = self._misfit(seen, inside)
        intensity = np.square(misfit[0, both]).mean() / self.values[0, both].var()
        return float(intensity + mask_weight * np.square(misfit[1]).mean() / np.square(self.values[1]).mean())

    def step(self, seen: np.ndarray, mask_weight: float, free: np.ndarray) -> np.ndarray | None:
        """Compute by how much the template should move to fit what is seen of a scan [2, V].

        Args:
            seen: Intensity and mask of the scan at the points.
            mask_weight: How much the mask counts beside the intensities.
            free: Directions [12, P] that it may move in.

        Returns:
            Matrix [3, 4]: the entries' changes, in mm at `_REACH_MM` from the centre; None where too little is seen.
        """
        inside = seen[1] > _INSIDE
        if np.count_nonzero(inside) < _FEWEST:
            return None
        misfit = self._misfit(seen, inside)
        spread = max(1.4826 * float(np.median(np.abs(misfit[0, inside]))), _LEAST_SPREAD)
        weights = _say(misfit[0], spread) * inside, mask_weight**0.5 * _say(misfit[1], _MASK_SPREAD)
        curvature, slope = np.zeros((12, 12)), np.zeros(12)
        for changes, weight, off in zip(self.changes, weights, misfit, strict=True):
            weighted = changes * weight
            curvature += np.einsum("iv,jv->ij", weighted, changes)
            slope += np.einsum("iv,v->i", weighted, off)
        curvature, slope = free.T @ curvature @ free, free.T @ slope
        damping = _DAMPING * np.trace(curvature) / len(curvature) * np.eye(len(curvature))
        return np.asarray(free @ np.linalg.solve(curvature + damping, slope)).reshape(3, 4)

    def _misfit(self, seen: np.ndarray, inside: np.ndarray) -> np.ndarray:
        """Compute how what is seen differs from the template [2, V]; 0 for intensities outside the scan's mask."""
        powers = np.stack([seen[0, inside] ** power for power in range(4)])
        products = np.einsum("iv,jv->ij", powers, powers) / powers.shape[1]
        goals = np.einsum("iv,v->i", powers, self.values[0, inside]) / powers.shape[1]
        cubic = np.linalg.solve(products + _RIDGE * np.eye(4), goals)
        misfit = np.zeros_like(seen)
        misfit[0, inside] = np.einsum("i,iv->v", cubic, powers) - self.values[0, inside]
        misfit[1] = seen[1] - self.values[1]
        return misfit


def _say(misfit: np.ndarray, spread: float) -> np.ndarray:
    """Weigh points by how well they fit (Geman and McClure)."""
    return np.asarray(1 / (1 + np.square(misfit / (_FAR * spread))) ** 2)


def descend(
    view: View, goal: Goal, pose: np.ndarray, *, num_steps: int, mask_weight: float, enough_mm: float, free: np.ndarray
) -> np.ndarray:
    """Improve a pose until it hardly changes.

    Args:
        view: The scan.
        goal: The template, at the same level.
        pose: Where to begin: from mm of the template to mm of the scan [4, 4].
        num_steps: How often to improve on it at most.
        mask_weight: How much the mask counts beside the intensities.
        enough_mm: Steps that are smaller end it.
        free: Directions [12, P] to move in.

    Returns:
        The pose [4, 4]; as it was where too little of the scan is seen from there.
    """
    for _ in range(num_steps):
        step = goal.step(view.at(goal.points_mm, pose), mask_weight, free)
        if step is None:
            break
        step[:, :3] = np.clip(step[:, :3], -_MOST_CHANGE_MM, _MOST_CHANGE_MM)
        moved = np.eye(4)
        moved[:3, :3] += step[:, :3] / _REACH_MM
        moved[:3, 3] = step[:, 3] - step[:, :3] @ _CENTER_MM / _REACH_MM
        pose = pose @ np.linalg.inv(moved)
        if np.abs(step).max() < enough_mm:
            break
    return pose


@functools.cache
def downsampled_template() -> Downsampled:
    """Downsample the template's brain as scans are."""
    template = mni_template()
    return downsampled(template.brain, template.mask, template.affine, spacing_mm=GRID_MM)


@functools.cache
def goal_at(every: int) -> Goal:
    """Prepare the template for a level whose points are so many voxels apart."""
    brain, sigma = downsampled_template(), _SMOOTHED * every
    coarse = (slice(None, None, every),) * 3
    near = brain.smoothed(sigma)[1][coarse] > _NEAR
    voxels = np.argwhere(near).T * every
    points = np.einsum("ij,jv->iv", brain.affine[:3, :3], voxels) + brain.affine[:3, 3:]
    from_center = np.concatenate([(points - _CENTER_MM[:, None]) / _REACH_MM, np.ones((1, len(points[0])))])
    to_voxels = np.linalg.inv(brain.affine[:3, :3])
    values, changes = [], []
    for channel in (brain.intensity, brain.mask):
        value, *along = (
            ndimage.gaussian_filter(channel, sigma, order=order, mode="constant", truncate=TRUNCATE)[coarse][near]
            for order in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1))
        )
        slopes = np.einsum("ji,jv->iv", to_voxels, np.stack(along))  # of mm
        values.append(value)
        changes.append(np.einsum("iv,jv->ijv", slopes, from_center).reshape(12, -1))
    return Goal(points, np.stack(values).astype(np.float64), np.stack(changes))
