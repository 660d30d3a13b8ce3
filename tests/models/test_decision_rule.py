"""Options of predictions, resolved against the members that vote; and what each kind of model keeps for them."""

import numpy as np
import pytest

import mri3d
from mri3d import Holdout, KFold, UserError, evaluate, fit, models
from mri3d.evaluation.grid_search import GridSearch
from mri3d.evaluation.splits import KFold as InnerFolds
from mri3d.model_folder import Card
from mri3d.models.decision_rule import DecisionRule
from mri3d.outcome import Classes, HeldOut, Measure, shifted
from mri3d.outcome.conformal import class_p_values, conforming, interval
from mri3d.volumes.reference import Reference
from tests.studies import age_study, class_study, cnn, planted

TWO, THREE, AGE = Classes(("F", "M")), Classes(("a", "b", "c")), Measure("age")
NOTHING = {"prevalence": None, "threshold": None, "coverage": None}
RANDOM = np.random.default_rng(0)


def rows_of(outcome, num_rows):
    """Make what a model may have predicted of rows that it had not learnt from."""
    if outcome == AGE:
        return HeldOut.of(RANDOM.normal(50, 15, num_rows), RANDOM.normal(50, 15, num_rows))
    num_classes = len(outcome.names)
    return HeldOut.of(np.arange(num_rows) % num_classes, RANDOM.dirichlet(np.ones(num_classes), num_rows))


def cards(outcome, num_folds=3, *, num_rows=30, **more):
    """Make the cards of the folds of a run."""
    reference = Reference(np.zeros((1, 7, 8, 9), np.float32), -1.0, 1.0)
    made = []
    for fold in range(num_folds):
        kept = {"steered": rows_of(outcome, 20), "tested": rows_of(outcome, num_rows), "repeat": 0}
        if outcome != AGE:
            kept["shares"] = tuple(RANDOM.dirichlet(np.full(len(outcome.names), 5)).tolist())
        made.append(Card(outcome, None, reference, fold, num_folds, **kept | more))
    return made


def rule(made, **asked):
    return DecisionRule.of(made, **NOTHING | asked)


@pytest.mark.parametrize("outcome", [TWO, THREE])
def test_each_member_is_moved_from_its_own_shares_before_they_vote(outcome):
    made, wanted = cards(outcome), RANDOM.dirichlet(np.ones(len(outcome.names)))
    proba = RANDOM.dirichlet(np.ones(len(outcome.names)), 3)
    found = rule(made, prevalence=dict(zip(outcome.names, wanted.tolist(), strict=True)))
    weighed = proba * wanted / np.array([card.shares for card in made])
    np.testing.assert_allclose(found.moved(proba), weighed / weighed.sum(axis=1, keepdims=True))
    assert found.asked["prevalence"] == wanted.tolist()
    assert (rule(made).moved(proba) == proba).all()


def test_options_that_mean_the_same_are_asked_alike():
    made = cards(TWO)
    asked = [rule(made, prevalence=given).asked for given in (0.25, {"M": 0.25, "F": 0.75})]
    assert asked[0] == asked[1] == {"prevalence": [0.75, 0.25]}
    assert rule(made, threshold=np.float64(0.3)).asked == {"threshold": 0.3}
    assert rule(made).asked == rule(made).facts == {}


def test_balanced_is_by_the_shares_of_the_training_or_by_the_prevalence():
    made = cards(TWO)
    share = np.mean([card.shares[1] for card in made])
    assert rule(made, threshold="balanced").outcome.threshold.floors[1] == pytest.approx(share)
    found = rule(made, threshold="balanced", prevalence=0.05)
    assert found.outcome.threshold.floors[1] == 0.05
    assert found.facts == {
        "prevalence": "F 0.95, M 0.05",
        "threshold": "M from a probability of 0.05 on, else F (balanced: M is that frequent)",
    }


