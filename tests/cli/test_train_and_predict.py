"""Both scripts through their real command line, on a small demo cohort."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml

from tests.commands import run_here, undrawn
from tests.report.reader import read
from tests.studies import write_heads

ROOT = Path(__file__).parents[2]
SMALL = ("data.demo.num_subjects=12", "resolution=24", "model.network.channels=[4,8,4]", "trainer.accelerator=cpu")
EPOCHS = 5


def run(script, *arguments: str, cwd, status=0):
    done = subprocess.run(
        [sys.executable, ROOT / f"{script}.py", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=1500,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == status, done.stderr
    return done


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def the_run(cwd):
    (metrics,) = cwd.glob("runs/*/*/metrics.json")
    return metrics.parent


@pytest.fixture(scope="module")
@undrawn()
def holdout(tmp_path_factory):
    cwd = tmp_path_factory.mktemp("holdout")
    done = run_here("train", *SMALL, f"trainer.max_epochs={EPOCHS}", cwd=cwd)
    return cwd, the_run(cwd), done


def test_run_ends_with_three_lines_on_standard_output(holdout):
    cwd, folder, done = holdout
    metric, where, report = done.stdout.splitlines()
    assert metric.startswith("test   AUC ")
    assert cwd / where.split()[1] == folder
    assert (cwd / report.split()[1]).read_text().startswith("<!")


def test_run_leaves_what_the_contract_names(holdout):
    _, folder, _ = holdout
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["classes"] == ["-1", "1"]
    assert set(metrics["test"]["auc"]) == {"value", "low", "high"}
    assert {"auc", "accuracy", "balanced_accuracy"} <= set(metrics["test"])
    assert len(metrics["folds"]) == 1
    assert metrics["num_subjects"]["participants"] == 12
    assert metrics["seconds"]["total"] > 0
    assert metrics["peak_memory_mb"] > 0
    predictions = rows_of(folder / "predictions.csv")
    assert list(predictions[0]) == ["subject", "fold", "split", "label", "prediction", "p_-1", "p_1"]
    cohort = {row["subject"]: row for row in rows_of(folder / "cohort.csv")}
    assert {row["subject"] for row in predictions} == {name for name, row in cohort.items() if row["fold"] == "test"}
    for row in predictions:
        assert float(row["p_-1"]) + float(row["p_1"]) == pytest.approx(1)
        assert row["label"] == cohort[row["subject"]]["label"]
        assert row["prediction"] == ("1" if float(row["p_1"]) > 0.5 else "-1")
    accuracy = np.mean([row["label"] == row["prediction"] for row in predictions])
    assert metrics["test"]["accuracy"]["value"] == pytest.approx(accuracy)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["resolution"] == 24
    assert config["model"]["batch_size"] == 8, "defaults are written out"
    assert config["trainer"]["max_epochs"] == EPOCHS
    assert config["task"] == "classification"
    assert "resolution" not in config["preprocess"], "each value stands in one place"
    assert "trainer" not in config["model"]
    assert not {"trust", "resume", "debug"} & set(config), "what is of one command line only"
    for name in ("model/card.json", "model/weights.safetensors", "checkpoints/last.ckpt", "checkpoints/best.ckpt"):
        assert (folder / name).stat().st_size > 0
    assert list((folder / "tensorboard").glob("events*"))


@pytest.mark.slow
def test_same_command_gives_the_same_bits(holdout, tmp_path):
    _, folder, _ = holdout
    run("train", *SMALL, f"trainer.max_epochs={EPOCHS}", "model.num_workers=2", cwd=tmp_path)
    again = the_run(tmp_path)
    assert (again / "predictions.csv").read_bytes() == (folder / "predictions.csv").read_bytes()
    assert (again / "model/weights.safetensors").read_bytes() == (folder / "model/weights.safetensors").read_bytes()


def test_prediction_of_test_subjects_is_the_run_s_own_and_bad_scans_have_a_reason(holdout, tmp_path):
    _, folder, _ = holdout
    tested = rows_of(folder / "predictions.csv")[:2]
    scans = {row["subject"]: row["scan"] for row in rows_of(folder / "cohort.csv")}
    broken = tmp_path / "broken file (1).nii.gz"
    broken.write_bytes(b"")
    listed = ",".join(f"'{path}'" for path in [*(scans[row["subject"]] for row in tested), broken])
    run_here("predict", f"model={folder}", f"scans=[{listed}]", "out=results", cwd=tmp_path, status=1)
    first, second, bad = rows_of(tmp_path / "results/predictions.csv")
    for found, expected in zip((first, second), tested, strict=True):
        assert found["scan"] == expected["subject"]
        assert float(found["p_1"]) == pytest.approx(float(expected["p_1"]), abs=1e-5)
    assert bad["scan"] == "broken file (1)"
    assert bad["prediction"] == bad["p_1"] == ""
    assert "broken file (1).nii.gz" in bad["warnings"]
    heatmap = nib.load(tmp_path / f"results/heatmaps/{first['scan']}_heatmap.nii.gz")
    scan = nib.load(scans[first["scan"]])
    assert heatmap.shape == scan.shape
    np.testing.assert_allclose(heatmap.affine, scan.affine, atol=1e-5)
    assert (tmp_path / "results/report.html").is_file()


@undrawn()
def test_classical_model_is_judged_by_nested_folds_and_predicts_as_it_was_tested(tmp_path):
    options = ("model=logistic", "evaluation=nested", "evaluation.folds=2", "model.inner_folds=2")
    run_here("train", SMALL[0], SMALL[1], *options, cwd=tmp_path)
    folder = the_run(tmp_path)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert sum(metrics["chosen"]["C"].values()) == 2
    assert {row["C"] for row in rows_of(folder / "search.csv")} == {"0.1", "1.0", "10.0", "100.0"}
    tested = rows_of(folder / "predictions.csv")[0]
    scans = {row["subject"]: row["scan"] for row in rows_of(folder / "cohort.csv")}
    fold = folder / f"model/fold_{tested['fold']}"
    run_here("predict", f"model={fold}", f"scans={scans[tested['subject']]}", cwd=tmp_path)
    (found,) = rows_of(tmp_path / "results/predictions.csv")
    assert float(found["p_1"]) == pytest.approx(float(tested["p_1"]), abs=1e-5)
    heatmap = nib.load(tmp_path / f"results/heatmaps/{found['scan']}_heatmap.nii.gz")
    assert heatmap.get_fdata().max() > 0.5


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [pytest.param([str(ROOT / "train.py")], id="script"), pytest.param(["-m", "mri3d", "train"], id="module")],
)
def test_two_devices_share_one_run(command, tmp_path):
    done = subprocess.run(
        [
            sys.executable, *command, *SMALL, "trainer.max_epochs=1", "trainer.devices=2", "model.batch_size=3",
            "evaluation=kfold", "evaluation.folds=2",
        ],
        cwd=tmp_path, capture_output=True, text=True, timeout=1500, check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 3
    folder = the_run(tmp_path)
    assert len(list(tmp_path.glob("runs/*/*"))) == 1
    rows = rows_of(folder / "predictions.csv")
    assert len({row["subject"] for row in rows}) == len(rows) == 12


OWN = """
import pathlib

