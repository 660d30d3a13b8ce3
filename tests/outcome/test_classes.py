"""Classes: which rows go where in a split, probabilities from outputs, and the words for them."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, softmax
from sklearn.metrics import roc_auc_score

from mri3d.outcome import Classes, Score, check_debias
from tests.models.refusals import refused

TWO, THREE = Classes(("control", "patient"), "dx"), Classes(("a", "b", "c"))


def test_strata_are_the_classes():
    targets = np.array([0, 1, 1, 0, 1, 0])
    assert_array_equal(TWO.strata(targets, np.arange(6), needed=3, reason="3 folds need"), targets)


def test_class_in_too_few_groups_is_refused_by_name():
    targets = np.array([0, 0, 0, 1, 1])
    with refused(
        r"^class 'patient' has 2 sessions: fewer than the 3 that a hold-out needs\. Add subj.*\(data\.unlabelled\)"
    ):
        TWO.strata(targets, np.arange(5), needed=3, reason="a hold-out needs")
    told = r"class 'control' has 3 sessions in 1 group; class 'patient' has 2 sessions: .* 3 that .*\. Lower it\. Add"
    with refused(told):
        TWO.strata(targets, np.array([7, 7, 7, 1, 2]), needed=3, reason="a hold-out needs", remedy="Lower it. ")


@pytest.mark.parametrize(
    ("targets", "lacking"),
    [([0, 1, 2], ""), ([0, 0], "no session of class 'b', 'c'"), ([], "no session of class 'a', 'b', 'c'")],
)
def test_classes_that_no_row_has_are_named(targets, lacking):
    assert THREE.lacking(np.array(targets, dtype=int)) == lacking


def test_two_classes_have_one_output_and_more_have_one_each():
    assert (TWO.num_outputs, TWO.decisions) == (1, ("patient",))
    assert (THREE.num_outputs, THREE.decisions) == (3, ("a", "b", "c"))
    assert TWO.words.decision("patient") == "the decision for patient"
    targets = np.array([0, 1, 1])
    assert TWO.scaling(targets) is None
    assert_array_equal(TWO.columns(targets, None), [[False], [True], [True]])
    assert_array_equal(THREE.columns(np.array([2, 0]), None), [[False, False, True], [True, False, False]])


def test_probabilities_are_softmax_of_log_odds_or_sigmoids_of_decisions():
    outputs = np.random.default_rng(0).standard_normal((5, 1))
    assert_allclose(TWO.activate(outputs, None), np.hstack([1 - expit(outputs), expit(outputs)]))
    sigmoids = np.array([[2.0, -0.5]])
    assert_allclose(TWO.activate(outputs, sigmoids)[:, 1], expit(2 * outputs[:, 0] - 0.5))
    several = np.random.default_rng(1).standard_normal((5, 3))
    assert_allclose(THREE.activate(several, None), softmax(several, axis=1))
    each = expit(several * [1.0, 2.0, 3.0] + 0.1)
    sigmoids = np.array([[1.0, 0.1], [2.0, 0.1], [3.0, 0.1]])
    assert_allclose(THREE.activate(several, sigmoids), each / each.sum(axis=1, keepdims=True))


def test_decisions_are_judged_by_the_auc():
    random = np.random.default_rng(0)
    targets = np.arange(30) % 2
    decisions = random.standard_normal((30, 1)) + targets[:, None]
    assert TWO.criterion == "auc"
    assert TWO.judge(decisions, TWO.columns(targets, None)) == pytest.approx(roc_auc_score(targets, decisions[:, 0]))


def test_evidence_is_log_odds_or_the_margin_over_the_mean_of_all():
    assert TWO.contrast(1, None).tolist() == [1.0]
    assert TWO.contrast(0, None).tolist() == [-1.0]
    assert_allclose(THREE.contrast(1, None), [-1 / 3, 2 / 3, -1 / 3])
    assert THREE.contrast(2, None).sum() == pytest.approx(0)


@pytest.mark.parametrize(("outcome", "target"), [(TWO, 0), (TWO, 1), (THREE, 0), (THREE, 2)])
def test_evidence_through_sigmoids_is_how_log_odds_change_with_the_outputs(outcome, target):
    num = outcome.num_outputs
    sigmoids = np.column_stack([np.linspace(0.5, 2, num), np.linspace(-1, 1, num)])
    outputs = np.random.default_rng(0).standard_normal(num)

    def log_odds(values):
        each = values * sigmoids[:, 0] + sigmoids[:, 1]
        return each[0] * (1 if target else -1) if num == 1 else each[target] - each.mean()

    slopes = [log_odds(outputs + step) - log_odds(outputs) for step in np.eye(num)]
    assert_allclose(outcome.contrast(target, sigmoids), slopes)


def test_sigmoids_are_usable_if_all_of_them_rise():
    assert TWO.is_usable(None)
    assert TWO.is_usable(np.array([[0.1, -3.0]]))
    assert not TWO.is_usable(np.array([[0.0, 1.0]]))
    assert THREE.is_usable(np.array([[0.1, 0.0], [2.0, 0.0], [3.0, 0.0]]))
    assert not THREE.is_usable(np.array([[0.1, 0.0], [0.0, 0.0], [3.0, 0.0]]))
    backwards, targets = np.linspace(1, -1, 20)[:, None], np.arange(20) // 10
    assert not TWO.is_usable(TWO.calibrate(backwards, TWO.columns(targets, None), None))
    assert TWO.is_usable(TWO.calibrate(-backwards, TWO.columns(targets, None), None))


def test_correction_of_a_measure_is_refused():
    check_debias(False, TWO)
    told = r"model\.debias=true corrects predictions of a measure, and task=classification has none\. Leave it out\."
    with refused(told, r"^debias=True corrects predictions of a measure, and task='classification' has none"):
        check_debias(True, TWO)


PROBA = np.array([[0.9, 0.1], [0.25, 0.75], [0.6, 0.4]])


def test_columns_of_tables():
    assert TWO.prediction_columns(PROBA) == {
        "prediction": ["control", "patient", "control"],
        "p_control": [0.9, 0.25, 0.6],
        "p_patient": [0.1, 0.75, 0.4],
    }
    assert TWO.test_columns(np.array([0, 1, 1]), PROBA, None) == {}
    assert TWO.words.value_titles() == ("Probability of control", "Probability of patient")


def test_what_classes_say_of_themselves():
    targets = np.array([0, 1, 1])
    assert TWO.words.describe(targets) == "control 1, patient 2"
    assert TWO.words.cohort_rows(targets) == [("class control", "1"), ("class patient", "2")]
    assert TWO.words.evidence(1) == ("for patient", "against patient")
    assert TWO.words.evidence_unit(1) == "log odds of patient"
    assert THREE.words.evidence_unit(0) == "log odds of a, less the mean of all classes"
    assert TWO.words.prediction(PROBA[1]) == "patient"
    assert TWO.words.verdict(PROBA[1]) == "patient 0.750"
    assert TWO.words.summary(list(PROBA)) == "scans classified: 2 as control, 1 as patient."
    assert TWO.words.summary([PROBA[1]]) == "scan classified: 1 as patient."
    assert TWO.spread(PROBA) == pytest.approx(np.std([0.9, 0.25, 0.6]))  # control has the highest mean
    scores = {"auc": Score(None), "accuracy": Score(0.75, 0.614, 0.857), "balanced_accuracy": Score(0.5)}
    assert TWO.headline(scores) == "accuracy 0.750 (0.61 to 0.86), balanced accuracy 0.500"
    np.testing.assert_allclose(
        TWO.levelled(np.array([[0.6, 0.4], [0.9, 0.1]]), learnt=np.array([0, 0, 0, 1])), [[1 / 3, 2 / 3], [0.75, 0.25]]
    )
    assert TWO.chance == {"auc": 0.5, "balanced_accuracy": 0.5}
    assert THREE.chance["balanced_accuracy"] == pytest.approx(1 / 3)
    assert (TWO.ascending, TWO.calibrates) == (False, True)


@pytest.mark.parametrize("outcome", [TWO, THREE])
def test_columns_are_the_memberships_that_they_are_said_to_be(outcome):
    targets = np.arange(6) % len(outcome.names)
    assert outcome.memberships
    assert not outcome.continuous
    assert outcome.columns(targets, outcome.scaling(targets)).dtype == bool
    assert all(isinstance(cell, str) for cell in outcome.cells(targets))


def test_class_to_explain_is_the_predicted_one_unless_named():
    assert TWO.target_named(None, PROBA[1]) == 1
    assert TWO.target_named("control", PROBA[1]) == 0
    assert Classes(("0", "1")).target_named(1, PROBA[0]) == 1
    with refused(r"target='patent' is no class of this model\. Did you mean 'patient'\? Its classes: control, pat"):
        TWO.target_named("patent", PROBA[1])


def test_examples_are_the_surest_of_each_class():
    examples = TWO.examples(np.array([0, 1, 1]), PROBA)
    assert [(one.position, one.target) for one in examples] == [(0, 0), (1, 1)]
    assert examples[1].caption == "of class patient, predicted with probability 0.75"
    assert examples[1].evidence == "evidence for patient"
    assert [one.target for one in TWO.examples(np.array([0, 0]), PROBA[:2])] == [0]


def test_validation_is_a_confusion_matrix():
    lines = TWO.words.validation_table(np.array([0, 1, 1]), PROBA).splitlines()
    assert lines[0].split("|")[2:4] == [" control ", " patient "]
    assert lines[2:] == ["| **control** | 1 | 0 |", "| **patient** | 1 | 1 |"]


def test_result_is_the_first_score_that_is_defined():
    names = ("auc", "balanced_accuracy", "accuracy")
    scores = {name: {"value": None, "low": None, "high": None} for name in names}
    targets = np.arange(60) % 2
    given = {"test": scores | {"auc": {"value": 0.875, "low": 0.8, "high": 0.925}}, "folds": [{}]}
    number, sentence = TWO.words.result_sentence(given, targets)
    assert number == "0.875"
    assert sentence.startswith("is the area under the ROC curve (AUC), 95 % interval 0.800 to 0.925, on 60 tests. No")
    assert "it ranks the two correctly 87.5 times in 100" in sentence
    given = {"test": scores | {"accuracy": {"value": 0.5, "low": None, "high": None}}, "folds": [{}] * 5}
    number, sentence = TWO.words.result_sentence(given, targets)
    assert (number, sentence.partition(",")[0]) == ("0.500", "is the accuracy")
    assert "on 60 tests in 5 folds" in sentence


@pytest.mark.parametrize(
    ("num_tests", "error", "starts"),
    [(60, 0.1, []), (60, 0.2, ["The predicted prob"]), (20, 0.2, ["Few tests"])],
)
def test_cautions_name_few_tests_and_probabilities_that_are_none(num_tests, error, starts):
    metrics = {"test": {"expected_calibration_error": {"value": error}}, "folds": [{}]}
    said = TWO.words.cautions(metrics, np.arange(num_tests) % 2)
    assert [text[: len(start)] for text, start in zip(said, starts, strict=True)] == starts


def test_names_of_the_column_do_not_make_classes_others():
    assert Classes(("a", "b"), "sex") == Classes(("a", "b"), "gender")
    assert Classes(("a", "b")) != Classes(("a", "c"))
    assert math.isclose(sum(TWO.activate(np.array([[3.0]]), None)[0]), 1)
