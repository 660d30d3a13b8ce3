"""Probabilities of networks: as sure as they should be, and as frequent as the classes are."""

import numpy as np
import pytest
from scipy.special import expit, log_softmax, softmax
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from mri3d.outcome import Classes, Measure, Temperature
from mri3d.outcome.temperature import RANGE, fit_temperature


def drawn(num_rows, *, shares, sharpness, seed=0):
    """Draw log odds of the truth at equal shares [N, K], too sure by `sharpness`, and classes by their frequency."""
    random = np.random.default_rng(seed)
    shares = np.array(shares)
    honest = random.normal(0, 1.5, (num_rows, len(shares)))
    proba = softmax(honest + np.log(shares), axis=1)
    targets = (proba.cumsum(axis=1) < random.random((num_rows, 1))).sum(axis=1)
    return honest * sharpness, targets, shares


@pytest.mark.parametrize("sharpness", [0.4, 1.0, 3.0])
@pytest.mark.parametrize("shares", [[0.5, 0.5], [0.8, 0.2], [0.6, 0.3, 0.1]])
def test_a_planted_temperature_and_the_shares_are_found(sharpness, shares):
    logits, targets, shares = drawn(6000, shares=shares, sharpness=sharpness)
    two = len(shares) == 2
    outputs = logits[:, 1:] - logits[:, :1] if two else logits
    found = fit_temperature(outputs, targets, shares)
    assert found.temperature == pytest.approx(sharpness, rel=0.1)
    log_odds = found.apply(outputs)
    proba = np.hstack([1 - expit(log_odds), expit(log_odds)]) if two else softmax(log_odds, axis=1)
    np.testing.assert_allclose(proba.mean(axis=0), np.bincount(targets) / len(targets), atol=0.012)
    truth = np.eye(len(shares))[targets]
    plain = softmax(np.hstack([np.zeros_like(outputs), outputs]) if two else outputs, axis=1)
    if sharpness != 1 or np.ptp(shares):
        assert np.square(proba - truth).sum() < np.square(plain - truth).sum(), "the Brier score falls"


def test_it_is_the_temperature_of_scikit_learn_where_the_classes_are_as_frequent():
    logits, targets, _ = drawn(4000, shares=[1 / 3] * 3, sharpness=2.0)
    model = LogisticRegression().fit(logits, targets)
    inputs = model.decision_function(logits)
    theirs = CalibratedClassifierCV(FrozenEstimator(model), method="temperature").fit(logits, targets)
    ours = fit_temperature(inputs, targets, np.full(3, 1 / 3))
    expected = theirs.predict_proba(logits)
    np.testing.assert_allclose(softmax(ours.apply(inputs), axis=1), expected, atol=2e-3)  # theirs does not soften


def test_no_row_asks_for_more_certainty_than_rows_can_show():
    outputs, targets = np.array([[-9.0]] * 4 + [[9.0]] * 4), np.repeat([0, 1], 4)
    found = fit_temperature(outputs, targets, np.array([0.5, 0.5]))
    assert expit(found.apply(outputs))[-1, 0] == pytest.approx(5 / 6, abs=1e-3), "Platt's hope of four rows"


def test_a_network_that_tells_nothing_gets_the_shares():
    shares, targets = np.array([0.75, 0.25]), np.tile([0, 1], 4)
    for outputs in (np.zeros((8, 1)), np.tile([[9.0], [-9.0]], (4, 1))):  # no opinion, and one that is always wrong
        found = fit_temperature(outputs, targets, shares)
        assert found.temperature <= RANGE[1]
        np.testing.assert_allclose(expit(found.apply(outputs)), 0.25, atol=0.1)


def test_without_held_out_rows_outputs_are_only_shifted():
    found = fit_temperature(np.empty((0, 1)), np.empty(0, dtype=np.int64), np.array([0.8, 0.2]))
    assert found.temperature == 1
    assert found.log_odds == pytest.approx((np.log(0.25),))
    several = fit_temperature(np.empty((0, 3)), np.empty(0, dtype=np.int64), np.array([0.5, 0.3, 0.2]))
    np.testing.assert_allclose(softmax(several.apply(np.zeros((1, 3))), axis=1), [[0.5, 0.3, 0.2]])


def test_outcomes_say_whether_outputs_are_tempered():
    outputs, targets = np.array([[0.5], [-0.5], [1.0]]), np.array([1, 0, 1])
    learnt = np.array([0, 0, 0, 1])
    assert Classes(("a", "b")).tempered(outputs, targets, learnt=learnt).log_odds == (pytest.approx(np.log(1 / 3)),)
    assert Measure("age").tempered(outputs, targets.astype(float), learnt=learnt.astype(float)) is None


@pytest.mark.parametrize(
    "values", [(0.0, (1.0,)), (-1.0, ()), (float("nan"), ()), (1.0, (float("inf"),)), ("2", (0.0,)), (1, ())]
)
def test_impossible_temperatures_are_refused(values):
    with pytest.raises(ValueError, match="a temperature and log odds are finite numbers"):
        Temperature(*values)


def test_a_card_for_another_number_of_outputs_is_refused():
    card = {"temperature": 2.0, "log_odds": [0.5]}
    assert Temperature.from_json(card, num_outputs=1) == Temperature(2.0, (0.5,))
    with pytest.raises(ValueError, match="log_odds are not 3 numbers"):
        Temperature.from_json(card, num_outputs=3)


def test_the_likelihood_is_best_there():
    logits, targets, shares = drawn(300, shares=[0.5, 0.3, 0.2], sharpness=2.5, seed=3)
    found = fit_temperature(logits, targets, shares)

    def cost(temperature):
        hopes = np.full((len(targets), 3), 0.0)
        counts = np.bincount(targets)
        for row, target in enumerate(targets):
            hopes[row] = 1 / (counts[target] + 2) / 2
            hopes[row, target] = (counts[target] + 1) / (counts[target] + 2)
        return -(hopes * log_softmax(Temperature(temperature, found.log_odds).apply(logits), axis=1)).sum()

    assert cost(found.temperature) <= min(cost(found.temperature * factor) for factor in (0.97, 0.99, 1.01, 1.03))
