"""Net benefit with intervals: means of what each test adds."""

import numpy as np
import pytest
from scipy import stats

from mri3d.evaluation.net_benefit import net_benefit
from mri3d.evaluation.sampling import Sampling
from mri3d.outcome import Classes

OUTCOME = Classes(("control", "patient"))


def drawn(number, seed=0):
    """Draw truth and honest probabilities."""
    random = np.random.default_rng(seed)
    positive = random.uniform(0.02, 0.98, size=number)
    return (random.random(number) < positive).astype(int), np.stack([1 - positive, positive], axis=1)


def found_of(targets, proba, groups=None):
    rows = np.arange(len(targets))
    curve = OUTCOME.decision_curve(targets, proba)
    return net_benefit(curve, Sampling(rows * 0, rows, rows if groups is None else groups))


def test_values_are_those_of_the_formula_and_intervals_students():
    targets, proba = drawn(200)
    found = found_of(targets, proba)
    for place, threshold in ((9, 0.1), (49, 0.5), (79, 0.8)):
        assert found["thresholds"][place] == threshold
        acted, odds = proba[:, 1] >= threshold, threshold / (1 - threshold)
        added = np.where(targets == 1, 1.0, -odds)
        assert found["net_benefit"][place] == pytest.approx((acted * added).mean())
        assert found["everybody"][place] == pytest.approx(added.mean())
        expected = stats.ttest_1samp(acted * added, 0).confidence_interval()
        assert (found["low"][place], found["high"][place]) == pytest.approx(tuple(expected))
        best = added if added.mean() > 0 else 0 * added
        gained = stats.ttest_1samp(acted * added - best, 0).confidence_interval()
        assert found["gain"][place] == pytest.approx(found["net_benefit"][place] - max(added.mean(), 0.0))
        assert (found["gain_low"][place], found["gain_high"][place]) == pytest.approx(tuple(gained))


def test_honest_probabilities_are_worth_acting_on_and_those_of_nobody_are_not_bounded():
    found = found_of(*drawn(2000))
    gains = np.array(found["gain_low"][19:80], dtype=float)
    assert gains.min() > 0
    targets, _ = drawn(50)
    nobody = found_of(targets, np.tile([0.995, 0.005], (50, 1)))
    assert nobody["net_benefit"] == [0.0] * 99
    assert nobody["low"] == nobody["high"] == [None] * 99


def test_families_count_as_one():
    targets, proba = drawn(60)
    order = np.repeat(np.arange(60), 3)
    once, again = found_of(targets, proba), found_of(targets[order], proba[order], groups=order)
    assert again["net_benefit"] == pytest.approx(once["net_benefit"])
    assert again["low"][:40] == pytest.approx(once["low"][:40])
