"""Estimates that solve equations summed over tests (a mean, a line, a logistic curve), for intervals by groups.

T counts tests, P coefficients. Weights [T] say how much each test counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit

ALIKE = "all predictions are the same"
APART = "the predictions separate the classes perfectly"
ONE_CLASS = "the tests are of one class only"

_STEPS, _SETTLED = 100, 1e-9
_ROUNDING = 1e-9  # of the largest prediction: predictions that differ by less are the same


@dataclass(frozen=True, eq=False)
class Estimates:
    """Coefficients, and what each test adds to the equations that they solve.

    Attributes:
        names: Of the coefficients.
        values: Their values [P]; NaN where the tests do not define them.
        equations: What each test adds to each equation [T, P]; sums to 0.
        information: How that falls with each coefficient [T, P, P].
        near: Of a mean of differences between -1 and 1, which tests differ by less than a half, bool [T]: a few more
            that differ by all of 1 may not have been seen. None of other estimates.
        undefined: Why the tests do not define them, or nothing.
    """

    names: tuple[str, ...]
    values: np.ndarray
    equations: np.ndarray
    information: np.ndarray
    near: np.ndarray | None = None
    undefined: str = ""


@dataclass(frozen=True, eq=False)
class Calibration:
    """How predictions agree with the truth.

    Attributes:
        facts: What is counted, for metrics.json, JSON types.
        estimates: Of each class, or of the measure, by its name: what has an interval.
    """

    facts: Mapping[str, Any]
    estimates: Mapping[str, tuple[Estimates, ...]]


def mean_estimate(name: str, values: np.ndarray, weights: np.ndarray, *, bounded: bool = False) -> Estimates:
    """Estimate the mean of values [T].

    Args:
        name: Of the mean.
        values: [T].
        weights: How much each test counts [T].
        bounded: Whether they are between -1 and 1, see `Estimates.near`.

    >>> mean_estimate("mean", np.array([1.0, 2.0, 6.0]), np.ones(3)).values
    array([3.])
    """
    mean = weights @ values / weights.sum()
    equations, near = (weights * (values - mean))[:, None], np.abs(values) < 0.5 if bounded else None
    return Estimates((name,), np.array([mean]), equations, weights[:, None, None], near)


def line_estimate(truth: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> Estimates:
    """Fit the line that the truth [T] follows given the predictions [T], by least squares.

    >>> line_estimate(np.array([1.0, 3.0, 5.0]), np.array([0.0, 1.0, 2.0]), np.ones(3)).values.round(6)
    array([1., 2.])
    """
    if _alike(predictions):
        return _undefined(ALIKE, len(truth))
    middle = weights @ predictions / weights.sum()
    centred = predictions - middle
    slope = (weights * centred) @ truth / ((weights * centred) @ centred)
    intercept = weights @ truth / weights.sum() - slope * middle
    return _curve(np.array([intercept, slope]), predictions, truth - intercept - slope * predictions, weights, weights)


def logistic_estimate(truth: np.ndarray, log_odds: np.ndarray, weights: np.ndarray) -> Estimates:
    """Fit log odds of the truth as a line of those predicted.

    Cox (1958, Two further applications of a model for binary regression).

    Args:
        truth: Whether each test is of the class, bool [T].
        log_odds: Those predicted [T], finite.
        weights: How much each test counts [T].
    """
    if truth.all() or not truth.any():
        return _undefined(ONE_CLASS, len(truth))
    if _alike(log_odds):
        return _undefined(ALIKE, len(truth))
    inside, outside = log_odds[truth], log_odds[~truth]
    if inside.min() >= outside.max() or inside.max() <= outside.min():
        return _undefined(APART, len(truth))  # the likelihood rises for ever
    middle, spread = log_odds.mean(), log_odds.std()
    columns = np.stack([np.ones(len(truth)), (log_odds - middle) / spread], axis=1)
    found = np.zeros(2)
    for _ in range(_STEPS):
        proba = expit(columns @ found)
        gradient = columns.T @ (weights * (truth - proba))
        step = np.linalg.solve((columns.T * (weights * proba * (1 - proba))) @ columns, gradient)
        found = found + step / max(1.0, np.abs(step).max() / 2)  # no leap to where the curve is flat
        if np.abs(step).max() < _SETTLED:
            break
    slope = found[1] / spread
    intercept = found[0] - slope * middle
    proba = expit(intercept + slope * log_odds)
    return _curve(np.array([intercept, slope]), log_odds, truth - proba, weights, weights * proba * (1 - proba))


def _curve(
    values: np.ndarray, predictions: np.ndarray, residuals: np.ndarray, weights: np.ndarray, curvature: np.ndarray
) -> Estimates:
    """Put an intercept and a slope together."""
    columns = np.stack([np.ones(len(predictions)), predictions], axis=1)
    information = curvature[:, None, None] * columns[:, :, None] * columns[:, None, :]
    return Estimates(("intercept", "slope"), values, (weights * residuals)[:, None] * columns, information)


def _undefined(why: str, number: int) -> Estimates:
    nothing = np.zeros((number, 2)), np.zeros((number, 2, 2))
    return Estimates(("intercept", "slope"), np.full(2, np.nan), *nothing, undefined=why)


def _alike(predictions: np.ndarray) -> bool:
    return bool(np.ptp(predictions) <= _ROUNDING * max(1.0, np.abs(predictions).max()))
