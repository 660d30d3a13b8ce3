"""Several predictions joined: no worse than the best of them, and no model is turned over or blown up."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from mri3d.evaluation.stacking import stacked


def probabilities(log_odds):
    second = expit(log_odds)
    return np.column_stack([1 - second, second])


def drawn(seed, number=200):
    random = np.random.default_rng(seed)
    signals = random.normal(size=(2, number))
    targets = (signals.sum(axis=0) + random.logistic(size=number) / 2 > 0).astype(int)
    return signals, targets


def test_two_parts_are_joined_as_a_logistic_regression_joins_them():
    signals, targets = drawn(0)
    further, truth = drawn(1)
    found = stacked([probabilities(each) for each in signals], targets, [probabilities(each) for each in further])
    peer = LogisticRegression(C=1.0).fit(signals.T, targets)
    clipped = np.clip(further, signals.min(axis=1, keepdims=True), signals.max(axis=1, keepdims=True))
    np.testing.assert_allclose(found[:, 1], peer.predict_proba(clipped.T)[:, 1], atol=0.02)  # another penalty's unit
    assert roc_auc_score(truth, found[:, 1]) > max(roc_auc_score(truth, each) for each in further)
    np.testing.assert_allclose(found.sum(axis=1), 1)


def test_a_model_that_is_worse_than_chance_is_left_out():
    signals, targets = drawn(2)
    backwards = -signals.sum(axis=0)
    found = stacked([probabilities(signals[0]), probabilities(backwards)], targets, [probabilities(signals[0])] * 2)
    assert roc_auc_score(targets, found[:, 1]) == pytest.approx(roc_auc_score(targets, signals[0]))


def test_a_model_that_hardly_differed_cannot_decide():
    signals, targets = drawn(3)
    flat = 0.05 * np.random.default_rng(0).normal(size=200) - 0.02 * targets
    wild = [probabilities(signals[0]), probabilities(100 * np.random.default_rng(1).normal(size=200))]
    found = stacked([probabilities(signals[0]), probabilities(flat)], targets, wild)
    assert roc_auc_score(targets, found[:, 1]) == pytest.approx(roc_auc_score(targets, signals[0]), abs=0.01)


def test_three_classes_and_values():
    random = np.random.default_rng(4)
    targets = np.arange(90) % 3
    good = np.eye(3)[targets] * 3 + random.normal(size=(90, 3))
    good = np.exp(good) / np.exp(good).sum(axis=1, keepdims=True)
    noise = random.dirichlet(np.ones(3), size=90)
    found = stacked([good, noise], targets, [good, noise])
    assert (found.argmax(axis=1) == targets).mean() >= (good.argmax(axis=1) == targets).mean() - 0.05
    values = random.normal(50, 10, size=100)
    first, second = values + random.normal(0, 5, 100), values + random.normal(0, 5, 100)
    joined = stacked([first, second, -values], values, [first, second, -values])
    assert np.abs(joined - values).mean() < min(np.abs(first - values).mean(), np.abs(second - values).mean())
