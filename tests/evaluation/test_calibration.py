"""Intervals of calibration: those of other libraries where there are any, through whole groups, and never a failure."""

import json

import numpy as np
import pytest
from scipy import stats

from mri3d import Holdout, KFold, Study, evaluate, models
from mri3d.evaluation.calibration import calibration, estimate_intervals
from mri3d.evaluation.sampling import Sampling
from mri3d.outcome import Classes
from mri3d.outcome.estimates import line_estimate, logistic_estimate, mean_estimate

FITS = {"line": line_estimate, "curve": logistic_estimate}


def alone(number, **options):
    """Return a sampling of sessions that stand alone, in one fold."""
    return Sampling(np.zeros(number, dtype=int), np.arange(number), np.arange(number), **options)


def drawn(seed=0, number=80):
    """Draw whether tests are of a class, and their predicted log odds."""
    random = np.random.default_rng(seed)
    log_odds = random.normal(0.5, 2, size=number)
    return random.random(number) < 1 / (1 + np.exp(-0.6 * log_odds)), log_odds


def test_a_mean_has_students_interval():
    values = np.random.default_rng(0).normal(3, 2, size=25)
    (found,) = estimate_intervals(mean_estimate("m", values, np.ones(25)), alone(25))
    expected = stats.ttest_1samp(values, 0).confidence_interval()
    assert found == pytest.approx(tuple(expected), rel=1e-9)


def test_a_line_has_the_interval_of_the_jackknife():
    truth, predictions = drawn()[1], drawn(1)[1]
    found = estimate_intervals(line_estimate(truth, predictions, np.ones(80)), alone(80))
    others = np.array([np.delete(np.arange(80), one) for one in range(80)])
    fits = np.array([line_estimate(truth[rows], predictions[rows], np.ones(79)).values for rows in others])
    values = line_estimate(truth, predictions, np.ones(80)).values
    errors = np.sqrt(79 / 80 * np.square(fits - values).sum(axis=0))
    expected = values + stats.t.ppf(0.975, 78) * errors * np.array([[-1], [1]])
    np.testing.assert_allclose(found, expected.T, rtol=1e-9)


def test_a_curve_has_nearly_the_interval_of_refits_without_each_session():
    truth, log_odds = drawn(number=200)
    found = estimate_intervals(logistic_estimate(truth, log_odds, np.ones(200)), alone(200))
    fits = np.array(
        [logistic_estimate(np.delete(truth, one), np.delete(log_odds, one), np.ones(199)).values for one in range(200)]
    )
    errors = np.sqrt(199 * fits.var(axis=0))
    assert [(high - low) / 2 / stats.t.ppf(0.975, 198) for low, high in found] == pytest.approx(errors, rel=0.02)


@pytest.mark.parametrize("kind", FITS)
def test_groups_count_as_one_and_repeats_once(kind):
    truth, predictions = drawn()
    rows = np.tile(np.arange(80), 3)
    once = estimate_intervals(FITS[kind](truth, predictions, np.ones(80)), alone(80))
    repeated = Sampling(np.repeat(np.arange(3), 80), rows, rows)
    grouped = Sampling(np.zeros(240), np.arange(240), rows)
    for sampling in (repeated, grouped):
        found = estimate_intervals(FITS[kind](truth[rows], predictions[rows], sampling.once), sampling)
        np.testing.assert_allclose(found, once, rtol=1e-6)
    wide = estimate_intervals(FITS[kind](truth, predictions, np.ones(80)), alone(80, chosen_widening=2.0))
    np.testing.assert_allclose(np.diff(wide), 2 * np.diff(once), rtol=1e-9)


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("kind", FITS)
def test_as_few_groups_as_coefficients_bound_nothing(kind, number):
    groups = np.arange(80) % number
    sampling = Sampling(np.zeros(80), np.arange(80), groups)
    assert estimate_intervals(FITS[kind](*drawn(), np.ones(80)), sampling) == [(None, None)] * 2


def test_a_single_group_that_differs_bounds_nothing():
    predictions = np.array([1.0, 1.0, 1.0, 2.0])  # without the last no line is defined
    found = estimate_intervals(line_estimate(np.array([1.0, 2.0, 3.0, 4.0]), predictions, np.ones(4)), alone(4))
    assert found == [(None, None)] * 2


@pytest.mark.parametrize("number", [4, 40])
@pytest.mark.parametrize("certainty", [1.0, 0.99])
def test_probabilities_that_never_failed_are_as_uncertain_as_the_accuracy_is(number, certainty):
    truth = np.arange(number) % 2
    proba = np.where(truth == 1, certainty, 1 - certainty)
    (found,) = estimate_intervals(mean_estimate("m", proba - truth, np.ones(number), bounded=True), alone(number))
    room = 1 - stats.binomtest(number, number).proportion_ci(method="wilson").low
    assert found == pytest.approx((-room, room), abs=1e-9)


