"""Runs that were told of different groups, or learnt from fewer rows, are compared by what is shared most."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mri3d import Holdout, KFold, UserError, evaluate, models
from mri3d.evaluation.comparison import JudgedModel, are_alike, compare_pairs
from mri3d.evaluation.sampling import Sampling
from tests.evaluation.comparing import compare_tests
from tests.studies import age_study, class_study

RIDGE, KNN = models.Ridge(num_components=0.9, inner_folds=2), models.KNN(k=3, num_components=0.9, inner_folds=2)


@pytest.fixture(scope="module")
def judged():
    study = class_study(effect=0.6)
    return [JudgedModel.of(evaluate(study, model, KFold(folds=3), seed=1)) for model in (RIDGE, KNN)]


def with_groups(model, groups):
    return replace(model, sampling=replace(model.sampling, groups=np.asarray(groups)))


def test_every_pair_of_several_is_what_it_is_alone(judged):
    ridge, knn = judged
    pairs = compare_pairs({"a": ridge, "b": knn, "c": ridge})
    alone = compare_tests(ridge.resampling, knn.resampling, ridge.sampling, primary="auc")
    assert [(pair.first, pair.second) for pair in pairs] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert pairs[0].comparison == alone
    assert pairs[1].comparison.p == 1
    assert pairs[2].comparison.p == pytest.approx(alone.p)


def test_groups_of_either_run_are_one_unit(judged):
    """Pairs of one run that overlap with pairs of the other make chains of four, whichever is named first."""
    rows = judged[0].sampling.rows
    pairs_ = [f"a{row // 2}" for row in rows]
    shifted = [f"b{(row + 1) // 2}" if row % 4 else f"alone {row}" for row in rows]
    one, other = with_groups(judged[0], pairs_), with_groups(judged[1], shifted)
    expected = Sampling(judged[0].sampling.folds, rows, rows // 4, judged[0].sampling.num_train)
    by_hand = compare_tests(one.resampling, other.resampling, expected, primary="auc")
    for models_ in ({"a": one, "b": other}, {"b": other, "a": one}):
        (found,) = compare_pairs(models_)
        assert found.comparison.p == pytest.approx(by_hand.p)
    (alone,) = compare_pairs({"a": judged[0], "b": judged[1]})
    assert alone.comparison.p != pytest.approx(by_hand.p)
    (named,) = compare_pairs({"a": judged[0], "b": with_groups(judged[1], [f"g{99 - row}" for row in rows])})
    assert named.comparison == alone.comparison  # other names of the same groups change nothing


def test_the_fewest_training_rows_widen(judged):
    one, other = judged
    fewer = replace(other, sampling=replace(other.sampling, num_train=(8, 8, 8)))
    found = [compare_pairs(given)[0] for given in ({"a": one, "b": fewer}, {"b": fewer, "a": one})]
    low, high = ([pair.comparison.differences["auc"].low, pair.comparison.differences["auc"].high] for pair in found)
    assert low == pytest.approx([-high[1], -high[0]])
    (as_it_is,) = compare_pairs({"a": one, "b": other})
    assert as_it_is.comparison.differences["auc"].low > low[0]


def test_a_measured_widening_counts_where_it_is_the_larger_one(judged):
    usual = judged[0].sampling.widening

    def reach(first, second):
        given = [
            replace(model, sampling=replace(model.sampling, chosen_widening=widening))
            for model, widening in zip(judged, (first, second), strict=True)
        ]
        found = compare_pairs(dict(zip("ab", given, strict=True)))[0].comparison.differences["accuracy"]
        return found.high - found.low

    assert reach(2 * usual, None) == reach(None, 2 * usual) == pytest.approx(2 * reach(None, None))
    assert reach(1.0, None) == pytest.approx(reach(None, None))
    assert reach(1.0, 1.0) == pytest.approx(reach(None, None) / usual)


def test_mcnemar_stands_beside_the_accuracy(judged):
    (pair,) = compare_pairs({"a": judged[0], "b": judged[1]})
    column = pair.table()["p_mcnemar"]
    assert column["accuracy"] == pair.comparison.p_mcnemar
    assert column.drop("accuracy").isna().all()


def test_runs_that_are_refused_are_named_by_their_folders(judged):
    study = class_study(effect=0.6)
    one = replace(judged[0], folder=Path("runs/a"))
    other = replace(JudgedModel.of(evaluate(study, RIDGE, Holdout(), seed=1)), folder=Path("runs/b"))
    ages = JudgedModel.of(evaluate(age_study(), RIDGE, KFold(folds=3), seed=1))
    assert [are_alike(one, each) for each in (judged[1], other, ages)] == [True, False, False]
    with pytest.raises(UserError) as error:
        compare_pairs({"Ridge": one, "KNN": other})
    told = error.value.on_command_line()
    assert told.startswith("runs/a and runs/b did not test the same sessions in the same folds: ")
    assert told.endswith("Train one of them anew on the test sets of the other: evaluation.splits=runs/a.")
    with pytest.raises(UserError, match=r"^runs/a and ages are of different outcomes"):
        compare_pairs({"Ridge": one, "ages": ages})
