"""Deal whole groups to parts so that each part gets its share of every stratum."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from mri3d.cohort.variables import Variable, with_points
from mri3d.errors import UserError, option
from mri3d.evaluation.folds import Sample
from mri3d.texts import as_list, list_text, parse_number

NUM_BINS = 5
"""A balanced column of numbers is cut into so many strata of equal size."""

BALANCED_WEIGHT = 0.5
"""Of the strata of balanced columns against those of the outcome, which come first."""


@dataclass(frozen=True, eq=False)
class Strata:
    """What every part of a split should hold alike.

    Attributes:
        counts: Rows of each group by stratum of the outcome [G, K]; groups are in sorted order.
        balanced: Rows of each group by strata of the columns that are balanced too [G, L]; no part must hold any.
        group_of_row: Group of each row [N].
        every: Whether every part must hold every stratum, as it must hold every class. Otherwise strata may be so small
            that a part's share of one is less than a row: then strata are ordered, and each part gets its share of
            the rows up to any of them, all rows included.
    """

    counts: np.ndarray
    balanced: np.ndarray
    group_of_row: np.ndarray
    every: bool

    @classmethod
    def of(
        cls, sample: Sample, balance: str | Sequence[str] = (), *, needed: int, reason: str, remedy: str = ""
    ) -> Self:
        """Count the rows of each group by stratum.

        Args:
            sample: The rows.
            balance: Columns that parts should hold alike beside the outcome.
            needed: See `Outcome.strata`.
            reason: See there.
            remedy: See there.

        Raises:
            UserError: There are too few groups, or a column was not kept.
        """
        outcome = sample.outcome
        codes = outcome.strata(sample.targets, sample.groups, needed=needed, reason=reason, remedy=remedy)
        _, group_of_row = np.unique(sample.groups, return_inverse=True)
        columns = [_column_strata(sample, str(name)) for name in as_list(balance)]
        counts, *others = (_counted(each, group_of_row) for each in (codes, *columns))
        balanced = np.concatenate([counts[:, :0], *others], axis=1)
        return cls(counts, balanced, group_of_row, outcome.in_every_part)

    def among(self, groups: np.ndarray) -> Self:
        """Take some of the groups, by their numbers; what was said of rows is of no use then."""
        return replace(self, counts=self.counts[groups], balanced=self.balanced[groups])


def _column_strata(sample: Sample, name: str) -> np.ndarray:
    """Sort the cells of a column into strata [N]: numbers of many values by quantiles, all else by what stands there.

    Raises:
        UserError: The column was not kept, or has about as many values as rows, none of which can be alike.
    """
    cells = sample.column(name, asked="evaluation.balance")
    numbers = [parse_number(cell) for cell in with_points(cells)]
    known = np.array([number for number in numbers if number is not None])
    if any(number is None and cell for number, cell in zip(numbers, cells, strict=True)) or len(set(known)) <= NUM_BINS:
        values, strata = np.unique(np.array(cells, dtype=np.str_), return_inverse=True)
        if len(values) > max(NUM_BINS, len(cells) / 2):
            if intruders := Variable.of(name, cells).intruders:
                told = list_text(list(map(repr, intruders)), ", ")
                raise UserError(
                    f"{option('evaluation.balance', name)}: a column of numbers has {told}. Mend or empty these cells."
                )
            raise UserError(
                f"{option('evaluation.balance', name)} has {len(values)} different texts in {len(cells)} sessions, "
                "which no two sets can hold alike. Name a column of groups or of numbers."
            )
        return strata
    edges = np.quantile(known, np.arange(1, NUM_BINS) / NUM_BINS)
    bins = [NUM_BINS if number is None else int(np.searchsorted(edges, number, side="right")) for number in numbers]
    return np.unique(np.array(bins), return_inverse=True)[1]


def _counted(strata: np.ndarray, group_of_row: np.ndarray) -> np.ndarray:
    """Count the rows of each group by stratum [G, K]."""
    counts = np.zeros((group_of_row.max() + 1, strata.max() + 1), dtype=np.int64)
    np.add.at(counts, (group_of_row, strata), 1)
    return counts


def partition(strata: Strata, shares: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Deal whole groups to parts so that each part gets its share of every stratum.

    Where no group has two rows and no column is balanced beside the outcome, every count ends within one row of its
    share. (scikit-learn's StratifiedGroupKFold has no unequal shares, and leaves parts without a class that could have
    it.)

    Args:
        strata: The groups, G of them.
        shares: Share of each part [P]; positive, sum 1.
        random: Decides between groups that are equally good.

    Returns:
        The part of each group [G].
    """
    own, every = _own_columns(strata), strata.every
    counts = np.concatenate([own, strata.balanced], axis=1)
    goal = shares[:, None] * counts.sum(axis=0)  # [P, K + L]
    best, least = np.zeros(len(counts), dtype=np.int64), np.inf
    for _ in range(10):  # tries: dealing is greedy, and another order may end better
        parts = _deal(strata, shares, random)
        dealt = np.stack([counts[parts == part].sum(axis=0) for part in range(len(shares))])
        distance = np.square(dealt - goal) / np.maximum(counts.sum(axis=0), 1)
        empty = np.count_nonzero(dealt[:, : own.shape[1]] == 0) if every else 0
        cost = distance.sum() + counts.sum() * empty
        if cost < least:
            best, least = parts, cost
        if np.abs(dealt - goal).max() < 1 and not empty:
            break
    return best


