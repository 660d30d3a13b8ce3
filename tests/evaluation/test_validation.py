"""A model that stays as it is on people whom it never saw: a prevalence that is another, strata, degenerate cohorts."""

import json

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from mri3d.cohort.variables import Variable
from mri3d.evaluation.sampling import Sampling
from mri3d.evaluation.validation import FrozenTests
from mri3d.outcome import Classes, Measure

DX, AGE = Classes(("control", "patient"), "dx"), Measure("age")
HALF = np.array([0.5, 0.5])
DISTANCE = 1.5  # of the two classes, in standard deviations


def people(number, prevalence, seed=0):
    """Draw who is a patient, and probabilities that are right where half of the people are."""
    random = np.random.default_rng(seed)
    targets = (random.random(number) < prevalence).astype(int)
    log_odds = DISTANCE * (random.normal(size=number) + DISTANCE * (targets - 0.5))
    return targets, np.stack([expit(-log_odds), expit(log_odds)], axis=1)


def validated(targets, predictions, outcome=DX, **more):
    return FrozenTests(outcome, targets, predictions, **{"groups": np.arange(len(targets))} | more)


def holds(entry, truth):
    return entry["low"] <= truth <= entry["high"]


def test_another_prevalence_shows_in_calibration_and_nowhere_else():
    content = validated(*people(600, 0.2), shares=HALF).metrics()
    found = content["calibration"]["estimates"]["patient"]
    wide = np.linspace(-9, 9, 20001)  # over the log odds of patients, whose mean is that of controls turned round
    density = np.exp(-np.square((wide - DISTANCE**2 / 2) / DISTANCE) / 2)
    of_patients = float((expit(wide) * density).sum() / density.sum())
    too_high = 0.2 * of_patients + 0.8 * (1 - of_patients) - 0.2
    assert found["mean_difference"]["low"] > 0
    assert holds(found["mean_difference"], too_high)
    assert holds(found["intercept"], logit(0.2))  # by Bayes: log odds are off by those of 0.2 less those of one half
    assert found["intercept"]["high"] < 0
    assert holds(found["slope"], 1.0)
    assert content["calibration"]["prevalence"] == {"control": 0.5, "patient": 0.5}
    even = validated(*people(600, 0.5), shares=HALF).metrics()["calibration"]["estimates"]["patient"]
    assert holds(even["mean_difference"], 0.0)
    assert holds(even["intercept"], 0.0)


def test_scores_are_those_of_the_tests_and_intervals_are_not_widened():
    targets, proba = people(120, 0.4)
    scores = validated(targets, proba).scores
    assert scores["auc"].value == pytest.approx(roc_auc_score(targets, proba[:, 1]))
    assert "auc_pooled" not in scores
    right = int((proba.argmax(axis=1) == targets).sum())
    wilson = binomtest(right, 120).proportion_ci(method="wilson")
    accuracy = scores["accuracy"]
    assert (accuracy.value, accuracy.low, accuracy.high) == pytest.approx((right / 120, *wilson), abs=2e-3)
    expected = DX.scores(targets, proba)
    assert {name: score.value for name, score in scores.items()} == pytest.approx(expected)
    assert validated(targets, proba).sampling.widening == 1.0


def test_families_are_one():
    targets, proba = people(40, 0.5)
    order = np.repeat(np.arange(40), 3)
    once = validated(targets, proba).scores["accuracy"]
    again = validated(targets[order], proba[order], groups=order).scores["accuracy"]
    assert (again.low, again.high) == pytest.approx((once.low, once.high), abs=0.02)


