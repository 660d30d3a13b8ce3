"""What is a head's own: the fine structure in which volumes differ when they lie alike.

Two scans of one head differ by its place in the field of view, by scale, turn and mirroring, by brightness and noise,
or one of them lacks a part. What is left when all this is taken off is compared, see `mri3d.volumes.near_copies`.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter

from mri3d.parallel import map_threads, num_cores, one_thread_each
from mri3d.volumes.alignment import MIDDLE, Average, Pose, laid, shrink
from mri3d.volumes.sequence import VolumeSequence


class Levels(NamedTuple):
    """From which similarity on two volumes certainly show one head, and from which on they may."""

    certain: float
    possible: float

    def raised(self, by: float) -> "Levels":
        """Return both, higher."""
        return Levels(self.certain + by, self.possible + by)

    def at(self, sides: Sequence[int], *, plain: bool = False) -> "Levels":
        """Return both for volumes [C, X, Y, Z]: higher for small ones, in which unlike heads are more alike.

        Args:
            sides: Of the volumes.
            plain: Whether what the cohort has in common was not taken off; a copy is that much more alike then, too.
        """
        lacking = max(0, FINE - max(sides[1:]))
        if not plain:
            return self.raised(_RISE * lacking)
        raised = self.raised(_RISE_PLAIN * lacking)
        return Levels(min(raised.certain, _MOST_PLAIN), min(raised.possible, _MOST_PLAIN))


FINE = 40
"""Voxels along the longest edge when two volumes are compared closely."""

NUM_CENTRED = 10
"""From so many volumes on what they have in common is known well enough to be taken off."""

# What the levels are raised by where what the likest volumes share was taken off: it takes some of a head's own along.
NEAR = -0.06

_RISE = 0.005  # for each voxel that the longest edge lacks: at 32 unlike heads reach 0.57, at 20 they reach 0.60
_RISE_PLAIN, _MOST_PLAIN = 0.0016, 0.999  # at 16 unlike demo heads reach 0.967, at 24 0.936, at 32 0.887
_WINDOW = 1.0  # standard deviation in voxels of the neighbourhood that each voxel is compared with
_FAINT, _FLAT = 0.15, 0.3  # of the standard deviation of the fine structure: damped, and no structure at all
_TYPICAL = 0.45  # correlation with what is common; heads have 0.55 and more, a demo head among whole ones 0.2
_OVERLAP = 0.4  # share of the structure of the poorer volume that both must show
_CHANCE = 6.5  # standard deviations: by chance once in 10^10 pairs
_SAME = 0.9999  # correlation of what is equal, but for rounding
_CLUSTER = 16  # of voxels here and there, taken as one independent value: more than neighbours of noise or heads are
_NEIGHBOURS = 16  # so that eight copies of a head do not count as what is common
_BLOCK = 256  # volumes whose products are taken at once


class Structure(NamedTuple):
    """The fine structure of volumes, flattened; 0 where there is none to be seen, such as in air."""

    values: np.ndarray  # float32 [..., V]
    seen: np.ndarray  # bool [..., V]


def structure(volume: np.ndarray) -> Structure:
    """Return how each voxel differs from its neighbourhood, in units of the differences there.

    So neither gain nor offset matters, wherever in the head they change (bias field, gamma), and no edge outweighs the
    rest of the head.

    Args:
        volume: [C, X, Y, Z].
    """
    values, seen = np.empty(volume.shape, np.float32), np.empty(volume.shape, bool)
    for channel, (own, is_seen) in zip(volume, zip(values, seen, strict=True), strict=True):
        own[:] = channel - gaussian_filter(channel, _WINDOW)
        spread = float(own.std())
        around = np.sqrt(np.maximum(gaussian_filter(own * own, _WINDOW), 0))
        is_seen[:] = (around > _FLAT * spread) & (spread > 1e-5 * np.abs(channel).max())  # not mere rounding
        np.divide(own, np.sqrt(around**2 + (_FAINT * spread) ** 2), out=own, where=is_seen)
        own[~is_seen] = 0
    return Structure(values.ravel(), seen.ravel())


def common(structures: Structure) -> np.ndarray:
    """Average structures [N, V] where they are seen [V]; zeros of fewer than `NUM_CENTRED`."""
    if len(structures.values) < NUM_CENTRED:
        return np.zeros(structures.values.shape[1], np.float32)
    return np.asarray(structures.values.sum(axis=0) / np.maximum(structures.seen.sum(axis=0), 1))


def own(found: Structure, centre: np.ndarray) -> Structure:
    """Take off what the cohort has in common [V]."""
    return Structure((found.values - centre) * found.seen, found.seen)


def stacked(structures: Sequence[Structure]) -> Structure:
    """Put the structures of volumes together [N, V]."""
    values, seen = zip(*structures, strict=True)
    return Structure(np.stack(values), np.stack(seen))


def masked_correlations(first: Structure, second: Structure) -> np.ndarray:
    """Correlate structures of N and of M volumes where both are seen [N, M]; 0 where nothing is."""
    correlations = np.empty((len(first.values), len(second.values)), np.float32)
    seen, squares = first.seen.astype(np.float32), first.values**2
    for start in range(0, len(second.values), _BLOCK):  # to bound the memory
        values, also_seen = (part[start : start + _BLOCK].T for part in second)
        energies = (squares @ also_seen.astype(np.float32)) * (seen @ values**2)
        correlations[:, start : start + _BLOCK] = (first.values @ values) / np.sqrt(np.maximum(energies, 1e-6))
    return correlations


def median_near(place: int, structures: Structure, values: Callable[[int], np.ndarray]) -> np.ndarray:
    """Return what the volumes most like one have in common: those of its site, say.

    The median, since some of them may be its copies.

    Args:
        place: Of the one.
        structures: Of all, by which those most like it are found, [N, V].
        values: Returns the values of one of them that are wanted.
    """
    alike = masked_correlations(Structure(structures.values[[place]], structures.seen[[place]]), structures)[0]
    alike[place] = -2
    nearest = np.argsort(-alike, kind="stable")[:_NEIGHBOURS]
    return np.asarray(np.median([values(int(other)) for other in nearest], axis=0))


class Lying:
    """The volumes of a cohort, small, and as they lie to an average.

    Args:
        volumes: Of the cohort.
        rows: Which of them, [N].
        averaged: Rows that the average is made of; all of them unless given.

    Attributes:
        average: What they lie to.
        small: Each at `MIDDLE`, float32 [C, X, Y, Z].
        poses: How each lies.
        centre: Fine structure that they have in common, float32 [V].
        own: That of each, without what is common, [N, V].
    """

    def __init__(
        self,
        volumes: VolumeSequence,
        rows: Sequence[int] | np.ndarray,
        averaged: Sequence[int] | np.ndarray | None = None,
    ) -> None:
        self._volumes = volumes
        with one_thread_each(num_cores()):
            self.average = Average.fit(volumes, rows if averaged is None else averaged)
            found = map_threads(self._lay, [int(row) for row in rows], what="looking for near-copies")
        self.small = [small for small, _, _ in found]
        self.poses = [pose for _, pose, _ in found]
        self.own = stacked([structure for _, _, structure in found])
        self.centre = common(self.own)
        np.subtract(self.own.values, self.centre, out=self.own.values, where=self.own.seen)

    def _lay(self, row: int) -> tuple[np.ndarray, Pose, Structure]:
        small = shrink(self._volumes[row], MIDDLE)
        pose = self.average.pose(small)
        return small, pose, structure(laid(small, pose))


class Likeness(NamedTuple):
    """How two volumes resemble each other, where the fine structure of both is seen.

    Attributes:
        similarity: Correlation of their fine structure, what the cohort has in common taken off.
        plain: The same with what is common.
        typical: Correlation of the less typical of the two with what is common.
        num_independent: Of how many independent values: a few may agree by chance.
    """

    similarity: float
    plain: float
    typical: float
    num_independent: float

    def judged(self, levels: Levels, *, plain: Levels) -> "Verdict | None":
        """Judge whether it is one head.

        Args:
            levels: For the similarity.
            plain: For that with what is common, where the cohort is not of this kind, or too small to tell.

        Returns:
            None where it is not.
        """
        is_typical = self.typical >= _TYPICAL
        value, (certain, possible) = (self.similarity, levels) if is_typical else (self.plain, plain)
        degrees = self.num_independent - 3
        chance = min(float(np.tanh(_CHANCE / np.sqrt(degrees))), _SAME) if degrees > 1 else _SAME
        return Verdict(value, value >= max(certain, chance)) if value >= max(possible, chance) else None


class Verdict(NamedTuple):
    """That two volumes show one head: their similarity, at most 1, and whether no two heads are so alike."""

    similarity: float
    certain: bool

    def confirmed(self, other: "Verdict | None") -> "Verdict | None":
        """Return this verdict, as far as another agrees."""
        return other and Verdict(self.similarity, self.certain and other.certain)


def likeness(
    one: Structure, two: Structure, centres: tuple[np.ndarray, np.ndarray], shape: Sequence[int] | None = None
) -> Likeness:
    """Compare the fine structure of two volumes [V].

    Args:
        one: Of the first.
        two: Of the second, which lies as the first does.
        centres: What the cohort has in common with each [V]: where the second is mirrored, so is what it shares.
        shape: Of the volumes, [C, X, Y, Z]; None where V are voxels here and there.
    """
    both = one.seen & two.seen
    if both.sum() < max(1, _OVERLAP * min(one.seen.sum(), two.seen.sum())):
        return Likeness(0.0, 0.0, 0.0, 0.0)
    first, second, *shared = (values * both for values in (one.values, two.values, *centres))
    typical = min(_cosine(first, shared[0]), _cosine(second, shared[1]))
    plain, first, second = _cosine(first, second), first - shared[0], second - shared[1]
    num_independent = float(both.sum())
    if shape is None:
        num_independent /= _CLUSTER
    for axis in (1, 2, 3) if shape is not None else ():  # neighbours are alike (Bartlett 1935, autoregressive series)
        lags = [_lag(values.reshape(shape), axis) for values in (first, second)]
        product = float(np.clip(lags[0] * lags[1], 0, 0.99)) if min(lags) > 0 else 0.0
        num_independent *= (1 - product) / (1 + product)
    return Likeness(_cosine(first, second), plain, typical, num_independent)


def _cosine(one: np.ndarray, two: np.ndarray) -> float:
    scale = float(np.sqrt(np.vdot(one, one) * np.vdot(two, two)))
    return float(np.vdot(one, two)) / scale if scale > 0 else 0.0


def _lag(values: np.ndarray, axis: int) -> float:
    """Correlate neighbours along an axis."""
    along = np.moveaxis(values, axis, 0)
    return float(np.vdot(along[1:], along[:-1])) / (float(np.vdot(values, values)) or 1.0)
