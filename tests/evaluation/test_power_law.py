"""The power law of learning curves: planted ones are found, and intervals hold the truth."""

import numpy as np
import pytest
from scipy.optimize import least_squares

from mri3d.evaluation.power_law import EXPONENTS, Extrapolation, PowerLaws

SIZES = np.array([21.0, 42.0, 63.0, 84.0, 105.0])
LAWS = [(0.05, 2.0, 0.7), (0.0, 1.0, 0.5), (0.1, 30.0, 1.5), (0.2, 1.0, 0.3), (3.0, 40.0, 0.6), (0.0, 0.4, 0.06)]


def error(sizes, law):
    a, b, c = law
    return a + b * np.asarray(sizes, dtype=np.float64) ** -c


def noisy(law, noise, random, number):
    """Draw points around a law, six tenths of whose variance they share, as points of the same tests do."""
    shares = 0.6 + 0.4 * np.eye(len(SIZES))
    return error(SIZES, law) + noise * random.normal(size=(number, len(SIZES))) @ np.linalg.cholesky(shares).T


@pytest.mark.parametrize("law", LAWS)
def test_planted_laws_are_found(law):
    weights = np.array([1.0, 3.0, 2.0, 5.0, 4.0])
    found = PowerLaws.fitted(SIZES, error(SIZES, law)[None], weights)
    assert np.allclose([found.a[0], found.b[0], found.c[0]], law, rtol=1e-4, atol=1e-6)
    assert np.allclose(found.at([50, 210, 420])[0], error([50, 210, 420], law), rtol=1e-5)


def test_no_start_of_scipys_finds_a_better_law():
    weights = np.array([1.0, 3.0, 2.0, 5.0, 4.0])
    curves = np.abs(noisy((0.05, 2.0, 0.7), 0.05, np.random.default_rng(0), 20))
    laws = PowerLaws.fitted(SIZES, curves, weights)
    for number, curve in enumerate(curves):

        def apart(law, curve=curve):
            a, above, c = law
            return np.sqrt(weights) * (a + above * (SIZES / 105) ** -c - curve)

        ours = (laws.a[number], laws.above[number], laws.c[number])
        bounds = [(0, 0, EXPONENTS[0]), (np.inf, np.inf, EXPONENTS[1])]
        theirs = min(least_squares(apart, (0.01, 0.1, start), bounds=bounds).cost for start in (0.1, 0.5, 1.0, 1.9))
        assert 0.5 * np.square(apart(ours)).sum() <= theirs * (1 + 1e-6) + 1e-12


def test_a_curve_that_rises_has_no_law_that_falls():
    (rises,) = PowerLaws.fitted(SIZES, np.array([[0.1, 0.2, 0.3, 0.4, 0.5]]), np.ones(5)).at([105, 1000])
    assert np.allclose(rises, 0.3), "the mean: learning does not do harm"


def test_laws_of_draws_may_go_below_zero_but_errors_do_not():
    steep = 0.9 - 0.2 * np.log(SIZES / 21)  # steeper than any law with a = 0 that begins there
    laws = PowerLaws.fitted(SIZES, steep[None], np.ones(5), bounded=False)
    assert laws.a[0] < 0
    assert laws.c[0] == pytest.approx(EXPONENTS[0])
    assert np.allclose(laws.at(SIZES)[0], steep, atol=0.01)
    assert laws.at([10**6]) == 0


def test_certain_points_weigh_more_but_none_all():
    errors = error(SIZES, (0.1, 2.0, 0.5)) + np.array([0.2, 0, 0, 0, 0])
    draws = errors + np.random.default_rng(0).normal(size=(400, 5)) * [0.5, 0.01, 0.01, 0.01, 0.01]
    value = Extrapolation.of(SIZES, errors, draws).at([105])[0, 0]
    weights = 1 / np.square([1, 0.1, 0.1, 0.1, 0.1])  # no point more than a hundred times the least certain
    assert value == pytest.approx(PowerLaws.fitted(SIZES, errors[None], weights).at([105])[0, 0], rel=1e-9)