@pytest.mark.parametrize("prevalence", [None, 0.1])
def test_thresholds_are_chosen_on_what_all_members_held_out_as_it_is_told(prevalence):
    made, positives, negatives = cards(TWO), [], []
    for card in made:
        moved = card.steered.predictions
        if prevalence:
            moved = shifted(moved, np.array(card.shares), np.array([0.9, 0.1]))
        for target, proba in zip(card.steered.targets, moved, strict=True):
            (positives if target else negatives).append(float(f"{proba[1]:.9g}"))
    cut = rule(made, threshold={"sensitivity": 0.9}, prevalence=prevalence).outcome.threshold.floors[1]
    assert cut == max(c for c in positives if np.mean([p >= c for p in positives]) >= 0.9)
    cut = rule(made, threshold="youden", prevalence=prevalence).outcome.threshold.floors[1]
    sums = [np.mean([p >= c for p in positives]) + np.mean([n < c for n in negatives]) for c in (cut, *positives)]
    assert sums[0] == pytest.approx(max(sums))


@pytest.mark.parametrize(("num_folds", "method"), [(1, "split conformal prediction"), (3, "%s over 3 folds")])
@pytest.mark.parametrize("outcome", [TWO, THREE, AGE])
def test_regions_are_from_the_tests_of_each_fold_by_its_own_model(outcome, num_folds, method):
    made = cards(outcome, num_folds)
    predictions = np.stack([rows_of(outcome, 1).predictions[0] for _ in made])
    asked = {} if outcome == AGE else {"prevalence": dict.fromkeys(outcome.names, 1 / len(outcome.names))}
    found, tests = rule(made, coverage=0.8, **asked), [card.tested for card in made]
    if outcome == AGE:
        assert found.region(predictions) == interval(predictions, tests, 0.8)
        columns = {"low": found.region(predictions)[0], "high": found.region(predictions)[1]}
    else:
        kept = conforming(class_p_values(predictions, tests), 0.8)
        names = [name for name, keep in zip(outcome.names, kept, strict=True) if keep]
        assert found.region(predictions) == tuple(names)
        columns = {"set": "; ".join(names)}
    assert outcome.options.region_columns(found.region(predictions)) == columns
    kind = "CV+" if outcome == AGE else "cross-conformal prediction"
    told = method % kind if "%" in method else method
    assert found.facts["coverage"] == f"0.8 by {told} ({30 * num_folds} tested scans)"
    assert rule(made).region(predictions) is None


def test_of_repeats_the_first_says_how_large_a_set_must_be():
    made = [card for repeat in (1, 0) for card in cards(TWO, 2, repeat=repeat)]
    found = rule(made, coverage=0.9)
    assert [place for place, _ in found.calibration] == [2, 3]
    assert found.facts["coverage"] == (
        "0.9 by cross-conformal prediction over 2 folds of the first repeat (60 tested scans)"
    )


@pytest.mark.parametrize("coverage", [0, 1, 90, -0.1, "0.9", True, float("nan"), [0.9]])
def test_what_is_no_coverage_is_named(coverage):
    with pytest.raises(UserError, match=r"is no share between 0 and 1\. Give one such as 0\.9"):
        rule(cards(TWO), coverage=coverage)


def test_too_few_tests_are_counted():
    with pytest.raises(
        UserError, match=r"needs 9 tested scans of each class, and there are 8 of F, 8 of M. Give 0.88 or"
    ):
        rule(cards(TWO, 1, num_rows=16), coverage=0.9)
    assert rule(cards(TWO, 1, num_rows=18), coverage=0.9)
    with pytest.raises(UserError, match=r"coverage=0.95 needs 19 tested scans, and there are 18. Give 0.94 or less"):
        rule(cards(AGE, 2, num_rows=9), coverage=0.95)
    alone = HeldOut.of(np.zeros(20, dtype=int), np.full((20, 2), 0.5))
    with pytest.raises(UserError, match=r"there are 20 of F, 0 of M. Use a model that more scans were tested with"):
        rule(cards(TWO, 1, tested=alone), coverage=0.9)
    with pytest.raises(
        UserError, match=r"needs scans that the model was tested on, and it was trained on all there were"
    ):
        rule(cards(TWO, 1, num_rows=0), coverage=0.9)


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ({"prevalence": 0.1}, "record of how frequent its classes were"),
        ({"threshold": "balanced"}, "record of how frequent its classes were"),
        ({"threshold": "youden"}, "predictions of scans that training held out"),
        ({"threshold": {"specificity": 0.9}}, "predictions of scans that training held out"),
        ({"coverage": 0.9}, "predictions of its tested scans"),
    ],
)
@pytest.mark.parametrize(
    ("facts", "writer"), [({"mri3d": "0.3.0"}, "mri3d 0.3.0"), ({}, "an earlier version of mri3d")]
)
def test_what_earlier_versions_did_not_keep_is_named(asked, kept, facts, writer):
    made = cards(TWO, shares=None, steered=None, tested=None, facts=facts)
    with pytest.raises(UserError, match=f"written by {writer}, which kept no {kept}. Train it again"):
        rule(made, **asked)
    assert rule(made, threshold=0.3).outcome.threshold.floors == (0.7, 0.3), "it needs nothing"


