"""What more sessions would buy: said where the points show it, and with all that is uncertain of it."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm
from scipy.stats import t as student
from sklearn.metrics import roc_auc_score

from mri3d import Study
from mri3d.evaluation.auc import within_fold_auc
from mri3d.evaluation.curve import Curve, Point, weighted_aucs
from mri3d.evaluation.learning_curve import LearningCurve, measured_curve
from mri3d.evaluation.power_law import Extrapolation
from mri3d.outcome import Classes, Score
from mri3d.outcome.resampling import Ranking
from tests.evaluation.curves import RIDGE, begun, curve_of, noise_study, options_of
from tests.evaluation.peer import Peer
from tests.studies import age_study, class_study

# ---- what more would buy


def test_a_model_that_learns_is_said_to_gain_by_more_sessions():
    curve, results, _ = curve_of(age_study(60), RIDGE, LearningCurve(folds=5, validation=0))
    assert curve.helps
    found = re.fullmatch(
        r"With twice as many training sessions \(96\) the MAE would be about ([\d.]+) \(([\d.]+) to ([\d.]+)\), if the "
        r"curve goes on as it began; with the present 48 it is at ([\d.]+) on the curve\.",
        curve.sentence,
    )
    value, low, high, here = map(float, found.groups())
    (forecast,) = curve.forecast([96])
    assert (value, low, high) == tuple(
        round(each, 3 if each is forecast.value else 2) for each in vars(forecast).values()
    )
    assert low < value < here < high + 1
    assert abs(here - results.scores["mae"].value) < 0.3
    told = json.loads(json.dumps(curve.to_json()))
    assert (told["score"], told["ascending"], told["helps"]) == ("mae", True, True)
    assert told["fractions"] == [0.2, 0.4, 0.6, 0.8, 1.0]
    assert told["num_train"][-1] == 48
    assert told["scores"][-1]["mae"] == vars(results.scores["mae"])
    assert [(each["times"], each["num_train"]) for each in told["forecasts"]] == [(1.5, 72), (2, 96), (4, 192)]
    assert told["forecasts"][1]["value"] == forecast.value
    law, band = told["law"], told["band"]
    for size, each in zip(band["num_train"], band["value"], strict=True):
        assert each == pytest.approx(max(law["a"] + law["b"] * size ** -law["c"], 0))
    assert law["c_low"] <= law["c"] <= law["c_high"]
    assert band["num_train"][0] == pytest.approx(told["num_train"][0])
    assert band["num_train"][-1] == pytest.approx(192)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_law_is_of_points_that_are_drawn_together_by_whole_groups(task):
    groups = [f"family {row // 2}" for row in range(40)]
    study = class_study(40, effect=0.5) if task == "classification" else age_study(40)
    study = Study.from_arrays(
        [study.volumes[row][0] for row in range(40)], study.cohort.labels, groups=groups, **options_of(task)
    )
    curve, results, _ = curve_of(study, Peer(), LearningCurve(folds=4, validation=0, fractions=[0.3, 0.6]))
    sampling, every = results.sampling, []
    for point in curve.points:
        if task == "classification":
            ranking = point.tests.ranking
            values = [
                within_fold_auc(ranking, sampling.folds).value,
                *weighted_aucs(ranking, sampling.folds, next(sampling.draws(np.zeros(20, dtype=int), 1000, seed=0))),
            ]
            every.append(1 - np.array(values))
        else:
            errors, weights = np.abs(point.tests.predictions - results.targets), np.ones((1, 40))
            weights = np.concatenate([weights, *sampling.draws(np.zeros(20, dtype=int), 1000, seed=0)])
            every.append(weights @ errors / weights.sum(axis=1))
    every = np.stack(every, axis=1)
    few = np.sqrt(20 / 19) * student.ppf(0.975, 19) / norm.ppf(0.975)  # of 20 families, each of both classes
    widening = np.sqrt(1 + 40 / 30) * few
    sizes = np.array([point.num_train for point in curve.points])
    by_hand = Extrapolation.of(sizes, every[0], every[1:], widening=widening)
    assert np.allclose(curve.law.at([60.0, 120.0]), by_hand.at([60.0, 120.0]), rtol=1e-6)
    assert np.ptp(by_hand.at([60.0])[:, 0]) > 0.01


def test_a_model_that_does_not_learn_is_not_said_to_gain():
    curve, _, _ = curve_of(noise_study(60), RIDGE, LearningCurve(folds=5, validation=0))
    assert not curve.helps
    assert re.fullmatch(
        r"These points do not show that more sessions would help: with twice as many training sessions \(96\) the AUC "
        r"may be anything from 0\.\d{3} to 0\.\d{3}\.",
        curve.sentence,
    )
    assert curve.to_json()["helps"] is False


def test_a_model_without_errors_is_no_more_certain_than_its_score():
    curve, results, _ = curve_of(class_study(40, effect=8.0), RIDGE, LearningCurve(folds=4, fractions=[0.3, 0.6]))
    own = results.scores["auc"]
    assert (own.value, own.high) == (1.0, 1.0)
    assert not curve.helps
    for forecast in curve.forecast([60, 120]):
        assert (forecast.value, forecast.high) == (1.0, 1.0)
        assert forecast.low <= own.low < 1


def test_one_fraction_makes_no_curve():
    curve, _, _ = curve_of(noise_study(40), RIDGE, LearningCurve(folds=2, validation=0, fractions=[0.5]))
    assert curve.law is None
    assert not curve.helps
    assert curve.forecast([80]) == []
    assert curve.sentence.startswith("These points do not show whether more sessions would help: a curve takes three")
    assert set(curve.to_json()) == {"score", "ascending", "fractions", "num_train", "scores", "helps", "sentence"}


def test_tests_that_define_no_score_make_no_curve():
    study = noise_study(40)
    evaluation = begun(study, RIDGE, LearningCurve(folds=2, validation=0, fractions=[0.4, 0.7]))
    some = [fold.test_rows[study.targets[fold.test_rows] == 0] for fold in evaluation.folds]  # as a table may split
    folds = [replace(fold, test_rows=rows) for fold, rows in zip(evaluation.folds, some, strict=True)]
    evaluation = replace(evaluation, folds=folds)
    curve = measured_curve(evaluation, evaluation.run())
    assert curve.now.scores["auc"].value is None
    assert curve.law is None


def synthetic(name, values, own, *, ascending):
    """Make a curve of these values, known to 0.01, the last of which has an interval of its own."""
    sizes = np.array([25.0, 50.0, 100.0])
    points = tuple(Point(size / 100, size, None, {name: Score(1.0, *own)}) for size in sizes)
    errors = np.array(values) if ascending else 1 - np.array(values)
    draws = errors + 0.01 * np.random.default_rng(0).normal(size=(200, 3))
    return Curve(name, ascending, points, Extrapolation.of(sizes, errors, draws))


def test_forecasts_of_a_score_that_rises_are_its_distance_from_one():
    curve = synthetic("auc", [0.7, 0.8, 0.85], (0.85, 0.85), ascending=False)
    (forecast,) = curve.forecast([200])
    value, low, high = 1 - curve.law.at([200.0])[:, 0]
    assert forecast == Score(pytest.approx(value), pytest.approx(high), pytest.approx(low))
    assert forecast.low < forecast.value < forecast.high


@pytest.mark.parametrize("ascending", [False, True])
def test_no_forecast_is_more_certain_than_the_score_of_the_evaluation(ascending):
    values = [0.4, 0.3, 0.25] if ascending else [0.6, 0.7, 0.75]
    curve = synthetic("mae" if ascending else "auc", values, (0.05, 0.9), ascending=ascending)
    here, there = curve.forecast([100, 200])
    moved = there.value - here.value
    assert (here.low, here.high) == (0.05, 0.9)
    assert there.low == pytest.approx(max(0.05 + moved, 0))
    assert there.high == pytest.approx(min(0.9 + moved, 1.0))


def test_open_ends_stay_open():
    curve = synthetic("mae", [2.4, 2.2, 2.1], (1.5, None), ascending=True)
    (forecast,) = curve.forecast([200])
    assert forecast.low < 1.5
    assert forecast.high is None
    assert re.search(r" MAE would be about 2\.\d{3} \(1\.\d\d and more\), if the curve goes on", curve.sentence)
    (forecast,) = synthetic("auc", [0.7, 0.8, 0.85], (None, None), ascending=False).forecast([200])
    assert (forecast.low, forecast.high) == (None, None)


# ---- the AUC under weights


@pytest.mark.parametrize("num_classes", [2, 3])
def test_weighted_aucs_are_those_of_repeated_tests(num_classes):
    random = np.random.default_rng(0)
    targets, folds = random.integers(num_classes, size=90), np.arange(90) % 3
    proba = random.dirichlet(np.ones(num_classes), 90).round(1)  # ties
    ranking = Classes(tuple("abc"[:num_classes])).resampling(targets, proba).ranking
    counts = random.integers(3, size=(4, 90))
    found = weighted_aucs(ranking, folds, np.stack([np.ones(90), *counts]))
    assert found[0] == pytest.approx(within_fold_auc(ranking, folds).value)
    for value, count in zip(found[1:], counts, strict=True):
        rows = np.repeat(np.arange(90), count)
        repeated = Ranking(ranking.truth[rows], ranking.decisions[rows])
        assert value == pytest.approx(within_fold_auc(repeated, folds[rows]).value)
    single = weighted_aucs(ranking, folds * 0, counts)[0]
    columns = [
        roc_auc_score(truth, decisions, sample_weight=counts[0])
        for truth, decisions in zip(ranking.truth.T, ranking.decisions.T, strict=True)
    ]
    assert single == pytest.approx(np.mean(columns))


def test_weights_without_a_pair_define_no_auc():
    ranking = Ranking(np.array([[True], [False], [False]]), np.array([[0.5], [0.2], [0.3]]))
    found = weighted_aucs(ranking, np.zeros(3), np.array([[0.0, 1.0, 1.0], [1.0, 1.0, 0.0]]))
    assert np.isnan(found[0])
    assert found[1] == 1
