"""Sets of classes and intervals of a measure that hold the truth as often as was asked for.

They come from rows that neither taught nor steered the model: of one fold by split conformal prediction, of several by
cross-conformal p-values (Vovk 2015, Cross-conformal predictors) and the CV+ interval (Barber et al. 2021, Predictive
inference with the jackknife+), in which a scan is held against the rows of each fold by the model of that fold. With
one fold both are the split ones.
"""

import math
from collections.abc import Sequence

import numpy as np

from mri3d.outcome.held_out import HeldOut, nine_digits

_DECIMALS = 9  # what sums of a coverage such as 0.9 are right to


def num_needed(coverage: float) -> int:
    """Return how many rows, of each class, a coverage needs: with fewer, only what leaves nothing out has it.

    >>> [num_needed(coverage) for coverage in (0.8, 0.9, 0.95)]
    [4, 9, 19]
    """
    return max(1, math.ceil(round(1 / (1 - coverage), _DECIMALS)) - 1)


def class_p_values(probabilities: np.ndarray, folds: Sequence[HeldOut]) -> np.ndarray:
    """Compute how usual each class would be for a scan: the share of the class's rows that are at least as strange.

    A row is the stranger, the less probable its class is by the model that had not learnt from it. The scan itself
    counts as one row.

    Args:
        probabilities: Of the K classes by the models of F folds, [F, ..., K].
        folds: Rows of classes that each of these models was tested on.

    Returns:
        [..., K], above 0 and at most 1.
    """
    num_classes = probabilities.shape[-1]
    as_strange, num_rows = np.zeros(probabilities.shape[1:]), np.zeros(num_classes)
    for mine, fold in zip(nine_digits(probabilities), folds, strict=True):
        for k in range(num_classes):
            theirs = np.sort(fold.predictions[fold.targets == k, k])
            as_strange[..., k] += np.searchsorted(theirs, mine[..., k], side="right")  # equal ones are as strange
            num_rows[k] += len(theirs)
    return np.asarray((1 + as_strange) / (1 + num_rows))


def conforming(p_values: np.ndarray, coverage: float) -> np.ndarray:
    """Return which classes are in the set, bool, as p-values [..., K] say."""
    return np.round(p_values - (1 - coverage), _DECIMALS) > 0


def interval(values: np.ndarray, folds: Sequence[HeldOut], coverage: float) -> tuple[np.ndarray, np.ndarray]:
    """Compute in what interval the true value of a measure lies, by how far off the tested rows' predictions are.

    Args:
        values: Predicted by the models of F folds, [F, ...].
        folds: Rows of a measure that each of these models was tested on, together at least `num_needed`.
        coverage: How often the truth is to lie in the interval.

    Returns:
        Lower and upper end, [...].
    """
    errors = [np.abs(fold.predictions - fold.targets) for fold in folds]
    pairs = list(zip(values, errors, strict=True))
    lows = np.sort(np.concatenate([mine[..., None] - error for mine, error in pairs], axis=-1))
    highs = np.sort(np.concatenate([mine[..., None] + error for mine, error in pairs], axis=-1))
    num_rows = lows.shape[-1]
    place = math.ceil(round(coverage * (num_rows + 1), _DECIMALS))  # from the far side, of each end
    low, high = lows[..., num_rows - place], highs[..., place - 1]
    return np.minimum(low, high), np.maximum(low, high)  # of a coverage below one half CV+ may cross them
