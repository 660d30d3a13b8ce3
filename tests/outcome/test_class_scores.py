"""Scores against scikit-learn and against their formulae."""

import itertools
import warnings

import numpy as np
import pytest
import sklearn.metrics as reference

from mri3d.outcome.class_scores import auc, class_scores, confusion_matrix, expected_calibration_error, membership


def random_case(num_subjects, num_classes, seed):
    """Targets of every class, and probabilities that lean towards them, with ties."""
    random = np.random.default_rng(seed)
    targets = np.concatenate([np.arange(num_classes), random.integers(0, num_classes, num_subjects - num_classes)])
    logits = random.normal(size=(num_subjects, num_classes)) + np.eye(num_classes)[targets]
    proba = np.exp(logits.round(1))
    return targets, proba / proba.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("seed", range(5))
def test_binary_scores_equal_scikit_learn(seed):
    targets, proba = random_case(41, 2, seed)
    predictions = proba.argmax(axis=1)
    assert class_scores(targets, proba, ("a", "b")) == pytest.approx(
        {
            "auc": reference.roc_auc_score(targets, proba[:, 1]),
            "accuracy": reference.accuracy_score(targets, predictions),
            "balanced_accuracy": reference.balanced_accuracy_score(targets, predictions),
            "f1": reference.f1_score(targets, predictions),
            "sensitivity": reference.recall_score(targets, predictions),
            "specificity": reference.recall_score(targets, predictions, pos_label=0),
            "log_loss": reference.log_loss(targets, proba),
            "brier": reference.brier_score_loss(targets, proba[:, 1]),
            "expected_calibration_error": expected_calibration_error(targets, proba),
        }
    )


@pytest.mark.parametrize("seed", range(5))
def test_scores_of_three_classes_equal_scikit_learn(seed):
    targets, proba = random_case(47, 3, seed)
    predictions = proba.argmax(axis=1)
    assert class_scores(targets, proba, ("a", "b", "c")) == pytest.approx(
        {
            "auc": reference.roc_auc_score(targets, proba, multi_class="ovr", average="macro"),
            "accuracy": reference.accuracy_score(targets, predictions),
            "balanced_accuracy": reference.balanced_accuracy_score(targets, predictions),
            "f1": reference.f1_score(targets, predictions, average="macro"),
            "log_loss": reference.log_loss(targets, proba),
            "brier": np.square(proba - np.eye(3)[targets]).sum(axis=1).mean(),
            "expected_calibration_error": expected_calibration_error(targets, proba),
        }
    )


@pytest.mark.parametrize("num_classes", [2, 3])
def test_auc_of_decisions_with_ties_is_that_of_scikit_learn(num_classes):
    rng = np.random.default_rng(num_classes)
    targets = np.arange(40) % num_classes
    decisions = rng.integers(0, 9, (40, 1 if num_classes == 2 else 3)) + targets[:, None] * 0.5  # with ties
    members = targets[:, None] == np.arange(num_classes)
    expected = (
        reference.roc_auc_score(targets, decisions[:, 0])
        if num_classes == 2
        else np.mean([reference.roc_auc_score(members[:, k], decisions[:, k]) for k in range(3)])
    )
    assert auc(decisions, membership(targets, num_classes)) == pytest.approx(expected)


@pytest.mark.parametrize(("decisions", "expected"), [(np.ones(9), 0.5), (np.arange(9), 0.0), (-np.arange(9), 1.0)])
def test_auc_of_nothing_but_ties_is_a_half_and_of_an_order_all_or_nothing(decisions, expected):
    members = np.arange(9) < 4
    assert auc(decisions[:, None], members[:, None]) == expected == reference.roc_auc_score(members, decisions)


@pytest.mark.parametrize("num_classes", [2, 3, 4])
def test_membership_is_of_the_second_of_two_classes_or_of_each(num_classes):
    targets = np.array([0, 1, 1, 0]) if num_classes == 2 else np.array([2, 0, 1, 2])
    expected = np.eye(num_classes, dtype=bool)[targets]
    members = membership(targets, num_classes)
    assert members.dtype == bool
    np.testing.assert_array_equal(members, expected[:, 1:] if num_classes == 2 else expected)


def test_auc_is_the_share_of_pairs_in_the_right_order():
    targets, proba = random_case(29, 2, 0)
    pairs = itertools.product(proba[targets == 1, 1], proba[targets == 0, 1])
    right = np.mean([(positive > negative) + 0.5 * (positive == negative) for positive, negative in pairs])
    assert class_scores(targets, proba, ("a", "b"))["auc"] == pytest.approx(right)


def test_confusion_matrix_has_the_truth_in_its_rows():
    targets, proba = random_case(40, 3, 1)
    predictions = proba.argmax(axis=1)
    assert np.array_equal(confusion_matrix(targets, predictions, 3), reference.confusion_matrix(targets, predictions))


def test_calibration_error_of_a_known_case():
    # Two bins: eight at 0.75 of which 4 are right (off by 0.25), two at 1.0 that are right (off by 0).
    confidence = np.array([0.75] * 8 + [1.0] * 2)
    targets = np.array([1] * 4 + [0] * 4 + [1] * 2)
    proba = np.stack([1 - confidence, confidence], axis=1)
    assert expected_calibration_error(targets, proba) == pytest.approx(0.8 * 0.25)


def test_one_class_leaves_scores_undefined_and_says_why(caplog):
    proba = np.array([[0.7, 0.3], [0.6, 0.4]])
    result = class_scores(np.array([0, 0]), proba, ("control", "patient"))
    for name in ("auc", "balanced_accuracy", "f1", "sensitivity"):
        assert result[name] is None
    assert result["accuracy"] == result["specificity"] == 1.0
    assert "no AUC for these 2 test sessions: none is of class 'patient'" in caplog.text


def test_a_certain_and_wrong_answer_costs_a_finite_amount():
    result = class_scores(np.array([0, 1]), np.array([[0.0, 1.0], [0.0, 1.0]]), ("a", "b"))
    assert result["log_loss"] == pytest.approx(-np.log(np.finfo(np.float64).eps) / 2)


@pytest.mark.parametrize(
    ("proba", "message"),
    [
        ([[0.5, 0.5], [np.nan, 0.5]], r"1 of 2 rows are no probabilities; the first, row 1, is \[nan 0.5\]"),
        ([[0.5, 0.6], [0.5, 0.5]], "row 0"),
        ([[1.5, -0.5], [0.5, 0.5]], "row 0"),
        ([[0.5, 0.5]], r"probabilities \(1, 2\) do not fit 2 sessions and 2 classes"),
    ],
)
def test_what_is_no_probability_is_refused(proba, message):
    with pytest.raises(ValueError, match=message), warnings.catch_warnings():
        class_scores(np.array([0, 1]), np.array(proba), ("a", "b"))
