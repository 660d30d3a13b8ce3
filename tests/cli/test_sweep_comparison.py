"""A sweep ends with the comparison of its runs that were tested on the same."""

import pytest

from mri3d import All, Holdout, KFold, Nested, evaluate, models
from mri3d.cli.sweep import Sweep
from mri3d.evaluation.folds import Sample
from tests.cli.test_train_and_predict import rows_of
from tests.commands import run_here, undrawn
from tests.finished_runs import write_run
from tests.report.reader import read
from tests.studies import age_study, class_study

RIDGE, KNN = (make(num_components=0.9, inner_folds=2) for make in (models.Ridge, models.KNN))


def finished(tmp_path, **runs):
    """A sweep of runs of a small study; each is a model, a way to split and a seed."""
    sweep = Sweep()
    sweep.root = tmp_path
    for name, (model, splits, seed) in runs.items():
        folder = write_run(tmp_path / name, evaluate(class_study(effect=0.6), model, splits, seed=seed))
        with sweep.run([f"model={name}"], folder):
            pass
    return sweep


def test_runs_are_compared_within_those_of_the_same_tests(tmp_path):
    sweep = finished(
        tmp_path,
        a=(RIDGE, KFold(folds=3), 1),
        b=(KNN, KFold(folds=3, validation=0.4), 1),
        c=(RIDGE, KFold(folds=3), 2),
        d=(KNN, Nested(folds=3, inner_folds=2, grid={"k": [1, 3]}), 2),
        e=(RIDGE, Holdout(), 1),
        f=(RIDGE, All(), 1),
    )
    lines = sweep.finish()
    pairs = {(row["first"], row["second"]) for row in rows_of(*tmp_path.glob("*-sweep/comparison.csv"))}
    assert {frozenset(pair) for pair in pairs} == {frozenset("ab"), frozenset("cd")}
    assert sum(line.startswith("against ") for line in lines) == 2
    assert lines[-3].startswith("not compared: e, whose tests are of other sessions or folds. f: ")
    assert "tested nobody: it trained on every session" in lines[-3]
    page = read(*tmp_path.glob("*-sweep/report.html")).texts
    assert page.count("Differences of 2 of them") == 2
    assert any("tested on different subjects, or in different folds: the order of the runs" in text for text in page)


def test_nothing_is_compared_where_no_two_runs_share_their_tests(tmp_path):
    lines = finished(tmp_path, a=(RIDGE, KFold(folds=3), 1), b=(RIDGE, KFold(folds=3), 2)).finish()
    assert lines[-3] in {
        f"not compared: {names}, whose tests are of other sessions or folds." for names in ("a, b", "b, a")
    }
    assert not list(tmp_path.glob("*-sweep/comparison.csv"))


def test_the_end_of_a_long_sweep_is_short(tmp_path):
    results = evaluate(class_study(effect=0.6), KNN, KFold(folds=2), seed=1)
    sweep = Sweep()
    sweep.root = tmp_path
    for number in range(13):
        with sweep.run([f"model=m{number}"], write_run(tmp_path / f"m{number}", results)):
            pass
    lines = sweep.finish()
    (first,) = [number for number, line in enumerate(lines) if line.startswith("against m0 ")]
    assert lines[first].endswith("p by Holm (78 pairs)")
    assert lines[first + 11] == "and 2 more in comparison.csv"
    assert len({(row["first"], row["second"]) for row in rows_of(*tmp_path.glob("*-sweep/comparison.csv"))}) == 78


def test_a_damaged_run_does_not_end_the_sweep(tmp_path):
    sweep = finished(tmp_path, a=(RIDGE, KFold(folds=3), 1), b=(KNN, KFold(folds=3), 1), c=(KNN, KFold(folds=3), 1))
    (tmp_path / "c/predictions.csv").write_text("subject")
    lines = sweep.finish()
    assert f"not compared: c: {tmp_path / 'c/predictions.csv'} is damaged: its last line is cut off." in lines[-3]
    assert any(line.startswith("against ") for line in lines)


@pytest.mark.slow
@undrawn()
def test_a_sweep_tests_the_same_sessions_whatever_the_model(tmp_path):
    run_here(
        "train", "-m", "data.demo.num_subjects=12", "resolution=24", "model=knn,ridge,sfcn", "evaluation=kfold,nested",
        "evaluation.folds=2", "trainer.max_epochs=1", "trainer.accelerator=cpu",
        cwd=tmp_path,
    )  # fmt: skip
    runs = [row["run"] for row in rows_of(*tmp_path.glob("runs/*-sweep/models.csv"))]
    tested = [{(row["subject"], row["fold"]) for row in rows_of(tmp_path / run / "predictions.csv")} for run in runs]
    assert len(runs) == 6
    assert all(tests == tested[0] for tests in tested)
    assert len(rows_of(*tmp_path.glob("runs/*-sweep/comparison.csv"))) == 15 * 11


@pytest.mark.parametrize("study", [class_study(), age_study()], ids=["classes", "a measure"])
@pytest.mark.parametrize("folds", [2, 5])
def test_who_is_tested_depends_on_the_number_of_folds_and_the_seed_alone(study, folds):
    """With `validation=0` a measure is parted more finely, and others may be tested."""
    ways = [way(folds=folds, validation=share) for way in (KFold, Nested) for share in (0.1, 0.2, 0.4)]
    tested = [[fold.test_rows.tolist() for fold in way.split(Sample.of(study), seed=1)] for way in ways]
    assert all(tests == tested[0] for tests in tested)
