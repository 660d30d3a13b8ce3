"""Intervals of 95 % of every score.

What is estimated: with one fold, how good this model is on people like those tested; with several folds, how good this
way of training on so many subjects is. Tests of one group are dependent, so whole groups are what is counted and drawn.

- The AUC: from placements within folds, see `mri3d.evaluation.auc`.
- Scores that count right answers: the score interval (of one proportion Wilson's) of as many independent answers as
  know it as well.
- The calibration error, a sum of absolute means: see `mri3d.evaluation.distances`.
- All others: the standard error over resampled groups, by bootstrap or jackknife, whichever is larger, on a scale
  without bounds, times Student's quantile because few groups know little of their own spread.
- Losses besides: where hardly any answer is wrong, resampling knows nothing of what wrong ones cost. So the intervals
  of losses reach as far as those of accuracy do, which are known without resampling.
- With several folds each is wider by a factor, see `Sampling.widening`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtri
from scipy.stats import t as student

from mri3d.evaluation.auc import auc_interval, scores_of_tests, within_fold_auc
from mri3d.evaluation.distances import distance_interval
from mri3d.evaluation.resampled import Interval, Samples
from mri3d.evaluation.sampling import LEVEL, Sampling
from mri3d.outcome import Outcome, Score
from mri3d.outcome.resampling import Proportion, Resampling

Z = float(ndtri((1 + LEVEL) / 2))
REPLICATES = 2000


def scores_with_intervals(
    outcome: Outcome, targets: np.ndarray, predictions: np.ndarray, sampling: Sampling, raw: np.ndarray | None = None
) -> dict[str, Score]:
    """Score predictions of T tests, see `scores_of_tests`, each score with its interval.

    Args:
        outcome: What is predicted.
        targets: Truth of each test [T].
        predictions: [T, K] or [T].
        sampling: Who was tested.
        raw: Those of a measure before they were corrected [T]; None where they were not.
    """
    values = scores_of_tests(outcome, targets, predictions, raw, sampling.folds)
    intervals = score_intervals(outcome.resampling(targets, predictions, raw), sampling)
    return {name: Score(value, *intervals.get(name, ())) for name, value in values.items()}


def score_intervals(
    tests: Resampling, sampling: Sampling, *, replicates: int = REPLICATES, seed: int = 0
) -> dict[str, Interval]:
    """Compute the interval of every score.

    Args:
        tests: What was predicted, see `mri3d.outcome.resampling`.
        sampling: Who was tested.
        replicates: How often groups are drawn.
        seed: Of the draws.

    Returns:
        Interval by the name of the score, of classes also `auc` (within folds) and `auc_pooled`; both ends None where
        the tests do not define the score.
    """
    result, ranking = dict[str, Interval](), tests.ranking
    if ranking is not None:
        for name, folds in (("auc", sampling.folds), ("auc_pooled", np.zeros_like(sampling.folds))):
            auc = within_fold_auc(ranking, folds)
            result[name] = (
                Interval(None, None) if auc is None else Interval(*auc_interval(auc, ranking.truth, sampling))
            )
    result |= {name: proportion_interval(parts, sampling) for name, parts in tests.proportions.items()}
    strata = sampling.strata(ranking)
    freedom = sampling.num_units - 1 - int(strata.max())
    values = tests.scores(sampling.once[None])
    omitted = weighted_scores(tests, sampling.omissions())
    drawn = weighted_scores(tests, sampling.draws(strata, replicates, seed))
    unseen = unseen_losses(tests, sampling)
    for name, parts in tests.distances.items():
        result[name] = Interval(*distance_interval(parts, sampling, tests.bounds[name], seed=seed))
    for name in values.keys() - result.keys():
        samples = Samples(float(values[name][0]), drawn[name], omitted[name], freedom, name in unseen)
        result[name] = samples.interval(tests.bounds.get(name, (-np.inf, np.inf)), sampling.widening)
    result |= {name: ends.reached_from(result[name]) for name, ends in unseen.items()}
    return {name: result[name] for name in ("auc", "auc_pooled", *values) if name in result}


def weighted_scores(tests: Resampling, blocks: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
    """Score tests under blocks of weights, each [R, T]; of each score a value for each row of all blocks."""
    found = [tests.scores(weights) for weights in blocks]
    return {name: np.concatenate([scores[name] for scores in found]) for name in found[0]}


@dataclass(frozen=True)
class Unseen:
    """What a score would be if more answers were wrong, or right, than were seen to be.

    Attributes:
        low: The least of it.
        high: The largest.
        weight: How little is known of that by what was seen: 1 where all answers are right, or all wrong.
    """

    low: float
    high: float
    weight: float

    @classmethod
    def of(cls, part: Proportion, sampling: Sampling) -> Self:
        """Find how many answers may be right."""
        found = float(sampling.once @ part.hits / sampling.once.sum())
        low, high = proportion_interval([part], sampling)
        assert low is not None
        assert high is not None
        return cls(low, high, 1 / (1 + min(found, 1 - found) * sampling.num_units))

    def reached_from(self, interval: Interval) -> Interval:
        """Widen an interval of the score where it does not reach so far."""
        low, high = interval
        return Interval(
            None if low is None else low - self.weight * max(low - self.low, 0.0),
            None if high is None else high + self.weight * max(self.high - high, 0.0),
        )


def unseen_losses(tests: Resampling, sampling: Sampling) -> dict[str, Unseen]:
    """Find how far losses could be from what was seen of them; none where answers are not right or wrong."""
    if (answers := tests.answers) is None:
        return {}
    accuracies = Unseen.of(answers, sampling)
    ends = [tests.at_accuracy(accuracy, sampling.once) for accuracy in (accuracies.low, accuracies.high)]
    return {
        name: Unseen(min(end[name] for end in ends), max(end[name] for end in ends), accuracies.weight)
        for name in ends[0]
    }


def proportion_interval(parts: Sequence[Proportion], sampling: Sampling) -> Interval:
    """Compute the score interval of a sum of proportions; of one it is Wilson's.

    It holds the sums from which the estimate is not too far, by the variance at the likeliest proportions of that sum.

    Args:
        parts: The proportions; their shares sum to 1.
        sampling: Who was tested.

    >>> alone = np.arange(20)
    >>> whole = Proportion(np.ones(20, dtype=bool), np.ones(20, dtype=bool))
    >>> [round(end, 3) for end in proportion_interval([whole], Sampling(alone * 0, alone, alone))]  # as R's prop.test
    [0.839, 1.0]
    """
    if not all(part.among.any() for part in parts):
        return Interval(None, None)
    points, numbers, residuals = [], [], []
    for part in parts:
        weights = sampling.once * part.among * np.where(part.hits & part.doubled, 2, 1)
        point = min(float(weights @ part.hits / weights.sum()), 1.0)  # weights of thirds add up to a little more
        residual = np.bincount(sampling.unit, weights * (part.hits - point)) / weights.sum()
        worth = 2 / (2 - point) ** 2 if part.doubled else 1.0  # by the derivative of F1 = 2J / (1 + J)
        points.append(point)
        numbers.append(worth * _effective_number(point, residual * np.sqrt(worth), *sampling.count(part.among)))
        residuals.append(residual)
    shares, known = np.array([part.share for part in parts]), np.array(numbers) / sampling.widening**2
    known *= max(1 - (len(parts) - 1) / known.sum(), 0.5)  # after Miettinen and Nurminen (1985): the others are fitted
    correlation = _correlation(np.array(residuals), parts, sampling)
    low, high = (_least_sum(ends, known, shares, correlation) for ends in (np.array(points), 1 - np.array(points)))
    return Interval(low, 1 - high)


def _effective_number(point: float, residual: np.ndarray, num_units: int, num_sessions: int) -> float:
    """Return how many independent answers know a proportion as well (Korn and Graubard 1998).

    It follows from the variance over groups. Where few answers are wrong a variance says little, and the number is
    drawn to one between that of groups, as if all of a group agreed, and that of sessions.
    """
    middling = float(np.sqrt(num_units * num_sessions))
    num_wrong, alone = min(point, 1 - point) * num_units, point * (1 - point) / middling
    ratio = (float(residual @ residual) / alone * num_wrong + 1) / (num_wrong + 1) if alone > 0 else 1.0
    units, sessions = (student.ppf((1 + LEVEL) / 2, max(number - 1, 1)) for number in (num_units, num_sessions))
    return middling / (ratio * float(units / sessions) ** 2)


def _correlation(residuals: np.ndarray, parts: Sequence[Proportion], sampling: Sampling) -> np.ndarray:
    """Correlate residuals of P proportions by group [P, G]; 1 where they share groups and nothing tells, 0 if none."""
    shared, squares = residuals @ residuals.T, np.square(residuals).sum(axis=1)
    norms = np.sqrt(np.outer(squares, squares))
    tested = np.array([np.bincount(sampling.unit[part.among], minlength=sampling.num_units) > 0 for part in parts])
    together = (tested[:, None] & tested).any(axis=2).astype(np.float64)  # [P, P]
    return np.asarray(np.where(norms > 0, shared / np.where(norms > 0, norms, 1.0), together))


def _least_sum(points: np.ndarray, numbers: np.ndarray, shares: np.ndarray, correlation: np.ndarray) -> float:
    """Return the lower end of the score interval of a sum of P proportions, known as of so many answers each.

    The likeliest proportions of a lower sum maximise the binomial likelihood: number (point - p) = pull share p (1 - p)
    with one pull for all, a quadratic equation of p. The larger the pull, the lower their sum.
    """

    def pulled(pull: float) -> np.ndarray:
        middle = np.exp(pull) * shares + numbers
        root = np.sqrt(np.maximum(middle**2 - 4 * (middle - numbers) * numbers * points, 0.0))
        return np.asarray(np.minimum(2 * numbers * points / (middle + root), points))

    def beyond(pull: float) -> float:
        proportions = pulled(pull)
        errors = shares * np.sqrt(proportions * (1 - proportions) / numbers)
        return float(shares @ (points - proportions) - Z * np.sqrt(max(errors @ correlation @ errors, 0))) - 1e-12

    if beyond(60.0) <= 0:
        return 0.0
    return float(shares @ pulled(brentq(beyond, -30.0, 60.0, xtol=1e-10)))
