"""The correction of a measure for shrinkage: what is told where it is not certain, and that raw scores stand beside."""

import numpy as np
import pytest

from mri3d import Holdout, KFold, Study, evaluate, fit
from mri3d.models import KNN, RBFSVM, LinearSVM, Ridge
from tests.models.planted import measured_arrays

FEW_ROWS = r"by a line of {} training rows only: it is not certain"
FEW_FOLDS = r"by a line of only {} inner folds, whose models learnt from {} % of the training rows"


def study(num_subjects, seed=2):
    ages = np.random.default_rng(seed).uniform(20, 80, num_subjects).round(1)
    return Study.from_arrays(measured_arrays(ages, seed=seed), ages, task="regression", name="age")


def model(kind, **options):
    parameters = {Ridge: {"alpha": 0.3}, LinearSVM: {"C": 3.0}, RBFSVM: {"C": 3.0, "gamma": 0.7}, KNN: {"k": 3}}[kind]
    return kind(num_components=3, debias=True, **parameters, **options)


def told(caplog):
    return [record.getMessage() for record in caplog.records if "corrected by a line" in record.getMessage()]


@pytest.mark.parametrize("kind", [Ridge, LinearSVM, RBFSVM, KNN])
def test_every_model_tells_of_a_line_of_few_rows_and_few_folds(kind, caplog):
    fit(study(16), model(kind, inner_folds=4), seed=0)
    rows, folds = told(caplog)
    assert FEW_ROWS.format(16) in rows
    assert FEW_FOLDS.format(4, 75) in folds


@pytest.mark.parametrize(("splits", "rows_learnt_from"), [(Holdout(test=0.2), [16]), (KFold(folds=4), [15] * 4)])
@pytest.mark.parametrize("times", [1, 3])
def test_each_fold_warns_of_few_rows_and_scores_before_correction_stand_beside(splits, rows_learnt_from, times, caplog):
    made = study(20 * times)
    results = evaluate(made, model(Ridge), splits, seed=0)
    expected = [FEW_ROWS.format(num_rows) for num_rows in rows_learnt_from if times == 1]
    assert len(told(caplog)) == len(expected)
    assert all(text in message for text, message in zip(expected, told(caplog), strict=True))
    plain = evaluate(made, Ridge(num_components=3, alpha=0.3), splits, seed=0)
    for name, score in plain.scores.items():
        assert results.scores[f"{name}_raw"].value == pytest.approx(score.value), name
        assert all(f"{name}_raw" in fold.scores for fold in results.folds)
    assert results.scores["mae"].value != pytest.approx(plain.scores["mae"].value)
    assert results.metrics(num_subjects={}, seconds={})["test"]["mae_raw"]["value"] is not None
    np.testing.assert_allclose(results.predictions["prediction_raw"], plain.predicted)


@pytest.mark.parametrize(("num_subjects", "warns"), [(19, True), (20, False)])
def test_a_model_of_all_subjects_warns_of_few_rows_too(num_subjects, warns, caplog):
    fit(study(num_subjects), model(Ridge), seed=0)
    assert [FEW_ROWS.format(num_subjects) in message for message in told(caplog)] == [True] * warns


@pytest.mark.parametrize(("inner_folds", "share"), [(2, 50), (3, 67), (4, 75), (5, None), (8, None)])
def test_few_inner_folds_are_told_of_however_many_rows_there_are(inner_folds, share, caplog):
    fit(study(120), model(Ridge, inner_folds=inner_folds), seed=0)
    expected = [] if share is None else [FEW_FOLDS.format(inner_folds, share)]
    assert len(told(caplog)) == len(expected)
    assert all(text in message for text, message in zip(expected, told(caplog), strict=True))


@pytest.mark.slow
def test_models_of_fewer_inner_folds_shrink_more_so_the_correction_goes_further():
    """The reason for the warning: no component is left out, and half of the rows teach clearly less than all."""
    ages = np.random.default_rng(0).uniform(20, 80, 200)
    volumes = np.random.default_rng(1).standard_normal((200, 8, 8, 8))
    volumes[:, 2:5, 2:5, 2:5] += ((ages - 50) / 60)[:, None, None, None]
    made = Study.from_arrays(volumes, ages, task="regression")
    slopes = [
        fit(made, Ridge(num_components=None, alpha=0.3, debias=True, inner_folds=count)).members[0].model.line.slope
        for count in (2, 3, 5, 10)
    ]
    assert slopes == sorted(slopes)
    assert slopes[-1] > 1.2 * slopes[0]