def test_decisions_are_at_the_prevalence_that_is_stated():
    targets, proba = people(300, 0.5)
    stated = validated(targets, proba, prevalence={"control": 0.9, "patient": 0.1}).metrics()["decisions"]
    here = validated(targets, proba).metrics()["decisions"]
    assert (stated["stated"], here["stated"]) == (True, False)
    assert stated["prevalence"] == {"patient": 0.1, "control": 0.9}
    assert here["prevalence"]["patient"] == pytest.approx(targets.mean())
    found = {kind: score["value"] for each in stated["classes"].values() for kind, score in each.items()}
    caught = proba[targets == 1, 1] > 0.5
    spared = proba[targets == 0, 1] <= 0.5
    assert found["sensitivity"] == pytest.approx(caught.mean())
    assert found["specificity"] == pytest.approx(spared.mean())
    called = found["sensitivity"] * 0.1
    assert found["ppv"] == pytest.approx(called / (called + (1 - found["specificity"]) * 0.9))
    kept = found["specificity"] * 0.9
    assert found["npv"] == pytest.approx(kept / (kept + (1 - found["sensitivity"]) * 0.1))
    assert here["classes"]["patient"]["ppv"]["value"] == pytest.approx(targets[proba[:, 1] > 0.5].mean())


def test_strata_have_the_scores_of_their_rows():
    targets, proba = people(90, 0.5)
    site = Variable.of("site", ["north"] * 50 + ["south"] * 36 + ["west"] * 4)
    content = validated(targets, proba, variables=[site]).metrics()["strata"]
    assert [(part["level"], part["sessions"]) for part in content["members"]] == [("north", 50), ("south", 36)]
    assert (content["fewest"], content["too_small"]) == (10, 1)
    north = content["members"][0]["scores"]
    alone = validated(targets[:50], proba[:50]).scores
    assert north == {name: vars(score) for name, score in alone.items()}
    assert north["auc"]["value"] == pytest.approx(roc_auc_score(targets[:50], proba[:50, 1]))


def test_one_class_alone_leaves_scores_empty_and_is_no_error(caplog):
    targets, proba = people(30, 0.0)
    content = validated(targets, proba).metrics()
    empty = {name for name, score in content["test"].items() if score["value"] is None}
    assert empty == {"auc", "balanced_accuracy", "sensitivity"}
    assert content["test"]["specificity"]["value"] == pytest.approx((proba[:, 0] > 0.5).mean())
    assert "decision_curve" not in content
    assert "better_than_chance" not in content
    assert content["decisions"]["classes"]["patient"]["ppv"]["value"] is None
    assert content["calibration"]["estimates"]["patient"]["slope"]["undefined"] == "the tests are of one class only"
    assert caplog.records == []
    json.dumps(content, allow_nan=False)


@pytest.mark.parametrize("ages", [[30.0] * 12, [30.0], [30.0, 40.0]])
def test_a_measure_of_which_little_is_there_is_no_error(ages):
    targets = np.array(ages)
    content = validated(targets, targets + np.linspace(1, 2, len(ages)), outcome=AGE).metrics()
    assert content["test"]["mae"]["value"] == pytest.approx(np.linspace(1, 2, len(ages)).mean())
    assert (content["test"]["r2"]["value"] is None) == (len(set(ages)) == 1)
    assert not {"decisions", "decision_curve"} & set(content)
    json.dumps(content, allow_nan=False)


def test_a_measure_that_is_predicted_too_high_is_found_out():
    random = np.random.default_rng(0)
    ages = random.uniform(20, 80, size=100)
    content = validated(ages, 0.5 * ages + 30 + random.normal(0, 4, size=100), outcome=AGE).metrics()
    found = content["calibration"]["estimates"]["age"]
    assert holds(found["mean_difference"], 30 - 0.5 * ages.mean())
    assert content["calibration"].keys() == {"estimates"}
    slope = content["test"]["error_slope"]
    assert holds(slope, -0.5)


def test_shares_that_nobody_kept_are_said_to_be_unknown():
    assert validated(*people(40, 0.5)).metrics()["calibration"]["prevalence"] is None


def test_sampling_has_each_session_once():
    sampling = validated(*people(20, 0.5)).sampling
    assert isinstance(sampling, Sampling)
    assert sampling.once.tolist() == [1.0] * 20
