"""Deal whole groups to parts so that each part gets its share of every stratum."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from mri3d.outcome import Outcome


@dataclass(frozen=True, eq=False)
class Strata:
    """What every part of a split should hold alike.

    Attributes:
        counts: Rows of each group by stratum [G, K]; groups are in sorted order.
        group_of_row: Group of each row [N].
        every: Whether every part must hold every stratum, as it must hold every class. Otherwise strata may be so small
            that a part's share of one is less than a row: then strata are ordered, and each part gets its share of
            the rows up to any of them, all rows included.
    """

    counts: np.ndarray
    group_of_row: np.ndarray
    every: bool

    @classmethod
    def of(cls, strata: np.ndarray, groups: np.ndarray, outcome: Outcome) -> Self:
        """Count the rows of each group by stratum.

        Args:
            strata: Of each row [N].
            groups: Of each row [N].
            outcome: What is predicted.
        """
        _, group_of_row = np.unique(groups, return_inverse=True)
        counts = np.zeros((group_of_row.max() + 1, strata.max() + 1), dtype=np.int64)
        np.add.at(counts, (group_of_row, strata), 1)
        return cls(counts, group_of_row, outcome.in_every_part)


def partition(counts: np.ndarray, shares: np.ndarray, random: np.random.Generator, *, every: bool) -> np.ndarray:
    """Deal whole groups to parts so that each part gets its share of every stratum.

    Where no group has two rows, every count ends within one row of its share. (scikit-learn's StratifiedGroupKFold has
    no unequal shares, and leaves parts without a class that could have it.)

    Args:
        counts: Rows of each group by stratum [G, K].
        shares: Share of each part [P]; positive, sum 1.
        random: Decides between groups that are equally good.
        every: See `Strata`.

    Returns:
        The part of each group [G].
    """
    if not every:
        counts = np.concatenate([counts, counts.cumsum(axis=1)], axis=1)  # of each stratum, and up to each
    goal = shares[:, None] * counts.sum(axis=0)  # [P, K]
    best, least = np.zeros(len(counts), dtype=np.int64), np.inf
    for _ in range(10):  # tries: dealing is greedy, and another order may end better
        parts = _deal(counts, shares, random, every=every)
        dealt = np.stack([counts[parts == part].sum(axis=0) for part in range(len(shares))])
        distance = np.square(dealt - goal) / np.maximum(counts.sum(axis=0), 1)
        cost = distance.sum() + (counts.sum() * np.count_nonzero(dealt == 0) if every else 0)
        if cost < least:
            best, least = parts, cost
        if np.abs(dealt - goal).max() < 1 and (not every or (dealt > 0).all()):
            break
    return best


def _deal(counts: np.ndarray, shares: np.ndarray, random: np.random.Generator, *, every: bool) -> np.ndarray:
    """Deal the largest group first, each to the part that lacks most of its strata; then move groups while it helps.

    Arguments and result as for `partition`.
    """
    # A last column of all rows, of little weight, evens out the sizes of parts that are equally good by class; up to
    # the last of ordered strata are all rows anyway.
    sizes = counts.sum(axis=1, keepdims=True) if every else counts[:, -1:]
    columns = np.concatenate([counts, sizes], axis=1)
    totals = columns.sum(axis=0)
    weights = 1.0 / np.maximum(totals, 1) if every else np.ones(len(totals))
    weights[-1] *= 1e-3
    excess = -shares[:, None] * totals  # [P, K + 1] how far each part is above its share
    num_holding = np.zeros((len(shares), counts.shape[1]), dtype=np.int64)  # [P, K] groups of the part with the stratum
    held = counts > 0  # [N, K]
    pulls = weights * columns
    order = random.permutation(len(counts))
    if not every:  # from the lowest stratum upwards, which deals each of them out before the next
        order = order[np.argsort(held[order].argmax(axis=1), kind="stable")]
    order = order[np.argsort(-columns[order, -1], kind="stable")]
    parts = np.full(len(counts), -1)
    for num_round in range(20):  # the first round deals, the others move; few are needed
        before = parts.copy()
        for group in order:
            if num_round:
                excess[parts[group]] -= columns[group]
                num_holding[parts[group]] -= held[group]
            # The growth of the weighted squared excess, less what is the same for all parts; but a part that has
            # none of a stratum that it must hold goes first. Rounded, so that equals tie on every machine.
            lacking = num_holding == 0
            missing = (lacking & held[group]).sum(axis=1) if every else lacking.all(axis=1)
            cost = excess @ pulls[group] - totals[-1] * missing
            parts[group] = cost.round(9).argmin()
            excess[parts[group]] += columns[group]
            num_holding[parts[group]] += held[group]
        if np.array_equal(parts, before):
            break
    return parts
