"""What a run writes never falls in with what is not its own."""

import csv
import errno
import logging
import os
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mri3d.cohort.cohort import Cohort
from mri3d.errors import UserError
from mri3d.evaluation.fold_result import FoldResult
from mri3d.evaluation.folds import Fold
from mri3d.model_folder import CARD, Card, Contents, read_model, write_model
from mri3d.models.member import Member
from mri3d.outcome import Measure
from mri3d.records import early_log, log_file, write_member, write_scores
from mri3d.run_folder import claim, claim_evaluation
from mri3d.temporaries import _machine
from mri3d.volumes.reference import Reference

SETTINGS = {"model": "Ridge {}", "seed": 0}


class Saved:
    """Stand for a fitted model, which leaves a card."""

    def contents(self, card):
        """Return the least that a model folder holds."""
        return Contents("saved", {}, {}, card)


def card_of(name):
    return Card(Measure("age"), None, Reference(np.zeros((1, 2, 2, 2), np.float32), 0.0, 1.0), run=name)


def write(folder, number, *, num_folds):
    none = np.empty(0, dtype=np.int64)
    result = FoldResult(Fold(number, 0, none, none, none), none, None, {}, [], None)
    write_member(folder, Member(Saved(), card_of(f"card of {number}")), result, num_folds=num_folds)


def written(folder):
    return {str(path.parent.relative_to(folder)): read_model(path.parent).card.run for path in folder.rglob(CARD)}


@pytest.mark.parametrize(
    ("num_folds", "places"), [(1, ["model"]), (2, ["model/fold_0", "model/fold_1"])], ids=["alone", "folds"]
)
def test_each_fold_has_its_model_folder_and_may_write_it_again(tmp_path, num_folds, places):
    for _ in range(2):
        for number in range(num_folds):
            write(tmp_path, number, num_folds=num_folds)
    assert written(tmp_path) == {place: f"card of {number}" for number, place in enumerate(places)}


@pytest.mark.parametrize(("there", "num_folds"), [("model", 2), ("model/fold_0", 1), ("model/fold_2", 2)])
def test_a_model_that_is_none_of_the_run_s_is_not_joined(tmp_path, there, num_folds):
    write_model(tmp_path / there, Saved().contents(card_of("another")))
    with pytest.raises(UserError, match="holds another model"):
        write(tmp_path, 0, num_folds=num_folds)
    assert written(tmp_path) == {there: "another"}


def test_what_is_evaluated_in_a_folder_is_noted_and_nothing_else_goes_on_there(tmp_path):
    claim_evaluation(tmp_path, SETTINGS, resumed=False)
    claim_evaluation(tmp_path, SETTINGS, resumed=True)
    with pytest.raises(UserError, match="with another model and seed, whose checkpoints"):
        claim_evaluation(tmp_path, {"model": "Ridge {'alpha': 1}", "seed": 1}, resumed=True)
    for damaged in ("[]", "{", ""):
        (tmp_path / "evaluation.json").write_text(damaged)
        with pytest.raises(UserError, match="with another model and seed"):
            claim_evaluation(tmp_path, SETTINGS, resumed=True)


@pytest.mark.parametrize("kind", ["link", "dangling", "pipe"])
def test_log_of_a_run_leads_nowhere_else(tmp_path, kind):
    stranger, path = tmp_path / "stranger", tmp_path / "log.txt"
    if kind == "link":
        stranger.write_text("mine")
    os.mkfifo(path) if kind == "pipe" else path.symlink_to(stranger)
    told = pytest.raises(UserError, match=r"log\.txt is a link, or no file\. Remove it")
    with told, early_log() as early, log_file(tmp_path, early):
        logging.getLogger("x").warning("told")
    assert not stranger.exists() or stranger.read_text() == "mine"


def test_two_processes_are_not_at_work_on_one_run(tmp_path):
    with early_log() as early, log_file(tmp_path, early):
        logging.getLogger("x").warning("told")
        with pytest.raises(UserError, match="another process is at work on"), log_file(tmp_path, early):
            pass
    assert "WARNING x: told" in (tmp_path / "log.txt").read_text()


def test_a_run_that_cannot_be_written_leaves_no_folder(tmp_path, monkeypatch):
    def full(path, data):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr("mri3d.run_folder.write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        claim(tmp_path / "runs/x", Cohort(()), [], {"seed": 0}, resumed=False)
    assert not (tmp_path / "runs/x").exists()


def test_what_killed_runs_beside_it_left_is_swept_when_a_run_begins(tmp_path):
    names = {"run": ("cohort.csv", "config.yaml"), "other": ("cohort.csv",)}
    for name, files in names.items():
        (tmp_path / name / "checkpoints").mkdir(parents=True)
        for file in (*files, f"checkpoints/.writing-{_machine()}-00000000-last.ckpt"):
            (tmp_path / name / file).touch()
    claim(tmp_path / "new", Cohort(()), [], {"seed": 0}, resumed=False)
    assert [path.parent.parent.name for path in tmp_path.rglob(".writing-*")] == ["other"], "which is no run"


@pytest.mark.parametrize("names", [("F", "\uff26"), ("I", "\u2160"), ("class", "a b"), ("_x", "1")])
def test_any_names_of_classes_are_columns_of_the_predictions(tmp_path, names):
    table = pd.DataFrame([["s", 0, 0.25, 0.75]], columns=["subject", "fold", *(f"p_{name}" for name in names)])
    results = SimpleNamespace(
        predictions=table,
        search_rows=list,
        study=SimpleNamespace(cohort=Cohort(())),
        rows=np.array([0]),
        metrics=lambda **counts: {},
    )
    write_scores(tmp_path, results, seconds={}, peak_memory_mb=0.0)
    with (tmp_path / "predictions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows == [["subject", "fold", *(f"p_{name}" for name in names)], ["s", "0", "0.25", "0.75"]]
