"""How often a class is predicted of its members, and how often its prediction is right, at any prevalence.

At the prevalence of the tests the predictive value is a proportion of tests. At another one it follows by Bayes from
how often the class is predicted of its members and of others: its odds are the odds of the prevalence times the ratio
of the two. The interval of that ratio comes from those of the two proportions by the method MOVER-R (Donner and Zou
2012, Closed-form confidence intervals for functions of the normal mean and standard deviation; Newcombe 2016, MOVER-R
confidence intervals for ratios and products of two independently estimated quantities), so it is there too where no
answer is wrong.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from mri3d.evaluation.intervals import proportion_interval
from mri3d.evaluation.sampling import Sampling
from mri3d.outcome import Score
from mri3d.outcome.predicted_classes import PredictedClass
from mri3d.outcome.resampling import Proportion


class _Known(NamedTuple):
    """A proportion, or a weighted mean of several, and the ends of its interval."""

    value: float
    low: float
    high: float


def rate(found: PredictedClass, sampling: Sampling) -> Score:
    """Return how often a class is predicted of its members: sensitivity, specificity or recall."""
    return _score(_known([found.own], sampling))


def predictive_value(found: PredictedClass, sampling: Sampling) -> Score:
    """Return how often the prediction of a class is right: PPV, NPV or predictive value; none without other classes."""
    own, others = _known([found.own], sampling), _known(found.others, sampling)
    if own is None or others is None:
        return Score(None)
    if not found.stated:
        return _score(_known([found.right], sampling))
    if not own.value + others.value:  # it is never predicted
        return Score(None)
    odds = found.prevalence / (1 - found.prevalence)
    ratio = own.value / others.value if others.value else math.inf
    return Score(*(_from_odds(odds * each) for each in (ratio, *ratio_interval(own, others))))


def ratio_interval(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """Compute the interval of a ratio of two quantities that are estimated independently, by MOVER-R.

    Args:
        first: Value, lower and upper end of what is divided; none below 0, as of the other.
        second: Of what it is divided by.

    Returns:
        Both ends; the upper one is infinite where the divisor may be 0.

    >>> [round(end, 3) for end in ratio_interval((1.0, 1.0, 1.0), (0.5, 0.4, 0.8))]  # one divided by 0.8 and by 0.4
    [1.25, 2.5]
    """
    (one, one_low, one_high), (other, other_low, other_high) = first, second
    product = one * other
    lower, upper = one_low * (2 * one - one_low), one_high * (2 * one - one_high)
    nearest, furthest = other_high * (2 * other - other_high), other_low * (2 * other - other_low)
    root = math.sqrt(max(product**2 - lower * nearest, 0.0))
    low = lower / (product + root) if product + root else 0.0
    if not furthest:
        return low, math.inf
    return low, (product + math.sqrt(max(product**2 - upper * furthest, 0.0))) / furthest


def _known(parts: Sequence[Proportion], sampling: Sampling) -> _Known | None:
    """Estimate a sum of proportions by their shares; None where one of them has no tests."""
    low, high = proportion_interval(parts, sampling)
    if low is None or high is None:
        return None
    means = [sampling.once @ (part.hits & part.among) / (sampling.once @ part.among) for part in parts]
    return _Known(float(sum(part.share * mean for part, mean in zip(parts, means, strict=True))), low, high)


def _score(known: _Known | None) -> Score:
    return Score(None) if known is None else Score(*known)


def _from_odds(odds: float) -> float:
    """Return the probability that odds are; 1 of infinite ones."""
    return 1 - 1 / (1 + odds)
