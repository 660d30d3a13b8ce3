"""One loop for every classifier: no fold inherits from another, and what it gives is what was tested."""

import csv
import json
from dataclasses import dataclass, field

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from mri3d.evaluation.crossvalidation import cross_validate, make_tasks
from mri3d.evaluation.splits import Holdout, KFold

CLASSES = ("control", "patient")


@dataclass
class Logistic:
    """Logistic regression on flattened volumes, in the shape that the loop asks for."""

    tasks: list = field(default_factory=list)

    def fit(self, task):
        """Remember the task."""
        self.tasks.append(task)
        self.model_ = LogisticRegression().fit(task.volumes[task.train_rows], task.targets[task.train_rows])

    def predict_proba(self, volumes, rows):
        """Ask scikit-learn."""
        return self.model_.predict_proba(volumes[rows])

    def history(self):
        """Pretend three epochs."""
        return [{"epoch": epoch, "train_loss": 1.0} for epoch in range(3)]

    def last_search(self):
        """Choose nothing."""


@pytest.fixture
def study():
    random = np.random.default_rng(0)
    targets = random.permutation(np.repeat([0, 1], [23, 18]))
    volumes = random.normal(size=(41, 6)) + targets[:, None]
    return volumes, targets


def evaluate(study, splitter, tmp_path, *, prototype=None, **more):
    volumes, targets = study
    folds = splitter.split(targets, np.arange(41), classes=CLASSES, seed=0)
    tasks = make_tasks(volumes, targets, np.arange(41), folds, classes=CLASSES, folder=tmp_path, seed=7)
    prototype = prototype or Logistic()
    evaluation = cross_validate(prototype, folds, tasks, **more)
    assert prototype.tasks == []
    return folds, evaluation


def test_each_fold_fits_a_fresh_copy_on_its_own_rows(study, tmp_path):
    fitted = []
    folds, evaluation = evaluate(
        study, KFold(folds=3), tmp_path, after_fold=lambda result, classifier, task: fitted.append((result, classifier))
    )
    for fold, (result, classifier) in zip(folds, fitted, strict=True):
        (task,) = classifier.tasks
        assert (task.name, task.folder, task.seed) == (f"fold_{fold.number}", tmp_path, 7 + fold.number)
        assert task.train_rows is fold.train_rows
        assert task.validation_rows is fold.validation_rows
        assert np.array_equal(task.groups, np.arange(41))
        expected = LogisticRegression().fit(study[0][fold.train_rows], study[1][fold.train_rows])
        assert np.allclose(result.proba, expected.predict_proba(study[0][fold.test_rows]))
        assert result.scores["auc"] == roc_auc_score(study[1][fold.test_rows], result.proba[:, 1])
    assert evaluation.folds == tuple(result for result, _ in fitted)


def test_the_only_fit_of_a_holdout_has_no_name(study, tmp_path):
    fitted = []
    evaluate(study, Holdout(), tmp_path, after_fold=lambda result, classifier, task: fitted.append(classifier))
    assert [classifier.tasks[0].name for classifier in fitted] == [""]


def test_pooled_scores_are_over_all_tests_of_all_repeats(study, tmp_path):
    _, evaluation = evaluate(study, KFold(folds=4, repeats=2), tmp_path)
    assert np.array_equal(np.bincount(evaluation.rows), np.full(41, 2))
    assert evaluation.scores["auc"] == roc_auc_score(study[1][evaluation.rows], evaluation.proba[:, 1])


def test_metrics_json_is_the_contract(study, tmp_path):
    folds, evaluation = evaluate(study, KFold(folds=3), tmp_path)
    metrics = evaluation.metrics_json(num_subjects={"tested": 41}, seconds={"fit": 1.5}, peak_memory_mb=12.0)
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics
    assert list(metrics) == ["test", "folds", "chosen", "classes", "num_subjects", "seconds", "peak_memory_mb"]
    assert metrics["test"]["auc"] == {"value": evaluation.scores["auc"], "low": None, "high": None}
    assert metrics["classes"] == ["control", "patient"]
    for fold, result, entry in zip(folds, evaluation.folds, metrics["folds"], strict=True):
        assert entry["scores"] == result.scores
        assert entry["epochs"] == 3
        assert entry["num_train"] + entry["num_validation"] + entry["num_test"] == 41
        assert entry["num_test"] == len(fold.test_rows)


def test_predictions_have_one_row_for_each_test(study, tmp_path):
    _, evaluation = evaluate(study, KFold(folds=3, repeats=2), tmp_path)
    ids = [f'scan "{row}", left' for row in range(41)]
    evaluation.write_predictions(tmp_path / "predictions.csv", ids)
    with (tmp_path / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["subject", "fold", "split", "label", "prediction", "p_control", "p_patient"]
    assert [int(row["fold"]) for row in rows] == list(evaluation.fold_numbers)
    assert [row["subject"] for row in rows] == [ids[row] for row in evaluation.rows]
    assert {row["split"] for row in rows} == {"test"}
    labels = np.array([CLASSES.index(row["label"]) for row in rows])
    proba = np.array([[float(row["p_control"]), float(row["p_patient"])] for row in rows])
    assert np.array_equal(labels, study[1][evaluation.rows])
    assert [CLASSES.index(row["prediction"]) for row in rows] == list(proba.argmax(axis=1))
    assert roc_auc_score(labels, proba[:, 1]) == evaluation.scores["auc"]


def test_a_classifier_that_gives_no_probabilities_is_refused(study, tmp_path):
    class Broken(Logistic):
        def predict_proba(self, volumes, rows):
            """Give nonsense."""
            return np.full((len(rows), 2), np.nan)

    with pytest.raises(ValueError, match=r"rows are no probabilities; the first, row 0, is \[nan nan\]"):
        evaluate(study, Holdout(), tmp_path, prototype=Broken())
