"""An evaluation from its folds to its results: trained, tested, and held against chance."""

from dataclasses import replace

from mri3d.evaluation.confounds import judge_confounds
from mri3d.evaluation.crossvalidation import AfterFold, CrossValidation
from mri3d.evaluation.learning_curve import measured_curve
from mri3d.evaluation.nested_widening import measured_widening
from mri3d.evaluation.permutations import permutation_test
from mri3d.evaluation.results import Results


def judge(evaluation: CrossValidation, *, after_fold: AfterFold | None = None, keep_models: bool = True) -> Results:
    """Run an evaluation, and hold its scores against what was asked for.

    That may be fits within folds, fits to fewer sessions, confounds, and permuted labels.

    Arguments as for `CrossValidation.run`.
    """
    results = evaluation.run(after_fold=after_fold, keep_models=keep_models)
    if evaluation.splits.intervals == "nested":
        results = replace(results, widening=measured_widening(evaluation, results))
    results = replace(results, learning_curve=measured_curve(evaluation, results))
    if evaluation.confounds is not None:
        results = replace(results, confounds=judge_confounds(evaluation, results))
    if evaluation.permuted is None:
        return results
    seed, refit = evaluation.trainings[0].seed, evaluation.splits.refit
    found = permutation_test(evaluation, results, evaluation.permuted, seed=seed, refit=refit)
    return replace(results, permutation=found)
