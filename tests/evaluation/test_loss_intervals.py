"""Intervals of losses where hardly anything was seen to go wrong, and of the calibration error."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import ndtri

from mri3d.evaluation.distances import distance_interval
from mri3d.evaluation.intervals import score_intervals
from mri3d.evaluation.sampling import Sampling
from mri3d.outcome.class_resampling import ClassResampling
from mri3d.outcome.class_scores import class_scores
from mri3d.outcome.measure_resampling import MeasureResampling

LOSSES = ("log_loss", "brier", "expected_calibration_error")


def alone(number, **options):
    """Return a sampling of sessions that stand alone, in one fold."""
    return Sampling(np.zeros(number, dtype=int), np.arange(number), np.arange(number), **options)


def answers(number, certainty, num_classes=2, wrong=()):
    """Answer with the same certainty, right but for some."""
    targets = np.arange(number) % num_classes
    predicted = targets.copy()
    predicted[list(wrong)] = (targets[list(wrong)] + 1) % num_classes
    proba = np.full((number, num_classes), (1 - certainty) / (num_classes - 1))
    proba[np.arange(number), predicted] = certainty
    return ClassResampling(targets, proba)


@pytest.mark.parametrize("number", [2, 6, 40])
@pytest.mark.parametrize("certainty", [1.0, 1 - 1e-12, 0.9, 0.6])
@pytest.mark.parametrize("num_classes", [2, 3])
def test_losses_of_right_answers_reach_as_far_as_the_accuracy_may_fall(number, certainty, num_classes):
    found = score_intervals(answers(number, certainty, num_classes), alone(number), replicates=100)
    wrong = 1 - stats.binomtest(number, number).proportion_ci(method="wilson").low
    least = np.finfo(float).eps
    rest = (1 - certainty) / (num_classes - 1)
    right_cost, wrong_cost = -np.log(certainty), -np.log(max(rest, least))
    assert found["log_loss"].low == pytest.approx(right_cost, abs=1e-9)
    assert found["log_loss"].high == pytest.approx((1 - wrong) * right_cost + wrong * wrong_cost, rel=1e-3, abs=1e-9)
    scale = 2 if num_classes == 2 else 1
    squares = [((1 - certainty) ** 2 + (num_classes - 1) * rest**2) / scale]
    squares.append((certainty**2 + (1 - rest) ** 2 + (num_classes - 2) * rest**2) / scale)
    assert found["brier"] == pytest.approx((squares[0], (1 - wrong) * squares[0] + wrong * squares[1]), abs=1e-9)


@pytest.mark.parametrize("number", [2, 6, 40])
def test_losses_of_wrong_answers_reach_as_far_as_the_accuracy_may_rise(number):
    found = score_intervals(answers(number, 0.9, wrong=range(number)), alone(number), replicates=100)
    right = stats.binomtest(0, number).proportion_ci(method="wilson").high
    assert found["brier"] == pytest.approx(((1 - right) * 0.81 + right * 0.01, 0.81))
    low, high = found["log_loss"]
    assert (low, high) == pytest.approx(((1 - right) * -np.log(0.1) + right * -np.log(0.9), -np.log(0.1)))


def test_the_more_answers_were_wrong_the_less_is_added():
    added = []
    for num_wrong in (0, 1, 5, 20):
        tests = answers(40, 0.9, wrong=range(num_wrong))
        low, high = score_intervals(tests, alone(40), replicates=500)["brier"]
        errors = np.square(tests.proba - np.eye(2)[tests.targets]).sum(axis=1) / 2
        reach = stats.t.ppf(0.975, 39) * stats.sem(errors) / errors.mean() if num_wrong else 0
        added.append(high / (errors.mean() * np.exp(reach)))
        assert low <= errors.mean() <= high
    assert added[0] > 5
    assert added[0] > added[1] > 1  # on the scale of its logarithm one wrong answer spreads much
    assert added[2:] == pytest.approx([1, 1], abs=0.15)


def test_losses_that_no_truth_would_change_are_known_exactly():
    found = score_intervals(answers(10, 0.5), alone(10), replicates=50)
    assert found["log_loss"] == pytest.approx((np.log(2), np.log(2)))


@pytest.mark.parametrize("num_classes", [2, 3])
@pytest.mark.parametrize("accuracy", [0.0, 0.4, 0.8, 1.0])
def test_losses_at_another_accuracy_are_those_of_tests_with_another_truth(num_classes, accuracy):
    tests = answers(40, 0.7, num_classes, wrong=range(8))
    found = tests.at_accuracy(accuracy, np.full(40, 0.5))
    of_right, of_wrong = (
        class_scores(*(each[rows] for each in (tests.targets, tests.proba)), ("a", "b", "c")[:num_classes])
        for rows in (slice(8, None), slice(8))
    )
    for name in ("log_loss", "brier"):  # whoever is wrong, all have the same certainty
        assert found[name] == pytest.approx(accuracy * of_right[name] + (1 - accuracy) * of_wrong[name])
    assert found["expected_calibration_error"] == pytest.approx(abs(accuracy - 0.7))


def test_errors_that_are_all_as_large_say_nothing_of_larger_ones():
    truth = np.linspace(20, 80, 12)
    found = score_intervals(MeasureResampling(truth, truth + 3 * (-1) ** np.arange(12)), alone(12), replicates=50)
    assert found["mae"] == found["rmse"] == (0.0, None)


def test_one_group_bounds_no_loss():
    tests, one = answers(10, 0.9), Sampling(np.zeros(10), np.arange(10), np.zeros(10))
    found = score_intervals(tests, one, replicates=50)
    assert [found[name] for name in LOSSES] == [(0.0, None), (0.0, 1.0), (0.0, 1.0)]


def test_a_distance_of_one_mean_reaches_as_far_as_its_noise():
    values = np.random.default_rng(0).normal(5, 1, size=50)
    low, high = distance_interval(values[:, None], alone(50), (0.0, np.inf), seed=0)
    reach = stats.t.ppf(0.975, 49) * stats.sem(values)
    assert high == pytest.approx(values.mean() + reach)
    folded = ndtri(1 - 0.025 / 2) / ndtri(0.975)  # its absolute value has 2.5 % beyond this
    assert low == pytest.approx(values.mean() - reach * folded, abs=0.02 * reach)


def test_a_distance_is_blind_to_repeats_and_sees_groups_and_widening():
    random = np.random.default_rng(1)
    parts, rows = random.normal(0.3, 1, size=(60, 4)), np.tile(np.arange(60), 3)
    expected = distance_interval(parts, alone(60), (0.0, np.inf), seed=0)
    for sampling in (Sampling(np.repeat(np.arange(3), 60), rows, rows), Sampling(rows * 0, np.arange(180), rows)):
        found = distance_interval(parts[rows], sampling, (0.0, np.inf), seed=0)
        assert found == pytest.approx(expected, rel=1e-6)
    value = np.abs(parts.mean(axis=0)).sum()
    wide = distance_interval(parts, alone(60, chosen_widening=2.0), (-np.inf, np.inf), seed=0)
    plain = distance_interval(parts, alone(60), (-np.inf, np.inf), seed=0)
    assert np.array(wide) - value == pytest.approx(2 * (np.array(plain) - value))
    assert distance_interval(parts, alone(60), (0.0, 0.1), seed=0)[1] == 0.1


def test_the_calibration_error_of_calibrated_probabilities_may_be_none():
    random = np.random.default_rng(2)
    positive = random.random(200)
    tests = ClassResampling((random.random(200) < positive).astype(int), np.stack([1 - positive, positive], axis=1))
    error = class_scores(tests.targets, tests.proba, ("a", "b"))["expected_calibration_error"]
    low, high = score_intervals(tests, alone(200), replicates=50)["expected_calibration_error"]
    assert low == 0
    assert error > 0.03
    assert error < high < 0.2
