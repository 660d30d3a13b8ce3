"""Thresholds against loops over all that could be one, prevalences against Bayes' formula, and what is refused."""

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from mri3d.errors import UserError
from mri3d.outcome import Classes, Measure
from mri3d.outcome.held_out import HeldOut, nine_digits
from mri3d.outcome.thresholds import Threshold, prevalence_of, shifted, threshold_of, youden

TWO, THREE = ("F", "M"), ("a", "b", "c")


def steered(seed, num_rows=60, *, decimals=9):
    """Make rows of two classes whose probabilities tell them apart a little; with ties by few decimals."""
    random = np.random.default_rng(seed)
    targets = (random.random(num_rows) < 0.4).astype(int)
    positive = np.round(1 / (1 + np.exp(-(1.2 * targets - 0.7 + random.normal(size=num_rows)))), decimals)
    return HeldOut.of(targets, np.stack([1 - positive, positive], axis=1))


def resolved(given, held, names=TWO, shares=(0.6, 0.4)):
    return threshold_of(given, names, shares=lambda: np.array(shares), steered=lambda: held)


def rates(held, cut):
    scores, positive = held.predictions[:, 1], held.targets == 1
    return (scores[positive] >= cut).mean(), (scores[~positive] < cut).mean()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("decimals", [1, 9])
@pytest.mark.parametrize("rate", [0.5, 0.9, 0.95, 1])
def test_wanted_rates_are_reached_and_the_next_threshold_does_not(seed, decimals, rate):
    held = steered(seed, decimals=decimals)
    cut = resolved({"sensitivity": rate}, held).floors[1]
    assert cut == max(c for c in held.predictions[:, 1] if rates(held, c)[0] >= rate)
    assert rates(held, np.nextafter(cut, 2))[0] < rate
    cut = resolved({"specificity": rate}, held).floors[1]
    assert rates(held, cut)[1] >= rate > rates(held, np.nextafter(cut, -1))[1]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("decimals", [1, 9])
def test_youden_has_the_largest_sum_of_both_rates(seed, decimals):
    held = steered(seed, decimals=decimals)
    found = resolved("youden", held)
    best = max(sum(rates(held, cut)) for cut in held.predictions[:, 1])
    false, true, _ = roc_curve(held.targets, held.predictions[:, 1])
    assert sum(rates(held, found.floors[1])) == pytest.approx(best) == pytest.approx(1 + (true - false).max())
    told = rates(held, found.floors[1])
    counts = f"{(held.targets == 0).sum()} F and {held.targets.sum()} M"
    reached = f"youden: sensitivity {told[0]:.2f} and specificity {told[1]:.2f}"
    assert found.reason == f"{reached} on what training held out, {counts} predictions"


def test_youden_lies_half_way_and_of_equals_next_to_the_share():
    scores, positive = np.array([0.1, 0.2, 0.7, 0.8]), np.array([False, False, True, True])
    assert youden(scores, positive, near=0.5) == pytest.approx(0.45)
    positive = np.array([False, True, False, True])  # above 0.1, or above 0.7
    assert [youden(scores, positive, near=near) for near in (0.3, 0.6)] == pytest.approx([0.15, 0.75])


def test_no_threshold_of_what_cannot_be_told_apart():
    held = HeldOut.of(np.array([1, 0, 1, 0]), np.full((4, 2), 0.5))
    with pytest.raises(UserError, match=r"threshold='youden': no threshold parts the classes better than chance .*2 F"):
        resolved("youden", held)
    alone = HeldOut.of(np.zeros(3, dtype=int), np.full((3, 2), 0.5))
    for given in ("youden", {"sensitivity": 0.9}):
        with pytest.raises(UserError, match="there are 3 F and 0 M"):
            resolved(given, alone)


