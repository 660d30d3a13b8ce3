"""Sets and intervals hold the truth as often as was asked for, by one fold's tests and by those of several."""

import math

import numpy as np
import pytest

from mri3d.outcome.conformal import class_p_values, conforming, interval, num_needed
from mri3d.outcome.held_out import HeldOut, nine_digits

NUM_COHORTS, NUM_NEW, COVERAGE = 500, 40, 0.9


def naive_p_value(probabilities, folds, k):
    """Count one by one, in scores: the less probable a class, the stranger the row."""
    strange, total = 0, 0
    for mine, fold in zip(probabilities, folds, strict=True):
        for target, theirs in zip(fold.targets, fold.predictions, strict=True):
            if target == k:
                total += 1
                strange += 1 - nine_digits(mine)[k] <= 1 - theirs[k]
    return (1 + strange) / (1 + total)


@pytest.mark.parametrize("num_folds", [1, 3])
@pytest.mark.parametrize("num_classes", [2, 3])
def test_p_values_are_those_of_a_loop(num_folds, num_classes):
    random = np.random.default_rng(num_folds)
    proba = np.round(random.dirichlet(np.ones(num_classes), size=(num_folds, 31)), 1)  # with ties
    folds = [HeldOut.of(random.permutation(np.arange(30) % num_classes), each[:30]) for each in proba]
    found = class_p_values(proba[:, 30], folds)
    assert found.tolist() == [naive_p_value(proba[:, 30], folds, k) for k in range(num_classes)]


def test_equal_scores_count_as_strange_whatever_is_beyond_nine_digits():
    fold = HeldOut.of(np.zeros(9, dtype=int), np.repeat([[1 / 3, 2 / 3]], 9, axis=0))
    assert class_p_values(np.array([[1 / 3, 2 / 3]]), [fold])[0] == 1.0
    assert class_p_values(np.array([[0.3333, 0.6667]]), [fold])[0] == 0.1


@pytest.mark.parametrize(("coverage", "needed"), [(0.3, 1), (0.5, 1), (0.8, 4), (0.9, 9), (0.95, 19), (0.99, 99)])
def test_with_as_many_rows_as_are_needed_something_can_be_left_out(coverage, needed):
    assert num_needed(coverage) == needed
    for num_rows in (needed, needed - 1):
        usual = HeldOut(np.zeros(num_rows, dtype=int), np.full((num_rows, 2), 0.5))
        kept = conforming(class_p_values(np.array([[0.2, 0.8]]), [usual]), coverage)
        assert kept[0] == (num_rows < needed)
    errors = HeldOut(np.zeros(needed), np.arange(1.0, needed + 1))
    low, high = interval(np.array([0.0]), [errors], coverage)
    assert high - low == 2 * max(1, math.ceil(round(coverage * (needed + 1), 9)))


def naive_interval(values, folds, coverage):
    """Sort all ends, and take those of the papers: Barber et al. 2021, equation 7."""
    together = zip(values, folds, strict=True)
    pairs = [(mine, error) for mine, fold in together for error in abs(fold.targets - fold.predictions)]
    lows, highs = sorted(m - r for m, r in pairs), sorted(m + r for m, r in pairs)
    num, alpha = len(pairs), 1 - coverage
    return lows[math.floor(alpha * (num + 1) + 1e-9) - 1], highs[math.ceil((1 - alpha) * (num + 1) - 1e-9) - 1]


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_interval_is_that_of_sorted_ends(coverage):
    random = np.random.default_rng(0)
    folds = [HeldOut(random.normal(size=size), random.normal(size=size)) for size in (11, 14, 9)]
    for _ in range(20):
        values = random.normal(size=3)
        assert interval(values, folds, coverage) == pytest.approx(naive_interval(values, folds, coverage))


