"""The scores of a measure once more, of many weightings of the same tests at once, for intervals and comparisons."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mri3d.outcome.resampling import Proportion, Resampling

BOUNDS = {
    **dict.fromkeys(("mae", "rmse"), (0.0, np.inf)),
    **dict.fromkeys(("pearson_r", "spearman_r", "gap_correlation"), (-1.0, 1.0)),
    "r2": (-np.inf, 1.0),
}


@dataclass(frozen=True, eq=False)
class MeasureResampling(Resampling):
    """Tests of a measure. T counts tests.

    Attributes:
        targets: True values [T].
        predictions: Predicted values [T].
        raw: Those before they were corrected [T]; None where they were not.

    >>> tests = MeasureResampling(np.array([20.0, 40.0, 60.0]), np.array([30.0, 40.0, 50.0]))
    >>> tests.scores(np.array([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]]))["mae"].round(3)
    array([ 6.667, 10.   ])
    """

    targets: np.ndarray
    predictions: np.ndarray
    raw: np.ndarray | None = None

    bounds: ClassVar[Mapping[str, tuple[float, float]]] = BOUNDS | {
        f"{name}_raw": ends for name, ends in BOUNDS.items()
    }

    @property
    def ranking(self) -> None:
        """Nothing: there are no classes."""
        return None

    @property
    def answers(self) -> None:
        """Nothing: a value is never right or wrong."""
        return None

    @property
    def proportions(self) -> dict[str, tuple[Proportion, ...]]:
        """No score counts right answers."""
        return {}

    @property
    def distances(self) -> dict[str, np.ndarray]:
        """No score adds up absolute means."""
        return {}

    def at_accuracy(self, accuracy: float, weights: np.ndarray) -> dict[str, float]:
        """Return none: a value is never right or wrong."""
        return {}

    def scores(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Score as `measure_scores` does, see `Resampling.scores`."""
        uncorrected = {} if self.raw is None else _scores(self.targets, self.raw, weights)
        return _scores(self.targets, self.predictions, weights) | {
            f"{name}_raw": uncorrected[name] for name in uncorrected
        }


def _scores(targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Score predictions [T] under weights [R, T]."""
    targets, predictions = np.asarray(targets, dtype=np.float64), np.asarray(predictions, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        weights, errors = weights / weights.sum(axis=1, keepdims=True), predictions - targets
        truth, guess, error = (_Moments(values, weights) for values in (targets, predictions, errors))
        squared, shared = weights @ np.square(errors), truth.with_(error)
        return {
            "mae": weights @ np.abs(errors),
            "rmse": np.sqrt(squared),
            "r2": 1 - squared / truth.variance,
            "pearson_r": truth.with_(guess) / np.sqrt(truth.variance * guess.variance),
            "spearman_r": _rank_correlation(targets, predictions, weights),
            "error_slope": shared / truth.variance,
            "gap_correlation": shared / np.sqrt(truth.variance * error.variance),
        }


class _Moments:
    """Mean and variance of values [T] under R weightings, rows that sum to 1; a variance of mere rounding is NaN."""

    def __init__(self, values: np.ndarray, weights: np.ndarray) -> None:
        middle = values.mean()
        self.values, self.weights = values - middle, weights
        self.mean = self.weights @ self.values
        variance = self.weights @ np.square(self.values) - np.square(self.mean)
        least = np.finfo(np.float64).eps
        rounding = len(values) * np.square(least * np.abs(values).max()) + 4 * least * np.square(self.values).max()
        self.variance = np.where(variance > rounding, variance, np.nan)

    def with_(self, other: "_Moments") -> np.ndarray:
        """Compute the covariance with other values [R]."""
        covariance: np.ndarray = self.weights @ (self.values * other.values) - self.mean * other.mean
        return covariance


def _rank_correlation(first: np.ndarray, second: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Correlate the ranks that values [T] and [T] have under each weighting [R]."""
    ranks = [_ranks(values, weights) for values in (first, second)]  # the weighted mean of ranks is 1/2
    centred = [rank - 0.5 for rank in ranks]
    shared, *variances = (
        np.einsum("rt,rt,rt->r", weights, one, other)
        for one, other in ((centred[0], centred[1]), (centred[0], centred[0]), (centred[1], centred[1]))
    )
    rounding = len(first) * np.finfo(np.float64).eps
    product = np.where(np.minimum(*variances) > rounding, variances[0] * variances[1], np.nan)
    correlation: np.ndarray = shared / np.sqrt(product)
    return correlation


def _ranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weight below each value plus half of that of its ties, [R, T] of weights that sum to 1."""
    order = np.argsort(values, kind="stable")
    distinct, run = np.unique(values[order], return_inverse=True)
    ordered = weights[:, order]
    if len(distinct) < len(values):
        ordered = np.add.reduceat(ordered, np.searchsorted(run, np.arange(len(distinct))), axis=1)
    middle = np.cumsum(ordered, axis=1) - ordered / 2
    result = np.empty_like(weights)
    result[:, order] = middle[:, run]
    return result