def test_a_number_is_the_probability_from_which_on_the_second_class_is_predicted():
    outcome = Classes(TWO).deciding(resolved(0.3, None))
    positive = np.array([0.29, 0.3, 0.2999999999, 0.31, 0.5])  # the third is 0.3 in every table
    proba = np.stack([1 - positive, positive], axis=1)
    columns = outcome.prediction_columns(proba)
    assert columns["prediction"] == ["F", "M", "M", "M", "M"]
    assert columns["p_M"] == positive.tolist(), "probabilities stay"
    assert outcome.words.prediction(proba[1]) == "M"
    assert outcome.words.verdict(proba[1]) == "M 0.300"
    assert outcome.words.summary(list(proba)) == "scans classified: 1 as F, 4 as M."
    assert outcome.words.prediction_reading()[0] == "The prediction is M from a probability of 0.3 on, else F."
    assert outcome.target_named(None, proba[1]) == 1
    assert outcome.target_named("F", proba[1]) == 0
    assert outcome == Classes(TWO)
    assert outcome.to_json() == Classes(TWO).to_json()


def test_spread_is_of_the_class_that_was_decided_for():
    outcome = Classes(THREE).deciding(resolved("balanced", None, THREE, (0.8, 0.1, 0.1)))
    proba = np.array([[0.5, 0.4, 0.1], [0.5, 0.2, 0.3]])
    assert outcome.spread(proba) == pytest.approx(0.1)
    assert Classes(THREE).spread(proba) == 0


@pytest.mark.parametrize("names", [TWO, THREE])
def test_balanced_takes_the_class_that_is_most_probable_for_its_share(names):
    random = np.random.default_rng(2)
    shares = random.dirichlet(np.ones(len(names)))
    proba = random.dirichlet(np.ones(len(names)), size=200)
    found = resolved("balanced", None, names, shares).decide(proba)
    assert found.tolist() == [max(range(len(names)), key=lambda k: row[k] / shares[k]) for row in proba]


def test_three_classes_have_no_threshold_but_balanced():
    for given in (0.3, "youden", {"sensitivity": 0.9}):
        with pytest.raises(
            UserError, match=r"is for two classes, and the model tells 3 apart. Give threshold='balanced'"
        ):
            resolved(given, None, THREE)
    text = resolved("balanced", None, THREE, (0.2, 0.3, 0.5)).text
    assert text == "the class that is most probable relative to how frequent it is (a 0.2, b 0.3, c 0.5)"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("balance", "Did you mean 'balanced'"),
        ("x", "Give a probability such as 0.3, balanced, youden"),
        (True, "is no threshold"),
        ([0.3], "is no threshold"),
        ({}, "is no threshold"),
        ({"recall": 0.9}, "is no threshold"),
        ({"sensitivity": 0.9, "specificity": 0.9}, "is no threshold"),
        ({"sensitivity": "high"}, "sensitivity is no share between 0 and 1"),
        ({"specificity": 90}, "specificity is no share between 0 and 1"),
        ({"specificity": True}, "specificity is no share between 0 and 1"),
        (0, "no probability between 0 and 1"),
        (1.0, "no probability between 0 and 1"),
        (30, "no probability between 0 and 1"),
        (float("nan"), "no probability between 0 and 1"),
    ],
)
def test_what_is_no_threshold_is_named_with_what_is(given, message):
    with pytest.raises(UserError, match=message):
        resolved(given, steered(0))


# ---- prevalence


def test_probabilities_move_by_the_ratio_of_the_shares():
    proba, shares, wanted = np.array([0.2, 0.3, 0.5]), np.array([0.5, 0.25, 0.25]), np.array([0.1, 0.2, 0.7])
    weighed = [p * new / old for p, new, old in zip(proba, wanted, shares, strict=True)]
    np.testing.assert_allclose(shifted(proba, shares, wanted), np.array(weighed) / sum(weighed))
    np.testing.assert_allclose(shifted(proba, shares, shares), proba)
    both = shifted(np.stack([proba, proba]), np.stack([shares, wanted]), wanted)  # each member has shares of its own
    np.testing.assert_allclose(both, [np.array(weighed) / sum(weighed), proba])
    assert shifted(np.array([1.0, 0.0]), np.array([0.5, 0.5]), np.array([0.01, 0.99])).tolist() == [1, 0]


