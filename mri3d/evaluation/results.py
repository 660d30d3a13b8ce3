"""What an evaluation gave: predictions of all test rows, scores, and the folds' models."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mri3d.contract.contract import Judgement
from mri3d.evaluation.associations import associations_json
from mri3d.evaluation.at_prevalence import score_at_prevalence
from mri3d.evaluation.auc import scores_of_tests
from mri3d.evaluation.calibration import calibration
from mri3d.evaluation.fold_result import FoldResult
from mri3d.evaluation.headline import headline
from mri3d.evaluation.importance import Importance, importance
from mri3d.evaluation.intervals import scores_with_intervals
from mri3d.evaluation.leaks import LeakAudit
from mri3d.evaluation.met_scans import judgements_json, variables_of_tests
from mri3d.evaluation.sampling import LEVEL, Sampling
from mri3d.evaluation.scored_strata import ScoredStrata
from mri3d.evaluation.seeds import seed_spread
from mri3d.models.model import ROUNDING
from mri3d.models.trained import TrainedModel
from mri3d.outcome import Score, Scores
from mri3d.outcome.resampling import Resampling
from mri3d.outcome.score import SIGNIFICANT
from mri3d.study import Study
from mri3d.texts import parameter_text

if TYPE_CHECKING:
    from mri3d.evaluation.association import Association
    from mri3d.evaluation.confounds import ConfoundAnalysis
    from mri3d.evaluation.curve import Curve
    from mri3d.evaluation.harmonizing import HarmonizationAnalysis
    from mri3d.evaluation.permutations import PermutationTest


@dataclass(frozen=True, eq=False, repr=False)
class Results:
    """What all folds gave. T counts tests: a session is there once for each time it was tested.

    Attributes:
        study: Who was there.
        folds: The folds in order.
        leaks: What was found of test sessions among those that were learnt from; None where nobody was tested.
        permutation: The scores beside those for permuted labels; None where that was not asked for.
        confounds: What the confounds predict, and what the image adds; None where none were asked for.
        harmonization: What harmonising by site changed; None where volumes were not harmonised.
        associations: What else differs along with the outcome.
        covariates: Columns that the model learnt from beside the image.
        widening: Factor on standard errors because folds share training rows, where it was measured; else it is that of
            Nadeau and Bengio.
        learning_curve: The scores with fewer training sessions, and what more would buy; None where that was not asked
            for.

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
    leaks: LeakAudit | None = None
    permutation: "PermutationTest | None" = None
    confounds: "ConfoundAnalysis | None" = None
    harmonization: "HarmonizationAnalysis | None" = None
    associations: "Sequence[Association]" = ()
    covariates: tuple[str, ...] = ()
    widening: float | None = None
    learning_curve: "Curve | None" = None

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

    @property
    def sampling(self) -> Sampling:
        """Who was tested in which fold, for intervals and comparisons."""
        num_train = tuple(len(result.fold.train_rows) + len(result.fold.validation_rows) for result in self.folds)
        groups = self.study.groups[self.rows]
        return Sampling(self.fold_numbers, self.rows, groups, num_train, self.widening)

    @property
    def tests(self) -> Resampling:
        """What was predicted, for intervals and comparisons."""
        return self.study.outcome.resampling(self.targets, self.predicted, self.raw)

    @cached_property
    def scores(self) -> dict[str, Score]:
        """Scores of all tests by name, each with its interval; none where nothing was tested.

        Pairs for the AUC (`auc`) are of the same fold: models of several folds have scales of their own. `auc_pooled`
        takes all pairs.
        """
        if not len(self.rows):
            return {}
        told = self.study.outcome, self.targets, self.predicted, self.sampling
        return scores_with_intervals(*told, self.raw) | score_at_prevalence(self.study, self.folds, self.sampling)

    @property
    def judgements(self) -> tuple[Judgement, ...]:
        """How the scan of each test compares with those that were learnt from [T]; none of arrays."""
        return tuple(each for result in self.folds for each in result.judgements)

    @cached_property
    def scored_strata(self) -> ScoredStrata | None:
        """Scores by site, by age, by the kind of scan; None where nothing was tested."""
        if not len(self.rows):
            return None
        variables = variables_of_tests(self.study, self.rows, self.judgements)
        return ScoredStrata.of(self.study.outcome, self.targets, self.predicted, self.sampling, variables)

    @property
    def strata(self) -> pd.DataFrame:
        """A row for each part of the tests that is alike in one thing, such as its site: scores with intervals."""
        return pd.DataFrame() if self.scored_strata is None else self.scored_strata.table(self.study.outcome.compared)

    @cached_property
    def importance(self) -> Importance | None:
        """What image and covariates are worth to a model that has both; None where the image is all."""
        if not self.covariates or not len(self.rows):
            return None
        told = self.targets, self.predicted, self.sampling
        return importance(self.study.outcome, *told, self.folds, self.covariates)

    @cached_property
    def seed_scores(self) -> list[Scores]:
        """Scores of all tests by the first fit of each fold, by the second and so on; empty where each has but one."""
        by_seed = list(zip(*(result.fits for result in self.folds), strict=True))
        if len(by_seed) == 1 or not len(self.rows):
            return []
        return [
            self._values(
                np.concatenate([fit.predictions for fit in fits]),
                None if fits[0].raw is None else np.concatenate([fit.raw for fit in fits if fit.raw is not None]),
            )
            for fits in by_seed
        ]

    def _values(self, predicted: np.ndarray, raw: np.ndarray | None) -> Scores:
        """Score predictions of all tests."""
        return scores_of_tests(self.study.outcome, self.targets, predicted, raw, self.fold_numbers)

    def _intervals(self) -> dict[str, Any]:
        """Return what the intervals are about: this model, or this way of training on so many sessions."""
        sampling = self.sampling
        return {
            "level": LEVEL,
            "about": "model" if len(self.folds) == 1 else "training",
            "num_train": round(float(np.mean(sampling.num_train))),
            "widening": sampling.widening,
            **({} if self.widening is None else {"measured": True}),
        }

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
        """How many fits, one for each fold and seed, chose each value of a parameter, as text; most frequent first."""
        chosen = [fit.chosen for result in self.folds for fit in result.fits]
        names = dict.fromkeys(name for setting in chosen for name in setting)
        values = {name: [parameter_text(each[name]) for each in chosen if name in each] for name in names}
        return {name: dict(Counter(texts).most_common()) for name, texts in values.items()}

    def search_rows(self) -> list[dict[str, Any]]:
        """Return what the inner folds found as rows, one for each point and inner fold.

        Returns:
            `fold`, `fit` where each has several, `search` (0, or 1 for the model's own within a grid), the parameters,
            `inner_fold`, `train_<score>`, `validation_<score>`.
        """
        return [
            {"fold": result.fold.number, **({"fit": which} if len(result.fits) > 1 else {}), "search": number, **row}
            for result in self.folds
            for which, fit in enumerate(result.fits)
            for number, search in enumerate(fit.searches)
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
            `test` (each score with its interval; empty without a test), `intervals` (what they are about),
            `better_than_chance`, `leaks`, `calibration` and `confounds` (see there), `strata` (by site and more),
            `scans` (how those tested compare with those learnt from), `folds` (see `FoldResult.facts`),
            `chosen` (parameter to value, as text, to how many fits chose it), `outcome`, what that has beside task and
            name once more (of classes `classes`, as in the first version), what was asked for, and the arguments.
        """
        outcome = self.study.outcome.to_json()
        return {
            "test": {name: vars(score) for name, score in self.scores.items()},
            **({"intervals": self._intervals()} if self.scores else {}),
            **({} if self.better_than_chance is None else {"better_than_chance": self.better_than_chance}),
            **({"leaks": self.leaks.to_json()} if self.leaks else {}),
            **({"calibration": calibration(self.study, self.folds, self.sampling)} if self.scores else {}),
            "confounds": associations_json(self.study, self.associations)
            | (self.confounds.to_json(self.study.outcome) if self.confounds else {}),
            **({"covariates": self.importance.to_json(self.study.outcome)} if self.importance else {}),
            **({"harmonization": self.harmonization.to_json(self.study.outcome)} if self.harmonization else {}),
            **({"permutation": self.permutation.to_json()} if self.permutation else {}),
            **({"learning_curve": self.learning_curve.to_json()} if self.learning_curve else {}),
            **({"seeds": seed_spread(self.seed_scores)} if self.seed_scores else {}),
            **({"strata": self.scored_strata.to_json()} if self.scored_strata else {}),
            **(
                {"scans": judgements_json(self.study, self.rows, self.fold_numbers, self.judgements)}
                if self.judgements
                else {}
            ),
            "folds": [result.facts() for result in self.folds],
            "chosen": self.chosen_counts,
            "outcome": outcome,
            **{key: value for key, value in outcome.items() if key not in ("task", "name")},
            "num_subjects": dict(num_subjects),
            "seconds": dict(seconds),
            "peak_memory_mb": peak_memory_mb,
        }

    def headline(self) -> str:
        """Write the result in one line."""
        return headline(self)

    @property
    def better_than_chance(self) -> bool | None:
        """Whether the permutations say so (p up to 0.05) or, without, the interval; None where nothing says it.

        Nothing does where a model was tested on near-copies of what it learnt from, or where a site says the outcome.
        """
        if (self.leaks is not None and self.leaks.found) or any(each.determines for each in self.associations):
            return None
        if self.permutation is not None and self.permutation.p is not None:
            return self.permutation.p <= SIGNIFICANT + ROUNDING
        return self.study.outcome.above_chance(self.scores) if self.scores else None
