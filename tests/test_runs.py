"""One run as a whole, without the command line: what it learns from, what it tells, what a mistake leaves behind."""

import csv
import functools
import json
from dataclasses import replace

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from mri3d.cohort.table import Table
from mri3d.errors import UserError
from mri3d.evaluation.nested import Candidates
from mri3d.evaluation.splits import Holdout, KFold
from mri3d.models.classical.models import Logistic
from mri3d.models.network.cnn import CNN
from mri3d.nets.sfcn import SFCN
from mri3d.runs import run
from mri3d.volumes.recipe import Recipe
from tests.scans.phantom import write_scan

NUM_SUBJECTS = 24
HOLDOUT = Holdout()
SHAPE, SPACING_MM = (20, 22, 24), (9.0, 9.0, 8.0)


def write_study(root):
    """Write heads with noise in them, of which those of class b are brighter in one corner."""
    random = np.random.default_rng(0)
    inside = np.indices(SHAPE) - np.reshape(SHAPE, (3, 1, 1, 1)) / 2
    head = (np.square(inside / np.reshape([8, 9, 10], (3, 1, 1, 1))).sum(axis=0) < 1).astype(np.float64)
    rows = []
    for number in range(NUM_SUBJECTS):
        data = head * (100 + 10 * random.standard_normal(SHAPE))
        data[6:10, 6:10, 6:10] *= 1 + 0.5 * (number % 2)
        write_scan(root / f"s{number:02}.nii", data.astype(np.float32), np.diag([*SPACING_MM, 1.0]))
        rows.append({"subject": f"s{number:02}", "label": "ab"[number % 2]})
    with (root / "study.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return Table(root=str(root), table="study.csv")


def run_study(study, folder, classifier, evaluation=HOLDOUT, *, resumed=False):
    return run(
        study,
        Recipe(resolution=16),
        classifier,
        evaluation,
        seed=0,
        folder=folder,
        configuration={"model": {"_target_": "test"}},
        resumed=resumed,
    )


def cohort_rows(folder):
    with (folder / "cohort.csv").open(newline="") as file:
        return {row["subject"]: row for row in csv.DictReader(file)}


def cnn(**trainer: object):
    bound = {"accelerator": "cpu", "devices": 1, "max_epochs": 2, "enable_model_summary": False, "log_every_n_steps": 1}
    return CNN(functools.partial(SFCN, channels=[2, 2]), trainer=functools.partial(pl.Trainer, **bound | trainer))


def first_search(folder):
    """Give what led the first fold's choice, if there was one."""
    if not (folder / "search.csv").exists():
        return []
    with (folder / "search.csv").open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["fold"] == "0"]


def candidates():
    settings = [{"C": 0.01}, {"C": 100.0}]
    made = [Logistic(num_components=[2, 3], inner_folds=2, **setting) for setting in settings]
    return Candidates(settings, made, inner_folds=2, validation=0.0)


@pytest.mark.parametrize(
    ("classifier", "evaluation", "tested", "model"),
    [
        (Logistic(num_components=[2, 3], inner_folds=2), HOLDOUT, "test", "model"),
        (cnn(), HOLDOUT, "test", "model"),
        (candidates(), KFold(folds=3), "0", "model/fold_0"),
    ],
)
def test_poisoned_test_scans_change_nothing_that_is_learnt(tmp_path, classifier, evaluation, tested, model, one_core):
    study = write_study(tmp_path)
    run_study(study, tmp_path / "clean", classifier, evaluation)
    poisoned_names = [name for name, row in cohort_rows(tmp_path / "clean").items() if row["fold"] == tested]
    assert 4 <= len(poisoned_names) <= 8
    for number, name in enumerate(poisoned_names):
        poison = np.random.default_rng(number).exponential(1e6, SHAPE).astype(np.float32)
        write_scan(tmp_path / f"{name}.nii", poison, np.diag([*SPACING_MM, 1.0]))
    run_study(study, tmp_path / "poisoned", classifier, evaluation)
    assert [row["fold"] for row in cohort_rows(tmp_path / "poisoned").values()] == [
        row["fold"] for row in cohort_rows(tmp_path / "clean").values()
    ]
    weights = f"{model}/weights.safetensors"
    assert (tmp_path / "poisoned" / weights).read_bytes() == (tmp_path / "clean" / weights).read_bytes()
    clean, poisoned = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("clean", "poisoned"))
    assert first_search(tmp_path / "poisoned") == first_search(tmp_path / "clean")
    assert bool(first_search(tmp_path / "clean")) == bool(clean["folds"][0]["chosen"])
    assert clean["folds"][0]["scores"] != poisoned["folds"][0]["scores"], "the poison was not read at all"


def test_scan_unlike_the_others_is_named_before_anything_is_learnt(tmp_path, caplog):
    study = write_study(tmp_path)
    noise = np.random.default_rng(5).random(SHAPE).astype(np.float32)
    write_scan(tmp_path / "s03.nii", noise, np.diag([*SPACING_MM, 1.0]))
    run_study(study, tmp_path / "run", Logistic(num_components=2, C=1.0))
    named = [name for name, row in cohort_rows(tmp_path / "run").items() if "unlike the other scans" in row["warnings"]]
    assert named == ["s03"]
    assert "subject s03 is unlike the other scans" in caplog.text


@pytest.mark.parametrize(
    ("classifier", "message"),
    [
        (Logistic(num_components=500), r"num_components=500 is impossible: PCA learns from 16 rows"),
        (Logistic(C=[]), r"model\.C is an empty list"),
        (CNN(functools.partial(SFCN, channels=[2] * 9, stride=2)), r"volume of 16 x 16 x 16 voxels is too small"),
    ],
)
def test_impossible_task_is_told_before_the_run_directory_is_made(tmp_path, classifier, message):
    with pytest.raises(UserError, match=message):
        run_study(write_study(tmp_path), tmp_path / "run", classifier)
    assert not (tmp_path / "run").exists()


def test_mistake_that_shows_in_training_is_in_the_log_of_the_run(tmp_path, one_core):
    classifier = cnn(precision="32-true")
    classifier.optimizer = functools.partial(torch.optim.SGD, lr=1e30)
    with pytest.raises(UserError, match="training diverged"):
        run_study(write_study(tmp_path), tmp_path / "run", classifier)
    assert "ERROR mri3d.records: training diverged" in (tmp_path / "run/log.txt").read_text()
    assert not (tmp_path / "run/metrics.json").exists()


def test_run_on_scans_whose_names_are_no_text_can_be_gone_on_with(tmp_path):
    study = write_study(tmp_path)
    try:
        (tmp_path / "s00.nii").rename(tmp_path / b"s00\xe9.nii".decode(errors="surrogateescape"))
    except OSError as error:
        pytest.skip(f"no such name can be given here: {error}")
    study = replace(study, scan="{id}*.nii")
    for resumed in (False, True):
        run_study(study, tmp_path / "run", Logistic(num_components=2, C=1.0), resumed=resumed)
    assert "s00\\udce9.nii" in cohort_rows(tmp_path / "run")["s00"]["scan"]
