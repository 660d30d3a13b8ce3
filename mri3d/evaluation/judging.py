"""An evaluation from its folds to its results: trained, tested, and held against chance."""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from mri3d.errors import UserError
from mri3d.evaluation.confounds import judge_confounds
from mri3d.evaluation.crossvalidation import AfterFold, CrossValidation
from mri3d.evaluation.harmonizing import judge_harmonization
from mri3d.evaluation.learning_curve import measured_curve
from mri3d.evaluation.nested_widening import measured_widening
from mri3d.evaluation.permutations import permutation_test
from mri3d.evaluation.results import Results
from mri3d.processes import several_processes

log = logging.getLogger(__name__)

Found = TypeVar("Found")


def judge(evaluation: CrossValidation, *, after_fold: AfterFold | None = None, keep_models: bool = True) -> Results:
    """Run an evaluation, and hold its scores against what was asked for.

    That may be fits within folds, fits to fewer sessions, confounds, and permuted labels.

    Arguments as for `CrossValidation.run`.
    """
    results = evaluation.run(after_fold=after_fold, keep_models=keep_models)
    seed, refit = evaluation.trainings[0].seed, evaluation.splits.refit
    if evaluation.splits.intervals == "nested":
        widening = _if_possible("nested intervals", lambda: measured_widening(evaluation, results))
        results = replace(results, widening=widening)
    curve = _if_possible("the learning curve", lambda: measured_curve(evaluation, results))
    results = replace(results, learning_curve=curve)
    if evaluation.confounds is not None:
        found = _if_possible("the confound analysis", lambda: judge_confounds(evaluation, results))
        results = replace(results, confounds=found)
    if evaluation.splits.harmonize is not None and len(results.rows):
        judged = _if_possible("the judgement of harmonising", lambda: judge_harmonization(evaluation, results))
        results = replace(results, harmonization=judged)
    if (permuted := evaluation.permuted) is not None:
        test = _if_possible(
            "the permutation test", lambda: permutation_test(evaluation, results, permuted, seed=seed, refit=refit)
        )
        results = replace(results, permutation=test)
    return results


def _if_possible(what: str, step: Callable[[], Found]) -> Found | None:
    """Do what comes on top of an evaluation; where it cannot be done, that is told, and the evaluation stands."""
    try:
        return step()
    except UserError as error:
        if several_processes():  # the others may not have met it, and would wait for this one
            raise
        log.warning("%s could not be made: %s", what, error)
        return None
