"""Whether what a map calls evidence is what a model goes by: deletion and insertion (Petsiuk et al. 2018)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from mri3d.explain.contrasted import batch_size
from mri3d.explain.occlusion import Numbers

CELL = 1 / 12
"""Edge of the parts that are taken away or put in at once, as a share of the volume's longest edge."""

SHARES = (0.02, 0.05, 0.1, 0.2, 0.4, 0.7)
"""Of the cells, that are taken away or put in."""

NUM_RANDOM = 3
"""Random orders that a map's order is held against."""


@dataclass(frozen=True, eq=False)
class Replacement:
    """A volume, an average one, and the cells in which one takes the place of the other.

    Attributes:
        volume: [C, X, Y, Z].
        baseline: [C, X, Y, Z].
        cells: Which cell each voxel belongs to, int [X, Y, Z]; those of cells in which both are the same are -1.
        count: Number of the other cells.
    """

    volume: np.ndarray
    baseline: np.ndarray
    cells: np.ndarray
    count: int

    @classmethod
    def of(cls, volume: np.ndarray, baseline: np.ndarray) -> "Replacement":
        """Cut a volume into cells."""
        sides = volume.shape[1:]
        edge = max(1, round(CELL * max(sides)))
        counts = [-(-side // edge) for side in sides]
        indices = np.indices(sides) // edge
        numbers = np.ravel_multi_index(tuple(indices), counts)
        differing = np.bincount(numbers.ravel(), (volume != baseline).any(axis=0).ravel(), int(np.prod(counts))) > 0
        renumbered = np.where(differing, np.cumsum(differing) - 1, -1)
        return cls(volume, baseline, renumbered[numbers], int(differing.sum()))

    def order(self, values: np.ndarray) -> np.ndarray:
        """Sort cells by the evidence in them, the strongest for the target first, [count]."""
        inside = self.cells >= 0
        sums = np.bincount(self.cells[inside], values[inside], self.count)
        return np.argsort(-sums, kind="stable")

    def steps(self, order: np.ndarray) -> Iterator[np.ndarray]:
        """Make the volumes [C, X, Y, Z] of all shares: those of deletion, then those of insertion."""
        ranks = np.empty(self.count + 1, int)
        ranks[order], ranks[-1] = np.arange(self.count), self.count  # cell -1 comes last
        first = [ranks[self.cells] < share * self.count for share in SHARES]
        yield from (np.where(taken, self.baseline, self.volume) for taken in first)
        yield from (np.where(taken, self.volume, self.baseline) for taken in first)


@dataclass(frozen=True, eq=False)
class Curves:
    """How the explained number changes as parts of a volume are replaced by those of an average one, and put into it.

    Attributes:
        maps: In the order of each map: first deletion, then insertion, at the shares 0, `SHARES`, 1 [M, 2, S + 2].
        random: The mean of random orders [2, S + 2].
    """

    maps: np.ndarray
    random: np.ndarray

    @property
    def gains(self) -> np.ndarray:
        """How much better the orders of maps are than random ones [M], in the unit of the explained number.

        The mean of deletion's and insertion's area between the curve of a map and that of random orders.
        """
        deleted, inserted = np.moveaxis((self.maps - self.random)[..., 1:-1], 1, 0)
        return np.asarray((inserted.mean(axis=1) - deleted.mean(axis=1)) / 2)


def curves_of(
    numbers: Numbers, volume: np.ndarray, maps: Sequence[np.ndarray], *, baseline: np.ndarray, seed: int = 0
) -> Curves:
    """Follow the explained number in the orders of maps, and in random ones.

    Parts of the volume are replaced by those of the baseline, what speaks for the target first, and put into the
    baseline likewise. The earlier the explained number falls, and rises, the better the map tells what it depends on.

    Args:
        numbers: The model.
        volume: float32 [C, X, Y, Z].
        maps: Evidence [X, Y, Z] each.
        baseline: The average of the training volumes [C, X, Y, Z].
        seed: Of the random orders.
    """
    parts = Replacement.of(volume, baseline)
    whole, usual = (float(numbers(each[None])[0]) for each in (volume, baseline))
    random = np.random.default_rng(seed)
    orders = [*(parts.order(values) for values in maps), *(random.permutation(parts.count) for _ in range(NUM_RANDOM))]
    curves = np.empty((len(orders), 2, len(SHARES) + 2))
    curves[..., 0], curves[..., -1] = (whole, usual), (usual, whole)
    for curve, order in zip(curves, orders, strict=True):
        curve[:, 1:-1] = _numbers(numbers, parts, order).reshape(2, -1) if parts.count else whole
    return Curves(curves[: len(maps)], curves[len(maps) :].mean(axis=0))


def mean_curves(found: Sequence[Curves]) -> tuple[Curves, np.ndarray]:
    """Average the curves of two scans or more.

    Returns:
        The means, and half the 95 % interval of the mean difference of each map from random orders [M, 2, S + 2].
    """
    apart = np.stack([each.maps - each.random for each in found])
    error = apart.std(axis=0, ddof=1) / np.sqrt(len(found))
    maps, random = (np.mean(values, axis=0) for values in ([c.maps for c in found], [c.random for c in found]))
    return Curves(maps, random), np.asarray(stats.t.ppf(0.975, len(found) - 1) * error)


def _numbers(numbers: Numbers, parts: Replacement, order: np.ndarray) -> np.ndarray:
    """Compute the explained number of all steps, a few at a time."""
    size, volumes = batch_size(parts.volume), list(parts.steps(order))
    return np.concatenate([numbers(np.stack(volumes[at : at + size])) for at in range(0, len(volumes), size)])
