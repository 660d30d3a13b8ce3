"""`mri3d layers` through its real command line, on folds of the network with large kernels."""

import csv
import json

import nibabel as nib
import numpy as np
import pytest

from tests.commands import run_here, undrawn
from tests.report.reader import read

SMALL = ("data.demo.num_subjects=12", "resolution=24", "trainer.max_epochs=1", "trainer.accelerator=cpu")


@pytest.mark.slow
def test_layers_of_trained_folds_lie_over_the_head(tmp_path):
    kfold = ("evaluation=kfold", "evaluation.folds=2", "evaluation.validation=0.2", "name=seed")
    network = ("model=seed", "model.network.dense=[8]", "model.network.pooling=[3,2,1,1,1]")
    with undrawn():
        run_here("train", *network, *SMALL, *kfold, cwd=tmp_path)
    (run,) = tmp_path.glob("runs/seed/*")
    with (run / "cohort.csv").open(newline="") as file:
        scans = [row["scan"] for row in csv.DictReader(file)][:2]
    listed = run_here("mri3d", "layers", f"model={run}", cwd=tmp_path).stdout
    assert "first convolution: stages.0.0, 8 kernels of 8 x 8 x 8 voxels\nof the model of fold 0 of 2" in listed
    (tmp_path / "no scan.nii").write_bytes(b"no scan")
    given = f"scans=[{','.join(scans)},no scan.nii]"
    done = run_here("mri3d", "layers", f"model={run}", given, "layers=stages.0.1", cwd=tmp_path, status=1)
    assert done.stdout.endswith("maps   layers\nreport layers/report.html\n")
    kernels = nib.load(tmp_path / "layers/kernels.nii.gz")
    assert kernels.shape == (8, 8, 8, 8)
    paths = sorted((tmp_path / "layers/stages.0.1").glob("*_features.nii.gz"))
    assert len(paths) == 2
    for path in paths:
        features = nib.load(path)
        assert features.shape == (24, 24, 24, 8)
        (scan,) = [nib.load(each) for each in scans if path.name.partition("_features")[0] in each]
        head = np.argwhere(np.asarray(scan.dataobj) > 0)
        lowest, highest = (nib.affines.apply_affine(scan.affine, ends) for ends in (head.min(0), head.max(0)))
        cells = nib.affines.apply_affine(features.affine, [[0, 0, 0], [23, 23, 23]])
        np.testing.assert_allclose(cells.mean(axis=0), (lowest + highest) / 2, atol=12)
        told = json.loads(path.with_name(path.name.replace(".nii.gz", ".json")).read_text())
        assert sorted(told["channels"]) == list(range(8))
    page = read(tmp_path / "layers/report.html")
    assert len(page.images) == 1 + 2
    assert any(text.startswith("no scan: ") for text in page.texts)
