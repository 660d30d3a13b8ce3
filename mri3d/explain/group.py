"""Maps of evidence over several sessions: their mean, whether it differs from none, and how consistent it is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mri3d.errors import UserError
from mri3d.texts import number_text

MIN_SESSIONS = 3
NUM_FLIPS = 1000
STRONG = 0.05
"""Share of the voxels of a map that are called strong, for `GroupMap.consistency`."""

_BLOCK = 2**14  # voxels at a time


@dataclass(frozen=True, eq=False)
class GroupMap:
    """What the evidence in several sessions has in common.

    Attributes:
        mean: Average evidence, float32 [X, Y, Z].
        t: Of the mean against none, one-sample t with N - 1 degrees of freedom, float32 [X, Y, Z]; 0 where all have 0.
        p: Family-wise error over all voxels: how often the largest |t| of any voxel is as large, where the signs of
            whole maps are drawn anew; float32 [X, Y, Z], two-sided.
        consistency: Share of the sessions in which the voxel's evidence has the sign of the mean, and is among the
            strongest `STRONG` of the map's voxels, float32 [X, Y, Z].
        num_sessions: N.
        least_p: The smallest p that there can be: signs of few sessions can be drawn in few ways.
    """

    mean: np.ndarray
    t: np.ndarray
    p: np.ndarray
    consistency: np.ndarray
    num_sessions: int
    least_p: float


def group_map(maps: Sequence[np.ndarray], *, seed: int = 0, num_flips: int = NUM_FLIPS) -> GroupMap:
    """Compare the maps of several sessions with none, by permutation of signs (Winkler et al. 2014).

    Args:
        maps: Evidence for one target in each session, [X, Y, Z] on one grid; in one unit.
        seed: Of the signs.
        num_flips: How many ways to draw signs; all there are, where there are fewer.

    Raises:
        UserError: There are fewer than three sessions.
    """
    count = len(maps)
    if count < MIN_SESSIONS:
        few = "is too few" if count == 1 else "are too few"
        raise UserError(f"{number_text(count, 'session')} {few} for a group map: it needs {MIN_SESSIONS}.")
    shape = maps[0].shape
    flat = np.stack([np.asarray(one, np.float32).ravel() for one in maps])  # [N, V]
    mean, consistency = flat.mean(axis=0, dtype=np.float64), _consistency(flat)
    blocks = [slice(start, start + _BLOCK) for start in range(0, flat.shape[1], _BLOCK)]
    signs = _signs(count, num_flips, np.random.default_rng(seed))
    largest, observed = np.zeros(len(signs)), np.empty(flat.shape[1])
    for block in blocks:
        part = flat[:, block].astype(np.float64)
        squares = np.square(part).mean(axis=0)  # which signs leave as they are
        means = part.mean(axis=0)
        observed[block] = np.sign(means) * _t(_shares(means.copy(), squares), count)
        largest = np.maximum(largest, _shares(signs @ part / count, squares).max(axis=1))
    order = np.sort(_t(largest, count))  # the largest share has the largest |t|
    reached = len(order) - np.searchsorted(order, np.abs(observed) * (1 - 1e-9))  # but for rounding
    p = (1 + reached) / (1 + len(order))
    p[~flat.any(axis=0)] = 1.0
    stacked = np.stack([mean, observed, p, consistency]).astype(np.float32).reshape(4, *shape)
    return GroupMap(stacked[0], stacked[1], stacked[2], stacked[3], count, 1 / (1 + len(order)))


def _signs(count: int, num_flips: int, random: np.random.Generator) -> np.ndarray:
    """Draw signs [F, N], or list all there are but those of the data themselves; the first session keeps its own.

    Turning all signs around changes no |t|.
    """
    if 2 ** (count - 1) - 1 <= num_flips:
        numbers = np.arange(1, 2 ** (count - 1))
        flipped = (numbers[:, None] >> np.arange(count - 1)) & 1
        return np.asarray(1.0 - 2.0 * np.hstack([np.zeros((len(numbers), 1)), flipped]))
    return random.choice([-1.0, 1.0], size=(num_flips, count))


def _shares(means: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """Compute how much of the mean squares [V] the means [F, V] or [V] make up, 0 to 1, in the place of the means."""
    means *= means
    np.divide(means, squares, out=means, where=squares > 0)
    return means


def _t(shares: np.ndarray, count: int) -> np.ndarray:
    """Compute the |t| of such shares; that of values that are all the same is finite."""
    return np.asarray(np.sqrt((count - 1) * shares / np.maximum(1 - shares, 1e-12)))


def _consistency(flat: np.ndarray) -> np.ndarray:
    """Compute the share of maps [N, V] in which a voxel is strong and has the sign of the mean [V]."""
    sign = np.sign(flat.mean(axis=0))
    share = np.zeros(flat.shape[1])
    for one in flat:
        least = np.quantile(np.abs(one), 1 - STRONG)
        share += (np.abs(one) >= max(least, np.finfo(np.float32).tiny)) & (np.sign(one) == sign)
    return share / len(flat)