# ---- what models keep


def kept_of(study, model, splits):
    results = evaluate(study, model, splits, seed=1)
    return results, [member.card for member in results.model.members]


@pytest.mark.parametrize("kind", ["network", "linear", "searched"])
def test_cards_keep_the_folds_tests_and_what_steered(kind, one_core):
    study = class_study(30, effect=1.0)
    made = {
        "network": cnn(epochs=1),
        "linear": models.LinearSVM(C=[0.1, 1.0], num_components=0.9, inner_folds=2),
        "searched": GridSearch(cnn(epochs=1), [{"batch_size": 2}, {"batch_size": 4}], InnerFolds(folds=2)),
    }[kind]
    results, found = kept_of(study, made, KFold(folds=2, repeats=2) if kind == "linear" else Holdout(test=0.3))
    assert [card.repeat for card in found] == ([0, 0, 1, 1] if kind == "linear" else [0])
    for result, card in zip(results.folds, found, strict=True):
        fold = result.fold
        learnt = np.concatenate([fold.train_rows, fold.validation_rows])
        assert card.shares == tuple(np.bincount(study.targets[learnt]) / len(learnt))
        assert card.tested.to_json() == HeldOut.of(study.targets[fold.test_rows], result.predictions).to_json()
        if kind == "linear":
            assert card.steered.targets.tolist() == sorted(study.targets[learnt])
        else:
            predictions = result.model.predict(study.volumes, fold.validation_rows)
            expected = HeldOut.of(study.targets[fold.validation_rows], predictions)
            np.testing.assert_allclose(card.steered.predictions, expected.predictions, atol=1e-6)
            assert (card.steered.targets == expected.targets).all()


def test_what_steers_a_classical_model_was_predicted_by_models_that_had_not_seen_it():
    labels = ["a", "b"] * 15
    study = mri3d.Study.from_arrays(planted(np.zeros(30)), labels)  # nothing to learn
    steered = fit(study, models.LinearSVM(C=100.0, num_components=None, inner_folds=5)).members[0].card.steered
    own = fit(study, models.LinearSVM(C=100.0, num_components=None)).predict_arrays(planted(np.zeros(30)))
    right = (steered.predictions.argmax(axis=1) == steered.targets).mean()
    assert (own.argmax(axis=1) == study.targets).mean() == 1 > 0.7 > right


@pytest.mark.parametrize("debias", [False, True])
def test_of_a_measure_all_is_in_its_unit_and_corrected_alike(debias):
    study = age_study(40)
    results, (card,) = kept_of(study, models.Ridge(num_components=0.9, debias=debias), Holdout(test=0.3))
    (result,) = results.folds
    assert card.shares is None
    assert card.tested.to_json() == HeldOut.of(study.targets[result.fold.test_rows], result.predictions).to_json()
    errors = np.sort(np.abs(results.targets - results.predicted))
    found = results.model.with_options(coverage=0.8)
    low, high = found.deciding.region(np.array([50.0]))
    half = errors[int(np.ceil(round(0.8 * (len(errors) + 1), 9))) - 1]
    assert (low, high) == pytest.approx((50 - half, 50 + half), abs=1e-6)
    slope = np.polyfit(card.steered.targets, card.steered.predictions, 1)[0]
    assert (slope == pytest.approx(1, abs=1e-6)) == debias, "corrected by the line of the same rows"


def test_a_fit_on_all_keeps_no_tests_and_a_model_without_choices_nothing_that_steered():
    study = class_study()
    card = fit(study, models.Logistic(C=1.0, num_components=0.9)).members[0].card
    assert len(card.tested.targets) == len(card.steered.targets) == 0
    assert card.shares == (0.5, 0.5)
    with pytest.raises(UserError, match="it was trained on all there were"):
        rule([card], coverage=0.9)
    with pytest.raises(UserError, match="there are 0 control and 0 patient"):
        rule([card], threshold="youden")
