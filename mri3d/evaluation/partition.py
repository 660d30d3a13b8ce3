"""Deal whole groups to parts so that each part gets its share of every stratum."""

import numpy as np


def stratum_counts(strata: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Count each group's rows by stratum [G, K], and return each row's group [N]; groups are in sorted order."""
    _, group_of_row = np.unique(groups, return_inverse=True)
    counts = np.zeros((group_of_row.max() + 1, strata.max() + 1), dtype=np.int64)
    np.add.at(counts, (group_of_row, strata), 1)
    return counts, group_of_row


def partition(counts: np.ndarray, shares: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Deal whole groups to parts so that each part gets its share of every class.

    Where no group has two subjects, every count ends within one subject of its share. (scikit-learn's
    StratifiedGroupKFold has no unequal shares, and leaves parts without a class that could have it.)

    Args:
        counts: Subjects of each group by class [G, K].
        shares: Share of each part [P]; positive, sum 1.
        random: Decides between groups that are equally good.

    Returns:
        The part of each group [G].
    """
    goal = shares[:, None] * counts.sum(axis=0)  # [P, K]
    best, least = np.zeros(len(counts), dtype=np.int64), np.inf
    for _ in range(10):  # tries: dealing is greedy, and another order may end better
        parts = _deal(counts, shares, random)
        dealt = np.stack([counts[parts == part].sum(axis=0) for part in range(len(shares))])
        distance = np.square(dealt - goal) / np.maximum(counts.sum(axis=0), 1)
        cost = distance.sum() + counts.sum() * np.count_nonzero(dealt == 0)
        if cost < least:
            best, least = parts, cost
        if np.abs(dealt - goal).max() < 1 and (dealt > 0).all():
            break
    return best


def _deal(counts: np.ndarray, shares: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Deal the largest group first, each to the part that lacks most of its classes; then move groups while it helps.

    Arguments and result as for `partition`.
    """
    # A last column of all subjects, of little weight, evens out the sizes of parts that are equally good by class.
    columns = np.concatenate([counts, counts.sum(axis=1, keepdims=True)], axis=1)
    totals = columns.sum(axis=0)
    weights = 1.0 / np.maximum(totals, 1)
    weights[-1] *= 1e-3
    excess = -shares[:, None] * totals  # [P, K + 1] how far each part is above its share
    num_holding = np.zeros((len(shares), counts.shape[1]), dtype=np.int64)  # [P, K] groups of the part with the class
    order = random.permutation(len(counts))
    order = order[np.argsort(-columns[order, -1], kind="stable")]
    parts = np.full(len(counts), -1)
    for num_round in range(20):  # the first round deals, the others move; few are needed
        before = parts.copy()
        for group in order:
            if num_round:
                excess[parts[group]] -= columns[group]
                num_holding[parts[group]] -= counts[group] > 0
            # The growth of the weighted squared excess, less what is the same for all parts; but a part that has
            # none of a class goes first. Rounded, so that equals tie on every machine.
            missing = ((num_holding == 0) & (counts[group] > 0)).sum(axis=1)
            cost = excess @ (weights * columns[group]) - totals[-1] * missing
            parts[group] = np.argmin(np.round(cost, 9))
            excess[parts[group]] += columns[group]
            num_holding[parts[group]] += counts[group] > 0
        if np.array_equal(parts, before):
            break
    return parts
