"""Fit and test a model on every fold, whatever it is made of."""

import copy
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np

from mri3d.cohort.noticed import FACTS
from mri3d.cohort.people import count_sessions, session_word
from mri3d.cohort.variables import Variable, Variables
from mri3d.errors import UserError, option
from mri3d.evaluation.association import Association
from mri3d.evaluation.associations import associations_of
from mri3d.evaluation.exchanges import exchanged
from mri3d.evaluation.fold_result import Fit, FoldResult
from mri3d.evaluation.folds import Fold, Sample, warn_of_unseen
from mri3d.evaluation.harmonizing import harmonize
from mri3d.evaluation.leaks import LeakAudit, audit_leaks, fingerprints_of
from mri3d.evaluation.learning_curve import check_curve
from mri3d.evaluation.met_scans import with_contract
from mri3d.evaluation.nested_widening import check_widening
from mri3d.evaluation.permuted_targets import permuted_targets
from mri3d.evaluation.results import Results
from mri3d.evaluation.seeds import seeds_of
from mri3d.evaluation.splitting import Splits
from mri3d.files import digest_json
from mri3d.models.classical.inner_folds import inner_folds_of
from mri3d.models.ensemble import Ensemble
from mri3d.models.harmonized import SITE, HarmonizedModel, fitted_of
from mri3d.models.model import FittedModel, Model, TrainingSet
from mri3d.outcome import Scores, score_text
from mri3d.study import Study
from mri3d.texts import as_list
from mri3d.volumes.described import Described
from mri3d.volumes.harmonization import Harmonized

log = logging.getLogger(__name__)