def _own_columns(strata: Strata) -> np.ndarray:
    """Count the rows of each group by what every part should hold its share of [G, K]; of ordered strata up to each."""
    counts = strata.counts
    return counts if strata.every else np.concatenate([counts, counts.cumsum(axis=1)], axis=1)


def _deal(strata: Strata, shares: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Deal the largest group first, each to the part that lacks most of its strata; then move groups while it helps.

    Arguments and result as for `partition`.
    """
    own, every = _own_columns(strata), strata.every
    # A last column of all rows, of little weight, evens out the sizes of parts that are equally good by class; up to
    # the last of ordered strata are all rows anyway.
    columns = np.concatenate([own, strata.balanced, strata.counts.sum(axis=1, keepdims=True)], axis=1)
    totals = columns.sum(axis=0)
    weights = 1.0 / np.maximum(totals, 1) if every else np.ones(len(totals))
    weights[own.shape[1] :] *= BALANCED_WEIGHT
    weights[-1] = 1e-3 * (1.0 / totals[-1] if every else 1.0)
    excess = -shares[:, None] * totals  # [P, K + L + 1] how far each part is above its share
    num_holding = np.zeros((len(shares), own.shape[1]), dtype=np.int64)  # [P, K] groups of the part with the stratum
    held = own > 0  # [G, K]
    pulls = weights * columns
    order = random.permutation(len(own))
    if not every:  # from the lowest stratum upwards, which deals each of them out before the next
        order = order[np.argsort(held[order].argmax(axis=1), kind="stable")]
    order = order[np.argsort(-columns[order, -1], kind="stable")]
    parts = np.full(len(own), -1)
    for num_round in range(20):  # the first round deals, the others move; few are needed
        before = parts.copy()
        for group in order:
            if num_round:
                excess[parts[group]] -= columns[group]
                num_holding[parts[group]] -= held[group]
            # The growth of the weighted squared excess, less what is the same for all parts; but a part that has
            # none of a stratum that it must hold goes first. Rounded, so that equals tie on every machine.
            cost, lacking = excess @ pulls[group], num_holding == 0
            if lacking.any():  # seldom after the first groups
                missing = (lacking & held[group]).sum(axis=1) if every else lacking.all(axis=1)
                cost -= totals[-1] * missing
            parts[group] = cost.round(9).argmin()
            excess[parts[group]] += columns[group]
            num_holding[parts[group]] += held[group]
        if np.array_equal(parts, before):
            break
    return parts
