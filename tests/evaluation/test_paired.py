"""Paired tests of two models: against scipy, naive formulas and signs counted one by one."""

import itertools
from dataclasses import asdict, replace

import numpy as np
import pytest
from scipy import stats

from mri3d.evaluation.paired import corrected_t_test, delong, holm, mcnemar
from mri3d.evaluation.sampling import Sampling
from mri3d.outcome.class_resampling import ClassResampling
from mri3d.outcome.measure_resampling import MeasureResampling
from mri3d.outcome.resampling import Ranking
from tests.evaluation.comparing import compare_tests


def alone(number, folds=1, **options):
    """Return a sampling of sessions that stand alone."""
    return Sampling(np.arange(number) % folds, np.arange(number), np.arange(number), **options)


def two_rankings(random, number, gap=0.5):
    """Draw the decisions of two models that agree in part; the second is better by some standard deviations."""
    truth = (np.arange(number) % 2 == 0)[:, None]
    shared = random.normal(size=(number, 1))
    return [Ranking(truth, shared + random.normal(size=(number, 1)) + (1 + plus) * truth) for plus in (0, gap)]


def two_classifiers(random, number, num_classes=2):
    """Draw the probabilities of two models that agree in part."""
    targets = np.arange(number) % num_classes
    shared = random.normal(size=(number, num_classes)) + np.eye(num_classes)[targets]
    scores = [shared + random.normal(size=shared.shape) for _ in range(2)]
    return [ClassResampling(targets, np.exp(one) / np.exp(one).sum(axis=1, keepdims=True)) for one in scores]


def two_regressions(random, number):
    """Draw the predictions of two models that agree in part."""
    targets = random.normal(50, 10, size=number)
    shared = targets + random.normal(0, 4, size=number)
    return [MeasureResampling(targets, shared + random.normal(0, spread, size=number)) for spread in (4, 5)]


def test_delong_of_one_fold_is_the_covariance_of_placements():
    rankings = two_rankings(np.random.default_rng(0), 300)
    found, truth, components = delong(*rankings, alone(300)), rankings[0].truth[:, 0], []
    for ranking in rankings:
        cases, controls = ranking.decisions[truth], ranking.decisions[~truth]
        kernel = (cases > controls.T) + (cases == controls.T) / 2
        components.append((kernel.mean(axis=1), kernel.mean(axis=0)))
    contrast = np.array([-1, 1])
    kinds = [contrast @ np.cov(kind) @ contrast / len(kind[0]) for kind in zip(*components, strict=True)]
    variance, freedom = sum(kinds), sum(kinds) ** 2 / sum(one**2 / 149 for one in kinds)  # after Satterthwaite
    assert found.difference == pytest.approx(components[1][0].mean() - components[0][0].mean(), abs=1e-12)
    z = found.difference / np.sqrt(variance)
    assert found.p == pytest.approx(2 * stats.t.sf(z, freedom), rel=1e-9)
    reach = stats.t.ppf(0.975, freedom) * np.sqrt(variance)
    assert (found.low, found.high) == pytest.approx((found.difference - reach, found.difference + reach), rel=1e-9)


def test_delong_of_groups_agrees_with_a_bootstrap_of_groups():
    random = np.random.default_rng(1)
    groups = np.repeat(np.arange(50), 3)
    shift = random.normal(size=(50, 1))[groups]
    rankings = [
        replace(one, decisions=one.decisions + sign * shift)
        for one, sign in zip(two_rankings(random, 150), (1, -1), strict=True)
    ]
    sampling = Sampling(np.zeros(150), np.arange(150), groups)
    found = delong(*rankings, sampling)
    (weights,) = sampling.draws(np.zeros(50, dtype=int), 1500, 0)
    truth, drawn = rankings[0].truth[:, 0], []
    for ranking in rankings:
        kernel = (ranking.decisions[truth] > ranking.decisions[~truth].T).astype(float)
        cases, controls = weights[:, truth], weights[:, ~truth]
        drawn.append(
            np.einsum("rp,pn,rn->r", cases, kernel, controls, optimize=True) / (cases.sum(1) * controls.sum(1))
        )
    assert (found.high - found.low) / (2 * stats.t.ppf(0.975, 49)) == pytest.approx(
        np.std(drawn[1] - drawn[0]), rel=0.1
    )


