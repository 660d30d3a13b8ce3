"""Scores of the parts of a cohort: how a model does by site, by age, by the kind of scan."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd

from mri3d.cohort.variables import Variable
from mri3d.evaluation.auc import within_fold_auc
from mri3d.evaluation.intervals import score_intervals
from mri3d.evaluation.sampling import Sampling
from mri3d.evaluation.strata import FEWEST, Strata
from mri3d.outcome import Outcome, Score


@dataclass(frozen=True, eq=False)
class ScoredStrata:
    """Strata with the scores of each. T counts tests: a session is there once for each time it was tested.

    Attributes:
        strata: Parts of the tests that are alike in one variable, and large enough.
        scores: Of each part by name, each with its interval.
        sampling: Who was tested.
    """

    strata: Strata
    scores: tuple[dict[str, Score], ...]
    sampling: Sampling

    @classmethod
    def of(
        cls,
        outcome: Outcome,
        targets: np.ndarray,
        predictions: np.ndarray,
        sampling: Sampling,
        variables: Sequence[Variable],
    ) -> Self:
        """Part tests, and score each part.

        Args:
            outcome: What is predicted.
            targets: Truth of each test [T].
            predictions: [T, K] or [T].
            sampling: Who was tested.
            variables: What is known of each test.
        """
        strata = Strata.of(variables, sampling.groups, sampling.rows)
        parts = tuple(
            scores_of_part(outcome, targets[each.rows], predictions[each.rows], _taking(sampling, each.rows))
            for each in strata.members
        )
        return cls(strata, parts, sampling)

    def to_json(self) -> dict[str, Any]:
        """Return the strata with their scores as JSON types."""
        return {
            "fewest": FEWEST,
            "too_small": self.strata.num_too_small,
            "unknown": self.strata.num_unknown,
            "members": [
                {
                    "variable": each.variable,
                    "level": each.level,
                    "sessions": len(np.unique(self.sampling.rows[each.rows])),
                    "groups": len(np.unique(self.sampling.groups[each.rows])),
                    "scores": {name: vars(score) for name, score in scores.items()},
                }
                for each, scores in zip(self.strata.members, self.scores, strict=True)
            ],
        }

    def table(self, names: Sequence[str]) -> pd.DataFrame:
        """Return a row for each of the strata: variable, level, sessions, and the named scores with their ends."""
        ends = {"value": "", "low": "_low", "high": "_high"}
        columns = ["variable", "level", "sessions", *(f"{name}{ends[end]}" for name in names for end in ends)]
        rows = []
        for each, scores in zip(self.strata.members, self.scores, strict=True):
            numbers = [getattr(scores[name], end) for name in names for end in ends]
            rows.append([each.variable, each.level, len(np.unique(self.sampling.rows[each.rows])), *numbers])
        return pd.DataFrame(rows, columns=columns)


def scores_of_part(
    outcome: Outcome, targets: np.ndarray, predictions: np.ndarray, sampling: Sampling
) -> dict[str, Score]:
    """Score tests of which one class may be all there is, each score with its interval; None where it is undefined.

    Args:
        outcome: What is predicted.
        targets: Truth of each test [T].
        predictions: [T, K] or [T].
        sampling: Who was tested.
    """
    tests = outcome.resampling(targets, predictions)
    values: dict[str, float | None] = {}
    if tests.ranking is not None:
        auc = within_fold_auc(tests.ranking, sampling.folds)
        values["auc"] = auc.value if auc else None
    for name, (value,) in tests.scores(sampling.once[None]).items():
        values[name] = float(value) if np.isfinite(value) else None
    intervals = score_intervals(tests, sampling)
    return {
        name: Score(None) if value is None else Score(value, *intervals.get(name, ())) for name, value in values.items()
    }


def _taking(sampling: Sampling, rows: np.ndarray) -> Sampling:
    """Return who was tested in some tests; their folds share as many training rows as ever."""
    folds, sessions, groups = (part[rows] for part in (sampling.folds, sampling.rows, sampling.groups))
    return replace(sampling, folds=folds, rows=sessions, groups=groups, chosen_widening=sampling.widening)
