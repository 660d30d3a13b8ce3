"""Volumes laid onto each other, or onto the average of their cohort: the affine pose that makes them agree best."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Self

import numpy as np
from scipy.ndimage import affine_transform, map_coordinates

from mri3d.volumes.resample import shrinking_matrix
from mri3d.volumes.sequence import VolumeSequence

COARSE, MIDDLE = 16, 24
"""Voxels along the longest edge when a volume is laid onto the average, first roughly, then closely."""

NUM_AVERAGED = 32
"""Volumes that the average is made of: it is blurred by then, and more would only take longer."""

_TURN, _SHIFT = 0.4, 0.5  # how far the entries of a pose may go from where the search began: no head lies further off
_LEVEL, _NUM_TELLING = 0.01, 3000  # share of the mean steepness that a voxel must show to tell how a volume lies
_STILL = 2e-3  # of half an edge: a twentieth of a voxel at 50 voxels, less than tells heads apart
_DAMPING = 1e-4  # share of the mean curvature: directions in which nothing changes are left alone


class Pose(NamedTuple):
    """Where a point of the average lies in a volume: at matrix @ point + shift; the edges of both are at -1 and 1."""

    matrix: np.ndarray  # [3, 3]
    shift: np.ndarray  # [3]

    def mirrored(self) -> "Pose":
        """Return the pose of the mirrored volume in the mirrored average, which for heads is almost the average."""
        flip = np.diag([-1.0, 1.0, 1.0])
        return Pose(flip @ self.matrix @ flip, flip @ self.shift)


AS_IT_IS = Pose(np.eye(3), np.zeros(3))


def shrink(volume: np.ndarray, side: int) -> np.ndarray:
    """Shrink a volume [C, X, Y, Z] to at most `side` voxels along its longest edge, the others in proportion.

    Each channel has mean 0 and variance 1 then, whatever the scale that it came with.
    """
    longest = max(volume.shape[1:])
    for num_in in volume.shape[1:]:
        num_out = max(2, min(num_in, round(side * num_in / longest)))
        volume = np.tensordot(volume, _shrinking(num_in, num_out), axes=(1, 1))  # this axis goes last: the next follows
    centred = volume - volume.mean(axis=(1, 2, 3), keepdims=True, dtype=np.float64)
    spread = centred.std(axis=(1, 2, 3), keepdims=True)
    return np.ascontiguousarray(centred / np.where(spread > 0, spread, 1), dtype=np.float32)


@functools.lru_cache(maxsize=64)
def _shrinking(num_in: int, num_out: int) -> np.ndarray:
    """Build the matrix [num_out, num_in] that shrinks a whole axis."""
    step = num_in / num_out
    return shrinking_matrix(num_in, num_out, (step - 1) / 2, step)


def laid(volume: np.ndarray, pose: Pose) -> np.ndarray:
    """Resample a volume [C, X, Y, Z] so that it lies as the average does."""
    half = np.array(volume.shape[1:]) / 2
    matrix = half[:, None] * pose.matrix / half
    offset = (half - 0.5) + half * pose.shift - matrix @ (half - 0.5)
    return np.stack([affine_transform(channel, matrix, offset, order=1, mode="nearest") for channel in volume])


def mirrored(volume: np.ndarray) -> np.ndarray:
    """Mirror a volume [C, X, Y, Z] along its first axis: left and right, where the recipe orients."""
    return np.ascontiguousarray(volume[:, ::-1])


class Target:
    """What volumes are laid onto: all 12 affine parameters, gain and offset, by the Gauss-Newton method.

    The derivatives are the target's own, the same in each step (Baker and Matthews 2004, Lucas-Kanade 20 years on:
    inverse compositional).
    """

    def __init__(self, volume: np.ndarray) -> None:
        sides = np.array(volume.shape[1:])
        slopes = np.stack([np.gradient(channel) for channel in volume])  # [C, 3, X, Y, Z]
        steepness = np.einsum("cixyz->xyz", np.square(slopes, dtype=np.float64))
        telling = np.flatnonzero(steepness > _LEVEL * steepness.mean())
        telling = telling[:: max(1, len(telling) // _NUM_TELLING)]  # they are many more than there are ways to lie
        self._half = sides[:, None] / 2
        self._at = (np.stack(np.unravel_index(telling, sides)) + 0.5) / self._half - 1  # [3, V]
        columns = []
        for channel, along in zip(volume.reshape(len(volume), -1), slopes.reshape(len(volume), 3, -1), strict=True):
            along, values = along[:, telling] * self._half, channel[telling]
            turned = (along[:, None] * self._at).reshape(9, -1)
            columns.append(np.concatenate([turned, along, values[None], np.ones((1, len(values)))]))
        self._changes = np.concatenate(columns, axis=1).astype(np.float32)  # [14, C * V]
        self._curvature = (self._changes @ self._changes.T).astype(np.float64)
        self._values = self._changes[12]
        self._spread = float(volume.std())

    def pose(self, volume: np.ndarray, start: Pose, *, steps: int, robust: bool) -> Pose:
        """Find how a volume lies.

        Args:
            volume: [C, X, Y, Z], with the sides of the target.
            start: Where to begin.
            steps: How often to improve on it.
            robust: Let what does not fit have little say, such as a face that was removed.

        Returns:
            The pose; `start` where none is found near it.
        """
        pose, brightness = start, np.zeros(2)
        for _ in range(steps):
            off = self._seen_in(volume, pose) - self._values
            weighted, curvature = self._changes, self._curvature
            if robust:
                misfit = np.abs(off - brightness @ self._changes[12:])
                differing = misfit[misfit > 1e-3 * self._spread]
                usual = 2 * max(float(np.median(differing)) if differing.size else 0.0, 0.05 * self._spread) or 1.0
                weighted = self._changes * (1 / (1 + (misfit / usual) ** 2) ** 2).astype(np.float32)
                curvature = (weighted @ self._changes.T).astype(np.float64)
            damping = (_DAMPING * np.trace(curvature) / len(curvature) or 1.0) * np.eye(len(curvature))
            change = np.linalg.solve(curvature + damping, weighted @ off)
            brightness = change[12:]
            undone = np.linalg.inv(np.eye(3) + np.clip(change[:9].reshape(3, 3), -0.3, 0.3))
            matrix = pose.matrix @ undone
            pose = Pose(matrix, pose.shift - matrix @ change[9:12])
            if np.abs(pose.matrix - start.matrix).max() > _TURN or np.abs(pose.shift - start.shift).max() > _SHIFT:
                return start
            if np.abs(change[:12]).max() < _STILL:
                break
        return pose

    def _seen_in(self, volume: np.ndarray, pose: Pose) -> np.ndarray:
        """Interpolate a volume where the target's telling voxels lie in it [C * V]."""
        at = self._half * (pose.matrix @ self._at + pose.shift[:, None] + 1) - 0.5
        return np.concatenate([map_coordinates(channel, at, order=1, mode="nearest") for channel in volume])


