"""Scores of a measure against scikit-learn, scipy and numpy, and where they are not defined."""

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics as reference

from mri3d.outcome import SCORE_TITLES, Measure
from mri3d.outcome.measure_scores import correlation, measure_scores, r2

NAMES = ["mae", "rmse", "r2", "pearson_r", "spearman_r", "error_slope", "gap_correlation"]


def random_case(seed, num_subjects=37):
    """Give ages and predictions that shrink towards their mean, with ties in both."""
    random = np.random.default_rng(seed)
    ages = random.uniform(20, 80, num_subjects).round(-1 if seed == 0 else 1)
    return ages, (50 + 0.6 * (ages - 50) + random.normal(0, 6, num_subjects)).round(0 if seed < 2 else 2)


@pytest.mark.parametrize("seed", range(5))
def test_scores_equal_scikit_learn_scipy_and_numpy(seed):
    ages, predictions = random_case(seed)
    scores = measure_scores(ages, predictions)
    assert list(scores) == NAMES
    assert scores == pytest.approx(
        {
            "mae": reference.mean_absolute_error(ages, predictions),
            "rmse": reference.root_mean_squared_error(ages, predictions),
            "r2": reference.r2_score(ages, predictions),
            "pearson_r": scipy.stats.pearsonr(ages, predictions).statistic,
            "spearman_r": scipy.stats.spearmanr(ages, predictions).statistic,
            "error_slope": np.polyfit(ages, predictions - ages, 1)[0],
            "gap_correlation": np.corrcoef(ages, predictions - ages)[0, 1],
        }
    )


def test_slope_of_the_error_is_that_of_the_predictions_less_one():
    ages = np.array([20.0, 40.0, 60.0, 80.0])
    scores = measure_scores(ages, 50 + 0.25 * (ages - 50))
    assert scores["error_slope"] == pytest.approx(-0.75)
    assert scores["gap_correlation"] == pytest.approx(-1)
    assert [scores["pearson_r"], scores["spearman_r"]] == pytest.approx([1, 1])
    assert scores["r2"] == pytest.approx(1 - 0.75**2)


def test_truth_of_one_value_defines_the_errors_alone():
    scores = measure_scores(np.full(5, 45.1), np.array([40.0, 41.0, 45.0, 46.0, 50.0]))
    assert scores["mae"] == pytest.approx(np.mean([5.1, 4.1, 0.1, 0.9, 4.9]))
    assert scores["rmse"] == pytest.approx(np.sqrt(np.mean(np.square([5.1, 4.1, 0.1, 0.9, 4.9]))))
    assert {name for name, value in scores.items() if value is None} == set(NAMES) - {"mae", "rmse"}


def test_one_row_defines_the_errors_alone():
    scores = measure_scores(np.array([45.0]), np.array([40.0]))
    assert (scores["mae"], scores["rmse"]) == (5.0, 5.0)
    assert {name for name, value in scores.items() if value is None} == set(NAMES) - {"mae", "rmse"}


def test_one_prediction_for_all_has_no_correlation_and_the_mean_explains_nothing():
    ages = np.array([20.0, 40.0, 60.0])
    scores = measure_scores(ages, np.full(3, ages.mean()))
    assert scores["r2"] == 0.0
    assert scores["pearson_r"] is scores["spearman_r"] is None
    assert scores["error_slope"] == pytest.approx(-1)
    assert scores["gap_correlation"] == pytest.approx(-1)


def test_right_predictions_have_no_correlation_of_the_gap():
    ages = np.random.default_rng(0).uniform(20, 80, 30)
    scores = measure_scores(ages, ages.copy())
    assert (scores["mae"], scores["r2"], scores["error_slope"], scores["gap_correlation"]) == (0.0, 1.0, 0.0, None)


def test_values_that_differ_by_rounding_alone_are_constant():
    constant = np.full(9, 0.1) * 3 + np.where(np.arange(9) % 2, 0, 5e-17)
    assert correlation(constant, np.arange(9.0)) is None
    assert r2(np.full(4, 7.0), np.arange(4.0)) is None


@pytest.mark.parametrize(
    ("targets", "predictions", "message"),
    [
        ([1.0, 2.0], [1.0], r"predictions \(1,\) do not fit 2 sessions"),
        ([1.0, 2.0], [[1.0], [2.0]], r"predictions \(2, 1\) do not fit 2 sessions"),
        ([], [], r"predictions \(0,\) do not fit 0 sessions"),
        ([1.0, np.nan], [1.0, 2.0], "not finite"),
        ([1.0, 2.0], [1.0, np.inf], "not finite"),
    ],
)
def test_what_cannot_be_scored_is_refused(targets, predictions, message):
    with pytest.raises(ValueError, match=message):
        measure_scores(np.array(targets), np.array(predictions))


def test_scores_before_correction_stand_beside_the_others():
    ages, raw = random_case(3)
    corrected = 50 + (raw - 50) / 0.6
    scores = Measure("age").scores(ages, corrected, raw)
    assert list(scores) == NAMES + [f"{name}_raw" for name in NAMES]
    assert scores["mae"] == pytest.approx(reference.mean_absolute_error(ages, corrected))
    assert scores["mae_raw"] == pytest.approx(reference.mean_absolute_error(ages, raw))
    assert scores["pearson_r"] == pytest.approx(scores["pearson_r_raw"])
    assert list(Measure("age").scores(ages, corrected)) == NAMES
    assert set(scores) <= set(SCORE_TITLES)