def test_a_planted_prevalence_is_made_good():
    random, shares, wanted = np.random.default_rng(0), np.array([0.5, 0.5]), np.array([0.95, 0.05])
    targets = (random.random(20_000) < 0.05).astype(int)
    points = random.normal(size=20_000) + 1.5 * targets
    positive = 1 / (1 + np.exp(-(1.5 * points - 1.125)))  # right where both classes are as frequent
    proba = np.stack([1 - positive, positive], axis=1)
    moved = shifted(proba, shares, wanted)
    odds = 1.5 * points - 1.125 + np.log(0.05 / 0.95)
    np.testing.assert_allclose(moved[:, 1], 1 / (1 + np.exp(-odds)))
    brier = [((each[:, 1] - targets) ** 2).mean() for each in (proba, moved)]
    assert brier[1] < 0.5 * brier[0]
    assert proba[:, 1].mean() > 0.3
    assert moved[:, 1].mean() == pytest.approx(0.05, abs=0.005)


@pytest.mark.parametrize(
    ("given", "names", "shares"),
    [
        (0.1, TWO, [0.9, 0.1]),
        ({"M": 0.1, "F": 0.9}, TWO, [0.9, 0.1]),
        ({1: 0.1, 0: 0.9}, ("0", "1"), [0.9, 0.1]),
        ({True: 0.1, False: 0.9}, ("False", "True"), [0.9, 0.1]),
        ({True: 0.1, "no": 0.9}, ("no", "true"), [0.9, 0.1]),
        ({"a": 0.2, "b": 0.3, "c": 0.5}, THREE, [0.2, 0.3, 0.5]),
        (np.float32(0.25), TWO, [0.75, 0.25]),
    ],
)
def test_prevalence_is_taken_in_all_its_forms(given, names, shares):
    found = prevalence_of(given, names)
    assert list(found) == list(names)
    assert list(found.values()) == pytest.approx(shares)


@pytest.mark.parametrize(
    ("given", "names", "message"),
    [
        (0.1, THREE, "does not say how frequent each class is. Give a share for each of the 3 classes"),
        (1.5, TWO, "a number between 0 and 1. Give a number such as 0.1, how frequent 'M' is"),
        (0, TWO, "between 0 and 1"),
        (-0.1, TWO, "between 0 and 1"),
        (float("nan"), TWO, "between 0 and 1"),
        (True, TWO, "does not say"),
        ("10 %", TWO, "does not say"),
        ([0.9, 0.1], TWO, "does not say"),
        ({"F": 0.9}, TWO, "does not name M"),
        ({"F": 0.5, "male": 0.5}, TWO, "names 'male', no class of this model"),
        ({"F": 0.5, "M": 0.6}, TWO, "adds up to 1.1"),
        ({"F": 1, "M": 0}, TWO, "between 0 and 1"),
        ({"F": "most", "M": 0.1}, TWO, "between 0 and 1"),
    ],
)
def test_what_is_no_prevalence_is_named_with_what_is(given, names, message):
    with pytest.raises(UserError, match=message):
        prevalence_of(given, names)


def test_a_measure_has_neither():
    options = Measure("age").options
    with pytest.raises(UserError, match=r"prevalence=0\.1 is for classes, and the model predicts a value: age"):
        options.prevalence(0.1)
    with pytest.raises(UserError, match="threshold='balanced' is for classes"):
        options.threshold("balanced", shares=lambda: None, steered=lambda: None)
    with pytest.raises(TypeError):
        Measure("age").deciding(Threshold((0.5, 0.5), ""))


def test_what_is_kept_is_rounded_and_sorted_so_that_its_order_tells_nothing():
    random = np.random.default_rng(0)
    targets, proba = random.integers(0, 2, 20), random.dirichlet([1, 1], size=20)
    order = random.permutation(20)
    one, other = HeldOut.of(targets, proba), HeldOut.of(targets[order], proba[order])
    assert one.to_json() == other.to_json()
    assert sorted(zip(targets, nine_digits(proba)[:, 1], strict=True)) == sorted(
        zip(one.targets, one.predictions[:, 1], strict=True)
    )
    assert all(len(f"{value:.12g}".lstrip("0.").replace(".", "")) <= 9 for value in one.predictions.ravel())
    again = HeldOut.from_json(one.to_json())
    assert (again.targets == one.targets).all()
    assert (again.predictions == one.predictions).all()
    values = HeldOut.of(np.array([3.0, 1.0]), np.array([2.5, 1.5]))
    assert values.to_json() == {"targets": [1.0, 3.0], "predictions": [1.5, 2.5]}
    assert HeldOut.of(np.empty(0), np.empty(0)).to_json() == {"targets": [], "predictions": []}
