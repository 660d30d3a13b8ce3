"""The power law by which errors fall with the number of training sessions, and what it says of more of them.

A model that learns from n sessions has the error a + b * n ** -c (Cortes and others 1994, Learning curves: asymptotic
values and rate of convergence; Figueroa and others 2012, Predicting sample size required for classification
performance). For a given c that is linear in a and b, so the best c is searched for, and a and b follow from it (Golub
and Pereyra 1973): many laws are fitted at once, and no start can be a bad one.

How far a law can be trusted is found by laws fitted to points that are drawn anew. The noise of the points is widened
before laws are fitted to them: a law is not linear in its points, and its own noise would be widened beyond what it can
be. The a of these laws may be negative, so that they spread where the bound holds that of the points: intervals of laws
with a = 0 held the truth in 87 to 92 % of simulated curves otherwise, and in 94 to 96 % so.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from mri3d.evaluation.sampling import LEVEL

EXPONENTS = (0.05, 2.0)
"""Of these is c: below nothing can be told from a straight line of the logarithm, beyond from a step."""

FEWEST_SIZES = 3
"""A law has three parameters."""

TWICE = 2.0
"""Whether more sessions help is asked of so many times as many."""

_NUM_TRIED = 60  # exponents, before the best is sought between its neighbours
_NUM_STEPS = 45  # golden sections, after which 4e-10 of the distance of two neighbours is left
_GOLDEN = (5**0.5 - 1) / 2
_LEAST_ERROR = 0.1  # of a point, as a share of the largest: no point has all the weight
_ROUNDING = 1e-6  # a smaller gain, as a share of the error, is none


@dataclass(frozen=True, eq=False)
class PowerLaws:
    """R power laws; of those that do not fall, c means nothing.

    Attributes:
        a: What is left however many sessions there are [R].
        above: How much more the error is at `size` sessions [R], 0 or more.
        c: How fast that falls [R], within `EXPONENTS`.
        size: The largest number of sessions that the laws were fitted to.
    """

    a: np.ndarray
    above: np.ndarray
    c: np.ndarray
    size: float

    @classmethod
    def fitted(cls, sizes: np.ndarray, errors: np.ndarray, weights: np.ndarray, *, bounded: bool = True) -> Self:
        """Fit a law to each of R curves by weighted least squares.

        Args:
            sizes: Number of sessions of each point [P], three or more of them different.
            errors: Of each curve at each point [R, P]; 0 or more if the laws are bounded.
            weights: Of the points [P], above 0.
            bounded: Whether a is 0 or more.

        >>> sizes = np.array([20.0, 40.0, 60.0, 80.0, 100.0])
        >>> laws = PowerLaws.fitted(sizes, 0.1 + 2 * sizes[None] ** -0.5, np.ones(5))
        >>> laws.a.round(4), laws.b.round(4), laws.c.round(4)
        (array([0.1]), array([2.]), array([0.5]))
        """
        size = float(sizes.max())
        places, shares = sizes / size, weights / weights.sum()

        def cost(exponents: np.ndarray) -> np.ndarray:
            """Compute the sum of squares that is left with an exponent for each curve [R]."""
            basis = places ** -exponents[:, None]
            a, above = _least_squares(basis, errors, shares, bounded=bounded)
            return np.asarray(np.square(errors - a[:, None] - above[:, None] * basis) @ shares)

        tried = np.linspace(np.log(EXPONENTS[0]), np.log(EXPONENTS[1]), _NUM_TRIED)
        costs = np.stack([cost(np.full(len(errors), exponent)) for exponent in np.exp(tried)])
        best = costs.argmin(axis=0)
        low, high = tried[np.maximum(best - 1, 0)], tried[np.minimum(best + 1, _NUM_TRIED - 1)]
        for _ in range(_NUM_STEPS):
            step = _GOLDEN * (high - low)
            left = cost(np.exp(high - step)) < cost(np.exp(low + step))
            low, high = np.where(left, low, high - step), np.where(left, low + step, high)
        exponents = np.exp((low + high) / 2)
        a, above = _least_squares(places ** -exponents[:, None], errors, shares, bounded=bounded)
        return cls(a, above, exponents, size)

    @property
    def b(self) -> np.ndarray:
        """The factor b [R]."""
        return np.asarray(self.above * self.size**self.c)

    def at(self, sizes: np.ndarray) -> np.ndarray:
        """Return the error of each law at M numbers of sessions, [R, M]; none is negative."""
        ratios = np.asarray(sizes, dtype=np.float64) / self.size
        errors: np.ndarray = self.a[:, None] + self.above[:, None] * ratios ** -self.c[:, None]
        return errors.clip(min=0.0)


@dataclass(frozen=True, eq=False)
class Extrapolation:
    """A power law, and how far it can be trusted.

    Attributes:
        law: That of the points, alone.
        drawn: Those of points that were drawn anew.
    """

    law: PowerLaws
    drawn: PowerLaws

    @classmethod
    def of(cls, sizes: np.ndarray, errors: np.ndarray, draws: np.ndarray, *, widening: float = 1.0) -> Self | None:
        """Fit a law to points, each weighted by how certain it is, and to each draw of them.

        Args:
            sizes: Number of sessions of each point [P].
            errors: Their errors [P], 0 or more.
            draws: The same of new draws of those who were tested, the same ones for all points, [R, P]; NaN where a
                draw does not define an error.
            widening: Factor on the distance of the draws from the points, see `Sampling.widening`.

        Returns:
            None where there are fewer than three different sizes, or the points or most draws define no error.
        """
        known = draws[np.isfinite(draws).all(axis=1)]
        if len(np.unique(sizes)) < FEWEST_SIZES or not np.isfinite(errors).all() or 2 * len(known) <= len(draws):
            return None
        spread = known.std(axis=0)
        least = _LEAST_ERROR * spread.max()
        weights = 1 / np.square(np.maximum(spread, least)) if least > 0 else np.ones(len(sizes))
        wide = errors + widening * (known - errors)
        return cls(
            PowerLaws.fitted(sizes, errors[None], weights), PowerLaws.fitted(sizes, wide, weights, bounded=False)
        )

    def at(self, sizes: np.ndarray) -> np.ndarray:
        """Return the error at M numbers of sessions, and the ends of its 95 % interval, [3, M]."""
        return _with_ends(self.law.at(sizes)[0], self.drawn.at(sizes))

    @property
    def gain(self) -> np.ndarray:
        """How much less the error is with twice as many sessions as the most there are, with its interval [3]."""
        law, drawn = (laws.above * (1 - TWICE**-laws.c) for laws in (self.law, self.drawn))
        return _with_ends(law, drawn[:, None])[:, 0]

    @property
    def exponent(self) -> np.ndarray:
        """How fast the error falls, with its interval [3]; NaN where it does not fall."""
        falling = self.drawn.c[self.drawn.above > 0]
        if not self.law.above[0] > 0 or not len(falling):
            return np.full(3, np.nan)
        return _with_ends(self.law.c, falling[:, None])[:, 0]

    @property
    def helps(self) -> bool:
        """Whether the points show that more sessions would help: the interval of the gain does not hold 0."""
        return bool(self.gain[1] > _ROUNDING * self.law.at(np.array([self.law.size]))[0, 0])


def _least_squares(
    basis: np.ndarray, errors: np.ndarray, shares: np.ndarray, *, bounded: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Fit errors [R, P] by a + above * basis [R, P], of which `above` is never negative; shares [P] sum to 1."""
    middle, level = basis @ shares, errors @ shares
    apart = basis - middle[:, None]
    above = np.maximum((errors * apart) @ shares / (np.square(apart) @ shares), 0.0)
    a = level - above * middle
    if not bounded:
        return a, above
    alone = (errors * basis) @ shares / (np.square(basis) @ shares)  # where a is 0
    return np.maximum(a, 0.0), np.where(a < 0, alone, above)


def _with_ends(values: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Put values [M] and the quantiles of draws of them [R, M] together, [3, M]; ends never leave a value outside."""
    low, high = np.quantile(drawn, ((1 - LEVEL) / 2, (1 + LEVEL) / 2), axis=0)
    return np.stack([values, np.minimum(low, values), np.maximum(high, values)])