AfterFold = Callable[[FoldResult], None]
"""Called with each fold's result, its fitted model in it, for example to save it."""


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """An evaluation that was checked and may begin.

    Attributes:
        study: Who is there.
        model: Copied for each fold and never fitted itself, so that no fold inherits from another.
        folds: Who trains and who is tested in each.
        trainings: What the fit of each fold learns from.
        splits: How they were split, and what else is asked for.
    """

    study: Study
    model: Model
    folds: list[Fold]
    trainings: list[TrainingSet]
    splits: Splits

    @classmethod
    def of(cls, study: Study, model: Model, splits: Splits, *, seed: int, folder: Path) -> Self:
        """Split a study, and refuse what the model cannot learn from; no volume is read.

        Args:
            study: Who is there.
            model: What to fit.
            splits: How to split; it may choose among variants of the model too.
            seed: Of the splits and of the first fold's fit; each further fold adds its number.
            folder: Where a fit may leave files; with several folds each fit is named `fold_<number>` in it.

        Raises:
            UserError: The study cannot be split so, or the model cannot learn from a part of it.
        """
        _check_instances(model, splits)
        if not 0 <= seed < 2**31:
            raise UserError(f"{option('seed', seed)} is no seed. Give a whole number from 0 to {2**31 - 1}.")
        prototype, sample = splits.tuned(model), Sample.of(study)
        folds, volumes = splits.split(sample, seed=seed), study.volumes
        if names := [str(name) for name in as_list(getattr(prototype, "covariates", ()))]:
            if facts := [name for name in names if name in FACTS]:
                where = option("model.covariates", facts[0])
                raise UserError(f"{where} is measured in the scan itself. Name columns of the table.")
            volumes = Described(volumes, sample.variables(names, asked="model.covariates"))
        trainings = [
            TrainingSet(
                volumes=volumes,
                outcome=study.outcome,
                targets=study.targets,
                groups=study.groups,
                train_rows=fold.train_rows,
                validation_rows=fold.validation_rows,
                seed=seed + fold.number,
                folder=folder,
                name=f"fold_{fold.number}" if len(folds) > 1 else "",
            )
            for fold in folds
        ]
        if volumes.covariates is not None:
            warn_of_unseen(volumes.covariates, folds, asked="model.covariates")
        if splits.harmonize is not None:
            trainings = harmonize(trainings, folds, sample)
        for training in trainings:
            for seeded in seeds_of(training, splits.seeds):
                prototype.check(seeded)
        evaluation = cls(study, prototype, folds, trainings, splits)
        _ = evaluation.permuted, evaluation.confounds, evaluation.associations  # what is wrong is told now
        if splits.intervals == "nested":
            check_widening(evaluation)
        check_curve(evaluation)
        return evaluation

    @cached_property
    def permuted(self) -> np.ndarray | None:
        """Permutations of the targets [B, N]; None where none are asked for.

        Raises:
            UserError: There are not so many, or the tests have no score to compare.
        """
        if not self.splits.permutations:
            return None
        sample, seed = Sample.of(self.study), self.trainings[0].seed
        tested = np.unique(np.concatenate([fold.test_rows for fold in self.folds]))
        if len(tested) and (lacking := sample.outcome.lacking(sample.targets[tested])):
            raise UserError(
                f"{option('evaluation.permutations', self.splits.permutations)}: the test sessions have {lacking}, so "
                "there is no score to hold against chance. Test more sessions, or leave it out."
            )
        told = sample.targets, self.folds, sample.groups, sample.sites
        fixed = not (self.model.permutes or self.splits.refit)
        return permuted_targets(*told, number=self.splits.permutations, seed=seed, fixed=fixed)

    @cached_property
    def confounds(self) -> Variables | None:
        """The confounds of all sessions; None where none are asked for.

        Raises:
            UserError: A column is missing, says nothing, or is not what it was taken for.
        """
        names = [str(name) for name in as_list(self.splits.confounds)]
        if not names:
            return None
        sample, asked = Sample.of(self.study), "evaluation.confounds"
        if self.trainings[0].volumes.covariates is not None:
            raise UserError(
                f"{option(asked, names)} asks what the image tells beside these columns, and by "
                f"{option('model.covariates')} the model sees more than the image. Ask for one of the two."
            )
        found = sample.variables(names, asked=asked)
        for training in self.trainings:
            inner_folds_of(training)  # parts of the rows are too small for them: told now
        warn_of_unseen(found, self.folds, asked=asked)
        return found

    @cached_property
    def asked(self) -> Variables | None:
        """What the fitted models ask for beside the images of all sessions; None where that is nothing."""
        volumes = self.trainings[0].volumes
        known = volumes.covariates.members if volumes.covariates is not None else ()
        if isinstance(volumes, Harmonized) and SITE not in [each.name for each in known]:
            known = (*known, Variable.of(SITE, [site or "" for site in volumes.sites], categorical=True))
        return Variables(known) if known else None

    @cached_property
    def associations(self) -> list[Association]:
        """What else differs along with the outcome; where something says the outcome, there is a warning."""
        known = self.trainings[0].volumes.covariates
        named = [*(known.names if known else ()), *(self.confounds.names if self.confounds else ())]
        found = associations_of(self.study, named)
        for each in found:
            if each.determines:
                log.warning("%s", each.sentence())
        return found

    @cached_property
    def leaks(self) -> LeakAudit | None:
        """What the sides have in common, found once; None where nobody is tested.

        Raises:
            UserError: A model would be tested on a near-copy of what it learns from, and this is not allowed.
        """
        if not any(len(fold.test_rows) for fold in self.folds):
            return None
        return audit_leaks(self.study, self.folds, allowed=self.splits.allow_leaks)

    def run(self, *, after_fold: AfterFold | None = None, keep_models: bool = True) -> Results:
        """Fit a copy of the model on every fold and test it there.

        Nothing is written here, and every process of a distributed run may call it and gets the same answer.

        Args:
            after_fold: What to do with each fold's result before the next fold begins.
            keep_models: Whether the results hold the fitted models; many large ones may not fit into memory.

        Raises:
            ValueError: The model gave no predictions of the study's outcome.
        """
        results = []
        for fold, training in zip(self.folds, self.trainings, strict=True):
            result = with_contract(self._fit(fold, training), self.study)
            log.info("%s", self._summary(result))
            if after_fold:
                after_fold(result)
            if training.volumes.covariates is not None and (inner := fitted_of(result.model)) is not None:
                result = replace(result, exchanged=exchanged(inner, training, fold.test_rows))
            results.append(result if keep_models else replace(result, model=None))
        known = self.trainings[0].volumes.covariates
        columns = () if known is None else known.names
        return Results(self.study, tuple(results), self.leaks, associations=self.associations, covariates=columns)

    @cached_property
    def digest(self) -> str:
        """Identify the evaluation by who is there, how they are split, and how the model is set."""
        study, rows = self.study, [(fold.train_rows, fold.validation_rows, fold.test_rows) for fold in self.folds]
        return digest_json(
            [
                [study.ids, study.volumes.digests, study.cohort.labels, study.outcome.to_json()],
                study.recipe.arguments() if study.recipe else None,
                [[part.tolist() for part in parts] for parts in rows],
                self.trainings[0].seed,
                self.model.identity(),
                *([] if self.splits.seeds == 1 else [self.splits.seeds]),
                *([] if self.splits.harmonize is None else [{"harmonize": self.splits.harmonize}]),
                *([] if (known := self.trainings[0].volumes.covariates) is None else [known.cells()]),
            ]
        )

    def _fit(self, fold: Fold, training: TrainingSet) -> FoldResult:
        """Fit a copy on one fold, or one for each seed, and test it."""
        fits, models = [], []
        if self.splits.harmonize is not None:
            training.volumes.fill()  # fitted here once, and not by every process that loads volumes
        for number, seeded in enumerate(seeds_of(training, self.splits.seeds), start=1):
            model, start = copy.deepcopy(self.model), time.perf_counter()
            model.fit(seeded)
            seconds = time.perf_counter() - start
            predictions = model.predict(training.volumes, fold.test_rows) if len(fold.test_rows) else self._nothing()
            raw = None if model.line is None else model.line.undo(predictions)
            scores = self._scores(fold, predictions, raw)
            told = model.history(), seconds, model.last_search(), model.calibration
            fits.append(Fit(seeded.seed, predictions, raw, scores, *told))
            models.append(model)
            if self.splits.seeds > 1:
                log.info("seed %d of %d after %.0f s", number, self.splits.seeds, seconds)
        raws = [fit.raw for fit in fits if fit.raw is not None]
        if len(fits) > 1:
            predictions = np.mean([fit.predictions for fit in fits], axis=0)
            raw = np.mean(raws, axis=0) if raws else None
        fitted: FittedModel = models[0] if len(models) == 1 else Ensemble(tuple(models))
        if isinstance(training.volumes, Harmonized):
            fitted = HarmonizedModel(fitted, training.volumes.combats)
        return FoldResult(
            fold,
            predictions,
            raw,
            self._scores(fold, predictions, raw),
            fits,
            fingerprints_of(self.study, self.folds, training.rows),
            fitted,
            self.digest,
            fitted.held_out,
        )

    def _scores(self, fold: Fold, predictions: np.ndarray, raw: np.ndarray | None) -> Scores:
        """Score predictions of a fold's test rows; nothing where there are none."""
        targets = self.study.targets[fold.test_rows]
        return self.study.outcome.scores(targets, predictions, raw) if len(targets) else {}

    def _nothing(self) -> np.ndarray:
        """Return predictions of no row."""
        outcome = self.study.outcome
        none = np.empty((0, outcome.num_outputs))
        return outcome.activate(none, outcome.scaling(self.study.targets))

    def _summary(self, result: FoldResult) -> str:
        number, name = result.fold.number, result.fold.name
        where = f"fold {number} ({number + 1} of {len(self.folds)}{f', {name}' if name else ''})"
        if not result.scores:
            return f"trained on all {session_word(self.study.cohort)}s after {result.seconds:.0f} s"
        named = [f"{name} {score_text(value)}" for name, value in result.scores.items() if value is not None][:3]
        tested = count_sessions(self.study.cohort, result.fold.test_rows)
        return f"{where}: {', '.join(named)} on {tested} after {result.seconds:.0f} s"


def _check_instances(model: object, splits: object) -> None:
    """Refuse what is easily given in place of a model or of splits: the class, or a number of folds."""
    for name, value, method, asked, example in (
        ("model", model, "fit", "check", "mri3d.models.Ridge()"),
        ("splits", splits, "split", "tuned", "mri3d.KFold(folds=5)"),
    ):
        if isinstance(value, type):
            raise UserError(f"{name} is the class {value.__name__}. Give an instance, such as {value.__name__}().")
        if not hasattr(value, asked):  # a text has `split` and scikit-learn's models have `fit`
            raise UserError(f"{name} is {value!r}, which has no way to {method} here. Give one such as {example}.")
