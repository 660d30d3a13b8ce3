"""Evaluations are held against chance: by intervals, and by permutations where they are asked for."""

import json

import numpy as np
import pytest

from mri3d import All, Column, Holdout, KFold, UserError, evaluate, models
from mri3d.outcome import Classes, Measure, Score
from mri3d.runs import run
from tests.studies import age_study, class_study, cnn

RIDGE = models.Ridge(num_components=0.9, alpha=[0.1, 1.0], inner_folds=2)
NONE = ", no evidence that it is better than chance"


def test_a_planted_effect_is_better_than_chance_and_none_is_not():
    for effect, said in ((2.0, True), (0.0, False)):
        results = evaluate(class_study(40, effect=effect), RIDGE, KFold(folds=4, permutations=39), seed=0)
        assert results.better_than_chance == said
        assert results.headline().endswith(NONE) == (not said)
        assert results.permutation.number == 39
        assert f"p = {results.permutation.p:.3g})" in results.headline()
        assert (results.permutation.p == 1 / 40) == said
        metrics = results.metrics(num_subjects={}, seconds={})
        assert metrics["better_than_chance"] == said
        assert metrics["permutation"]["scores"]["auc"]["p"] == results.permutation.p
        assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics


def test_a_measure_is_held_against_chance_too():
    results = evaluate(age_study(40), RIDGE, KFold(folds=4, permutations=39), seed=0)
    assert results.permutation.primary == "mae"
    assert results.permutation.p == 1 / 40
    assert results.better_than_chance


def test_without_permutations_the_interval_says_it():
    for effect, said in ((2.0, True), (0.0, False)):
        results = evaluate(class_study(40, effect=effect), RIDGE, KFold(folds=4), seed=0)
        assert results.permutation is None
        assert results.better_than_chance == said == (results.scores["auc"].low > 0.5)
        assert results.headline().endswith(NONE) == (not said)
    assert evaluate(class_study(), RIDGE, All()).better_than_chance is None


@pytest.mark.parametrize(
    ("outcome", "name", "cases"),
    [
        (Classes(("a", "b")), "auc", [(0.51, True), (0.49, False), (None, None)]),
        (Measure("age"), "pearson_r", [(0.01, True), (-0.01, False), (None, None)]),
    ],
)
def test_outcomes_know_what_guessing_gives(outcome, name, cases):
    for low, said in cases:
        assert outcome.above_chance({name: Score(0.7, low, 0.9)}) is said


def test_a_network_on_a_hold_out_keeps_its_predictions():
    results = evaluate(class_study(40, effect=2.0), cnn(), Holdout(test=0.4, permutations=50), seed=0)
    assert results.permutation.method == "fixed predictions"
    folds = evaluate(class_study(40, effect=2.0), cnn(epochs=1), KFold(folds=2, permutations=50), seed=0)
    assert folds.permutation.method == "folds combined"


def test_more_permutations_than_there_are_are_told_before_any_training():
    side = {"side": ["train"] * 20 + ["test"] * 4}
    study = class_study(covariates=side)
    few = Column("side", validation=0.0, permutations=10**9)
    with pytest.raises(UserError, match=r"^permutations=1000000000 is more than tells anything. Give 100000 at most"):
        evaluate(study, RIDGE, few)
    eight = class_study(8, covariates={"side": ["train"] * 6 + ["test"] * 2})
    with pytest.raises(UserError, match=r"^permutations=40 is more than there are, 39 permutations: labels move"):
        evaluate(eight, RIDGE, Column("side", validation=0.0, permutations=40))


def test_labels_that_a_network_learnt_from_are_no_permutations_of_its_fixed_predictions():
    study = class_study(covariates={"side": ["train"] * 15 + ["val"] * 5 + ["test"] * 4})
    with pytest.raises(
        UserError, match=r"more than there are, 5 permutations: .* and the predictions stay as they are"
    ):
        evaluate(study, cnn(epochs=1), Column("side", permutations=6))
    assert evaluate(study, cnn(epochs=1), Column("side", permutations=5)).permutation.number == 5


def test_tests_without_a_score_are_not_held_against_chance():
    study = age_study(20)
    with pytest.raises(UserError, match=r"^permutations=19: the test sessions have no two different values of age, so"):
        evaluate(study, RIDGE, Holdout(test=0.01, validation=0, permutations=19))


def test_the_page_and_the_headline_of_a_run_say_that_there_is_no_evidence(tmp_path):
    names = {"title": "a", "model_name": "ridge", "configuration": {"seed": 0}}
    study = class_study(40, effect=0.0)
    end = run(lambda: study, RIDGE, KFold(folds=4), seed=0, folder=tmp_path / "plain", **names)
    assert end.lines[0].endswith(NONE)
    assert "No evidence that the model is better than chance: the 95 % interval of the AUC" in page(tmp_path / "plain")
    splits = KFold(folds=4, permutations=39)
    run(lambda: study, RIDGE, splits, seed=0, folder=tmp_path / "permuted", **names)
    assert "No evidence that the model is better than chance: with permuted labels" in page(tmp_path / "permuted")
    assert np.isfinite(json.loads((tmp_path / "permuted/metrics.json").read_text())["permutation"]["null"]).all()


def page(folder):
    return (folder / "report.html").read_text()
