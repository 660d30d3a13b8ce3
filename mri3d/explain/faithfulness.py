"""Whether what a map calls evidence is what a model goes by: deletion and insertion (Petsiuk et al. 2018)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

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


def gains(
    numbers: Numbers, volume: np.ndarray, maps: Sequence[np.ndarray], *, baseline: np.ndarray, seed: int = 0
) -> np.ndarray:
    """Compute how much better the orders of maps are than random ones.

    Parts of the volume are replaced by those of the baseline, what speaks for the target first, and put into the
    baseline likewise. The earlier the explained number falls, and rises, the better the map tells what it depends on.

    Args:
        numbers: The model.
        volume: float32 [C, X, Y, Z].
        maps: Evidence [X, Y, Z] each.
        baseline: The average of the training volumes [C, X, Y, Z].
        seed: Of the random orders.

    Returns:
        For each map, the mean of deletion's and insertion's area between its curve and that of random orders, in the
        unit of the explained number [len(maps)]; 0 where the volume does not differ from the baseline.
    """
    parts = Replacement.of(volume, baseline)
    if not parts.count:
        return np.zeros(len(maps))
    random = np.random.default_rng(seed)
    orders = [*(parts.order(values) for values in maps), *(random.permutation(parts.count) for _ in range(NUM_RANDOM))]
    curves = np.array([_curve(numbers, parts, order) for order in orders])  # [orders, 2 x shares]
    usual = curves[len(maps) :].mean(axis=0)
    deleted, inserted = np.split(curves[: len(maps)] - usual, 2, axis=1)
    return np.asarray((inserted.mean(axis=1) - deleted.mean(axis=1)) / 2)


def _curve(numbers: Numbers, parts: Replacement, order: np.ndarray) -> np.ndarray:
    """Compute the explained number of all steps, a few at a time."""
    size, volumes = batch_size(parts.volume), list(parts.steps(order))
    return np.concatenate([numbers(np.stack(volumes[at : at + size])) for at in range(0, len(volumes), size)])