def test_errors_that_are_all_the_same_bound_nothing():
    truth = np.linspace(20, 80, 12)
    for estimate in (mean_estimate("m", np.full(12, 3.0), np.ones(12)), line_estimate(truth, truth + 3, np.ones(12))):
        assert set(estimate_intervals(estimate, alone(12))) == {(None, None)}


@pytest.fixture(scope="module")
def volumes():
    return np.random.default_rng(0).random((40, 5, 6, 7)) * 0.3


def test_an_evaluation_of_classes_says_how_its_probabilities_are(volumes):
    targets = np.repeat([0, 1], [30, 10])[np.random.default_rng(1).permutation(40)]
    volumes = volumes + targets[:, None, None, None] * np.linspace(0, 0.4, 40)[:, None, None, None]
    study = Study.from_arrays(volumes, labels=np.array(["F", "M"])[targets].tolist())
    results = evaluate(study, models.Ridge(num_components=0.9, inner_folds=2), KFold(folds=4))
    found = json.loads(json.dumps(calibration(study, results.folds, results.sampling), allow_nan=False))
    assert found["prevalence"] == {"F": pytest.approx(0.75), "M": pytest.approx(0.25)}
    assert found["predicted"]["F"]["number"] + found["predicted"]["M"]["number"] == 40
    difference = found["estimates"]["M"]["mean_difference"]
    assert difference["value"] == pytest.approx(results.predictions["p_M"].mean() - 0.25)
    assert difference["low"] < difference["value"] < difference["high"]
    assert [(fit["fold"], fit["method"]) for fit in found["fits"]] == [(fold, "sigmoids") for fold in range(4)]
    assert all(len(fit["slopes"]) == len(fit["offsets"]) == 1 for fit in found["fits"])
    assert "sigmoids of the model's decisions" in study.outcome.words.calibration(found)[0]


@pytest.mark.parametrize(
    ("model", "task", "expected"),
    [
        (models.Logistic(num_components=0.9, inner_folds=2), "classification", {"method": "none"}),
        (models.Ridge(num_components=0.9, inner_folds=2), "regression", {"method": "none"}),
        (models.Ridge(num_components=0.9, inner_folds=2, debias=True), "regression", {"method": "line"}),
    ],
)
def test_fits_say_how_they_made_predictions(volumes, model, task, expected):
    labels = np.arange(40) % (2 if task == "classification" else 10)
    volumes = volumes + labels[:, None, None, None]
    results = evaluate(Study.from_arrays(volumes, labels=labels.tolist(), task=task), model, Holdout(test=0.4))
    (fit,) = calibration(results.study, results.folds, results.sampling)["fits"]
    line = results.folds[0].model.line
    assert fit == {"fold": 0, **expected, **({} if line is None else vars(line))}


def test_an_evaluation_of_a_measure_says_how_its_values_are(volumes):
    ages = np.random.default_rng(2).uniform(20, 80, size=40)
    volumes = volumes + ages[:, None, None, None] / 100
    study = Study.from_arrays(volumes, labels=ages.tolist(), task="regression")
    results = evaluate(study, models.Ridge(num_components=0.9, inner_folds=2), Holdout(test=0.4))
    estimates = calibration(study, results.folds, results.sampling)["estimates"]["label"]
    errors = results.predictions["gap"]
    expected = stats.ttest_1samp(errors, 0).confidence_interval()
    assert estimates["mean_difference"]["value"] == pytest.approx(errors.mean())
    assert (estimates["mean_difference"]["low"], estimates["mean_difference"]["high"]) == pytest.approx(tuple(expected))
    line = stats.linregress(results.predictions["prediction"], results.predictions["label"])
    assert estimates["slope"]["value"] == pytest.approx(line.slope)


@pytest.mark.parametrize(
    ("targets", "positive", "undefined"),
    [
        ([1, 1, 1], [0.7, 0.8, 0.9], "the tests are of one class only"),
        ([0, 1, 1], [0.2, 0.8, 0.9], "the predictions separate the classes perfectly"),
        ([0, 1, 1], [0.6, 0.6, 0.6], "all predictions are the same"),
        ([1], [0.6], "the tests are of one class only"),
    ],
)
def test_what_few_tests_do_not_define_is_named(targets, positive, undefined):
    outcome, targets, positive = Classes(("F", "M")), np.array(targets), np.array(positive)
    proba = np.stack([1 - positive, positive], axis=1)
    found = outcome.calibration(targets, proba, weights=np.ones(len(targets)), learnt=[np.array([0, 1])])
    difference, curve = found.estimates["M"]
    assert curve.undefined == undefined
    assert estimate_intervals(curve, alone(len(targets))) == [(None, None)] * 2
    assert difference.values == pytest.approx([positive.mean() - targets.mean()])
    ((low, high),) = estimate_intervals(difference, alone(len(targets)))
    assert (low is None) == (len(targets) == 1)
    assert low is None or low < difference.values[0] < high
