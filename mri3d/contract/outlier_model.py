"""How unlike a volume is all that the training volumes have in common: a small PCA of them, and how they are turned."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Self

import numpy as np
from scipy.ndimage import affine_transform
from scipy.spatial.transform import Rotation

from mri3d.contract.folds import folds_of
from mri3d.volumes.resample import shrinking_matrix
from mri3d.volumes.sequence import VolumeSequence

SIDE = 24
"""Voxels along the longest edge: enough for where a head lies and what it looks like, and too few for its own folds."""

MAX_VOXELS = 2 * SIDE**3  # of all channels together, so that a model folder stays small
MAX_COMPONENTS = 20
ROWS_PER_COMPONENT = 5  # fewer would let the components follow single volumes
BETTER = (
    0.47  # of the error may be left with other axes: 0.07 to 0.38 is where they were wrong, else 0.56 or more (IXI)
)
LARGEST = 1e15  # of a value of the model
TURNS_DEG = np.arange(-45, 46, 9)
"""By which the average is turned about each axis; an ordinary head lies within 20 degrees of it."""

_TYPES = {"mean": 4, "scale": 1, "components": 2, "variances": 1}
"""Arrays that a model folder has, by name, and how many axes each has; all float32."""


class Unlikeness(NamedTuple):
    """How unlike the training volumes a volume is.

    Attributes:
        error: What their PCA leaves of it unexplained: mean square, in relation to the variance of the volumes.
        distance: Root mean square along the components of how many standard deviations it lies off their average: the
            Mahalanobis distance within the PCA, divided by the root of the number of components.
        turned_deg: Angle about each of its axes at which their average, turned so, is most like it.
    """

    error: float
    distance: float
    turned_deg: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class OutlierModel:
    """A PCA of the training volumes, averaged to a few voxels.

    Attributes:
        mean: Average of the training volumes, channels divided by `scale`, float32 [C, X, Y, Z].
        scale: Standard deviation of each channel, float32 [C].
        components: Orthonormal, float32 [P, C * X * Y * Z]; none of few volumes.
        variances: Of the training volumes along each, float32 [P].
    """

    mean: np.ndarray
    scale: np.ndarray
    components: np.ndarray
    variances: np.ndarray

    @classmethod
    def fit(
        cls, volumes: VolumeSequence, rows: Sequence[int] | np.ndarray, groups: np.ndarray | None = None
    ) -> tuple[Self, list[Unlikeness]]:
        """Fit to training volumes, which are read one at a time.

        Args:
            volumes: All volumes.
            rows: Those to learn from [N]; at least 2.
            groups: Who of them belongs together [N]; left out where each stands alone.

        Returns:
            The model; and how unlike each of the rows is those of other groups, which is fair to new scans.
        """
        assert len(rows) >= 2, "one volume does not tell how volumes differ"
        small = np.stack([averaged(volumes[int(row)]) for row in rows]).astype(np.float64)
        scale = small.std(axis=(0, 2, 3, 4))
        scale = np.where(scale > 0, scale, 1).astype(np.float32)
        small /= scale[:, None, None, None]
        folds = folds_of(np.arange(len(rows)) if groups is None else groups, seed=0)
        num_learnt = len(rows) - max(map(len, folds))
        num_components = min(MAX_COMPONENTS, num_learnt // ROWS_PER_COMPONENT)  # the same in each
        held_out: dict[int, Unlikeness] = {}
        for fold in folds:
            model = cls._of(np.delete(small, fold, axis=0), scale, num_components)
            held_out |= {int(place): model._measured(small[place]) for place in fold}
        return cls._of(small, scale, num_components), [held_out[place] for place in range(len(rows))]

    @classmethod
    def _of(cls, small: np.ndarray, scale: np.ndarray, num_components: int) -> Self:
        """Fit to volumes that were averaged and scaled, float64 [N, C, X, Y, Z]."""
        mean = small.mean(axis=0)
        centred = (small - mean).reshape(len(small), -1)
        squares, vectors = np.linalg.eigh(centred @ centred.T)
        squares, vectors = squares[::-1][:num_components], vectors[:, ::-1][:, :num_components]
        telling = squares > 1e-9 * max(float(np.square(small).sum()), 1e-30)  # copies of one volume differ in nothing
        squares, vectors = squares[telling], vectors[:, telling]
        components = (vectors / np.sqrt(squares)).T @ centred
        tops = np.abs(components).argmax(axis=1)
        components *= np.sign(components[np.arange(len(components)), tops])[:, None]  # else either way round
        variances = squares / (len(small) - 1) if len(small) > 1 else squares
        return cls(*(part.astype(np.float32) for part in (mean, scale, components, variances)))

    def measure(self, volume: np.ndarray) -> Unlikeness:
        """Measure how unlike the training volumes a volume [C, X, Y, Z] of the same recipe is."""
        return self._measured(averaged(volume).astype(np.float64) / self.scale[:, None, None, None])

    def _measured(self, small: np.ndarray) -> Unlikeness:
        """Measure a volume that was averaged and scaled."""
        off = np.asarray(small - self.mean, np.float64).ravel()
        along = self.components @ off
        spread = np.square(along) / self.variances
        distance = float(np.sqrt(spread.mean())) if spread.size else 0.0
        return Unlikeness(self._error(small), distance, self._turned_deg(small))

    def _turned_deg(self, small: np.ndarray) -> tuple[float, float, float]:
        """Find out by which angle the average is turned about each axis to be most like a volume."""
        centred = np.asarray(small - small.mean(axis=(1, 2, 3), keepdims=True), np.float32).ravel()
        likeness = (self._turned @ centred).astype(np.float64).reshape(3, len(TURNS_DEG))
        step, found = float(TURNS_DEG[1] - TURNS_DEG[0]), []
        for along in likeness:
            best = int(along.argmax())
            angle = float(TURNS_DEG[best])
            if 0 < best < len(along) - 1:  # the top of the parabola through it and its neighbours
                before, top, after = along[best - 1 : best + 2]
                bend = before - 2 * top + after
                angle += step * float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5)) if bend < 0 else 0.0
            found.append(angle)
        return found[0], found[1], found[2]

    def lies(self, volume: np.ndarray, *, ras: bool) -> str:
        """Describe how a volume lies, where it is much more like the others with its axes otherwise.

        Args:
            volume: Of the same recipe [C, X, Y, Z].
            ras: Whether its axes are R, A, S. Then left and right are taken as the same: of a head they are too much
                alike to be told apart.
        """
        small = averaged(volume).astype(np.float64) / self.scale[:, None, None, None]
        best, how = BETTER * self._error(small), ""
        for order in itertools.permutations((1, 2, 3)):
            turned = small.transpose(0, *order)
            for steps in itertools.product((1,) if ras else (1, -1), (1, -1), (1, -1)):
                if turned.shape == small.shape and (*order, *steps) != (1, 2, 3, 1, 1, 1):
                    left, back, down = steps
                    error = self._error(turned[:, ::left, ::back, ::down])
                    if error < best:
                        best, how = error, _way(order, back, down) if ras else "turned or mirrored about its axes"
        return how

    def _error(self, small: np.ndarray) -> float:
        """Return what the PCA leaves unexplained of a volume that was averaged and scaled, see `Unlikeness`."""
        off = np.asarray(small - self.mean, np.float64).ravel()
        along = self.components @ off
        return max(float(off @ off - along @ along), 0.0) / off.size

    @cached_property
    def _turned(self) -> np.ndarray:
        """The average, turned about each axis by each angle, of length 1 each, [3 * angles, C * X * Y * Z]."""
        middle, turned = (np.array(self.mean.shape[1:]) - 1) / 2, []
        for axis in np.eye(3):
            for angle in TURNS_DEG:
                matrix = Rotation.from_rotvec(np.deg2rad(angle) * axis).as_matrix()
                offset = middle - matrix @ middle
                channels = [affine_transform(part, matrix, offset, order=1, mode="nearest") for part in self.mean]
                whole = np.stack(channels)
                whole -= whole.mean(axis=(1, 2, 3), keepdims=True)
                turned.append(whole.ravel() / (np.linalg.norm(whole) or 1.0))
        return np.asarray(turned, dtype=np.float32)

    def tensors(self) -> dict[str, np.ndarray]:
        """Return all of it as arrays by name."""
        return {name: getattr(self, name) for name in _TYPES}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, np.ndarray], shape: Sequence[int]) -> Self:
        """Read what `tensors` returned.

        Args:
            tensors: Arrays by name.
            shape: Of a volume, [C, X, Y, Z].

        Raises:
            KeyError: An array is missing.
            ValueError: They do not go together.
        """
        mean, scale, components, variances = (tensors[name] for name in _TYPES)
        for name, num_axes in _TYPES.items():
            tensor = tensors[name]
            if tensor.dtype != np.float32 or tensor.ndim != num_axes or not np.isfinite(tensor).all():
                raise ValueError(f"{name} of the outlier model is no array of {num_axes} axes of finite float32")
        fits = mean.shape == (shape[0], *_small_sides(shape)) and scale.shape == mean.shape[:1]
        if not fits or components.shape != (len(variances), mean.size) or len(variances) > MAX_COMPONENTS:
            raise ValueError("the parts of the outlier model do not go together, or not with the volumes")
        if not (scale > 1 / LARGEST).all() or not (variances > 0).all():
            raise ValueError("the outlier model has a spread that is not above 0")
        if not all(np.abs(part).max(initial=0) <= LARGEST for part in (mean, scale, components, variances)):
            raise ValueError("the outlier model has values that no volumes have")  # their squares would overflow
        return cls(mean, scale, components, variances)


def _way(order: tuple[int, ...], back: int, down: int) -> str:
    """Name how a volume lies whose axes R, A, S are to be taken in another order, or backwards."""
    if order != (1, 2, 3):
        return "turned onto another side"
    return "upside down" if down < 0 else "back to front"


def averaged(volume: np.ndarray) -> np.ndarray:
    """Average a volume [C, X, Y, Z] to at most `SIDE` voxels along its longest edge, the others in proportion."""
    for num_in, num_out in zip(volume.shape[1:], _small_sides(volume.shape), strict=True):
        step = num_in / num_out
        matrix = shrinking_matrix(num_in, num_out, (step - 1) / 2, step)
        volume = np.tensordot(volume, matrix, axes=(1, 1))  # this axis goes last: the next follows
    return np.ascontiguousarray(volume, dtype=np.float32)


def _small_sides(shape: Sequence[int]) -> tuple[int, int, int]:
    """Return the sides that a volume of some shape [C, X, Y, Z] is averaged to."""
    channels, *sides = shape
    most = max(2, min(SIDE, int((MAX_VOXELS / channels) ** (1 / 3) + 1e-9)))
    x, y, z = (max(min(2, side), min(side, round(most * side / max(sides)))) for side in sides)
    return x, y, z
