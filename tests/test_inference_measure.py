"""Prediction of a measure: values, their spread, and the line that corrects them."""

import nibabel as nib
import numpy as np
import pytest
import torch

from mri3d.inference import predict_scans
from mri3d.nets.sfcn import SFCN
from mri3d.outcome import Line
from mri3d.scans.scan import read_scan
from mri3d.volumes.recipe import Recipe
from tests.test_inference import AGE, head, rows_of, write_network


@pytest.fixture(scope="module")
def ages(tmp_path_factory):
    """Write a run of two folds whose networks differ."""
    run = tmp_path_factory.mktemp("ages")
    for k in range(2):
        write_network(run / "model" / f"fold_{k}", outcome=AGE, seed=k, fold=k, num_folds=2)
    return run


def network_output(path, seed):
    torch.manual_seed(seed)
    network = SFCN((16, 16, 16), 1, channels=[2, 2]).eval()
    with torch.no_grad():
        return network(torch.from_numpy(Recipe(resolution=16).volume(read_scan(path)))[None]).item()


def test_a_measure_is_predicted_as_a_value_with_the_spread_of_the_models(ages, tmp_path):
    good, bad = head(tmp_path / "good.nii"), tmp_path / "bad.nii"
    bad.write_bytes(b"text")
    assert predict_scans(ages, [str(bad), str(good)], tmp_path / "out") == 1
    rows = rows_of(tmp_path / "out")
    assert list(rows["good"]) == ["scan", "prediction", "status", "warnings", "spread"]
    expected = [50 + 15 * network_output(good, seed) for seed in range(2)]
    assert abs(expected[0] - expected[1]) > 0.1
    assert float(rows["good"]["prediction"]) == pytest.approx(np.mean(expected), rel=1e-6)
    assert float(rows["good"]["spread"]) == pytest.approx(np.std(expected), rel=1e-4)
    assert rows["good"]["status"] == "ok"
    assert (rows["bad"]["prediction"], rows["bad"]["spread"], rows["bad"]["status"]) == ("", "", "failed")
    assert "not a NIfTI file" in rows["bad"]["warnings"]
    image = nib.load(tmp_path / "out/heatmaps/good_heatmap.nii.gz")
    assert image.shape == (20, 24, 22)
    assert np.abs(image.dataobj).max() <= 1 + 1e-6
    assert "raises age" in (tmp_path / "out/report.html").read_text()


def test_one_model_of_a_measure_has_no_spread_and_corrects_by_its_line(tmp_path):
    path = head(tmp_path / "a.nii")
    plain = write_network(tmp_path / "plain", outcome=AGE)
    corrected = write_network(tmp_path / "corrected", outcome=AGE, line=Line(intercept=30.0, slope=0.4))
    values = []
    for model in (plain, corrected):
        assert predict_scans(model, str(path), tmp_path / "out") == 0
        row = rows_of(tmp_path / "out")["a"]
        assert list(row) == ["scan", "prediction", "status", "warnings"]
        values.append(float(row["prediction"]))
    assert values[1] == pytest.approx((values[0] - 30) / 0.4, rel=1e-6)
