"""How good would the model be with fewer training sessions, and what would more of them buy.

The model of each fold is fitted again to parts of what it learnt from, each part within the next larger one, and tested
on the same sessions. So the points of the curve differ in nothing but what was learnt from, and the last one is the
evaluation itself.

All points have its factor for intervals, see `Sampling.widening`: smaller parts have no more sessions in common. In
simulations of ridge on 120 to 400 sessions the standard deviation of a score was 0.9 to 1.3 times its standard error,
at a fifth of the sessions as at all of them, where the factor of five folds is 1.5. (The formula of Nadeau and Bengio
would give 2.7 at a fifth: it takes folds to share the more the fewer they learn from.)
"""

import copy
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mri3d.errors import UserError, option
from mri3d.evaluation.curve import Curve, Point
from mri3d.evaluation.folds import Fold, Sample
from mri3d.evaluation.partition import Strata, partition
from mri3d.evaluation.seeds import seeds_of
from mri3d.evaluation.splits import KFold
from mri3d.models.model import TrainingSet
from mri3d.progress import progress

if TYPE_CHECKING:
    from mri3d.evaluation.crossvalidation import CrossValidation
    from mri3d.evaluation.results import Results

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LearningCurve(KFold):
    """K-fold, and once more with fewer training sessions, to find out whether more would make the model better.

    Attributes:
        fractions: Shares of what each fold learns from, validation included, that its model is fitted to again; all of
            it is always there.

    >>> from mri3d.outcome import Classes
    >>> splits = LearningCurve(folds=2, validation=0, fractions=[0.25, 0.5])
    >>> sample = Sample(Classes(("a", "b")), np.arange(32) % 2, np.arange(32))
    >>> smaller = splits.smaller(sample, splits.split(sample, seed=0), seed=0)
    >>> {fraction: [len(fold.train_rows) for fold in folds] for fraction, folds in smaller.items()}
    {0.25: [4, 4], 0.5: [8, 8]}
    """

    fractions: Sequence[float] = (0.2, 0.4, 0.6, 0.8)

    def __post_init__(self) -> None:
        super().__post_init__()
        for fraction in self.fractions:
            if not 0 < fraction < 1:
                raise UserError(
                    f"{option('evaluation.fractions', self.fractions)}: {fraction:g} is no share of the training "
                    "sessions. Give numbers between 0 and 1, such as 0.5; all of the sessions are there anyway."
                )
        if not self.fractions:
            raise UserError(
                f"{option('evaluation.fractions', self.fractions)} names no smaller training set. Give two shares or "
                "more, such as [0.25, 0.5]."
            )
        object.__setattr__(self, "fractions", tuple(sorted(set(self.fractions))))

    def smaller(self, sample: Sample, folds: Sequence[Fold], *, seed: int) -> Mapping[float, list[Fold]]:
        """Return the same folds with fewer rows to learn from, by their fraction, smallest first.

        Training and validation rows are cut by the same fraction: whole groups, stratified as the folds are, each part
        within the next larger one.

        Args:
            sample: Who was split.
            folds: What it was split into.
            seed: The parts are a function of it, of the fold and of all fractions.
        """
        strata = Strata.of(
            sample, self.balance, needed=2 if self.splits else self.folds, reason="a learning curve needs"
        )
        found: dict[float, list[Fold]] = {fraction: [] for fraction in self.fractions}
        for fold in folds:
            random = np.random.default_rng([seed, fold.repeat, fold.number, 3])
            train, validation = (
                _nested_parts(strata, rows, self.fractions, random) for rows in (fold.train_rows, fold.validation_rows)
            )
            for fraction, rows, held_out in zip(self.fractions, train, validation, strict=True):
                found[fraction].append(replace(fold, train_rows=rows, validation_rows=held_out))
        return found


def _nested_parts(
    strata: Strata, rows: np.ndarray, fractions: Sequence[float], random: np.random.Generator
) -> list[np.ndarray]:
    """Cut rows to each of the fractions, in ascending order: whole groups, each part within the next larger one."""
    if not len(rows):
        return [rows] * len(fractions)
    groups, group_of_row = np.unique(strata.group_of_row[rows], return_inverse=True)
    added = partition(strata.among(groups), np.diff([0.0, *fractions, 1.0]), random)[group_of_row]
    return [rows[added <= number] for number in range(len(fractions))]


