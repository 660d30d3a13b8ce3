"""Model folders that the previous version wrote (format 1) load, and predict what that version predicted."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import mri3d
from mri3d.inference import predict_scans
from mri3d.outcome import Classes
from mri3d.volumes.recipe import Recipe

FOLDERS = Path(__file__).parent / "models_of_format_1"
SHAPE, SPACING_MM = (20, 22, 24), (9.0, 9.0, 8.0)

PROBABILITIES = {"network": (0.617189603, 0.382810397), "linear_svm": (0.749999911, 0.250000089)}
PROBABILITIES |= {"rbf_svm": (0.582225586, 0.417774414)}
"""Of the classes -1 and 1, as the version that wrote the folders predicted for `scan`."""

PEAKS = {"network": ((14, 13, 5), 0.76275194), "linear_svm": ((3, 19, 5), 0.99956113)}
"""Voxel and value of the strongest evidence in that version's heatmaps."""

LINEAR_SVM_SPREAD = 0.25


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """Write the head that the previous version was given."""
    x, y, z = np.indices(SHAPE)
    inside = ((x - 10) / 8) ** 2 + ((y - 11) / 9) ** 2 + ((z - 12) / 10) ** 2 < 1
    intensities = 100 + 20 * np.sin(x) + 15 * np.cos(y / 2) + 10 * np.sin(z / 3)
    path = tmp_path_factory.mktemp("scan") / "head.nii"
    nib.save(nib.Nifti1Image(np.where(inside, intensities, 0).astype(np.float32), np.diag([*SPACING_MM, 1.0])), path)
    return path


@pytest.mark.parametrize("name", PROBABILITIES)
def test_predictions_are_those_of_the_version_that_wrote_it(name, scan):
    for card in (FOLDERS / name).rglob("card.json"):
        assert json.loads(card.read_text())["format"] == 1
    model = mri3d.load(FOLDERS / name)
    assert model.outcome == Classes(("-1", "1"))
    assert isinstance(model.recipe, Recipe)
    assert model.suffix is None
    assert len(model.members) == {"linear_svm": 2}.get(name, 1)
    (row,) = model.predict(scan).to_dict("records")
    assert (row["p_-1"], row["p_1"]) == pytest.approx(PROBABILITIES[name], abs=1e-6)
    assert row["prediction"] == "-1"
    assert row["warnings"].startswith("unlike every training scan: correlation 0.8")
    assert row["status"] == "unusual"
    if name == "linear_svm":
        assert row["spread"] == pytest.approx(LINEAR_SVM_SPREAD, abs=1e-6)


@pytest.mark.parametrize("name", PEAKS)
def test_heatmaps_are_those_of_the_version_that_wrote_it(name, scan):
    model = mri3d.load(FOLDERS / name)
    image = model.explain(scan)
    heat = np.asarray(image.dataobj)
    where, value = PEAKS[name]
    assert np.unravel_index(heat.argmax(), heat.shape) == where
    found = model.predict_scan("head", scan)
    speaks_for = model.heatmap(found).evidence.values.clip(min=0)  # that version left out what speaks against
    heat = model.recipe.to_scan(speaks_for / speaks_for.max(), found.scan)
    assert np.unravel_index(heat.argmax(), heat.shape) == where
    assert heat.max() == pytest.approx(value, abs=1e-5)
    np.testing.assert_allclose(image.affine, np.diag([*SPACING_MM, 1.0]))


def test_a_model_without_heatmaps_says_so(scan):
    with pytest.raises(mri3d.UserError, match="models of this kind have no heatmaps"):
        mri3d.load(FOLDERS / "rbf_svm").explain(scan)


@pytest.mark.parametrize("name", PROBABILITIES)
def test_saved_again_it_is_of_the_newest_format_and_predicts_the_same(name, scan, tmp_path):
    model = mri3d.load(FOLDERS / name)
    model.save(tmp_path / "new")
    cards = [json.loads(path.read_text()) for path in sorted((tmp_path / "new").rglob("card.json"))]
    assert [card["format"] for card in cards] == [2] * len(model.members)
    assert [card["fold"] for card in cards] == list(range(len(model.members)))
    again = mri3d.load(tmp_path / "new").predict(scan)
    assert again.to_dict() == model.predict(scan).to_dict()


def test_one_fold_of_a_run_predicts_alone(scan):
    rows = [mri3d.load(FOLDERS / f"linear_svm/fold_{k}").predict(scan).to_dict("records")[0] for k in range(2)]
    assert "spread" not in rows[0]
    assert np.mean([row["p_1"] for row in rows]) == pytest.approx(PROBABILITIES["linear_svm"][1], abs=1e-6)
    assert np.std([row["p_1"] for row in rows]) == pytest.approx(LINEAR_SVM_SPREAD, abs=1e-6)


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ({"prevalence": 0.1}, "record of how frequent its classes were"),
        ({"threshold": "balanced"}, "record of how frequent its classes were"),
        ({"threshold": {"sensitivity": 0.9}}, "predictions of scans that training held out"),
        ({"coverage": 0.9}, "predictions of its tested scans"),
    ],
)
def test_options_that_need_what_it_did_not_keep_are_refused_by_name(asked, kept, scan):
    for name in PROBABILITIES:
        with pytest.raises(mri3d.UserError, match=rf"written by mri3d 0\.1\.0, which kept no {kept}. Train it again"):
            mri3d.load(FOLDERS / name).predict(scan, **asked)


@pytest.mark.parametrize("name", PROBABILITIES)
def test_a_threshold_by_number_needs_nothing_of_it(name, scan):
    model = mri3d.load(FOLDERS / name)
    (row,), (as_it_was,) = (model.predict(scan, **a).to_dict("records") for a in ({"threshold": 0.2}, {}))
    assert row.pop("prediction") == "1"
    assert as_it_was.pop("prediction") == "-1"
    assert row.pop("spread", 0.0) == pytest.approx(as_it_was.pop("spread", 0.0), rel=1e-12)  # sums round either way
    assert row == as_it_was


@pytest.mark.parametrize("name", PROBABILITIES)
def test_the_command_reads_it_too(name, scan, tmp_path):
    assert predict_scans(FOLDERS / name, str(scan), tmp_path) == 0
    header = "scan,prediction,p_-1,p_1,status,warnings" + ",spread" * (name == "linear_svm")
    assert (tmp_path / "predictions.csv").read_text().splitlines()[0] == header
    assert (tmp_path / "heatmaps/head_heatmap.nii.gz").exists() == (name in PEAKS)
