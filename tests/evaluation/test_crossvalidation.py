"""One loop for every model: no fold inherits from another, and what it returns is what was tested."""

import csv
import json

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import mean_absolute_error, r2_score, roc_auc_score

from mri3d.errors import UserError
from mri3d.evaluation.crossvalidation import CrossValidation
from mri3d.evaluation.splits import All, Holdout, KFold
from mri3d.outcome import Line
from mri3d.records import write_scores
from mri3d.study import Study
from mri3d.volumes.recipe import Recipe
from tests.evaluation.peer import CLASSES, Peer, evaluate, flat, peer_study


@pytest.fixture
def study():
    return peer_study()


@pytest.fixture
def ages():
    random = np.random.default_rng(1)
    values = random.uniform(20, 80, 40)
    volumes = random.normal(size=(40, 2, 3, 2)) + values[:, None, None, None] / 30
    return Study.from_arrays(volumes, values, task="regression", name="age")


def test_each_fold_fits_a_fresh_copy_on_its_own_rows(study, tmp_path):
    seen = []
    folds, results = evaluate(study, KFold(folds=3), tmp_path, after_fold=seen.append)
    assert len(seen) == 3
    for fold, result in zip(folds, seen, strict=True):
        (training,) = result.model.trainings
        assert (training.name, training.folder, training.seed) == (f"fold_{fold.number}", tmp_path, 7 + fold.number)
        assert training.train_rows is fold.train_rows
        assert training.validation_rows is fold.validation_rows
        assert training.outcome is study.outcome
        assert not training.inner
        assert len(np.unique(training.groups)) == 41
        expected = LogisticRegression().fit(flat(study.volumes, fold.train_rows), study.targets[fold.train_rows])
        assert np.allclose(result.predictions, expected.predict_proba(flat(study.volumes, fold.test_rows)))
        assert result.scores["auc"] == roc_auc_score(study.targets[fold.test_rows], result.predictions[:, 1])
        assert [fit.seed for fit in result.fits] == [7 + fold.number]
    assert results.folds == tuple(seen)


def test_every_fold_is_checked_before_any_is_fitted(study, tmp_path):
    prototype = Peer()
    validation = CrossValidation.of(study, prototype, KFold(folds=3), seed=0, folder=tmp_path)
    assert prototype.checked == validation.trainings
    assert len(prototype.checked) == 3

    class Picky(Peer):
        def check(self, training):
            """Refuse the last fold."""
            if training.name == "fold_2":
                raise UserError("too few")

    with pytest.raises(UserError, match="too few"):
        CrossValidation.of(study, Picky(), KFold(folds=3), seed=0, folder=tmp_path)


def test_models_are_kept_only_where_they_are_asked_for(study, tmp_path):
    seen = []
    _, results = evaluate(study, KFold(folds=3), tmp_path, after_fold=seen.append, keep_models=False)
    assert all(result.model is not None for result in seen), "a run saves each from here"
    assert [result.model for result in results.folds] == [None] * 3
    with pytest.raises(UserError, match=r"were not kept in memory\. Load them from the run's folder"):
        _ = results.model


def test_the_only_fit_of_a_holdout_has_no_name(study, tmp_path):
    seen = []
    evaluate(study, Holdout(), tmp_path, after_fold=seen.append)
    assert [result.model.trainings[0].name for result in seen] == [""]


