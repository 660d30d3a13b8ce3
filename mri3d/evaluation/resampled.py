"""The interval of a score whose groups were resampled: by its standard error, on a scale without bounds."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import expit
from scipy.stats import t as student

from mri3d.evaluation.sampling import LEVEL

BIAS_OF_VALUE = 1 / (np.sqrt(2) - 1)
"""Bias of a value, by that of draws from it beyond the value, at most. Of smooth scores it is as large. Absolute values
of noise show the least: values have noise s and draws 2**0.5 s, so that draws show (2**0.5 - 1) of it once more."""

NO_SPREAD = 1e-12
"""Standard errors that are less, as a share of the value, are rounding: the samples do not differ."""


class Interval(NamedTuple):
    """Ends of an interval; None where nothing bounds it, as with a single group."""

    low: float | None
    high: float | None


def standard_error(drawn: np.ndarray, omitted: np.ndarray, freedom: int) -> float:
    """Estimate a standard error by bootstrap and by jackknife, and return the larger.

    Args:
        drawn: Score of R draws of G groups [R].
        omitted: Score without each group [G].
        freedom: Degrees of freedom: G less the number of strata.

    Returns:
        NaN where there are none, or where most samples do not define the score.
    """
    if freedom < 1 or any(np.isfinite(sample).mean() <= 0.5 for sample in (drawn, omitted)):
        return np.nan
    drawn, omitted = (sample[np.isfinite(sample)] for sample in (drawn, omitted))
    bootstrap = drawn.std() * np.sqrt(len(omitted) / freedom)
    return float(max(bootstrap, omitted.std() * np.sqrt(len(omitted) - 1)))


@dataclass(frozen=True, eq=False)
class Samples:
    """A score of all tests, of R draws of G groups [R], without each group [G], and its degrees of freedom.

    Where samples are all alike nothing is known of how far off the value is, unless `unseen` tells.
    """

    value: float
    drawn: np.ndarray
    omitted: np.ndarray
    freedom: int
    unseen: bool

    def interval(self, bounds: tuple[float, float], widening: float) -> Interval:
        """Compute the interval."""
        if np.isnan(self.value):
            return Interval(None, None)
        scale, (low, high) = bounds, bounds
        place, bias, error = self._on(scale)
        if abs(bias) > error / 2:  # its logarithm would say too little of how near 0 the true value may be
            scale = (-np.inf, np.inf)
            place, bias, error = self._on(scale)
        if np.isfinite(place) and error > NO_SPREAD * max(1.0, abs(place)):
            reach = widening * float(student.ppf((1 + LEVEL) / 2, self.freedom)) * error
            ends = place + np.array([-max(bias * BIAS_OF_VALUE, 0.0) - reach, reach - min(bias * BIAS_OF_VALUE, 0.0)])
            low, high = np.clip(_from_line(ends, scale), *bounds)
        elif self.unseen and self.freedom > 0 and not (np.isfinite(place) and np.isnan(error)):
            low = high = self.value
        return Interval(*(float(end) if np.isfinite(end) else None for end in (low, high)))

    def _on(self, scale: tuple[float, float]) -> tuple[float, float, float]:
        """Return the place of the value on the line, the bias and the standard error there; NaN if there are none."""
        with np.errstate(divide="ignore", invalid="ignore"):
            place, drawn, omitted = (
                _on_line(values, scale) for values in (np.array(self.value), self.drawn, self.omitted)
            )
        error = standard_error(drawn, omitted, self.freedom)
        bias = np.nan if np.isnan(error) else float(drawn[np.isfinite(drawn)].mean() - place)
        return float(place), bias, error


def _on_line(values: np.ndarray, bounds: tuple[float, float]) -> np.ndarray:
    """Map values between bounds to the whole line: a correlation to Fisher's z, twice; an error to its logarithm."""
    low, high = bounds
    above = np.log(values - low) if np.isfinite(low) else 0.0
    below = np.log(high - values) if np.isfinite(high) else 0.0
    return np.asarray(above - below if np.isfinite(low) or np.isfinite(high) else values)


def _from_line(places: np.ndarray, bounds: tuple[float, float]) -> np.ndarray:
    """Undo `_on_line`."""
    low, high = bounds
    if np.isfinite(low) and np.isfinite(high):
        return np.asarray(low + (high - low) * expit(places))
    if np.isfinite(low):
        return np.asarray(low + np.exp(places))
    return np.asarray(high - np.exp(-places)) if np.isfinite(high) else places
