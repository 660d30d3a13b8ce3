"""Scores of many columns at once, for permutations: thousands of targets, each with decisions of its own."""

from collections.abc import Callable, Mapping

import numpy as np
from scipy.stats import rankdata

from mri3d.outcome.outcome import Outcome


def judge_columns(outcome: Outcome, decisions: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Compute the score by which options are chosen, as `Outcome.judge` does, for each of B permutations.

    Args:
        outcome: What is predicted.
        decisions: [N, B, D].
        columns: What they should be, [N, B, D].

    Returns:
        [B]; NaN where the rows do not define the score, or a decision is NaN.
    """
    judge = _BY_CRITERION.get(outcome.criterion)
    if judge is not None:
        return judge(decisions, columns)
    pairs = zip(decisions.swapaxes(0, 1), columns.swapaxes(0, 1), strict=True)
    return np.array([outcome.judge(*pair) for pair in pairs])


def right_pairs(decisions: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Count the pairs of a member and a non-member in which the member's decision is the larger, ties by half.

    Args:
        decisions: [N, ...].
        columns: Whether each row is a member, bool [N, ...].

    Returns:
        Right pairs and all pairs of each column [...]; none where a decision is NaN.

    >>> right_pairs(np.array([[0.1], [0.4], [0.4], [0.8]]), np.array([[False], [True], [False], [True]]))
    (array([3.5]), array([4]))
    """
    flat, members = (np.ascontiguousarray(part.reshape(len(part), -1).T) for part in (decisions, columns))  # [C, N]
    order = np.argsort(flat, axis=1)
    ordered = np.take_along_axis(flat, order, axis=1)
    ranks = np.arange(1.0, len(decisions) + 1)
    rank_sums = np.take_along_axis(members, order, axis=1) @ ranks
    tied = (ordered[:, 1:] == ordered[:, :-1]).any(axis=1)
    if tied.any():
        rank_sums[tied] = (rankdata(flat[tied], axis=1) * members[tied]).sum(axis=1)
    num_in = members.sum(axis=1)
    right, pairs = rank_sums - num_in * (num_in + 1) / 2, num_in * (len(decisions) - num_in)
    unknown = np.isnan(flat).any(axis=1)
    right[unknown], pairs[unknown] = 0.0, 0
    return right.reshape(decisions.shape[1:]), pairs.reshape(decisions.shape[1:])


def shares(right: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Divide right pairs by all pairs, and average over the last axis: [B, D] to [B], NaN where a column has none."""
    found = np.full(right.shape, np.nan)
    np.divide(right, pairs, out=found, where=pairs > 0)
    means: np.ndarray = found.mean(axis=1)
    return means


def _aucs(decisions: np.ndarray, columns: np.ndarray) -> np.ndarray:
    return shares(*right_pairs(decisions, columns))


def _r2s(decisions: np.ndarray, columns: np.ndarray) -> np.ndarray:
    truth, found = columns[..., 0], decisions[..., 0]
    variance = np.square(truth - truth.mean(axis=0)).sum(axis=0)
    unexplained = np.full(variance.shape, np.nan)
    np.divide(np.square(found - truth).sum(axis=0), variance, out=unexplained, where=variance > 0)
    return 1.0 - unexplained


_BY_CRITERION: Mapping[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {"auc": _aucs, "r2": _r2s}
"""Name of a criterion to what computes it for all columns at once."""