def test_a_difference_within_folds_is_that_of_the_aucs_and_widens_with_shared_training_rows():
    rankings = two_rankings(np.random.default_rng(2), 100)
    plain, wide = (delong(*rankings, alone(100, 5, num_train=rows)) for rows in ((), (80,) * 5))
    assert plain.difference == plain.second - plain.first == wide.difference
    assert wide.high - wide.low == pytest.approx(1.5 * (plain.high - plain.low))
    assert wide.p > plain.p
    assert (plain.low <= 0 <= plain.high) == (plain.p >= 0.05)
    swapped = delong(*rankings[::-1], alone(100, 5))
    assert (swapped.difference, swapped.p, swapped.low) == pytest.approx((-plain.difference, plain.p, -plain.high))


@pytest.mark.parametrize(("better", "worse"), [(9, 2), (5, 5), (12, 0), (0, 0)])
def test_mcnemar_is_the_binomial_test_of_what_differs(better, worse):
    first = np.array([False] * better + [True] * worse + [True] * 7)
    second = np.array([True] * better + [False] * worse + [True] * 7)
    expected = stats.binomtest(better, better + worse).pvalue if better + worse else 1.0
    assert mcnemar(first, second, alone(len(first))) == pytest.approx(expected)


def test_mcnemar_of_groups_counts_all_changes_of_sides():
    random = np.random.default_rng(3)
    first, second, groups = random.random(30) < 0.5, random.random(30) < 0.7, np.arange(30) // 4
    surplus = np.bincount(groups, second.astype(int) - first)
    sums = np.array([np.dot(signs, surplus) for signs in itertools.product((-1, 1), repeat=len(surplus))])
    sampling = Sampling(np.zeros(30), np.arange(30), groups)
    assert mcnemar(first, second, sampling) == pytest.approx((np.abs(sums) >= abs(surplus.sum())).mean())


def test_corrected_t_test_is_that_of_nadeau_and_bengio():
    random = np.random.default_rng(4)
    differences, sampling = random.normal(0.03, 0.05, size=10), alone(100, 10, num_train=(90,) * 10)
    t = differences.mean() / np.sqrt((1 / 10 + 10 / 90) * differences.var(ddof=1))
    assert corrected_t_test(differences, sampling) == pytest.approx(2 * stats.t.sf(abs(t), 9))
    endless = alone(100, 10, num_train=(10**9,) * 10)  # without shared rows it is Student's
    assert corrected_t_test(differences, endless) == pytest.approx(stats.ttest_1samp(differences, 0).pvalue)
    with_gap = np.append(differences, np.nan)
    assert corrected_t_test(with_gap, sampling) == corrected_t_test(differences, sampling)
    assert corrected_t_test(np.full(5, 0.25), sampling) is None
    assert corrected_t_test(np.zeros(5), sampling) == 1.0
    assert corrected_t_test(differences[:1], sampling) is None
    assert corrected_t_test(differences, alone(100, 10)) is None


def test_difference_of_mean_errors_is_a_paired_t_test():
    first, second = two_regressions(np.random.default_rng(5), 200)
    found = compare_tests(first, second, alone(200), primary="mae")
    errors = [np.abs(model.predictions - model.targets) for model in (first, second)]
    expected = stats.ttest_rel(errors[1], errors[0])
    difference = found.differences["mae"]
    assert difference.difference == pytest.approx(np.mean(errors[1] - errors[0]), abs=1e-12)
    assert found.p == difference.p == pytest.approx(expected.pvalue, rel=0.2, abs=1e-4)
    assert (difference.low, difference.high) == pytest.approx(tuple(expected.confidence_interval()), rel=0.06)


