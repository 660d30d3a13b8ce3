"""A finished run is read back as its results were, whoever wrote it; what is none is refused by name."""

import json
import os
import shutil

import numpy as np
import pandas as pd
import pytest

from mri3d import All, Holdout, KFold, Study, compare, evaluate, models
from mri3d.csv_files import csv_cells
from mri3d.evaluation.comparison import JudgedModel, compare_pairs
from mri3d.evaluation.recorded_tests import RecordedTests
from tests.finished_runs import rewrite, told, write_run
from tests.studies import age_study, class_study, planted

RIDGE, KNN = models.Ridge(num_components=0.9, inner_folds=2), models.KNN(k=3, num_components=0.9, inner_folds=2)
DEBIASED = models.Ridge(num_components=0.9, inner_folds=2, debias=True)
FAMILIES = [f"family {number // 3}" if number < 12 else None for number in range(24)]


def three_classes():
    labels = [("a", "=b", "c, d")[row % 3] for row in range(30)]
    return Study.from_arrays(planted([row % 3 for row in range(30)]), labels, ids=[f"s{row}" for row in range(30)])


CASES = {
    "k-fold": (class_study(effect=0.6), KFold(folds=3), (RIDGE, KNN)),
    "hold-out": (class_study(effect=0.6), Holdout(test=0.4), (RIDGE, KNN)),
    "repeats and groups": (class_study(effect=0.6, groups=FAMILIES), KFold(folds=2, repeats=2), (RIDGE, KNN)),
    "three classes": (three_classes(), KFold(folds=3), (RIDGE, KNN)),
    "a measure": (age_study(), KFold(folds=3), (RIDGE, KNN)),
    "a corrected measure": (age_study(), KFold(folds=2), (RIDGE, DEBIASED)),
}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Results and the folders of their runs, made once for each case."""
    made = {}

    def get(case):
        if case not in made:
            study, splits, both = CASES[case]
            results = [evaluate(study, model, splits, seed=1) for model in both]
            folder = tmp_path_factory.mktemp("runs")
            made[case] = results, [write_run(folder / name, each) for name, each in zip("ab", results, strict=True)]
        return made[case]

    return get


@pytest.fixture
def run(recorded, tmp_path):
    """A run of classes to be damaged."""
    _, (folder, _) = recorded("k-fold")
    return shutil.copytree(folder, tmp_path / "run")


@pytest.mark.parametrize("case", CASES)
def test_what_is_read_is_what_the_results_are(case, recorded):
    for results, folder in zip(*recorded(case), strict=True):
        found, expected = RecordedTests.read(folder), JudgedModel.of(results)
        judged = found.judged
        assert (judged.outcome, judged.subjects, judged.folder) == (expected.outcome, expected.subjects, folder)
        assert (judged.truth, judged.scores) == (expected.truth, expected.scores)
        assert judged.fold_scores == expected.fold_scores
        assert found.scores == results.scores
        for name in ("folds", "rows", "unit", "once"):
            np.testing.assert_array_equal(getattr(judged.sampling, name), getattr(expected.sampling, name))
        assert judged.sampling.num_train == expected.sampling.num_train
        once = np.ones((1, len(judged.subjects)))
        scored, also = judged.resampling.scores(once), expected.resampling.scores(once)
        assert {name: value.tolist() for name, value in scored.items()} == {n: v.tolist() for n, v in also.items()}
        if judged.resampling.ranking is not None:
            np.testing.assert_array_equal(judged.resampling.ranking.decisions, expected.resampling.ranking.decisions)


@pytest.mark.parametrize("case", CASES)
def test_runs_are_compared_as_their_results(case, recorded):
    results, folders = recorded(case)
    (pair,) = compare_pairs({folder.name: RecordedTests.read(folder).judged for folder in folders})
    pd.testing.assert_frame_equal(pair.table(), compare(*results), check_exact=True)


def test_predictions_are_written_to_the_last_digit(recorded):
    """Sure models differ behind the ninth digit, and rank by it."""
    results, (folder, _) = recorded("k-fold")
    written = [float(row["p_patient"]) for row in csv_cells((folder / "predictions.csv").read_text())]
    np.testing.assert_array_equal(written, results[0].predictions["p_patient"])


def test_a_run_of_an_earlier_version_is_scored_as_runs_are_now(recorded, tmp_path):
    """0.1 and 0.2 wrote sessions as the table had them, nine digits, one AUC of all folds at once, and no intervals."""
    (results, _), (folder, _) = recorded("k-fold")
    older = shutil.copytree(folder, tmp_path / "older")
    metrics = json.loads((older / "metrics.json").read_text())
    pooled = metrics["test"].pop("auc_pooled")["value"]
    del metrics["test"]["balanced_accuracy_at_prevalence"], metrics["intervals"], metrics["outcome"], metrics["leaks"]
    assert metrics["test"]["auc"]["value"] != pooled
    metrics["test"] = {name: {"value": score["value"]} for name, score in metrics["test"].items()}
    metrics["test"]["auc"]["value"] = pooled
    (older / "metrics.json").write_text(json.dumps(metrics))
    rewrite(older / "cohort.csv", lambda rows: [{k: v for k, v in row.items() if k != "digest"} for row in rows[::-1]])

    def reversed_in_folds(rows):
        short = [row | {name: f"{float(row[name]):.9g}" for name in ("p_control", "p_patient")} for row in rows]
        return sorted(short[::-1], key=lambda row: int(row["fold"]))

    rewrite(older / "predictions.csv", reversed_in_folds)
    found = RecordedTests.read(older)
    expected = {name: score for name, score in results.scores.items() if name != "balanced_accuracy_at_prevalence"}
    assert list(found.scores) == list(expected)
    for name, score in expected.items():
        ours = found.scores[name]
        assert (ours.value, ours.low, ours.high) == pytest.approx((score.value, score.low, score.high), rel=1e-6), name
    (pair,) = compare_pairs({"then": found.judged, "now": JudgedModel.of(results)})
    assert pair.comparison.differences["auc"].difference == 0
    assert pair.comparison.p == 1


def test_a_measured_widening_is_that_of_the_run(run):
    metrics = json.loads((run / "metrics.json").read_text())
    metrics["intervals"] |= {"measured": True, "widening": 1.75}
    (run / "metrics.json").write_text(json.dumps(metrics))
    assert RecordedTests.read(run).judged.sampling.widening == 1.75


# ---- what is no finished run


@pytest.mark.parametrize("name", ["metrics.json", "predictions.csv", "cohort.csv"])
def test_a_file_that_is_missing_is_named(name, run):
    (run / name).unlink()
    expected = {
        "metrics.json": f"the run was cut off, or is at work still. Wait for it, or train on with resume={run}",
        "predictions.csv": "has no predictions.csv, of which its tests are read. Copy the run whole.",
        "cohort.csv": "has no cohort.csv, of which its tests are read.",
    }
    assert expected[name] in told(run)


def test_what_is_no_run_is_told_apart(run, tmp_path):
    assert f"{tmp_path}/none does not exist. Give a finished run" in told(tmp_path / "none")
    assert f"is a file. Give its run: {run}" in told(run / "metrics.json")
    assert f"is no run: it has no metrics.json. A folder in it is one: {run}" in told(tmp_path)
    shutil.copytree(run, tmp_path / "other")
    os.utime(run / "metrics.json", (1, 1))
    assert f"2 folders in it are runs, the newest first: {tmp_path / 'other'}, {run}" in told(tmp_path)
    (tmp_path / "empty").mkdir()
    assert "it has no metrics.json. Give a finished run, such as" in told(tmp_path / "empty")
    (tmp_path / "empty/models.csv").write_text("model,run\nknn,runs/a\nridge,\nsfcn,runs/b\n")
    assert "It has the scores of a sweep, whose runs are, the best first: runs/a, runs/b" in told(tmp_path / "empty")
    (tmp_path / "empty/evaluation.json").write_text("{}")
    assert "is of mri3d.evaluate, which keeps no tests. Compare its results" in told(tmp_path / "empty")


@pytest.mark.parametrize(("card", "model"), [("model/card.json", "model"), ("model/fold_0/card.json", "model/fold_0")])
def test_a_model_is_not_taken_for_its_run(card, model, run, tmp_path):
    (run / card).parent.mkdir(parents=True)
    (run / card).write_text("{}")
    for folder in {run / "model", run / model}:
        assert f"is a model, which does not say how its tests came out. Give the run that it lies in: {run}" in told(
            folder
        )
    shutil.copytree(run / "model", tmp_path / "alone")
    assert "is a model, which does not say how its tests came out. Give a finished run" in told(tmp_path / "alone")
    RecordedTests.read(run)


def test_a_run_without_a_test_is_refused(tmp_path):
    folder = write_run(tmp_path / "final", evaluate(class_study(), RIDGE, All()))
    assert "tested nobody: it trained on every session, so nothing of it can be compared." in told(folder)
    assert told(folder).endswith("as by evaluation=kfold.")
