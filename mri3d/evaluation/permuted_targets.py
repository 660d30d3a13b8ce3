"""Permutations of the labels of a cohort: who may exchange them with whom, how many there are, and draws of them."""

import logging
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from mri3d.errors import UserError, option
from mri3d.evaluation.folds import Fold
from mri3d.outcome.score import SIGNIFICANT
from mri3d.texts import number_text

log = logging.getLogger(__name__)

MOST = 100_000
"""Permutations: p is known to 0.0014 by then, at worst."""


def permuted_targets(
    targets: np.ndarray,
    folds: Sequence[Fold],
    groups: np.ndarray,
    sites: Sequence[str | None] = (),
    *,
    number: int,
    seed: int,
    fixed: bool = False,
) -> np.ndarray:
    """Draw permutations of the targets, each as likely as any other, the one that changes nothing included.

    Args:
        targets: Of all rows [N].
        folds: Of the evaluation; labels stay within the test sets of the first repeat. Rows that are never tested stay
            on their side.
        groups: Who belongs together [N]: the targets of a group's rows move together, in their order, to another
            group of as many rows.
        sites: Where each row was scanned [N]; labels stay there. Empty where that is not known.
        number: How many, B.
        seed: Of the draws.
        fixed: Whether predictions stay as they are: then only labels of the test rows of one fold are told apart.

    Returns:
        [B, N].

    Raises:
        UserError: Nothing is tested, the number is below 1, or there are not so many permutations.

    >>> halves = [Fold(k, 0, np.arange(4) + 4 * (1 - k), np.arange(0), np.arange(4) + 4 * k) for k in (0, 1)]
    >>> permuted_targets(np.array([0, 0, 1, 1, 0, 1, 0, 1]), halves, np.arange(8), number=30, seed=0)[:2]
    array([[1, 1, 0, 0, 0, 1, 1, 0],
           [1, 0, 1, 0, 1, 1, 0, 0]])
    """
    asked = option("evaluation.permutations", number)
    if number > MOST:
        raise UserError(f"{asked} is more than tells anything. Give {MOST} at most; 1000 are usual.")
    if number < 1:
        raise UserError(f"{asked} is no number of permutations. Give 1000, or leave it out.")
    if not any(len(fold.test_rows) for fold in folds):
        raise UserError(f"{asked}: nothing is tested, so there is no score to compare with chance. Leave it out.")
    blocks = blocks_of(folds, groups, sites)
    counted = [blocks]
    if fixed:
        each = [(fold.test_rows, blocks_of([fold], groups, sites)) for fold in folds]
        counted = [[block for block in own if np.isin(block, tested).all()] for tested, own in each]
    others = max(_count_arrangements(targets, own, enough=number + 1) for own in counted) - 1
    if others < number:
        where = "within test folds and sites" if any(sites) else "within test folds"
        reason = f"labels move {where} only, and between groups of equal size"
        reason += ", and the predictions stay as they are" if fixed else ""
        if not others:
            raise UserError(f"{asked}: there is no permutation, as {reason}. Leave it out, or use fewer folds.")
        raise UserError(
            f"{asked} is more than there are, {number_text(others, 'permutation')}: {reason}. Ask for {others} at "
            "most, or use fewer folds."
        )
    if (least := 1 / (1 + number)) > SIGNIFICANT:
        log.warning("%s", UserError(f"{asked}: p cannot be below {least:.3f}; at least 19 are needed for 0.05"))
    return draw(targets, blocks, number, np.random.default_rng([seed, 0, 0, 3]))  # no split draws by such a seed


def blocks_of(folds: Sequence[Fold], groups: np.ndarray, sites: Sequence[str | None]) -> list[np.ndarray]:
    """Sort groups into those that may exchange their targets: rows [G, S] of G groups of S rows each."""
    cell = np.zeros(len(groups), dtype=np.int64)  # the side of rows that are never tested, below 0
    cell[folds[0].train_rows], cell[folds[0].validation_rows] = -2, -1
    for fold in folds:
        if fold.repeat == folds[0].repeat:
            cell[fold.test_rows] = 1 + fold.number
    places = list(zip(cell.tolist(), sites if any(sites) else [None] * len(groups), strict=True))
    rows_of_group = defaultdict[Any, list[int]](list)
    for row, group in enumerate(groups.tolist()):
        rows_of_group[group].append(row)
    alike = defaultdict[Any, list[list[int]]](list)
    for rows in rows_of_group.values():
        alike[tuple(places[row] for row in rows)].append(rows)
    return [np.array(block) for block in alike.values()]


def _count_arrangements(targets: np.ndarray, blocks: Sequence[np.ndarray], *, enough: int) -> int:
    """Count the different ways to deal the targets out, or stop at `enough`."""
    total = 1
    for block in blocks:
        counts = Counter(map(tuple, targets[block].tolist())).values()
        left = len(block)
        for count in counts:
            total *= math.comb(left, count)
            left -= count
            if total >= enough:
                return total
    return total


def draw(targets: np.ndarray, blocks: Sequence[np.ndarray], number: int, random: np.random.Generator) -> np.ndarray:
    """Draw permutations [B, N] within blocks."""
    drawn = np.tile(targets, (number, 1))
    for block in blocks:
        orders = random.permuted(np.tile(np.arange(len(block)), (number, 1)), axis=1)  # [B, G]
        drawn[:, block] = targets[block][orders]  # [B, G, S]
    return drawn