def check_curve(evaluation: "CrossValidation") -> None:
    """Refuse, before any work starts, fractions that leave too little to learn from; warn of those to validate by.

    Raises:
        UserError: It names the fraction: a training set lacks a class, or the model cannot learn from it.
    """
    for fraction, trainings in _smaller_trainings(evaluation).items():
        for fold, training in zip(evaluation.folds, trainings, strict=True):
            lacking = training.outcome.lacking(training.targets[training.train_rows])
            try:
                if lacking:
                    raise UserError(f"{lacking} is left among its training sessions.")
                for seeded in seeds_of(training, evaluation.splits.seeds):
                    evaluation.model.check(seeded)
            except UserError as error:
                raise UserError(
                    f"{option('evaluation.fractions')}: {fraction:g} of what fold {fold.number} learns from is too "
                    f"little: {error.text} Or leave out fractions that are so small."
                ) from error
        parts = [training.targets[training.validation_rows] for training in trainings if len(training.validation_rows)]
        if lacking := next(filter(None, map(evaluation.study.outcome.lacking, parts)), ""):
            told = (
                "with %g of what they learn from some folds validate with %s: a network that stops by it may do worse"
            )
            log.warning(told, fraction, lacking)


def measured_curve(evaluation: "CrossValidation", results: "Results") -> Curve | None:
    """Fit the model of each fold to each fraction of what it learnt from, and test it on the same sessions.

    Predictions of a measure that were corrected count as they were before: the line of few sessions blows errors up.

    Args:
        evaluation: What was run.
        results: What it gave: the last point of the curve.

    Returns:
        None where its splits ask for no fractions, see `Splits.smaller`.
    """
    trainings = _smaller_trainings(evaluation)
    if not trainings:
        return None
    steps = [(fraction, number) for fraction in trainings for number in range(len(evaluation.folds))]
    found: dict[float, list[np.ndarray]] = {fraction: [] for fraction in trainings}
    for fraction, number in progress(steps, total=len(steps), title="fits to fewer sessions"):
        rows = evaluation.folds[number].test_rows
        found[fraction].append(_tested(evaluation, trainings[fraction][number], rows))
    predictions = {fraction: np.concatenate(each) for fraction, each in found.items()}
    predictions[1.0] = results.predicted if results.raw is None else results.raw
    sizes = {
        fraction: float(np.mean([len(training.rows) for training in each]))
        for fraction, each in (trainings | {1.0: evaluation.trainings}).items()
    }
    points = [Point.of(fraction, sizes[fraction], results, each) for fraction, each in predictions.items()]
    curve = Curve.through(points, results)
    log.info("%s", curve.sentence)
    return curve


def _smaller_trainings(evaluation: "CrossValidation") -> dict[float, list[TrainingSet]]:
    """Return what the fits of each fold learn from at each fraction."""
    seed, sample = evaluation.trainings[0].seed, Sample.of(evaluation.study)
    smaller = evaluation.splits.smaller(sample, evaluation.folds, seed=seed)
    return {
        fraction: [
            replace(
                training,
                train_rows=fold.train_rows,
                validation_rows=fold.validation_rows,
                name=f"{training.name}_fraction_{fraction:g}",
                inner=True,
            )
            for training, fold in zip(evaluation.trainings, folds, strict=True)
        ]
        for fraction, folds in smaller.items()
    }


def _tested(evaluation: "CrossValidation", training: TrainingSet, rows: np.ndarray) -> np.ndarray:
    """Fit a copy of the model, or one for each seed, and predict rows, uncorrected."""
    predictions = []
    for seeded in seeds_of(training, evaluation.splits.seeds):
        model = copy.deepcopy(evaluation.model)
        model.fit(seeded)
        predicted = model.predict(training.volumes, rows)
        predictions.append(predicted if model.line is None else model.line.undo(predicted))
        shutil.rmtree(seeded.checkpoints, ignore_errors=True)
    return np.asarray(np.mean(predictions, axis=0))
