"""Scores of all tests: the AUC within folds, intervals, and what metrics.json has of them."""

import itertools
import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mri3d.evaluation.splits import Holdout, KFold
from mri3d.study import Study
from tests.evaluation.peer import CLASSES, evaluate, peer_study


@pytest.fixture
def study():
    return peer_study()


def test_pooled_scores_are_over_all_tests_of_all_repeats(study, tmp_path):
    _, results = evaluate(study, KFold(folds=4, repeats=2), tmp_path)
    assert np.array_equal(np.bincount(results.rows), np.full(41, 2))
    pooled = results.scores["auc_pooled"]
    assert pooled.value == roc_auc_score(study.targets[results.rows], results.predicted[:, 1])
    assert pooled.low < pooled.value < pooled.high


def test_the_auc_is_of_pairs_within_the_same_fold(study, tmp_path):
    _, results = evaluate(study, KFold(folds=4, repeats=2), tmp_path)
    right, num_pairs = 0.0, 0
    for result in results.folds:
        truth, proba = study.targets[result.fold.test_rows], result.predictions[:, 1]
        for case, control in itertools.product(proba[truth == 1], proba[truth == 0]):
            right += (case > control) + (case == control) / 2
            num_pairs += 1
    auc = results.scores["auc"]
    assert auc.value == pytest.approx(right / num_pairs)
    assert 0 <= auc.low < auc.value < auc.high <= 1


def test_intervals_of_several_folds_are_about_the_way_of_training(study, tmp_path):
    _, results = evaluate(study, KFold(folds=4), tmp_path)
    one = evaluate(study, Holdout(), tmp_path)[1].metrics(num_subjects={}, seconds={})["intervals"]
    several = results.metrics(num_subjects={}, seconds={})["intervals"]
    assert (one["about"], one["widening"]) == ("model", 1.0)
    assert several == {"level": 0.95, "about": "training", "num_train": 31, "widening": pytest.approx(1.528, abs=0.01)}
    accuracy = results.scores["accuracy"]
    assert accuracy.low < accuracy.value < accuracy.high


def test_balanced_accuracy_at_the_prevalence_takes_the_class_that_is_probable_for_its_share(tmp_path):
    random = np.random.default_rng(0)
    targets = (np.arange(80) % 5 == 0).astype(int)
    volumes = random.normal(size=(80, 2, 3, 2)) + targets[:, None, None, None] / 3
    study = Study.from_arrays(volumes, [CLASSES[target] for target in targets])
    _, results = evaluate(study, KFold(folds=4), tmp_path)
    recalls = []
    for target in (0, 1):
        hits = [
            (result.predictions[row] / np.bincount(study.targets[learnt], minlength=2)).argmax() == target
            for result in results.folds
            for learnt in [np.concatenate([result.fold.train_rows, result.fold.validation_rows])]
            for row in np.flatnonzero(study.targets[result.fold.test_rows] == target)
        ]
        recalls.append(np.mean(hits))
    found = results.scores["balanced_accuracy_at_prevalence"]
    assert found.value == pytest.approx(np.mean(recalls))
    assert found.value > results.scores["balanced_accuracy"].value + 0.05, "at one half nearly all are controls"
    assert found.low < found.value < found.high


def test_metrics_are_those_of_the_contract(study, tmp_path):
    folds, results = evaluate(study, KFold(folds=3), tmp_path)
    metrics = results.metrics(num_subjects={"tested": 41}, seconds={"fit": 1.5}, peak_memory_mb=12.0)
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics
    assert list(metrics) == [
        *("test", "intervals", "better_than_chance", "leaks", "calibration", "confounds", "strata", "folds"),
        *("chosen", "outcome", "classes", "num_subjects", "seconds", "peak_memory_mb"),
    ]
    assert metrics["test"]["auc"] == vars(results.scores["auc"])
    assert list(metrics["test"])[:3] == ["auc", "auc_pooled", "accuracy"]
    assert metrics["leaks"] == {"sessions": 41, "near_copies": [], "across": 0, "allowed": False}
    difference = metrics["calibration"]["estimates"]["patient"]["mean_difference"]["value"]
    assert difference == pytest.approx((results.predicted[:, 1] - results.targets).mean())
    assert metrics["classes"] == ["control", "patient"]
    assert metrics["outcome"] == {"task": "classification", "name": "label", "classes": ["control", "patient"]}
    for fold, result, entry in zip(folds, results.folds, metrics["folds"], strict=True):
        assert entry["scores"] == result.scores
        assert entry["epochs"] == 3
        assert entry["num_train"] + entry["num_validation"] + entry["num_test"] == 41
        assert entry["num_test"] == len(fold.test_rows)