import torch

pathlib.Path("imported").touch()


class Own(torch.nn.Module):
    def __init__(self, volume_shape, num_outputs, *, width=2):
        super().__init__()
        self.conv = torch.nn.Conv3d(1, width, 3)
        self.head = torch.nn.Linear(width, num_outputs)

    @property
    def cam_layer(self):
        return self.conv

    def forward(self, volumes):
        return self.head(self.conv(volumes).mean(dim=(2, 3, 4)))
"""


@pytest.mark.slow
def test_network_of_ones_own_trains_and_is_loaded_again_by_whoever_trusts_it(tmp_path):
    (tmp_path / "own_nets.py").write_text(OWN)
    options = (*SMALL[:2], SMALL[3], "trainer.max_epochs=1", "trainer.devices=2", "model.network._target_=own_nets.Own")
    run("train", *options, "model.network.width=3", cwd=tmp_path)
    folder = the_run(tmp_path)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["model"]["network"] == {"_target_": "own_nets.Own", "_partial_": True, "width": 3}
    scan = rows_of(folder / "cohort.csv")[0]["scan"]
    (tmp_path / "imported").unlink()
    predict = ("predict", f"model={folder}", f"scans={scan}", "heatmap=none")
    for refused in (("train", f"resume={folder}"), predict, (*predict, "trust=own_nets.Other")):
        said = run(*refused, cwd=tmp_path, status=2).stderr
        assert said.count("error:") == 1
        assert "trust=own_nets.Own" in said
        assert not (tmp_path / "imported").exists(), "nothing of it ran"
    before = (folder / "predictions.csv").read_bytes()
    run("train", f"resume={folder}", "trust=own_nets.Own", cwd=tmp_path)
    assert (folder / "predictions.csv").read_bytes() == before
    run(*predict, "trust=[own_nets.Own]", cwd=tmp_path)
    assert rows_of(tmp_path / "results/predictions.csv")[0]["status"] == "ok"


@pytest.mark.slow
def test_final_model_learns_from_everybody_and_has_no_score(tmp_path):
    done = run("train", *SMALL[:2], "model=ridge", "evaluation=all", cwd=tmp_path)
    folder = the_run(tmp_path)
    assert done.stdout.splitlines()[0].startswith("test   ")
    assert "AUC" not in done.stdout
    assert {row["fold"] for row in rows_of(folder / "cohort.csv")} <= {"train", "validation"}
    scan = rows_of(folder / "cohort.csv")[0]["scan"]
    run("predict", f"model={folder}", f"scans={scan}", "heatmap=none", cwd=tmp_path)
    assert rows_of(tmp_path / "results/predictions.csv")[0]["prediction"] in ("-1", "1")


@pytest.mark.slow
def test_sweep_runs_each_configuration_once(tmp_path):
    run("train", "-m", *SMALL, "resolution=20,24", "trainer.max_epochs=1", cwd=tmp_path)
    found = {
        yaml.safe_load(path.read_text())["resolution"]: path.parent.parent.name
        for path in tmp_path.glob("runs/*/*/config.yaml")
    }
    assert found == {20: "demo-sfcn-20", 24: "demo-sfcn-24"}


@undrawn()
def test_run_that_was_killed_is_resumed_to_the_same_bits(holdout, tmp_path):
    _, whole, _ = holdout
    with subprocess.Popen(
        [sys.executable, ROOT / "train.py", *SMALL, f"trainer.max_epochs={EPOCHS}", "name=cut"],
        cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
    ) as cut:  # fmt: skip
        assert any(f"epoch 2 of {EPOCHS}" in line for line in cut.stderr), "it never came to the second epoch"
        cut.kill()
    (folder,) = tmp_path.glob("runs/cut/*")
    assert not (folder / "metrics.json").exists()
    done = run_here("train", f"resume={folder}", cwd=tmp_path)
    assert f"epoch 1 of {EPOCHS}" not in done.stderr
    assert (folder / "predictions.csv").read_bytes() == (whole / "predictions.csv").read_bytes()
    assert (folder / "model/weights.safetensors").read_bytes() == (whole / "model/weights.safetensors").read_bytes()
    assert json.loads((folder / "metrics.json").read_text())["folds"][0]["epochs"] == EPOCHS


@pytest.mark.slow
def test_run_is_not_resumed_on_another_cohort(tmp_path):
    run("train", *SMALL, "trainer.max_epochs=1", cwd=tmp_path)
    folder = the_run(tmp_path)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["data"]["demo"]["seed"] = 1
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    before = (folder / "cohort.csv").read_bytes()
    done = run("train", f"resume={folder}", cwd=tmp_path, status=2)
    assert "the cohort is not the one" in done.stderr
    assert (folder / "cohort.csv").read_bytes() == before


@pytest.mark.parametrize("script", ["train", "predict"])
def test_help_shows_examples(script, tmp_path):
    text = run(script, "--help", cwd=tmp_path).stdout
    assert text.count(f"python {script}.py") >= 2
    if script == "train":
        options = "model: densenet121, efficientnet-b0, knn, linear_svm, logistic, rbf_svm, resnet18"
        assert options in " ".join(text.split())  # lines are as long as the terminal is wide


def test_pictures_of_a_site_that_was_not_harmonised_have_no_heatmap_and_say_so(shows, tmp_path):
    write_heads(tmp_path / "study", 24, clinic=["north"] * 8 + ["south"] * 8 + ["west"] * 8)
    table = ("data=table", "data.root=study", "data.id=subject", 'data.scan="{id}.nii"', "data.table=study.csv")
    split = ("data.site=clinic", "evaluation=leave_site_out", "evaluation.harmonize=site")
    model = ("model=ridge", "model.num_components=0.9", "model.inner_folds=2", "resolution=16")
    with undrawn():
        status, _, said = shows("train", *table, *split, *model)
    assert status == 0, said
    assert "could not be made" not in said
    page = " ".join(read(next((tmp_path / "runs").glob("*/*/report.html"))).texts)
    assert "Where the evidence lies" in page
    assert "Without a heatmap: site 'north' is not one that the model was harmonised for: south, west" in page
