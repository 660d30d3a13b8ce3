"""Scores by the number of training sessions, the power law that they follow, and what it forecasts."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from scipy.special import ndtri
from scipy.stats import t as student

from mri3d.evaluation.intervals import scores_with_intervals
from mri3d.evaluation.power_law import TWICE, Extrapolation
from mri3d.evaluation.sampling import LEVEL
from mri3d.outcome import Score
from mri3d.outcome.resampling import Ranking, Resampling
from mri3d.outcome.score import SCORE_TITLES, ends_text, interval_text, score_text

if TYPE_CHECKING:
    from mri3d.evaluation.results import Results

REPLICATES = 1000
"""How often groups are drawn anew to find how far the law can be trusted."""

TIMES = (1.5, TWICE, 4.0)
"""For so many times as many training sessions the score is forecast."""

_UNCORRECTED = "_raw"
_BAND_STEPS = 41


@dataclass(frozen=True, eq=False)
class Point:
    """The evaluation, with fewer sessions to learn from. T counts tests.

    Attributes:
        fraction: Of what the folds of the evaluation learnt from; 1 for the evaluation itself.
        num_train: Sessions that a fit learnt from, validation included, on average over the folds.
        tests: What was predicted, before any correction.
        scores: Scores of all tests with their intervals; those of predictions that the evaluation corrected are named
            `<score>_raw`.
    """

    fraction: float
    num_train: float
    tests: Resampling
    scores: dict[str, Score]

    @classmethod
    def of(cls, fraction: float, num_train: float, results: "Results", predictions: np.ndarray) -> Self:
        """Score predictions of the tests of an evaluation.

        Args:
            fraction: See `Point`.
            num_train: See `Point`.
            results: Of the evaluation.
            predictions: Of the same tests, [T, K] or [T], before any correction.
        """
        outcome, sampling, suffix = results.study.outcome, results.sampling, _suffix(results)
        scores = scores_with_intervals(outcome, results.targets, predictions, sampling)
        named = {f"{name}{suffix}": score for name, score in scores.items()}
        return cls(fraction, num_train, outcome.resampling(results.targets, predictions), named)


@dataclass(frozen=True, eq=False)
class Curve:
    """A learning curve.

    Attributes:
        score: Name of the score that the law is of.
        ascending: Whether less of it is better: then it is the error itself, else its distance from 1 is.
        points: From the fewest training sessions to those of the evaluation.
        law: Of the error; None where the points are too few, or the tests do not define the score.
    """

    score: str
    ascending: bool
    points: tuple[Point, ...]
    law: Extrapolation | None

    @classmethod
    def through(cls, points: Sequence[Point], results: "Results") -> Self:
        """Fit a power law to the first of the scores that runs are compared by.

        All points are drawn anew with the same draws of whole groups. Few groups know little of their own spread, so
        draws are widened as intervals of other scores are, by Student's quantile, beside `Sampling.widening`.

        Args:
            points: From the fewest training sessions to those of the evaluation.
            results: Of the evaluation.
        """
        outcome, sampling = results.study.outcome, results.sampling
        name, strata = outcome.compared[0], sampling.strata(points[0].tests.ranking)
        law, freedom = None, sampling.num_units - 1 - int(strata.max())
        if freedom > 0:
            blocks = [[sampling.once[None]], sampling.draws(strata, REPLICATES, seed=0)]
            drawn = [
                [_weighted(point.tests, name, sampling.folds, weights) for point in points]
                for weights in itertools.chain(*blocks)
            ]
            values = np.concatenate(drawn, axis=1).T  # [1 + R, P]
            errors = values if outcome.ascending else 1 - values
            few = np.sqrt(sampling.num_units / freedom) * student.ppf((1 + LEVEL) / 2, freedom) / ndtri((1 + LEVEL) / 2)
            sizes = np.array([point.num_train for point in points])
            law = Extrapolation.of(sizes, errors[0], errors[1:], widening=sampling.widening * float(few))
        return cls(f"{name}{_suffix(results)}", outcome.ascending, tuple(points), law)

    @property
    def now(self) -> Point:
        """The evaluation itself."""
        return self.points[-1]

    @property
    def helps(self) -> bool:
        """Whether the points show that more training sessions would make the score better."""
        return self.law is not None and self.law.helps

    def forecast(self, num_train: Sequence[float]) -> list[Score]:
        """Return what the law says of the score with so many training sessions each; none without a law.

        No interval is narrower than the evaluation's own, moved by what the law gains: where all answers are right,
        draws of them do not differ.

        Args:
            num_train: Numbers of sessions, fewer or more than there are.
        """
        if self.law is None:
            return []
        sizes = np.array([self.now.num_train, *num_train])
        value, low, high = self.law.at(sizes)
        if not self.ascending:
            value, low, high = 1 - value, 1 - high, 1 - low
        own, moved = self.now.scores[self.score], value - value[0]
        least, most = (0.0, np.inf) if self.ascending else (-np.inf, 1.0)
        low = np.full(len(sizes), -np.inf) if own.low is None else np.minimum(low, own.low + moved).clip(least, most)
        high = np.full(len(sizes), np.inf) if own.high is None else np.maximum(high, own.high + moved).clip(least, most)
        ends = [[float(end) if np.isfinite(end) else None for end in each] for each in (low, high)]
        return [Score(float(each), *pair) for each, *pair in zip(value, *ends, strict=True)][1:]

    @property
    def sentence(self) -> str:
        """What more training sessions would buy."""
        if self.law is None:
            return (
                "These points do not show whether more sessions would help: a curve takes three sizes or more of "
                "training set, and a score that the tests define at each."
            )
        title = SCORE_TITLES[self.score.removesuffix(_UNCORRECTED)]
        title += " before correction" if self.score.endswith(_UNCORRECTED) else ""
        (there,), (here,) = (self.forecast([times * self.now.num_train]) for times in (TWICE, 1.0))
        twice = f"twice as many training sessions ({round(TWICE * self.now.num_train)})"
        if self.helps and there.value is not None and here.value is not None:
            return (
                f"With {twice} the {title} would be about {score_text(there.value)}{interval_text(there)}, if the "
                f"curve goes on as it began; with the present {round(self.now.num_train)} it is at "
                f"{score_text(here.value)} on the curve."
            )
        ends = ends_text(there.low, there.high, score_text)
        return "These points do not show that more sessions would help" + (
            f": with {twice} the {title} may be anything from {ends}." if ends else "."
        )

    def to_json(self) -> dict[str, Any]:
        """Return the content of `learning_curve` in metrics.json.

        Returns:
            `score` and `ascending`; point by point `fractions`, `num_train` and `scores` (name to `value`, `low`,
            `high`); `sentence`; `helps`, whether the points show that more sessions would; with a law `law` (of the
            error a + b * n ** -c: `a`, `b`, `c`, and the interval of c as `c_low` and `c_high`), `forecasts` (`times`,
            `num_train`, `value`, `low`, `high`), and `band`, the same of many sizes, each a list, for a chart.
        """
        told: dict[str, Any] = {
            "score": self.score,
            "ascending": self.ascending,
            "fractions": [point.fraction for point in self.points],
            "num_train": [point.num_train for point in self.points],
            "scores": [{name: vars(score) for name, score in point.scores.items()} for point in self.points],
            "helps": self.helps,
            "sentence": self.sentence,
        }
        if self.law is None:
            return told
        sizes = [times * self.now.num_train for times in TIMES]
        band = np.geomspace(self.points[0].num_train, sizes[-1], _BAND_STEPS).tolist()
        laws, exponent = self.law.law, [float(end) if np.isfinite(end) else None for end in self.law.exponent]
        law = {"a": float(laws.a[0]), "b": float(laws.b[0])} | dict(
            zip(("c", "c_low", "c_high"), exponent, strict=True)
        )
        forecasts = [
            {"times": times, "num_train": size, **vars(score)}
            for times, size, score in zip(TIMES, sizes, self.forecast(sizes), strict=True)
        ]
        scores = self.forecast(band)
        drawn = {key: [vars(score)[key] for score in scores] for key in ("value", "low", "high")}
        return told | {"law": law, "forecasts": forecasts, "band": {"num_train": band, **drawn}}


def weighted_aucs(ranking: Ranking, folds: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Compute the AUC within folds, see `mri3d.evaluation.auc.within_fold_auc`, under R weightings of T tests.

    Args:
        ranking: Which tests are of the class, and what speaks for it.
        folds: Fold of each test [T].
        weights: Non-negative [R, T].

    Returns:
        [R]; NaN where a class has no pair with a weight.

    >>> ranking = Ranking(np.array([[False], [True], [True]]), np.array([[0.5], [0.8], [0.2]]))
    >>> weighted_aucs(ranking, np.zeros(3), np.array([[1.0, 1.0, 1.0], [1.0, 3.0, 1.0]]))
    array([0.5 , 0.75])
    """
    aucs = []
    for truth, decisions in zip(ranking.truth.T, ranking.decisions.T, strict=True):
        right, pairs = np.zeros((2, len(weights)))
        for fold in np.unique(folds):
            members, others = (np.flatnonzero((folds == fold) & (truth == kind)) for kind in (True, False))
            others = others[np.argsort(decisions[others])]
            below = np.cumsum(np.pad(weights[:, others], ((0, 0), (1, 0))), axis=1)  # [R, others + 1]
            ends = [np.searchsorted(decisions[others], decisions[members], side=side) for side in ("left", "right")]
            right += (weights[:, members] * (below[:, ends[0]] + below[:, ends[1]])).sum(axis=1) / 2
            pairs += weights[:, members].sum(axis=1) * below[:, -1]
        with np.errstate(invalid="ignore"):
            aucs.append(right / pairs)
    return np.asarray(np.mean(aucs, axis=0))


def _weighted(tests: Resampling, name: str, folds: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Compute one score of tests under R weightings [R, T]; NaN where they do not define it."""
    if name == "auc" and tests.ranking is not None:
        return weighted_aucs(tests.ranking, folds, weights)
    return tests.scores(weights)[name]


def _suffix(results: "Results") -> str:
    """Return what the names of scores end with that are of uncorrected predictions of an evaluation that corrects."""
    return "" if results.raw is None else _UNCORRECTED
