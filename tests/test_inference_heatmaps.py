"""Heatmaps of predicted scans: which kinds there are, and what each is said to be."""

import pytest

from mri3d.cli.help import PREDICT
from mri3d.cli.predict import Schema
from mri3d.errors import UserError
from mri3d.inference import HEATMAPS, predict_scans
from mri3d.models.classical.models import LinearSVM
from mri3d.models.network.cnn import CNN
from mri3d.nets.sfcn import SFCN
from tests.test_inference import CLASSES, head, rows_of, write_network


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("model"))


def test_heatmap_of_an_unknown_kind_is_named(model, tmp_path):
    said = r"^heatmap='lime' is unknown\. Give one of integrated_gradients, gradcam, none"
    with pytest.raises(UserError, match=said) as raised:
        predict_scans(model, str(head(tmp_path / "a.nii")), tmp_path / "out", heatmap="lime")
    assert raised.value.on_command_line().startswith("heatmap=lime is unknown")


@pytest.mark.parametrize(
    ("mask", "told"),
    [
        ("{id}_mask.nii", "is for models of brains alone, which this one is not"),
        (True, "is no path. Give one such as {id}_mask.nii.gz"),
    ],
)
def test_masks_are_for_models_of_brains(model, tmp_path, mask, told):
    with pytest.raises(UserError) as raised:
        predict_scans(model, str(head(tmp_path / "a.nii")), tmp_path / "out", mask=mask)
    assert told in str(raised.value)


def test_folds_share_the_heatmap(tmp_path):
    folders = [write_network(tmp_path / "run" / "model" / f"fold_{k}", fold=k, num_folds=2) for k in range(2)]
    assert len(folders) == 2
    scan = str(head(tmp_path / "a.nii"))
    maps = []
    for model in (tmp_path / "run", folders[0]):
        out = tmp_path / f"out{len(maps)}"
        assert predict_scans(model, scan, out) == 0
        maps.append((out / "heatmaps" / "a_heatmap.nii.gz").read_bytes())
    assert maps[0] == maps[1], "two folds that are the same have the map of either"


def test_a_heatmap_that_cannot_be_made_costs_no_prediction(model, tmp_path, monkeypatch):
    monkeypatch.setattr(SFCN, "cam_layer", property(lambda network: network.head))  # its output is no map
    scans = [str(head(tmp_path / name)) for name in ("a.nii", "b.nii")]
    out = tmp_path / "out"
    assert predict_scans(model, scans, out, heatmap="gradcam") == 0
    rows = rows_of(out)
    assert list(rows) == ["a", "b"]
    for row in rows.values():
        assert float(row["p_a"]) + float(row["p_b"]) == pytest.approx(1)
        assert "the heatmap could not be computed: the cells of the network SFCN's cam_layer cannot" in row["warnings"]
    assert "could not be computed" in (out / "report.html").read_text()
    assert not (out / "heatmaps").exists()


@pytest.mark.parametrize("heatmap", ["integrated_gradients", "gradcam"])
def test_report_says_of_which_kind_the_heatmaps_are(model, tmp_path, heatmap):
    predict_scans(model, str(head(tmp_path / "a.nii")), tmp_path / "out", heatmap=heatmap)
    facts = (tmp_path / "out" / "report.html").read_text().partition("How to read")[0]
    assert ("integrated gradients" in facts) == (heatmap == "integrated_gradients")
    assert ("gradcam" in facts) == (heatmap == "gradcam")


def test_each_kind_of_heatmap_gives_its_own_map(model, tmp_path):
    scan, maps = str(head(tmp_path / "a.nii")), []
    for heatmap in ("integrated_gradients", "gradcam"):
        predict_scans(model, scan, tmp_path / heatmap, heatmap=heatmap)
        maps.append((tmp_path / heatmap / "heatmaps" / "a_heatmap.nii.gz").read_bytes())
    assert maps[0] != maps[1]


def test_one_heatmap_is_the_default_everywhere():
    assert Schema().heatmap == HEATMAPS[0]  # the command line is read before torch is imported
    for model in (CNN(), LinearSVM()):
        model.network_, model.outcome_ = SFCN((16, 16, 16), 1, channels=[2, 2]), CLASSES
        assert model.heatmaps[0] == HEATMAPS[0]


def test_what_is_known_of_grad_cam_is_said_where_it_is_chosen(model, tmp_path, caplog):
    scan = str(head(tmp_path / "a.nii"))
    predict_scans(model, scan, tmp_path / "out", heatmap="gradcam")
    for text in (caplog.text, (tmp_path / "out/report.html").read_text(), PREDICT):
        assert "can lie" in " ".join(text.split())
        assert "brighter regions" in " ".join(text.split())
    caplog.clear()
    predict_scans(model, scan, tmp_path / "other")
    assert "Grad-CAM" not in caplog.text