def test_of_one_fold_the_interval_is_as_wide_on_both_sides():
    random = np.random.default_rng(1)
    fold = HeldOut(random.normal(size=29), random.normal(size=29))
    low, high = interval(np.array([[5.0, -3.0]]), [fold], 0.9)
    half = np.sort(np.abs(fold.targets - fold.predictions))[27 - 1]  # the 27th of 29, as 0.9 * 30
    np.testing.assert_allclose((low, high), ([5 - half, -3 - half], [5 + half, -3 + half]))


@pytest.mark.parametrize("coverage", [0.05, 0.3])
def test_of_a_low_coverage_the_ends_never_cross(coverage):
    folds = [HeldOut(np.zeros(5), np.linspace(-1, 1, 5)), HeldOut(np.zeros(5), np.linspace(-1, 1, 5))]
    low, high = interval(np.array([0.0, 9.0]), folds, coverage)
    assert low <= high


# ---- coverage on simulated cohorts


def probabilities_by(means, shares, points):
    """Compute what a linear discriminant of unit variance predicts of points [N, P], [N, K]."""
    logs = np.log(shares) - ((points[:, None] - means) ** 2).sum(axis=2) / 2
    proba = np.exp(logs - logs.max(axis=1, keepdims=True))
    return proba / proba.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("num_folds", [1, 5], ids=["split", "cross"])
def test_sets_hold_each_class_as_often_as_was_asked_for(num_folds):
    random, sizes = np.random.default_rng(7), np.array([60, 25])  # unequal, so that the model prefers the first
    truth, targets = np.array([[0.0] * 4, [0.6] * 4]), np.repeat([0, 1], sizes)
    new_targets, held = np.repeat([0, 1], NUM_NEW), np.zeros(2)
    for _ in range(NUM_COHORTS):
        points = truth[targets] + random.normal(size=(len(targets), 4))
        new, parts = truth[new_targets] + random.normal(size=(2 * NUM_NEW, 4)), random.permutation(len(targets)) % 5
        predicted, folds = [], []
        for fold in range(num_folds):
            tested = parts == fold if num_folds > 1 else parts < 2
            means = np.stack([points[~tested & (targets == k)].mean(axis=0) for k in (0, 1)])
            shares = np.bincount(targets[~tested]) / (~tested).sum()
            folds.append(HeldOut.of(targets[tested], probabilities_by(means, shares, points[tested])))
            predicted.append(probabilities_by(means, shares, new))
        kept = conforming(class_p_values(np.stack(predicted), folds), COVERAGE)
        held += [kept[new_targets == k, k].mean() for k in (0, 1)]
    num_rows = sizes if num_folds > 1 else 0.4 * sizes
    assert (held / NUM_COHORTS >= 0.88).all()
    assert (held / NUM_COHORTS <= 0.92 + 1 / (num_rows + 1)).all()


@pytest.mark.parametrize("num_folds", [1, 5], ids=["split", "CV+"])
def test_intervals_hold_the_value_as_often_as_was_asked_for(num_folds):
    random, num_rows, weights, held = np.random.default_rng(8), 60, np.array([1.0, -0.5, 0.2]), 0.0
    for _ in range(NUM_COHORTS):
        points, new = random.normal(size=(num_rows, 3)), random.normal(size=(NUM_NEW, 3))
        ages, new_ages = (each @ weights + random.standard_t(5, size=len(each)) for each in (points, new))
        parts, predicted, folds = random.permutation(num_rows) % 5, [], []
        for fold in range(num_folds):
            tested = parts == fold if num_folds > 1 else parts < 2
            learnt = points[~tested]
            fit = np.linalg.solve(learnt.T @ learnt + np.eye(3), learnt.T @ ages[~tested])
            folds.append(HeldOut.of(ages[tested], points[tested] @ fit))
            predicted.append(new @ fit)
        low, high = interval(np.stack(predicted), folds, COVERAGE)
        held += ((low <= new_ages) & (new_ages <= high)).mean()
    assert 0.88 <= held / NUM_COHORTS <= 0.92 + 1 / ((num_rows if num_folds > 1 else 0.4 * num_rows) + 1)