@dataclass(frozen=True, eq=False)
class Average:
    """The average of a cohort, onto which its volumes are laid.

    Attributes:
        coarse: At `COARSE` [C, X, Y, Z], float32.
        middle: At `MIDDLE`.
    """

    coarse: np.ndarray
    middle: np.ndarray

    @classmethod
    def fit(cls, volumes: VolumeSequence, rows: Sequence[int] | np.ndarray) -> Self:
        """Average some volumes, `NUM_AVERAGED` at most, laid onto each other."""
        chosen = sample(rows)
        middle = [shrink(volumes[row], MIDDLE) for row in chosen]
        coarse = [shrink(volume, COARSE) for volume in middle]
        average, poses = _mean(coarse), [AS_IT_IS] * len(chosen)
        for _ in range(3):
            target = Target(average)
            poses = [target.pose(v, p, steps=3, robust=False) for v, p in zip(coarse, poses, strict=True)]
            average = _mean([laid(v, p) for v, p in zip(coarse, poses, strict=True)])
        return cls(average, _mean([laid(v, p) for v, p in zip(middle, poses, strict=True)]))

    @cached_property
    def _targets(self) -> tuple[Target, Target]:
        return Target(self.coarse), Target(self.middle)

    def pose(self, volume: np.ndarray) -> Pose:
        """Find how a volume that was shrunk to `MIDDLE` [C, X, Y, Z] lies to the average."""
        coarse, middle = self._targets
        small = shrink(volume, COARSE)
        pose = coarse.pose(small, AS_IT_IS, steps=5, robust=False)
        pose = coarse.pose(small, pose, steps=5, robust=True)
        return middle.pose(volume, pose, steps=3, robust=True)


def sample(rows: Sequence[int] | np.ndarray, most: int = NUM_AVERAGED) -> list[int]:
    """Choose rows evenly, at most so many.

    >>> sample(range(10), 4)
    [0, 3, 6, 9]
    """
    places = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), most)).round().astype(int))
    return [int(rows[place]) for place in places]


def _mean(volumes: Sequence[np.ndarray]) -> np.ndarray:
    return np.asarray(np.mean(volumes, axis=0), dtype=np.float32)
