"""Files of a finished run that are cut off, changed, of another run or hostile are named before a comparison."""

import json
import os
import shutil

import pytest

from mri3d import KFold, evaluate, models
from tests.finished_runs import rewrite, told, write_run
from tests.studies import age_study, class_study

RIDGE = models.Ridge(num_components=0.9, inner_folds=2)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    results = evaluate(class_study(effect=0.6), RIDGE, KFold(folds=3), seed=1)
    return write_run(tmp_path_factory.mktemp("whole") / "run", results)


@pytest.fixture
def run(whole, tmp_path):
    """A run of classes to be damaged."""
    return shutil.copytree(whole, tmp_path / "run")


def metrics_with(change):
    def damage(run):
        content = json.loads((run / "metrics.json").read_text())
        change(content)
        (run / "metrics.json").write_text(json.dumps(content))

    return damage


def cells(name, **values):
    def first_row(rows):
        return [rows[0] | values, *rows[1:]]

    return lambda run: rewrite(run / name, first_row)


def text(name, change):
    return lambda run: (run / name).write_bytes(change((run / name).read_bytes()))


def turned(rows):
    other = {"control": "patient", "patient": "control"}
    return [row | {"label": other[row["label"]]} for row in rows]


def without(name, column):
    return lambda run: rewrite(run / name, lambda rows: [{k: v for k, v in r.items() if k != column} for r in rows])


def folder_in_place_of(name):
    def damage(run):
        (run / name).unlink()
        (run / name).mkdir()

    return damage


def pipe_in_place_of(name):
    def damage(run):
        (run / name).unlink()
        os.mkfifo(run / name)

    return damage


def fold(**values):
    return metrics_with(lambda content: content["folds"][0].update(values))


def intervals(**values):
    return metrics_with(lambda content: content["intervals"].update(values))


def test_score(**values):
    return metrics_with(lambda content: content["test"]["accuracy"].update(values))


test_score.__test__ = False
P, M, C = "predictions.csv", "metrics.json", "cohort.csv"
DAMAGES = {
    "metrics cut off": (M, text(M, lambda data: data[: len(data) // 2]), ""),
    "metrics empty": (M, text(M, lambda data: b""), ""),
    "metrics not text": (M, text(M, lambda data: b"\xff\xfe" + data), "utf-8"),
    "metrics a list": (M, text(M, lambda data: b"[1]"), "it holds no names with values"),
    "metrics nested": (M, text(M, lambda data: b"[" * 100_000), "recursion"),
    "metrics NaN": (M, text(M, lambda data: data.replace(b'"fold": 0', b'"fold": NaN')), "it has NaN, which JSON has"),
    "metrics of no outcome": (M, metrics_with(lambda content: content.update(outcome={"task": "x"})), "it lacks 'x'"),
    "metrics without folds": (M, metrics_with(lambda content: content.pop("folds")), "it lacks 'folds'"),
    "metrics with folds of text": (M, metrics_with(lambda content: content.update(folds=["a"])), ""),
    "test of a number": (M, metrics_with(lambda content: content.update(test={"auc": 1.0})), ""),
    "score of text": (M, test_score(value="0.9"), "'0.9' is no score"),
    "score of a huge number": (M, test_score(value=10**400), "too large"),
    "no accuracy": (M, metrics_with(lambda content: content["test"].pop("accuracy")), "it has no accuracy"),
    "other accuracy": (P, test_score(value=0.123), "accuracy is "),
    "no widening": (M, intervals(measured=True, widening=0.5), "0.5 is no factor that intervals are widened by"),
    "widening of text": (M, intervals(measured=True, widening="2"), "'2' is no score"),
    "negative counts": (M, fold(num_train=-1), "impossible numbers of sessions"),
    "no training": (M, fold(num_train=0, num_validation=0), "impossible numbers of sessions"),
    "counts of text": (M, fold(num_test="8"), "impossible numbers of sessions"),
    "other counts": (P, fold(num_test=7), "its folds have 8, 8, 8 tests, and those of metrics.json 7, 8, 8"),
    "fold too few": (P, metrics_with(lambda content: content["folds"].pop()), "it has a fold that metrics.json does"),
    "metrics a folder": (M, folder_in_place_of(M), "it is a folder"),
    "metrics a pipe": (M, pipe_in_place_of(M), "it is neither a file nor a folder"),
    "predictions cut in a row": (P, text(P, lambda data: data[:-4]), "its last line is cut off"),
    "predictions cut after a row": (P, text(P, lambda data: b"".join(data.splitlines(True)[:-1])), "have 8, 8, 7"),
    "predictions empty": (P, text(P, lambda data: b"\n"), "it has no rows"),
    "predictions with a cell more": (P, text(P, lambda data: data.replace(b"test,", b"test,,", 1)), ""),
    "predictions with null bytes": (P, text(P, lambda data: data.replace(b"test", b"\0", 1) + b"\0"), ""),
    "predictions a pipe": (P, pipe_in_place_of(P), "it is neither a file nor a folder"),
    "no probability": (P, without(P, "p_patient"), "it lacks 'p_patient'"),
    "no fold column": (P, without(P, "fold"), "it has no column fold"),
    "probability of text": (P, cells(P, p_patient="high"), "it has 'high' where a number goes"),
    "probability of nan": (P, cells(P, p_patient="nan"), "it has 'nan' where a number goes"),
    "probability beyond 1": (P, cells(P, p_patient="1.5", p_control="-0.5"), "it has probabilities that are none"),
    "probabilities of 2 in all": (P, cells(P, p_patient="1", p_control="1"), "it has probabilities that are none"),
    "fold of text": (P, cells(P, fold="first"), "invalid literal"),
    "fold -1": (P, cells(P, fold="-1"), "it has a fold that metrics.json does not"),
    "fold 10^30": (P, cells(P, fold="1" + "0" * 30), ""),
    "labels changed": (P, lambda run: rewrite(run / P, turned),  "its labels are not those of cohort.csv"),
    "label unknown": (P, cells(P, label="healthy"), "it lacks 'healthy'"),
    "session unknown": (P, cells(P, subject="who"), "who did not take part by cohort.csv"),
    "session twice": (P, lambda run: rewrite(run / P, lambda rows: [*rows, rows[0]]), "a session is tested twice"),
    "cohort cut off": (C, text(C, lambda data: data[:-3]), "its last line is cut off"),
    "cohort without groups": (C, without(C, "group"), "it has no column group"),
    "cohort with one twice": (C, lambda run: rewrite(run / C, lambda rows: [*rows, rows[0]]), "stands in it twice"),
    "label unknown in the cohort": (C, cells(C, label=""), "it lacks ''"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_named_in_one_message(damage, run):
    name, change, expected = DAMAGES[damage]
    change(run)
    message = told(run)
    assert name in message
    assert expected in message
    assert message.endswith("Copy the run again, whole.")


def test_values_that_are_not_finite_are_damage_of_a_measure_too(tmp_path):
    folder = write_run(tmp_path / "whole", evaluate(age_study(), RIDGE, KFold(folds=2)))
    run = shutil.copytree(folder, tmp_path / "run")
    cells(P, prediction="inf")(run)
    assert "it has 'inf' where a number goes" in told(run)
    shutil.copy(folder / P, run / P)
    for name in (P, C):
        rewrite(run / name, lambda rows: [row | {"label": "inf"} for row in rows])
    assert "its labels are not those of cohort.csv" in told(run)