def test_without_noise_nothing_is_uncertain():
    errors = error(SIZES, (0.1, 2.0, 0.5))
    found = Extrapolation.of(SIZES, errors, np.tile(errors, (10, 1)), widening=1.5)
    assert np.allclose(found.at([210.0]), error(210, (0.1, 2.0, 0.5)))
    assert np.allclose(found.exponent, 0.5, atol=1e-5)
    assert np.allclose(found.gain, error(105, (0.1, 2.0, 0.5)) - error(210, (0.1, 2.0, 0.5)))
    assert found.helps


def test_draws_are_widened_before_laws_are_fitted_to_them():
    law, random = (0.1, 2.0, 0.5), np.random.default_rng(0)
    errors = error(SIZES, law)
    draws = noisy(law, 0.004, random, 2000)
    narrow, wide = (Extrapolation.of(SIZES, errors, draws, widening=factor) for factor in (1.0, 1.5))
    widths = [np.diff(each.at(SIZES)[1:], axis=0)[0] for each in (narrow, wide)]
    assert np.allclose(widths[1] / widths[0], 1.5, rtol=0.05)  # of small noise
    by_hand = Extrapolation.of(SIZES, errors, errors + 1.5 * (draws - errors))
    assert np.allclose(wide.at([210.0]), by_hand.at([210.0]))


@pytest.mark.parametrize("errors", [np.full(5, 0.5), np.zeros(5), np.array([0.3, 0.4, 0.45, 0.48, 0.5])])
def test_points_that_do_not_fall_show_no_gain(errors):
    draws = errors + 0.02 * np.random.default_rng(0).normal(size=(500, 5))
    found = Extrapolation.of(SIZES, errors, draws)
    assert found.gain[0] == pytest.approx(0, abs=1e-9)
    assert found.gain[1] == pytest.approx(0, abs=1e-9)
    assert np.isnan(found.exponent).all()
    assert not found.helps


@pytest.mark.parametrize(
    ("sizes", "errors", "known"),
    [
        ([50, 100], [0.3, 0.2], 20),
        ([50, 50, 100], [0.3, 0.3, 0.2], 20),
        ([50, 75, 100], [0.3, np.nan, 0.2], 20),
        ([50, 75, 100], [0.3, 0.25, 0.2], 10),
    ],
)
def test_too_few_points_or_draws_have_no_law(sizes, errors, known):
    draws = np.tile(np.nan_to_num(errors), (20, 1))
    draws[known:] = np.nan
    assert Extrapolation.of(np.array(sizes, dtype=float), np.array(errors), draws) is None


def test_draws_that_define_no_error_are_left_out():
    errors = error(SIZES, (0.1, 2.0, 0.5))
    draws = noisy((0.1, 2.0, 0.5), 0.01, np.random.default_rng(0), 50)
    some = np.insert(draws, [3, 7, 7], np.nan, axis=0)
    found = [Extrapolation.of(SIZES, errors, each).at([210.0]) for each in (draws, some)]
    assert np.array_equal(*found)


@pytest.mark.slow
@pytest.mark.parametrize("law", [(0.05, 2.0, 0.7), (0.0, 1.0, 0.5), (0.1, 3.0, 1.0), (0.2, 1.0, 0.3), (0.3, 0.0, 1.0)])
@pytest.mark.parametrize("noise", [0.01, 0.03])
def test_intervals_of_noisy_points_hold_the_truth(law, noise):
    random, further, held, gains = np.random.default_rng(0), [158, 210, 420], [], []
    truth, gain = error(further, law), float(-np.diff(error([105, 210], law))[0])
    for _ in range(200):
        (points,) = noisy(law, noise, random, 1)
        found = Extrapolation.of(SIZES, points, points + noisy(law, noise, random, 400) - error(SIZES, law))
        _, low, high = found.at(further)
        held.append((low <= truth) & (truth <= high))
        gains.append(found.gain[1] <= gain + 1e-12 and gain <= found.gain[2])
    assert (np.mean(held, axis=0) >= 0.9).all(), np.mean(held, axis=0)
    assert np.mean(gains) >= 0.9