def test_predictions_have_one_row_for_each_test(study, tmp_path):
    _, results = evaluate(study, KFold(folds=3, repeats=2), tmp_path)
    metrics = write_scores(tmp_path, results, seconds={"total": 1.0}, peak_memory_mb=1.0)
    assert json.loads((tmp_path / "metrics.json").read_text()) == metrics
    assert metrics["num_subjects"] == {
        "total": 41, "sessions": 41, "participants": 41, "unlabelled": 0, "left_out": 0, "tested": 41,
    }  # fmt: skip
    with (tmp_path / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["subject", "fold", "split", "label", "prediction", "p_control", "p_patient"]
    assert [int(row["fold"]) for row in rows] == list(results.fold_numbers)
    assert [row["subject"] for row in rows] == [study.ids[row] for row in results.rows]
    assert {row["split"] for row in rows} == {"test"}
    labels = np.array([CLASSES.index(row["label"]) for row in rows])
    proba = np.array([[float(row["p_control"]), float(row["p_patient"])] for row in rows])
    assert np.array_equal(labels, study.targets[results.rows])
    assert [CLASSES.index(row["prediction"]) for row in rows] == list(proba.argmax(axis=1))
    assert roc_auc_score(labels, proba[:, 1]) == pytest.approx(results.scores["auc_pooled"].value, rel=1e-12)
    frame = results.predictions
    assert list(frame.columns) == list(rows[0])
    assert frame["subject"].tolist() == [row["subject"] for row in rows]
    assert np.array_equal(frame[["p_control", "p_patient"]].to_numpy(), results.predicted)


def test_a_model_that_returns_no_probabilities_is_refused(study, tmp_path):
    class Broken(Peer):
        def predict(self, volumes, rows):
            """Return nonsense."""
            return np.full((len(rows), 2), np.nan)

    with pytest.raises(ValueError, match=r"rows are no probabilities; the first, row 0, is \[nan nan\]"):
        evaluate(study, Holdout(), tmp_path, model=Broken())


def test_a_measure_is_scored_as_scikit_learn_does(ages, tmp_path):
    folds, results = evaluate(ages, KFold(folds=4), tmp_path)
    assert results.raw is None
    for fold, result in zip(folds, results.folds, strict=True):
        expected = LinearRegression().fit(flat(ages.volumes, fold.train_rows), ages.targets[fold.train_rows])
        predictions = expected.predict(flat(ages.volumes, fold.test_rows))
        assert np.allclose(result.predictions, predictions)
        assert result.scores["mae"] == pytest.approx(mean_absolute_error(ages.targets[fold.test_rows], predictions))
    truth = ages.targets[results.rows]
    assert results.scores["mae"].value == pytest.approx(mean_absolute_error(truth, results.predicted))
    assert results.scores["r2"].value == pytest.approx(r2_score(truth, results.predicted))
    assert results.scores["pearson_r"].value == pytest.approx(np.corrcoef(truth, results.predicted)[0, 1])
    error_slope = np.polyfit(truth, results.predicted - truth, 1)[0]
    assert results.scores["error_slope"].value == pytest.approx(error_slope)
    frame = results.predictions
    assert list(frame.columns) == ["subject", "fold", "split", "label", "prediction", "gap"]
    assert np.array_equal(frame["label"], truth)
    assert np.array_equal(frame["gap"], frame["prediction"] - frame["label"])
    assert "classes" not in results.metrics(num_subjects={}, seconds={})


def test_predictions_before_correction_are_kept_and_scored_beside(ages, tmp_path):
    _, plain = evaluate(ages, KFold(folds=4), tmp_path)
    line = Line(intercept=12.0, slope=0.8)
    _, results = evaluate(ages, KFold(folds=4), tmp_path, model=Peer(line=line))
    assert np.allclose(results.predicted, (plain.predicted - 12.0) / 0.8)
    assert np.allclose(results.raw, plain.predicted)
    assert np.allclose(results.predictions["prediction_raw"], plain.predicted)
    for name, score in plain.scores.items():
        assert results.scores[f"{name}_raw"].value == pytest.approx(score.value)
    assert results.scores["mae"].value != pytest.approx(plain.scores["mae"].value)


@pytest.mark.parametrize("which", ["study", "ages"])
def test_without_a_test_there_are_no_scores_and_no_predictions(which, request, tmp_path):
    study = request.getfixturevalue(which)
    ((fold,), results) = evaluate(study, All(validation=0.25), tmp_path)
    assert len(fold.test_rows) == 0
    assert np.array_equal(np.union1d(fold.train_rows, fold.validation_rows), np.arange(len(study.ids)))
    assert results.scores == {}
    assert results.folds[0].scores == {}
    assert len(results.predictions) == 0
    assert list(results.predictions.columns)[:5] == ["subject", "fold", "split", "label", "prediction"]
    assert results.metrics(num_subjects={}, seconds={})["test"] == {}
    assert results.headline() == (
        f"none: trained on all {len(study.ids)} subjects, so nothing says how good the model is"
    )


def test_digest_of_a_run_of_an_earlier_version_is_what_it_was(tmp_path):
    values = (np.arange(20 * 7 * 8 * 9) * 7919 % 1009).reshape(20, 7, 8, 9)
    study = Study.from_arrays(values, ["control", "patient"] * 10, [f"s{row:02}" for row in range(20)])
    found = []
    for version in (1, 2):
        study.volumes.recipe = Recipe("native", shape=(7, 8, 9), version=version)
        found.append(CrossValidation.of(study, Peer(), KFold(folds=2), seed=3, folder=tmp_path).digest)
    assert found[0] == "8e8071dc237c28bda693dbffd75ba7dea30ed6428f9f252d4737cd7f07352efe"  # by mri3d 0.2
    assert found[1] != found[0]
