"""Odd studies: a finished training never ends without its scores."""

import json

import numpy as np
import pytest

from mri3d import Holdout, KFold, LeaveSiteOut, Study, compare, evaluate, models
from mri3d.errors import UserError
from mri3d.evaluation.crossvalidation import CrossValidation
from mri3d.evaluation.intervals import proportion_interval
from mri3d.evaluation.nested_widening import _without
from mri3d.evaluation.sampling import Sampling
from mri3d.outcome.resampling import Proportion
from mri3d.runs import run
from tests.studies import planted

RIDGE = models.Ridge(num_components=2, alpha=1.0, inner_folds=2)


def metrics_of(results):
    """Write metrics.json and read it back."""
    return json.loads(json.dumps(results.metrics(num_subjects={}, seconds={}), allow_nan=False))


@pytest.mark.parametrize("repeats", range(1, 13))
def test_answers_that_are_all_right_have_the_interval_of_one_repeat(repeats):
    for number in range(4, 60, 5):
        rows = np.tile(np.arange(number), repeats)
        right = np.ones(len(rows), dtype=bool)
        found = proportion_interval(
            [Proportion(right, right)], Sampling(np.repeat(np.arange(repeats), number), rows, rows)
        )
        alone = np.arange(number)
        once = proportion_interval([Proportion(right[:number], right[:number])], Sampling(alone * 0, alone, alone))
        assert found.low == pytest.approx(once.low)
        assert found.high == 1.0


@pytest.mark.parametrize("repeats", [3, 5])
def test_separable_classes_with_repeats_have_scores(repeats):
    labels = ["a", "b"] * 10
    study = Study.from_arrays(planted(np.tile([0.0, 8.0], 10)), labels)
    results = evaluate(study, RIDGE, KFold(folds=2, repeats=repeats, validation=0))
    assert results.scores["accuracy"].value == 1.0
    assert 0.5 < results.scores["accuracy"].low < 1.0
    assert metrics_of(results)["test"]["auc"]["value"] == 1.0


def sites_study(sizes, *, task="classification", groups=None):
    sites = [f"site {number}" for number, size in enumerate(sizes) for _ in range(size)]
    values = np.arange(len(sites)) % 2 if task == "classification" else np.linspace(20, 80, len(sites))
    volumes = planted(np.arange(len(sites)) % 2 * 1.0)
    return Study.from_arrays(volumes, [str(value) for value in values], sites=sites, task=task, groups=groups)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_site_of_one_subject_has_a_measured_widening(task):
    last = 1 if task == "regression" else 2
    groups = [str(row) for row in range(36)] + ["last"] * last
    study = sites_study([12, 12, 12, last], task=task, groups=groups)
    results = evaluate(study, RIDGE, LeaveSiteOut(validation=0, intervals="nested"))
    assert 1 <= results.widening <= np.sqrt(4)
    assert metrics_of(results)["intervals"]["measured"]


def test_a_fold_that_has_nothing_to_choose_from_is_counted_out():
    study = sites_study([16, 6, 4])
    results = evaluate(study, models.KNN(k=[1, 9], num_components=[1, 2], inner_folds=2), LeaveSiteOut(validation=0))
    for name, counts in metrics_of(results)["chosen"].items():
        assert sum(counts.values()) == sum(name in fold.chosen for fold in results.folds)


def test_who_is_tested_in_a_fold_within_a_fold_is_not_learnt_from_elsewhere():
    groups = ["twice" if row in (5, 20) else str(row) for row in range(28)]
    study = sites_study([10, 9, 9], groups=groups)
    evaluation = CrossValidation.of(study, RIDGE, LeaveSiteOut(validation=0), seed=0, folder=None)
    for number, left_out in ((a, b) for a in range(3) for b in range(3) if a != b):
        training = _without(evaluation.trainings[number], evaluation.folds[left_out], left_out)
        tested = study.groups[evaluation.folds[left_out].test_rows]
        assert not np.isin(study.groups[training.rows], tested).any()


def test_a_measure_of_one_test_has_a_report(tmp_path):
    study = Study.from_arrays(planted(np.linspace(0, 2, 20)), np.linspace(20, 80, 20), task="regression")
    names = {"title": "one", "model_name": "ridge", "configuration": {"seed": 0}}
    end = run(lambda: study, RIDGE, Holdout(test=0.01, validation=0), seed=0, folder=tmp_path / "run", **names)
    assert "(0.00 and more)" in end.lines[0]
    assert "95 % interval 0 and more" in (tmp_path / "run/report.html").read_text()


def test_repeats_do_not_make_few_subjects_many():
    study = Study.from_arrays(planted(np.tile([0.0, 1.0], 20)), ["a", "b"] * 20)
    for repeats in (1, 3):
        results = evaluate(study, RIDGE, KFold(folds=2, repeats=repeats, validation=0))
        first = study.outcome.words.cautions(metrics_of(results), results.targets)[0]
        assert first.startswith("Few tests: only 20 of class a and 20 of class b.")


@pytest.mark.slow
def test_no_odd_study_ends_without_its_scores():
    random = np.random.default_rng(0)
    evaluated = 0
    for _ in range(150):
        number, classes = int(random.integers(6, 30)), int(random.integers(2, 4))
        labels = random.integers(0, classes, number)
        regression = random.random() < 0.3
        values = random.normal(40, 10, number) if regression else labels
        effect = float(random.choice([0.0, 1.0, 8.0]))
        groups = [f"g{value}" for value in random.integers(0, number, number)] if random.random() < 0.4 else None
        sites = [f"s{value}" for value in random.integers(0, 3, number)]
        model = [RIDGE, models.KNN(k=[1, 3], num_components=2, inner_folds=2)][int(random.integers(2))]
        splits = [
            lambda: Holdout(test=0.3, validation=0),
            lambda: KFold(folds=int(random.integers(2, 5)), repeats=int(random.integers(1, 5)), validation=0),
            lambda: KFold(folds=3, validation=0, intervals="nested"),
            lambda: LeaveSiteOut(validation=0),
            lambda: KFold(folds=2, validation=0, seeds=2, permutations=3),
        ][int(random.integers(5))]()
        try:
            study = Study.from_arrays(
                planted(labels * effect),
                [str(value) for value in values],
                groups=groups,
                sites=sites,
                task="regression" if regression else "classification",
            )
            results = evaluate(study, model, splits)
        except UserError:
            continue
        evaluated += 1
        assert metrics_of(results)["test"]
        compare(results, results)
    assert evaluated > 50
