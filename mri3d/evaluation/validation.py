"""How good a model that stays as it is is on people whom it never saw: scores, calibration, decisions, strata.

What is estimated: how good this model is on people like these. Nothing is fitted here, so no interval is widened; whole
groups are what is counted and drawn, see `mri3d.evaluation.intervals`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mri3d.cohort.variables import Variable
from mri3d.evaluation.calibration import estimate_intervals
from mri3d.evaluation.net_benefit import net_benefit
from mri3d.evaluation.predictive_values import predictive_value, rate
from mri3d.evaluation.sampling import LEVEL, Sampling
from mri3d.evaluation.scored_strata import ScoredStrata, scores_of_part
from mri3d.outcome import Outcome, Score
from mri3d.outcome.estimates import Estimates


@dataclass(frozen=True, eq=False)
class FrozenTests:
    """Tests of a model that was not fitted for them. T counts tests, each of another session.

    Attributes:
        outcome: What is predicted, with the threshold where there is one.
        targets: Truth of each test [T].
        predictions: Of each test, probabilities [T, K] or values [T].
        groups: Who is one unit [T].
        variables: What is known of each session beside its scan: by these the tests are parted into strata.
        prevalence: How frequent each class is where the model is to be used, by its name; None for as frequent as here.
        shares: How frequent the classes were in training, which is what the probabilities hold for [K]; None of a
            measure, and where that is not known.

    >>> from mri3d.outcome import Measure
    >>> ages = np.array([20.0, 40.0, 60.0])
    >>> FrozenTests(Measure("age"), ages, ages + 3, groups=np.arange(3)).scores["mae"].value
    3.0
    """

    outcome: Outcome
    targets: np.ndarray
    predictions: np.ndarray
    groups: np.ndarray
    variables: Sequence[Variable] = ()
    prevalence: Mapping[str, float] | None = None
    shares: np.ndarray | None = None

    @cached_property
    def sampling(self) -> Sampling:
        """Who was tested: each session once."""
        return _sampling(self.groups)

    @cached_property
    def scores(self) -> dict[str, Score]:
        """Scores by name, each with its interval; a score that the tests do not define is None."""
        return scores_of_part(self.outcome, self.targets, self.predictions, self.sampling)

    @cached_property
    def strata(self) -> ScoredStrata:
        """Parts of the tests that are alike in one variable, with their scores."""
        return ScoredStrata.of(self.outcome, self.targets, self.predictions, self.sampling, self.variables)

    @property
    def better_than_chance(self) -> bool | None:
        """Whether the interval says so; None where nothing says it."""
        return self.outcome.above_chance(self.scores)

    def metrics(self) -> dict[str, Any]:
        """Return the numbers as JSON types.

        Returns:
            `test`, each score with its interval; `intervals`, what they are about; `better_than_chance`; `calibration`;
            of classes `decisions`, of two `decision_curve` too (see `net_benefit`); and `strata`.
        """
        decisions, whole = self._decisions(), not self.outcome.lacking(self.targets)
        curve = self.outcome.decision_curve(self.targets, self.predictions) if whole else None
        return {
            "test": {name: vars(score) for name, score in self.scores.items()},
            "intervals": {"level": LEVEL, "about": "model"},
            **({} if self.better_than_chance is None else {"better_than_chance": self.better_than_chance}),
            "calibration": self._calibration(),
            **({"decisions": decisions} if decisions["classes"] else {}),
            **({} if curve is None else {"decision_curve": net_benefit(curve, self.sampling)}),
            "strata": self.strata.to_json(),
        }

    def _calibration(self) -> dict[str, Any]:
        """Compare predictions with how often, or how far, they come true, see `mri3d.outcome.class_calibration`."""
        weights = self.sampling.once
        found = self.outcome.calibration(self.targets, self.predictions, weights=weights, learnt=[self.targets])
        facts = dict(found.facts)
        if "prevalence" in facts:  # that of the tests: what was learnt from is not here
            known = None if self.shares is None else self.shares.tolist()
            facts["prevalence"] = known and dict(zip(facts["prevalence"], known, strict=True))
        estimates = {
            name: {key: entry for each in parts for key, entry in _described(each, self.sampling).items()}
            for name, parts in found.estimates.items()
        }
        return {**facts, "estimates": estimates}

    def _decisions(self) -> dict[str, Any]:
        """Say how often each class is predicted of its members, and how often its prediction is right."""
        found = self.outcome.predicted_classes(self.targets, self.predictions, prevalence=self.prevalence)
        return {
            "prevalence": {each.name: each.prevalence for each in found},
            "stated": self.prevalence is not None,
            "classes": {
                each.name: {
                    each.rate: vars(rate(each, self.sampling)),
                    each.value: vars(predictive_value(each, self.sampling)),
                }
                for each in found
            },
        }


def _sampling(groups: np.ndarray) -> Sampling:
    number = len(groups)
    return Sampling(np.zeros(number, dtype=np.int64), np.arange(number), groups)


def _described(found: Estimates, sampling: Sampling) -> dict[str, dict[str, Any]]:
    """Return estimates with their intervals as JSON types."""
    why = {"undefined": found.undefined} if found.undefined else {}
    values = [None] * len(found.names) if why else found.values.tolist()
    intervals = estimate_intervals(found, sampling)
    return {
        name: {"value": value, "low": ends.low, "high": ends.high, **why}
        for name, value, ends in zip(found.names, values, intervals, strict=True)
    }
