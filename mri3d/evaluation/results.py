"""What an evaluation gave: predictions of all test rows, scores, and the folds' models."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from mri3d.cohort.people import count_sessions
from mri3d.errors import UserError
from mri3d.evaluation.folds import Fold
from mri3d.models.member import Member, member_of
from mri3d.models.model import Model, Search, Setting
from mri3d.models.trained import TrainedModel
from mri3d.outcome import Scores
from mri3d.study import Study
from mri3d.texts import parameter_text


@dataclass(frozen=True)
class Score:
    """A score with its 95 % interval.

    Attributes:
        value: None where the tested subjects do not define it.
        low: Lower end of the interval; None until intervals are computed.
        high: Upper end.
    """

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, eq=False)
class FoldResult:
    """What one fold gave.

    Attributes:
        fold: Who trained and who was tested.
        predictions: Of the test rows, [M, K] or [M], see `mri3d.outcome`.
        raw: Those of a measure before they were corrected [M]; None where they were not.
        scores: Scores of the test rows; empty where there are none.
        history: The fit epoch by epoch; empty where there are no epochs.
        seconds: Time that fitting took.
        searches: How options were chosen, outermost first; empty where none were.
        model: The fitted model, where it was kept.
        seed: Of the fit.
        run: What identifies the evaluation that the fold is of, see `mri3d.model_folder.Card`.
    """

    fold: Fold
    predictions: np.ndarray
    raw: np.ndarray | None
    scores: Scores
    history: list[dict[str, float]]
    seconds: float
    searches: tuple[Search, ...] = ()
    model: Model | None = None
    seed: int = 0
    run: str = ""

    @property
    def chosen(self) -> Setting:
        """The chosen value of each parameter."""
        return {name: value for search in self.searches for name, value in search.chosen.items()}

    def facts(self, study: Study) -> dict[str, Any]:
        """Return what a reader of the model folder wants to know of the fit, JSON types."""
        learnt_from = np.union1d(self.fold.train_rows, self.fold.validation_rows)
        return {
            "seed": self.seed,
            "chosen": self.chosen,
            "num_train": len(self.fold.train_rows),
            "num_validation": len(self.fold.validation_rows),
            "test_scores": self.scores,
            "train_subjects": [study.ids[row] for row in learnt_from],
        }

    def member(self, study: Study, *, num_folds: int) -> Member:
        """Return the fitted model with what surrounds it on new scans.

        Args:
            study: What it was fitted on.
            num_folds: How many folds there are.

        Raises:
            UserError: It was not kept.
        """
        if self.model is None:
            raise UserError("the models of these results were not kept in memory. Load them from the run's folder.")
        return member_of(
            study,
            self.model,
            train_rows=self.fold.train_rows,
            validation_rows=self.fold.validation_rows,
            fold=self.fold.number,
            num_folds=num_folds,
            run=self.run,
            facts=self.facts(study),
        )


@dataclass(frozen=True, eq=False, repr=False)
class Results:
    """What all folds gave. T counts tests: a session is there once for each time it was tested.

    Attributes:
        study: Who was there.
        folds: The folds in order.

    >>> from mri3d import Holdout, evaluate, models
    >>> volumes = np.random.default_rng(0).random((20, 7, 8, 9))
    >>> volumes[1::2, 2:4, 2:4, 2:4] += 1
    >>> study = Study.from_arrays(volumes, labels=["control", "patient"] * 10)
    >>> results = evaluate(study, models.Ridge(num_components=0.9, inner_folds=2), Holdout(test=0.4))
    >>> results.scores["accuracy"].value, len(results.predictions), len(results.folds), len(results.model.members)
    (1.0, 8, 1, 1)
    """

    study: Study
    folds: tuple[FoldResult, ...]

    def __repr__(self) -> str:
        return f"<Results: {self.headline()}>"

    @property
    def rows(self) -> np.ndarray:
        """Tested rows of the study [T], fold by fold."""
        return np.concatenate([result.fold.test_rows for result in self.folds])

    @property
    def fold_numbers(self) -> np.ndarray:
        """Fold of each test [T]."""
        return np.concatenate([np.full(len(result.fold.test_rows), result.fold.number) for result in self.folds])

    @property
    def targets(self) -> np.ndarray:
        """Truth of each test [T]."""
        return np.asarray(self.study.targets[self.rows])

    @property
    def predicted(self) -> np.ndarray:
        """Prediction of each test, [T, K] or [T]."""
        return np.concatenate([result.predictions for result in self.folds])

    @property
    def raw(self) -> np.ndarray | None:
        """Predictions of a measure before they were corrected [T]; None where they were not."""
        parts = [result.raw for result in self.folds if result.raw is not None]
        return np.concatenate(parts) if parts else None

    @cached_property
    def scores(self) -> dict[str, Score]:
        """Scores of all tests together by name; none where nothing was tested."""
        if not len(self.rows):
            return {}
        values = self.study.outcome.scores(self.targets, self.predicted, self.raw)
        return {name: Score(value) for name, value in values.items()}

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """A row for each test, as in predictions.csv: subject, fold, split, label, prediction, p_<class> ..."""
        outcome = self.study.outcome
        columns = {
            "subject": [self.study.ids[row] for row in self.rows],
            "fold": self.fold_numbers.tolist(),
            "split": ["test"] * len(self.rows),
            "label": outcome.cells(self.targets),
        }
        columns |= outcome.prediction_columns(self.predicted)
        return pd.DataFrame(columns | outcome.test_columns(self.targets, self.predicted, self.raw))

    @cached_property
    def model(self) -> TrainedModel:
        """The folds' models, which vote.

        Raises:
            UserError: They were not kept: a run writes each into its model folder instead.
        """
        return TrainedModel(tuple(result.member(self.study, num_folds=len(self.folds)) for result in self.folds))

    @property
    def chosen_counts(self) -> dict[str, dict[str, int]]:
        """How many folds chose each value, as text, of each parameter; most frequent first."""
        names = dict.fromkeys(name for result in self.folds for name in result.chosen)
        return {
            name: dict(Counter(parameter_text(result.chosen[name]) for result in self.folds).most_common())
            for name in names
        }

    def search_rows(self) -> list[dict[str, Any]]:
        """Return what the inner folds found as rows, one for each point and inner fold.

        Returns:
            `fold`, `search` (0, or 1 for the model's own within a grid), the parameters, `inner_fold`,
            `train_<score>`, `validation_<score>`.
        """
        return [
            {"fold": result.fold.number, "search": number, **row}
            for result in self.folds
            for number, search in enumerate(result.searches)
            for row in search.table()
        ]

    def metrics(
        self,
        *,
        num_subjects: Mapping[str, int],
        seconds: Mapping[str, float],
        peak_memory_mb: float | None = None,
    ) -> dict[str, Any]:
        """Return the content of metrics.json.

        Args:
            num_subjects: Counts of the cohort, for example tested, unlabelled, left out.
            seconds: Time of each step of the run.
            peak_memory_mb: Largest memory of the run.

        Returns:
            `test` (each score with its interval, null until it is computed; empty without a test), `folds` (each with
            `fold`, `repeat`, `name` where it has one, `num_train`, `num_validation`, `num_test`, `epochs`, `seconds`,
            what was `chosen` and its `scores`), `chosen` (parameter to value, as text, to how many folds chose it),
            `outcome`, what that has beside task and name once more (of classes `classes`, as in the first version), and
            the arguments.
        """
        outcome = self.study.outcome.to_json()
        return {
            "test": {name: vars(score) for name, score in self.scores.items()},
            "folds": [
                {
                    "fold": result.fold.number,
                    "repeat": result.fold.repeat,
                    **({"name": result.fold.name} if result.fold.name else {}),
                    "num_train": len(result.fold.train_rows),
                    "num_validation": len(result.fold.validation_rows),
                    "num_test": len(result.fold.test_rows),
                    "epochs": len(result.history),
                    "seconds": round(result.seconds, 3),
                    "chosen": result.chosen,
                    "scores": result.scores,
                }
                for result in self.folds
            ],
            "chosen": self.chosen_counts,
            "outcome": outcome,
            **{key: value for key, value in outcome.items() if key not in ("task", "name")},
            "num_subjects": dict(num_subjects),
            "seconds": dict(seconds),
            "peak_memory_mb": peak_memory_mb,
        }

    def headline(self) -> str:
        """Write the result in one line."""
        cohort = self.study.cohort
        if not self.scores:
            learnt_from = np.union1d(self.folds[0].fold.train_rows, self.folds[0].fold.validation_rows)
            return f"none: trained on all {count_sessions(cohort, learnt_from)}, so nothing says how good the model is"
        said = self.study.outcome.headline({name: score.value for name, score in self.scores.items()})
        return f"{said} ({len(self.rows)} tests of {count_sessions(cohort, np.unique(self.rows))})"
