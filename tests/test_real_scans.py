"""The real command and the library on real scans: a part of IXI in the fast suite, all of it in the slow one."""

import csv
import json

import nibabel as nib
import numpy as np
import pytest

from mri3d import KFold, Study, evaluate, models
from tests.cli.test_train_and_predict import ROOT, rows_of, the_run
from tests.commands import run_here, undrawn

DATA = ROOT.parent / "shared/data"
IXI = DATA / "ixi"
DEPRESSION = DATA / "depression-bids"

pytestmark = pytest.mark.skipif(not IXI.is_dir(), reason=f"the real scans are not at {DATA}")


def table_run(cwd, table, *options: str):
    options = ("data=table", f"data.table={table}", "data.id=subject", "data.label=sex", *options)
    places = (f"data.root={IXI}", "data.scan=T1/{id}_T1.nii.gz", "trainer.accelerator=cpu")
    done = run_here("train", *options, *places, cwd=cwd)
    return done, the_run(cwd)


@undrawn()
def test_part_of_ixi_is_learnt_from_and_unlabelled_heads_are_counted(tmp_path):
    rows = rows_of(IXI / "subjects.csv")
    chosen = [row for row in rows if not row["sex"]] + [row for row in rows if row["sex"]][:20]
    with (tmp_path / "part.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, chosen[0].keys())
        writer.writeheader()
        writer.writerows(chosen)
    small = ("resolution=24", "model.network.channels=[4,8,4]", "trainer.max_epochs=2")
    _, folder = table_run(tmp_path, tmp_path / "part.csv", *small)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["classes"] == ["F", "M"]
    assert metrics["num_subjects"]["participants"] == 20
    assert metrics["num_subjects"]["unlabelled"] == 4
    left_out = [row["subject"] for row in rows_of(folder / "cohort.csv") if row["left_out"] == "no label"]
    assert left_out == [row["subject"] for row in chosen[:4]]


@pytest.mark.slow
def test_skull_stripped_heads_are_named_as_unlike_the_whole_heads_of_training(tmp_path):
    small = ("resolution=24", "model.network.channels=[4,8,4]", "trainer.max_epochs=1")
    _, folder = table_run(tmp_path, "subjects.csv", *small)
    scans = sorted(DEPRESSION.glob("sub-0[123]/anat/*.nii.gz"))
    assert len(scans) == 3
    asked = (f"model={folder}", f"scans={DEPRESSION}/sub-0[123]/anat/*.nii.gz")
    run_here("predict", *asked, "out=refused", cwd=tmp_path, status=1)
    refused = rows_of(tmp_path / "refused/predictions.csv")
    assert [(row["status"], row["prediction"]) for row in refused] == [("outside", "")] * 3
    run_here("predict", *asked, "out=results", "force=true", cwd=tmp_path)
    predictions = rows_of(tmp_path / "results/predictions.csv")
    assert [row["scan"] for row in predictions] == ["sub-01_T1w", "sub-02_T1w", "sub-03_T1w"]
    for row, path in zip(predictions, scans, strict=True):
        assert "unlike the training scans: " in row["warnings"]
        heatmap, scan = nib.load(tmp_path / f"results/heatmaps/{row['scan']}_heatmap.nii.gz"), nib.load(path)
        assert heatmap.shape == scan.shape
        np.testing.assert_allclose(heatmap.affine, scan.affine, atol=1e-5)


@pytest.mark.slow
def test_sex_is_told_on_ixi_by_the_default_model_at_one_half(tmp_path):
    _, folder = table_run(tmp_path, "subjects.csv", "evaluation=kfold")
    metrics = json.loads((folder / "metrics.json").read_text())
    assert np.mean([fold["scores"]["auc"] for fold in metrics["folds"]]) >= 0.95
    assert metrics["test"]["balanced_accuracy"]["value"] >= 0.90


@pytest.mark.slow
def test_age_is_predicted_on_ixi_by_ridge():
    study = Study.from_table(
        "subjects.csv", root=IXI, label="age", scan="T1/{id}_T1.nii.gz", task="regression", resolution=50
    )
    study.volumes.fill()
    results = evaluate(study, models.Ridge(), KFold(folds=5))
    of_the_mean = np.abs(study.targets - study.targets.mean()).mean()
    assert of_the_mean > 12
    assert results.scores["mae"].value <= 9.4, "over draws of the folds 8.4 years, from 7.6 to 9.2"
    assert results.scores["error_slope"].value < 0, "predictions shrink towards the mean"
    corrected = evaluate(study, models.Ridge(debias=True), KFold(folds=5))
    assert abs(corrected.scores["error_slope"].value) < abs(corrected.scores["error_slope_raw"].value)
    np.testing.assert_allclose(corrected.raw, results.predicted)
    image = results.model.explain(study.cohort.scans[0])
    scan = nib.load(study.cohort.scans[0])
    assert image.shape == scan.shape
    np.testing.assert_allclose(image.affine, scan.affine, atol=1e-4)
    assert np.abs(image.dataobj).max() <= 1 + 1e-6
