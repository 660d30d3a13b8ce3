"""What is counted and said of calibration, of classes and of a measure."""

import numpy as np
import pytest

from mri3d.outcome import Classes, Measure
from mri3d.outcome.class_calibration import class_calibration

SEXES = Classes(("F", "M"))


def of(outcome, targets, predictions, learnt=None):
    learnt = [targets] if learnt is None else learnt
    return outcome.calibration(targets, predictions, weights=np.ones(len(targets)), learnt=learnt)


def test_facts_are_counted_by_predicted_class():
    targets = np.array([0, 0, 1, 1, 1])
    positive = np.array([0.1, 0.8, 0.6, 0.7, 0.3])
    learnt = [np.array([0, 0, 0, 1]), np.array([0, 1])]
    facts = of(SEXES, targets, np.stack([1 - positive, positive], axis=1), learnt).facts
    assert facts["prevalence"] == {"F": pytest.approx(0.625), "M": pytest.approx(0.375)}
    assert facts["predicted"]["F"] == {
        "number": 2,
        "mean_probability": pytest.approx(0.8),
        "observed": pytest.approx(0.5),
    }
    assert facts["predicted"]["M"] == {
        "number": 3,
        "mean_probability": pytest.approx(0.7),
        "observed": pytest.approx(2 / 3),
    }


def test_weights_count_in_means():
    proba = np.array([[0.2, 0.8], [0.4, 0.6]])
    found = class_calibration(
        SEXES.names, np.array([1, 0]), proba, weights=np.array([1.0, 0.5]), learnt=[np.array([0, 1])]
    )
    assert found.facts["predicted"]["M"]["observed"] == pytest.approx(2 / 3)
    assert found.facts["predicted"]["F"] == {"number": 0, "mean_probability": None, "observed": None}
    assert found.estimates["M"][0].values == pytest.approx([(0.8 + 0.3) / 1.5 - 1 / 1.5])


def test_two_classes_have_a_curve_and_more_have_one_each():
    random = np.random.default_rng(0)
    assert list(of(SEXES, random.integers(2, size=30), random.dirichlet([1, 1], size=30)).estimates) == ["M"]
    three, proba = random.integers(3, size=60), random.dirichlet([1, 1, 1], size=60)
    found = of(Classes(("a", "b", "c")), three, proba)
    assert list(found.estimates) == ["a", "b", "c"]
    for k, name in enumerate("abc"):
        assert found.estimates[name][0].values == pytest.approx([proba[:, k].mean() - (three == k).mean()])


def test_the_curve_undoes_what_was_done_to_honest_probabilities():
    random = np.random.default_rng(1)
    honest = random.normal(0, 2, size=200_000)
    targets = (random.random(200_000) < 1 / (1 + np.exp(-honest))).astype(int)
    told = 1 / (1 + np.exp(-(1 + 2 * honest)))  # twice as extreme, and too high
    _, curve = of(SEXES, targets, np.stack([1 - told, told], axis=1)).estimates["M"]
    assert curve.values == pytest.approx([-0.5, 0.5], abs=0.02)


@pytest.mark.parametrize("certain", [0.0, 1e-300, 1e-9])
def test_certain_probabilities_have_finite_log_odds(certain):
    positive = np.array([certain, certain, 1 - certain, 1 - certain])
    targets = np.array([0, 1, 0, 1])
    _, curve = of(SEXES, targets, np.stack([1 - positive, positive], axis=1)).estimates["M"]
    assert curve.values == pytest.approx([0, 0], abs=1e-9)


def test_a_measure_is_off_by_a_line():
    truth = np.linspace(20, 80, 31)
    difference, line = of(Measure("age"), truth, 10 + 0.5 * truth).estimates["age"]
    assert difference.values == pytest.approx([10 - 25])
    assert line.values == pytest.approx([-20, 2])


def content(**more):
    known = {"value": 0.1, "low": -0.1, "high": 0.2}
    estimates = {"mean_difference": known, "intercept": known, "slope": {"value": 0.9, "low": 0.5, "high": 1.2}}
    predicted = {
        "F": {"number": 1, "mean_probability": 0.8, "observed": 1.0},
        "M": {"number": 52, "mean_probability": 0.8, "observed": 0.72},
    }
    return {
        "prevalence": {"F": 0.77, "M": 0.23},
        "predicted": predicted,
        "fits": [],
        "estimates": {"M": estimates | more},
    }


def test_words_say_how_often_predictions_are_right():
    text = " ".join(SEXES.words.calibration(content()))
    assert "Training sessions: 77 % of class F, 23 % of class M." in text
    assert "Of the 1 test predicted as class F, with a probability of 80 % on average, 100 % are of class F." in text
    assert "Of the 52 tests predicted as class M, with a probability of 80 % on average, 72 % are of class M." in text
    assert "too" not in text.replace("too.", "")


@pytest.mark.parametrize(
    ("estimate", "told"),
    [
        (
            {"mean_difference": {"value": 0.14, "low": 0.08, "high": 0.2}},
            "class M are too high, by 0.14 on average.",
        ),
        (
            {"mean_difference": {"value": -0.14, "low": -0.2, "high": -0.08}},
            "class M are too low, by 0.14 on average.",
        ),
        (
            {"slope": {"value": 0.5, "low": 0.3, "high": 0.7}},
            "too extreme: those near 0 and 1 promise too much (slope 0.50)",
        ),
        ({"slope": {"value": 2.5, "low": 1.3, "high": 4.7}}, "too cautious: too near the middle (slope 2.50)"),
    ],
)
def test_words_name_what_intervals_leave_no_doubt_of(estimate, told):
    assert told in " ".join(SEXES.words.calibration(content(**estimate)))


def test_words_say_nothing_of_what_is_not_defined():
    nothing = {"value": None, "low": None, "high": None, "undefined": "why"}
    text = " ".join(SEXES.words.calibration(content(slope=nothing, mean_difference=nothing | {"value": 0.1})))
    assert "slope" not in text


@pytest.mark.parametrize(
    ("fits", "told"),
    [
        ([{"method": "temperature", "temperature": 1.234}], "by a temperature of 1.23, fitted"),
        ([{"method": "temperature", "temperature": each} for each in (1.5, 0.8)], "by a temperature of 0.80 to 1.50,"),
        ([{"method": "sigmoids"}] * 2, "sigmoids of the model's decisions"),
        ([{"method": "none"}], "nothing was fitted afterwards"),
    ],
)
def test_words_say_how_probabilities_were_made(fits, told):
    assert told in SEXES.words.calibration(content() | {"fits": fits})[0]


def test_words_of_a_measure_have_its_bias_and_its_slope():
    estimates = {
        "mean_difference": {"value": -1.25, "low": -3.0, "high": 0.5},
        "slope": {"value": 0.8333, "low": 0.71, "high": 0.96},
    }
    (text,) = Measure("age").words.calibration({"estimates": {"age": estimates}})
    assert "Predicted minus true age is −1.25 on average (95 % interval −3 to 0.5)." in text
    assert "the true age is higher by 0.83 on average (95 % interval 0.71 to 0.96)" in text
    estimates["slope"] = {"value": None, "low": None, "high": None, "undefined": "why"}
    (text,) = Measure("age").words.calibration({"estimates": {"age": estimates}})
    assert "higher" not in text
