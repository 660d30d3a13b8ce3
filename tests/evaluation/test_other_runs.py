"""Runs beside a run that were tested on the same are found and compared with it; whatever else lies there is not."""

import os
import shutil

import pytest

from mri3d import Holdout, KFold, evaluate, models
from mri3d.evaluation import other_runs
from mri3d.evaluation.other_runs import runs_beside
from tests.finished_runs import write_run
from tests.studies import class_study

RIDGE, KNN = models.Ridge(num_components=0.9, inner_folds=2), models.KNN(k=3, num_components=0.9, inner_folds=2)
STUDY = class_study(effect=0.6)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder of runs: two tested on the same, one on others, one damaged, one cut off, and a file."""
    root = tmp_path_factory.mktemp("runs")
    results = {name: evaluate(STUDY, model, KFold(folds=3), seed=1) for name, model in (("own", RIDGE), ("knn", KNN))}
    for age, (name, found) in enumerate(results.items()):
        write_run(root / name / "first", found)
        os.utime(root / name / "first/metrics.json", ns=(0, age))
    write_run(root / "elsewhere/first", evaluate(STUDY, RIDGE, Holdout(test=0.4), seed=1))
    shutil.copytree(root / "knn/first", root / "damaged/first")
    (root / "damaged/first/predictions.csv").write_text("subject\n")
    (root / "cut/first").mkdir(parents=True)
    (root / "note").write_text("text")
    return root, results


def test_those_tested_on_the_same_are_compared(made):
    root, results = made
    (found,) = runs_beside(root / "own/first")
    assert found.folder == root / "knn/first"
    assert found.scores["auc"].value == pytest.approx(results["knn"].scores["auc"].value)
    difference = found.pair.comparison.differences["auc"]
    own, other = (results[name].scores["auc"].value for name in ("own", "knn"))
    assert difference.difference == pytest.approx(own - other)
    assert difference.low <= difference.difference <= difference.high


def test_the_newest_come_first_and_no_more_than_so_many(made, tmp_path, monkeypatch):
    root, _ = made
    for number in range(3):
        copied = shutil.copytree(root / "knn/first", tmp_path / f"knn/{number}")
        os.utime(copied / "metrics.json", ns=(0, 10 * number))
    shutil.copytree(root / "own/first", tmp_path / "own/first")
    monkeypatch.setattr(other_runs, "MOST_COMPARED", 2)
    assert [other.folder.name for other in runs_beside(tmp_path / "own/first")] == ["2", "1"]