@pytest.mark.parametrize("make", [two_classifiers, two_regressions])
def test_fold_scores_make_the_t_test_of_every_score(make):
    first, second = make(np.random.default_rng(6), 100)
    sampling = alone(100, 5, num_train=(80,) * 5)
    found = compare_tests(first, second, sampling, primary="", replicates=100)
    assert (found.p_mcnemar is None) == isinstance(first, MeasureResampling)
    for name, difference in found.differences.items():
        if name in ("auc", "auc_pooled"):
            continue
        folds = [
            tests.scores((sampling.folds == fold)[None].astype(float))[name][0]
            for tests in (first, second)
            for fold in range(5)
        ]
        apart = np.array(folds[5:]) - folds[:5]
        t = apart.mean() / np.sqrt((1 / 5 + 20 / 80) * apart.var(ddof=1))
        assert difference.p_folds == pytest.approx(2 * stats.t.sf(abs(t), 4))
        assert difference.low < difference.difference < difference.high
        assert (difference.low <= 0 <= difference.high) == (difference.p >= 0.05)


@pytest.mark.parametrize("folds", [1, 5])
@pytest.mark.parametrize("make", [two_classifiers, two_regressions])
def test_the_same_predictions_do_not_differ(make, folds):
    first, _ = make(np.random.default_rng(7), 40)
    found = compare_tests(first, first, alone(40, folds, num_train=(32,) * folds), primary="auc", replicates=50)
    assert found.p == 1.0
    assert found.p_mcnemar in (None, 1.0)
    for difference in found.differences.values():
        assert (difference.difference, difference.low, difference.high, difference.p) == (0.0, 0.0, 0.0, 1.0)
        assert difference.p_folds == (
            1.0 if folds > 1 and difference is not found.differences.get("auc_pooled") else None
        )


def test_perfect_against_useless_and_perfect_against_perfect():
    random = np.random.default_rng(8)
    for number in (2, 4, 10, 40):
        truth = (np.arange(number) % 2 == 0)[:, None]
        perfect = Ranking(truth, truth + random.random((number, 1)) / 2)
        also = Ranking(truth, truth + random.random((number, 1)) / 2)
        constant, wrong = Ranking(truth, np.zeros((number, 1))), Ranking(truth, -perfect.decisions)
        for other, difference in ((constant, 0.5), (wrong, 1.0)):
            found = delong(other, perfect, alone(number))
            assert found.difference == difference
            assert 0.0 < found.p <= 1.0
            assert found.p >= 2.0 ** (1 - number)
            assert (found.p < 0.05) == (number >= 10)
            assert -1 <= found.low < difference
        equal = delong(also, perfect, alone(number))
        assert (equal.difference, equal.p) == (0.0, 1.0)
        assert equal.low < 0 < equal.high


@pytest.mark.parametrize("number", [1, 2, 3, 5])
@pytest.mark.parametrize("make", [two_classifiers, two_regressions])
def test_few_subjects_have_no_failure_and_no_small_p(make, number):
    first, second = make(np.random.default_rng(9), number)
    found = compare_tests(first, second, alone(number, 2, num_train=(number,) * 2), primary="mae", replicates=50)
    numbers = [
        value for one in found.differences.values() for value in asdict(one).values() if isinstance(value, float)
    ]
    assert np.isfinite(numbers).all()
    least = 2.0 ** (1 - number)
    assert all(one.p >= least for one in found.differences.values())
    assert 0 < found.p <= 1


def test_scores_that_one_model_does_not_define_are_left_out():
    first, second = two_regressions(np.random.default_rng(10), 30)
    constant = MeasureResampling(first.targets, np.full(30, 50.0), first.predictions)
    found = compare_tests(constant, second, alone(30), primary="mae", replicates=50)
    assert "pearson_r" not in found.differences
    assert "mae_raw" not in found.differences
    assert {"mae", "r2", "error_slope"} <= found.differences.keys()


def test_three_classes_are_compared_by_their_mean_auc():
    first, second = two_classifiers(np.random.default_rng(11), 90, num_classes=3)
    found = compare_tests(first, second, alone(90), primary="auc", replicates=50)
    assert found.p == found.differences["auc"].p
    assert found.differences["auc"] == found.differences["auc_pooled"]
    assert found.differences["auc"].low < found.differences["auc"].difference < found.differences["auc"].high


def test_holm_is_a_running_maximum_of_what_is_left():
    random = np.random.default_rng(12)
    values = random.random(8) ** 3
    ordered = sorted(values)
    for value, adjusted in zip(values, holm(list(values)), strict=True):
        position = ordered.index(value)
        assert adjusted == pytest.approx(min(1.0, max((8 - k) * ordered[k] for k in range(position + 1))))
    assert holm([]) == []
