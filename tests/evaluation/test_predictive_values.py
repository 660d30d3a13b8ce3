"""Predictive values by Bayes' theorem, and their intervals: by other libraries, and how often they hold the truth."""

import numpy as np
import pytest
from scipy.stats import binomtest

from mri3d.evaluation.predictive_values import predictive_value, rate, ratio_interval
from mri3d.evaluation.sampling import Sampling
from mri3d.outcome import Classes, Score

TWO, THREE = Classes(("control", "patient")), Classes(("a", "b", "c"))


def alone(number, groups=None):
    """Return a sampling of sessions that are tested once."""
    return Sampling(np.zeros(number, dtype=int), np.arange(number), np.arange(number) if groups is None else groups)


def predicted(table):
    """Return targets and probabilities of tests, counted by true (rows) and predicted class (columns)."""
    table = np.array(table)
    truth, said = (each.ravel() for each in np.indices(table.shape))
    return np.repeat(truth, table.ravel()), np.eye(len(table))[np.repeat(said, table.ravel())]


def values_of(outcome, table, prevalence):
    """Return rate and predictive value of each class."""
    targets, proba = predicted(table)
    found = outcome.predicted_classes(targets, proba, prevalence=prevalence)
    return {each.name: (rate(each, alone(len(targets))), predictive_value(each, alone(len(targets)))) for each in found}


TABLE = [[45, 5], [10, 40]]  # specificity 0.9, sensitivity 0.8


def test_at_a_stated_prevalence_they_follow_from_bayes_theorem():
    found = values_of(TWO, TABLE, {"control": 0.9, "patient": 0.1})
    assert found["patient"][0].value == pytest.approx(0.8)
    assert found["control"][0].value == pytest.approx(0.9)
    assert found["patient"][1].value == pytest.approx(0.8 * 0.1 / (0.8 * 0.1 + 0.1 * 0.9))
    assert found["control"][1].value == pytest.approx(0.9 * 0.9 / (0.9 * 0.9 + 0.2 * 0.1))
    for score in (each for pair in found.values() for each in pair):
        assert score.low < score.value < score.high


def test_several_classes_follow_it_too():
    found = values_of(THREE, [[8, 1, 1], [2, 16, 2], [3, 3, 24]], {"a": 0.5, "b": 0.3, "c": 0.2})
    predicted_a = 0.5 * 0.8 + 0.3 * 0.1 + 0.2 * 0.1
    assert found["a"][1].value == pytest.approx(0.5 * 0.8 / predicted_a)
    assert found["b"][0].value == pytest.approx(0.8)
    assert found["c"][1].value == pytest.approx(0.2 * 0.8 / (0.5 * 0.1 + 0.3 * 0.1 + 0.2 * 0.8))


def test_at_the_prevalence_of_the_tests_they_are_proportions_with_wilsons_interval():
    found = values_of(TWO, TABLE, None)
    for name, hits, among in (("patient", 40, 45), ("control", 45, 55)):
        expected = binomtest(hits, among).proportion_ci(method="wilson")
        score = found[name][1]
        assert (score.value, score.low, score.high) == pytest.approx((hits / among, *expected), abs=2e-3)
    stated = values_of(TWO, TABLE, {"control": 0.5, "patient": 0.5})
    assert stated["patient"][1].value == pytest.approx(found["patient"][1].value)


def test_where_no_answer_is_wrong_there_is_an_interval():
    found = values_of(TWO, [[30, 0], [0, 20]], {"control": 0.95, "patient": 0.05})
    ppv = found["patient"][1]
    assert (ppv.value, ppv.high) == (1.0, 1.0)
    false_positive = binomtest(0, 30).proportion_ci(method="wilson").high
    lowest = binomtest(20, 20).proportion_ci(method="wilson").low
    assert lowest * 0.05 / (lowest * 0.05 + false_positive * 0.95) < ppv.low < 0.05 / (0.05 + false_positive * 0.95)


def test_a_class_that_is_never_predicted_or_not_there_has_none():
    never = values_of(TWO, [[5, 0], [5, 0]], {"control": 0.9, "patient": 0.1})
    sensitivity, ppv = never["patient"]
    assert (sensitivity.value, sensitivity.low, ppv) == (0.0, 0.0, Score(None))
    assert sensitivity.high == pytest.approx(binomtest(0, 5).proportion_ci(method="wilson").high)
    for prevalence in (None, {"control": 0.9, "patient": 0.1}):
        alike = values_of(TWO, [[5, 3], [0, 0]], prevalence)
        assert alike["patient"] == (Score(None), Score(None))
        assert alike["control"][0].value == pytest.approx(5 / 8)
        assert alike["control"][1] == Score(None)


def test_sessions_of_a_family_count_as_one():
    targets, proba = predicted([[12, 2], [3, 11]])
    order = np.repeat(np.arange(len(targets)), 4)  # each four times
    prevalence = {"control": 0.8, "patient": 0.2}
    once = TWO.predicted_classes(targets, proba, prevalence=prevalence)[0]
    again = TWO.predicted_classes(targets[order], proba[order], prevalence=prevalence)[0]
    single = predictive_value(once, alone(len(targets)))
    grouped = predictive_value(again, alone(len(order), groups=order))
    apart = predictive_value(again, alone(len(order)))
    assert grouped.value == pytest.approx(single.value)
    assert (grouped.low, grouped.high) == pytest.approx((single.low, single.high), abs=0.02)
    assert apart.high - apart.low < 0.7 * (single.high - single.low)


@pytest.mark.parametrize("seed", range(5))
def test_ratios_have_the_interval_as_it_is_published(seed):
    random = np.random.default_rng(seed)
    one, other = random.uniform(0.2, 0.8, size=2)
    one_low, one_high, other_low, other_high = one * 0.8, one * 1.15, other * 0.7, other * 1.3
    product = one * other
    parts = other_high * (2 * other - other_high), other_low * (2 * other - other_low)
    low = (product - np.sqrt(product**2 - one_low * (2 * one - one_low) * parts[0])) / parts[0]
    high = (product + np.sqrt(product**2 - one_high * (2 * one - one_high) * parts[1])) / parts[1]
    found = ratio_interval((one, one_low, one_high), (other, other_low, other_high))
    assert found == pytest.approx((low, high))
    assert ratio_interval((one, one_low, one_high), (0.0, 0.0, 0.1))[1] == np.inf


@pytest.mark.slow
@pytest.mark.parametrize(("sensitivity", "specificity"), [(0.8, 0.9), (0.95, 0.95), (0.6, 0.99)])
@pytest.mark.parametrize("number", [20, 100])
def test_intervals_hold_the_truth(sensitivity, specificity, number):
    random, held, prevalence = np.random.default_rng(0), [], 0.1
    stated = {"control": 1 - prevalence, "patient": prevalence}
    called = sensitivity * prevalence
    truth = called / (called + (1 - specificity) * (1 - prevalence))
    for hits, alarms in zip(
        random.binomial(number, sensitivity, size=1000), random.binomial(2 * number, 1 - specificity, 1000), strict=True
    ):
        targets, proba = predicted([[2 * number - alarms, alarms], [number - hits, hits]])
        found = TWO.predicted_classes(targets, proba, prevalence=stated)[0]
        score = predictive_value(found, alone(len(targets)))
        held.append(score.low is not None and score.low <= truth <= score.high)
    covered = np.mean(held)
    print(f"{number} patients: coverage {covered:.3f}")  # noqa: T201
    assert covered > 0.93
