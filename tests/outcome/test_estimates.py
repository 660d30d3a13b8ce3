"""Means, lines and calibration curves equal those of other libraries, and say why where there are none."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from mri3d.outcome.estimates import ALIKE, APART, ONE_CLASS, line_estimate, logistic_estimate, mean_estimate


def drawn(seed=0, number=80):
    random = np.random.default_rng(seed)
    log_odds = random.normal(0.5, 2, size=number)
    return random.random(number) < expit(0.4 + 0.6 * log_odds), log_odds, random


@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e6])
def test_the_calibration_curve_is_scikit_learns_logistic_regression(scale):
    truth, log_odds, random = drawn()
    weights = random.integers(1, 4, size=80) / 2
    model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
    model.fit(log_odds[:, None], truth, sample_weight=weights)
    found = logistic_estimate(truth, log_odds * scale, weights)
    assert found.names == ("intercept", "slope")
    assert found.values[0] == pytest.approx(model.intercept_[0], rel=1e-5)
    assert found.values[1] * scale == pytest.approx(model.coef_[0, 0], rel=1e-5)
    assert np.abs(found.equations.sum(axis=0) * (1, 1 / scale)).max() < 1e-6


def test_the_line_is_scipys_regression():
    truth, predictions, _ = drawn(1)[1], drawn(2)[1], None
    found, expected = line_estimate(truth, predictions, np.ones(80)), stats.linregress(predictions, truth)
    assert found.values == pytest.approx([expected.intercept, expected.slope])
    np.testing.assert_allclose(found.equations.sum(axis=0), 0, atol=1e-10)


@pytest.mark.parametrize("estimate", [line_estimate, logistic_estimate])
def test_weights_are_rows_that_are_there_so_often(estimate):
    truth, predictions, random = drawn(3)
    weights = random.integers(0, 3, size=80)
    rows = np.repeat(np.arange(80), weights)
    found = estimate(truth, predictions, weights * 0.5)
    assert found.values == pytest.approx(estimate(truth[rows], predictions[rows], np.ones(len(rows))).values, rel=1e-6)


@pytest.mark.parametrize("estimate", [line_estimate, logistic_estimate])
def test_information_is_how_the_equations_fall_with_the_coefficients(estimate):
    truth, predictions, _ = drawn(4)
    found, step = estimate(truth, predictions, np.ones(80)), 1e-5
    columns = np.stack([np.ones(80), predictions], axis=1)

    def equations(values):
        curve = columns @ values
        guess = curve if estimate is line_estimate else expit(curve)
        return (truth - guess)[:, None] * columns

    for which, moved in enumerate(np.eye(2) * step):
        slope = (equations(found.values - moved) - equations(found.values + moved)) / (2 * step)
        np.testing.assert_allclose(found.information[:, :, which], slope, atol=1e-6)


@pytest.mark.parametrize(
    ("truth", "log_odds", "why"),
    [
        ([0, 0, 1, 1], [-2, -1, 1, 2], APART),
        ([0, 0, 1, 1], [2, 1, -1, -2], APART),
        ([0, 0, 1, 1], [-2, 1, 1, 2], APART),  # a tie does not bound the slope
        ([0, 1], [0.1, 0.2], APART),
        ([1, 1, 1], [-2, 1, 1], ONE_CLASS),
        ([0], [3], ONE_CLASS),
        ([0, 1, 1], [0.7, 0.7, 0.7], ALIKE),
        ([0, 1, 1], [0.7, 0.7 + 1e-12, 0.7], ALIKE),
    ],
)
def test_curves_that_tests_do_not_define_say_why(truth, log_odds, why):
    found = logistic_estimate(np.array(truth) == 1, np.array(log_odds, dtype=float), np.ones(len(truth)))
    assert found.undefined == why
    assert np.isnan(found.values).all()


def test_one_answer_on_the_wrong_side_defines_a_curve():
    found = logistic_estimate(np.array([0, 1, 0, 1]) == 1, np.array([-2.0, -1.0, 1.0, 2.0]), np.ones(4))
    assert found.undefined == ""
    assert found.values[1] > 0


def test_no_line_through_predictions_that_are_the_same():
    assert line_estimate(np.array([1.0, 2.0]), np.array([41.3, 41.3]), np.ones(2)).undefined == ALIKE


def test_a_mean_counts_each_test_by_its_weight():
    found = mean_estimate("m", np.array([1.0, 4.0]), np.array([1.0, 0.5]), bounded=True)
    assert found.values.tolist() == [2.0]
    assert found.near.tolist() == [False, False]
    assert mean_estimate("m", np.array([0.4, -0.6]), np.ones(2), bounded=True).near.tolist() == [True, False]
