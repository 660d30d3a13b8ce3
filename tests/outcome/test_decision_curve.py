"""Net benefit of each test, by hand."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mri3d.outcome import Classes, Measure

TARGETS = np.array([1, 1, 1, 0, 0, 0, 0, 0])
PROBA = np.array([0.9, 0.6, 0.2, 0.7, 0.3, 0.2, 0.1, 0.05])
BOTH = np.stack([1 - PROBA, PROBA], axis=1)


def test_net_benefit_is_right_actions_less_wrong_ones_at_the_odds():
    curve = Classes(("control", "patient")).decision_curve(TARGETS, BOTH)
    assert curve.positive == "patient"
    assert_allclose(curve.thresholds, np.linspace(0.01, 0.99, 99))
    found = dict(zip(curve.thresholds.tolist(), curve.model.mean(axis=0), strict=True))
    assert found[0.5] == pytest.approx((2 - 1 * 1) / 8)  # 0.9 and 0.6 rightly, 0.7 wrongly
    assert found[0.2] == pytest.approx((3 - 3 * 0.25) / 8)  # a probability of 0.2 is acted on from 0.2 on
    assert found[0.21] == pytest.approx((2 - 2 * 0.21 / 0.79) / 8)
    assert found[0.95] == 0  # nobody is acted on
    everybody = dict(zip(curve.thresholds.tolist(), curve.everybody.mean(axis=0), strict=True))
    for threshold, value in everybody.items():
        assert value == pytest.approx(3 / 8 - 5 / 8 * threshold / (1 - threshold))
    assert found[0.01] == pytest.approx(everybody[0.01])  # below every probability


def test_rounding_does_not_move_a_probability_past_a_threshold():
    proba = np.array([[0.7, 0.1 + 0.2], [0.7, 0.3 - 1e-12]])
    curve = Classes(("control", "patient")).decision_curve(np.array([1, 1]), proba)
    assert curve.model[:, 29].tolist() == [1.0, 1.0]


def test_more_classes_and_measures_have_none():
    assert Classes(("a", "b", "c")).decision_curve(np.array([0]), np.array([[0.2, 0.3, 0.5]])) is None
    assert Measure("age").decision_curve(np.array([30.0]), np.array([31.0])) is None
