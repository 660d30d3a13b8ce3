"""How far a scan lies off the training scans: by each of several measures, and by all of them at once."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from scipy import stats

from mri3d.contract.folds import folds_of
from mri3d.contract.measures import Measure

TAIL = 0.01  # share of training scans on each side that may lie where no range reaches: one that is bad, say
FALSE_ALARMS = 0.01  # share of new scans of the same kind beyond the limit, were logarithms of their sizes normal
LIMITS = (3.1, 6.0)  # standard deviations within which the limit lies: of few training scans it is uncertain
FEW = 5  # training scans of which a spread is so uncertain that the least to expect is doubled
LEAST_REACH = 0.4  # standard deviations at which the lower of two values is to be expected
SHRINKAGE = 0.3  # of correlations between measures, which few scans tell little of
MOST_COUNTED = 4.0  # standard deviations up to which training scans tell how measures go together
MOST, SMALL = 1e3, 0.1  # standard deviations that count, and that are told apart from none
LARGEST = 1e7  # that a number of a model folder may be

_ARRAYS = ("centre", "below", "above", "low", "high")


@dataclass(frozen=True, eq=False)
class Deviations:
    """What is usual of some measures.

    Deviations are counted in standard deviations from the median, of each side by itself, taken from where the
    outermost hundredth of the training scans begins, so that scans of several scanners widen what is usual. The limit
    is one for the largest deviation of a scan and for all its deviations at once, and is taken of training scans in
    folds that had no part in what they are held against: however many measures there are, false alarms do not add up.

    Attributes:
        measures: What is measured [M].
        centre: Median of each [M], as `Measure.scaled`.
        below: Standard deviation of each below the median [M].
        above: Likewise above it.
        low: Value of each at which the outermost training scans begin [M], for people.
        high: Likewise.
        precision: Inverse of the correlations between deviations, float32 [M, M].
        joint: What the size of all deviations at once is multiplied by to be held against the limit too.
        limit: Size that the deviations of an ordinary scan have at most.
    """

    measures: tuple[Measure, ...]
    centre: np.ndarray
    below: np.ndarray
    above: np.ndarray
    low: np.ndarray
    high: np.ndarray
    precision: np.ndarray
    joint: float = 1.0
    limit: float = LIMITS[1]

    @classmethod
    def fit(cls, measures: Sequence[Measure], table: np.ndarray, groups: np.ndarray | None = None) -> Self:
        """Learn what is usual, and calibrate the limit.

        Args:
            measures: What was measured [M].
            table: Of each training scan, as `Measure.scaled` [N, M].
            groups: Who of them belongs together [N]; left out where each stands alone.
        """
        largest, together = np.zeros(len(table)), np.zeros(len(table))
        for fold in folds_of(np.arange(len(table)) if groups is None else groups, seed=1):
            rest = cls._of(measures, np.delete(table, fold, axis=0))
            off = rest.off(table[fold])
            largest[fold], together[fold] = np.abs(off).max(axis=1), rest._together(off)
        largest, together = np.maximum(largest, SMALL), np.maximum(together, SMALL)
        joint = float(np.median(largest / together))
        limit = float(np.clip(_exceeded_rarely(np.maximum(largest, joint * together)), *LIMITS))
        return replace(cls._of(measures, table), joint=joint, limit=limit)

    @classmethod
    def _of(cls, measures: Sequence[Measure], table: np.ndarray) -> Self:
        """Learn what is usual without calibrating."""
        share = max(TAIL, 1 / (len(table) + 1))  # where the lowest of few values is to be expected
        low, centre, high = np.quantile(table, [share, 0.5, 1 - share], axis=0, method="weibull")
        usual = 1.4826 * np.median(np.abs(table - centre), axis=0)
        floors = np.array([measure.floor for measure in measures]) * (1 + FEW / len(table))
        reach = max(float(stats.norm.ppf(1 - share)), LEAST_REACH)
        below, above = (np.maximum(np.maximum(side / reach, usual), floors) for side in (centre - low, high - centre))
        size = len(measures)
        usual = cls(tuple(measures), centre, below, above, low, high, np.eye(size, dtype=np.float32))
        off = np.clip(usual.off(table), -MOST_COUNTED, MOST_COUNTED)
        correlations = (1 - SHRINKAGE) * (off.T @ off) / len(off) + SHRINKAGE * np.eye(size)
        return replace(usual, precision=np.linalg.inv(correlations).astype(np.float32))

    def off(self, table: np.ndarray) -> np.ndarray:
        """Return by how many standard deviations each value [N, M] lies off; 0 where that is no fault."""
        off = table - self.centre
        off = off / np.where(off < 0, self.below, self.above)
        no_fault = np.array([measure.above_only for measure in self.measures]) & (off < 0)
        return np.asarray(np.clip(np.nan_to_num(np.where(no_fault, 0, off), nan=MOST), -MOST, MOST))

    def size(self, off: np.ndarray) -> float:
        """Return the size of a scan's deviations [M] that is held against the limit."""
        return max(float(np.abs(off).max()), self.joint * float(self._together(off[None])[0]))

    def _together(self, off: np.ndarray) -> np.ndarray:
        """Return how large all deviations [N, M] are at once [N]."""
        squares = np.einsum("ni,ij,nj->n", off, self.precision.astype(np.float64), off)
        return np.asarray(np.sqrt(np.maximum(squares, 0) / off.shape[1]))

    def to_json(self) -> dict[str, Any]:
        """Return all but `precision` as JSON values."""
        numbers = {name: [float(value) for value in getattr(self, name)] for name in _ARRAYS}
        names = [measure.name for measure in self.measures]
        return {"measures": names, **numbers, "joint": self.joint, "limit": self.limit}

    @classmethod
    def from_parts(cls, measures: tuple[Measure, ...], told: Mapping[str, Any], precision: np.ndarray) -> Self:
        """Read what `to_json` returned.

        Args:
            measures: Of the names in it.
            told: JSON values.
            precision: The array beside them.

        Raises:
            KeyError: Something is missing.
            ValueError: Something is not what it can be.
        """
        centre, below, above, low, high = (_numbers(name, told[name], len(measures)) for name in _ARRAYS)
        if min(below.min(), above.min()) < 1 / LARGEST:
            raise ValueError("the contract has a spread that is not above 0")
        joint, limit = _numbers("joint and limit", [told["joint"], told["limit"]], 2).tolist()
        if not (LIMITS[0] <= limit <= LIMITS[1] and joint > 0):
            raise ValueError("joint or limit of the contract is out of range")
        fits = precision.dtype == np.float32 and precision.shape == (len(measures), len(measures))
        if not fits or not np.abs(precision).max() <= LARGEST:
            raise ValueError("precision of the contract does not go with its measures")
        return cls(measures, centre, below, above, low, high, precision, joint, limit)


def _exceeded_rarely(sizes: np.ndarray) -> float:
    """Return the size that one more scan exceeds with a small chance, given those of some [N].

    The prediction interval of a normal sample, by median and upper decile, which one bad training scan does not move.
    """
    logarithms = np.log(sizes)
    middle, high = np.quantile(logarithms, [0.5, 0.9])
    usual = 1.4826 * float(np.median(np.abs(logarithms - middle)))
    spread = max(float(high - middle) / float(stats.norm.ppf(0.9)), usual)
    reach = float(stats.t.ppf(1 - FALSE_ALARMS, len(sizes) - 1)) * math.sqrt(1 + 1 / len(sizes))
    return math.exp(min(float(middle) + reach * spread, 20.0))


def _numbers(name: str, told: Any, length: int) -> np.ndarray:  # noqa: ANN401 (whatever JSON holds)
    """Read finite numbers [length]."""
    fits = type(told) is list and len(told) == length
    if not fits or not all(type(one) in (int, float) and abs(one) <= LARGEST for one in told):  # NaN is not below
        raise ValueError(f"{name} of the contract: not {length} finite numbers")
    return np.array(told, dtype=np.float64)
