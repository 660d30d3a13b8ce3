"""How uncertain a cross-validation is, measured by cross-validating within its folds (Bates and others 2024)."""

import copy
import logging
import shutil
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mri3d.errors import UserError, option
from mri3d.evaluation.folds import Fold
from mri3d.evaluation.seeds import seeds_of
from mri3d.models.model import TrainingSet
from mri3d.progress import progress

if TYPE_CHECKING:
    from mri3d.evaluation.crossvalidation import CrossValidation
    from mri3d.evaluation.results import Results

log = logging.getLogger(__name__)


def check_widening(evaluation: "CrossValidation") -> None:
    """Refuse, before any work starts, what cannot be cross-validated within its folds.

    Raises:
        UserError: A shuffle of the cohort has fewer than three folds, or the model cannot learn from so few rows.
    """
    folds = evaluation.folds
    if min(np.unique([fold.repeat for fold in folds], return_counts=True)[1]) < 3:
        raise UserError(
            f"{option('evaluation.intervals', 'nested')} cross-validates the other folds of each fold, and needs three "
            "or more. Ask for more folds, or leave it out."
        )
    for number, left_out in _pairs(folds):
        training = _without(evaluation.trainings[number], folds[left_out], left_out)
        try:
            for seeded in seeds_of(training, evaluation.splits.seeds):
                evaluation.model.check(seeded)
        except UserError as error:
            raise UserError(
                f"{option('evaluation.intervals', 'nested')} fits each fold without the tests of each other one, and "
                f"fold {number} without those of fold {left_out} leaves too little: {error.text} Or leave it out."
            ) from error


def measured_widening(evaluation: "CrossValidation", results: "Results") -> float:
    """Measure the factor on standard errors, with a fit more for every two folds, in both orders.

    What is measured on is the error of `Outcome.mean_error`; the factor is taken for all scores.

    Args:
        evaluation: What was run.
        results: What it gave.

    Returns:
        The factor for `Sampling.chosen_widening`.
    """
    folds, pairs = evaluation.folds, _pairs(evaluation.folds)
    found = dict[tuple[int, int], np.ndarray]()
    for number, left_out in progress(pairs, total=len(pairs), title="fits within folds"):
        training = _without(evaluation.trainings[number], folds[left_out], left_out)
        found[number, left_out] = _tested(evaluation, training, folds[left_out].test_rows)
    outer = [
        _errors(evaluation, result.fold.test_rows, result.predictions if result.raw is None else result.raw)
        for result in results.folds
    ]
    inner = [
        np.concatenate(
            [
                _errors(evaluation, folds[other].test_rows, predictions)
                for (mine, other), predictions in found.items()
                if mine == number
            ]
        )
        for number in range(len(folds))
    ]
    factor = nested_widening(outer, inner, num_folds=len(folds) // len({fold.repeat for fold in folds}))
    log.info("intervals are %.2f times as wide as those of as many independent tests", factor)
    return factor


def nested_widening(outer: Sequence[np.ndarray], inner: Sequence[np.ndarray], *, num_folds: int) -> float:
    """Estimate the factor on the standard error of a cross-validation (Bates, Hastie and Tibshirani 2024).

    Cross-validation: what does it estimate and how well does it do it? The rest of each fold is cross-validated once
    more. Its error estimates what the fold's test rows measure, so their distance tells how wrong such estimates are.
    Inner folds that chose options are such fits where they hold predictions of the chosen options for all of the rest.
    One split of K folds has K distances only, and a factor as noisy as a variance of K values: ask for many splits.

    Args:
        outer: Error of each test of each fold, a mean for each group, by the fit on the rest: an array for each fold.
        inner: Errors of the rest of each fold, each by a fit on the other parts of the rest.
        num_folds: Folds K of one split; there are as many arrays as K times the number of splits.

    Returns:
        The factor for `Sampling.chosen_widening`, from 1 to the square root of K as they propose.
    """
    apart = np.array([out.mean() - within.mean() for out, within in zip(outer, inner, strict=True)])
    errors = np.concatenate(outer)
    spread = errors.var(ddof=1)  # of a fold that tests one group nothing else is known
    of_tests = np.array([(out.var(ddof=1) if len(out) > 1 else spread) / len(out) for out in outer])
    naive = spread / (len(errors) / len(outer) * num_folds)
    if naive <= 0:
        return 1.0
    squared = (num_folds - 1) / num_folds * (np.square(apart) - of_tests).mean()
    return float(np.sqrt(np.clip(squared / naive, 1.0, num_folds)))


def _pairs(folds: Sequence[Fold]) -> list[tuple[int, int]]:
    """Pair each fold with every other one of its shuffle, in both orders."""
    return [
        (number, left_out)
        for number, fold in enumerate(folds)
        for left_out, other in enumerate(folds)
        if other.repeat == fold.repeat and left_out != number
    ]


def _without(training: TrainingSet, left_out: Fold, number: int) -> TrainingSet:
    """Return what a fold learns from, less everybody whom another tests."""
    barred = np.flatnonzero(np.isin(training.groups, training.groups[left_out.test_rows]))
    train, validation = (np.setdiff1d(rows, barred) for rows in (training.train_rows, training.validation_rows))
    name = f"{training.name}_without/{number}"
    return replace(training, train_rows=train, validation_rows=validation, name=name, inner=True)


def _tested(evaluation: "CrossValidation", training: TrainingSet, rows: np.ndarray) -> np.ndarray:
    """Fit a copy of the model, or one for each seed, and predict rows."""
    predictions = []
    for seeded in seeds_of(training, evaluation.splits.seeds):
        model = copy.deepcopy(evaluation.model)
        model.fit(seeded)
        predictions.append(model.predict(training.volumes, rows))
        shutil.rmtree(seeded.checkpoints, ignore_errors=True)
    return np.asarray(np.mean(predictions, axis=0))


def _errors(evaluation: "CrossValidation", rows: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """Return the mean error of each group [G] among predictions [M, K] or [M] of rows [M]."""
    study = evaluation.study
    tests = study.outcome.resampling(study.targets[rows], predictions, None)
    groups = np.unique(study.groups[rows], return_inverse=True)[1]
    return tests.scores((groups == np.arange(groups.max() + 1)[:, None]).astype(np.float64))[study.outcome.mean_error]
