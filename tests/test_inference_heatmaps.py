"""Heatmaps of predicted scans: which kinds there are, what each is said to be, and what is written of it."""

import json
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
import torch

from mri3d.cli.help import PREDICT
from mri3d.cli.predict import Schema, predict
from mri3d.errors import UserError
from mri3d.explain import contrasted
from mri3d.inference import HEATMAPS, predict_scans
from mri3d.models.classical.models import LinearSVM
from mri3d.models.heatmap import STEP
from mri3d.models.loading import load
from mri3d.models.network.cnn import CNN
from mri3d.nets.sfcn import SFCN
from mri3d.volumes.recipe import Recipe
from mri3d.volumes.sequence import InMemory
from tests.models.planted import fitted, planted_arrays, training_of
from tests.test_format_1 import FOLDERS
from tests.test_inference import AGE, CLASSES, head, rows_of, write_network


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("model"))


def sidecar_of(out, name="a"):
    return json.loads((out / f"heatmaps/{name}_heatmap.json").read_text())


def image_of(out, name="a"):
    return nib.load(out / f"heatmaps/{name}_heatmap.nii.gz")


@pytest.mark.parametrize(
    ("heatmap", "meant"),
    [("lime", ""), ("grad_cam", " Did you mean 'gradcam'?"), ("region_occlusion", " Did you mean 'occlusion'?")],
)
def test_heatmap_of_an_unknown_kind_is_named(model, tmp_path, heatmap, meant):
    kinds = "integrated_gradients, smoothgrad, gradcam, hirescam, guided_backprop, occlusion, weights, pattern, none"
    with pytest.raises(UserError) as raised:
        predict_scans(model, str(head(tmp_path / "a.nii")), tmp_path / "out", heatmap=heatmap)
    assert str(raised.value) == f"heatmap={heatmap!r} is unknown.{meant} Give one of {kinds}."
    assert raised.value.on_command_line().startswith(f"heatmap={heatmap} is unknown")


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
        assert (
            "the heatmap could not be computed: the cells of the layer head of the network SFCN cannot"
            in row["warnings"]
        )
    assert "could not be computed" in (out / "report.html").read_text()
    assert not (out / "heatmaps").exists()


@pytest.mark.parametrize("heatmap", ["integrated_gradients", "gradcam", "smoothgrad"])
def test_report_says_of_which_kind_the_heatmaps_are(model, tmp_path, heatmap):
    predict_scans(model, str(head(tmp_path / "a.nii")), tmp_path / "out", heatmap=heatmap)
    facts = (tmp_path / "out" / "report.html").read_text().partition("How to read")[0]
    assert ("integrated gradients" in facts) == (heatmap == "integrated_gradients")
    assert ("Grad-CAM" in facts) == (heatmap == "gradcam")
    assert ("SmoothGrad" in facts) == (heatmap == "smoothgrad")


def test_each_kind_of_heatmap_gives_its_own_map(model, tmp_path):
    scan, maps = str(head(tmp_path / "a.nii")), []
    for heatmap in ("integrated_gradients", "smoothgrad", "gradcam", "occlusion"):
        predict_scans(model, scan, tmp_path / heatmap, heatmap=heatmap)
        assert sidecar_of(tmp_path / heatmap)["method"] == heatmap
        maps.append(np.asarray(image_of(tmp_path / heatmap).dataobj).tobytes())
    assert len(set(maps)) == len(maps)


def test_one_heatmap_is_the_default_everywhere():
    assert Schema().heatmap == HEATMAPS[0]  # the command line is read before torch is imported
    network, targets = CNN(), np.arange(30) % 2
    network.network_, network.outcome_ = SFCN((16, 16, 16), 1, channels=[2, 2]), CLASSES
    training = training_of((InMemory(planted_arrays(targets, seed=5)[:, None]), targets), train_rows=np.arange(30))
    for model in (network, fitted(LinearSVM(C=1.0, num_components=5, inner_folds=2), training)):
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


def test_what_a_heatmap_shows_is_written_beside_it(model, tmp_path):
    assert predict_scans(model, str(head(tmp_path / "a.nii")), tmp_path / "out") == 0
    chosen = rows_of(tmp_path / "out")["a"]["prediction"]
    told = sidecar_of(tmp_path / "out")
    assert told.pop("trusted", None) is None
    assert told.pop("scale") > 0
    assert told.pop("num_steps") in (8, 16, 32, 64)
    assert told.pop("change") != 0
    assert 0 <= told.pop("completeness_error") < 0.2
    assert told == {
        "method": "integrated_gradients",
        "value": "what the voxel's difference from typical training scans adds",
        "positive": f"for {chosen}",
        "negative": f"against {chosen}",
        "unit": f"log odds of {chosen}",
        "adds_up": True,
        "num_models": 1,
    }
    description = image_of(tmp_path / "out").header["descrip"].item().decode()
    assert description == f"integrated gradients: positive for {chosen}"


def test_heatmaps_of_a_measure_are_in_its_unit(tmp_path):
    folder = write_network(tmp_path / "model", outcome=AGE)
    predict_scans(folder, str(head(tmp_path / "a.nii")), tmp_path / "out", heatmap="smoothgrad")
    told = sidecar_of(tmp_path / "out")
    assert (told["positive"], told["negative"]) == ("raises age", "lowers age")
    assert told["unit"] == "the unit of age per unit of intensity of the preprocessed volume"
    assert (told["adds_up"], told["num_samples"]) == (False, 25)


def on_its_own_grid(model, folder):
    """Write a model again, for scans whose voxels are those of the volumes."""
    recipe = Recipe("native", orientation="stored", crop="none", intensity="none", shape=(16, 16, 16))
    trained = load(model)
    (member,) = trained.members
    replace(trained, members=(replace(member, card=replace(member.card, recipe=recipe)),)).save(folder)
    return member.model.network_


@pytest.mark.parametrize("outcome", [CLASSES, AGE])
def test_values_times_the_scale_add_up_to_the_change_of_the_number(tmp_path, monkeypatch, outcome):
    monkeypatch.setattr(contrasted, "SMOOTHING", 0)
    network = on_its_own_grid(write_network(tmp_path / "first", outcome=outcome), tmp_path / "model")
    values = np.random.default_rng(3).normal(1, 2, (16, 16, 16)).astype(np.float32)
    nib.save(nib.Nifti1Image(values, np.eye(4)), tmp_path / "a.nii")
    assert predict_scans(tmp_path / "model", str(tmp_path / "a.nii"), tmp_path / "out", force=True) == 0
    row, told, heat = (
        rows_of(tmp_path / "out")["a"],
        sidecar_of(tmp_path / "out"),
        image_of(tmp_path / "out").get_fdata(),
    )
    with torch.no_grad():
        output, average = network(torch.from_numpy(np.stack([values, 0 * values])[:, None])).ravel().tolist()
    sign = 1 if row["prediction"] == "b" else -1
    change = 15 * (output - average) if outcome is AGE else sign * (output - average)
    assert told["change"] == pytest.approx(change, rel=1e-4)
    assert np.abs(heat).max() == pytest.approx(1, abs=1e-6)
    missed = abs(heat.sum() * told["scale"] - change)
    rounding = 3 * told["scale"] * STEP * (4096 / 12) ** 0.5
    assert missed == pytest.approx(told["completeness_error"] * abs(change), abs=rounding + 1e-5 * abs(change))
    assert told["completeness_error"] < 0.1


def test_values_are_stored_as_whole_numbers_of_a_step(model, tmp_path):
    scan = head(tmp_path / "a.nii")
    predict_scans(model, str(scan), tmp_path / "out")
    image, exact = image_of(tmp_path / "out"), np.asarray(load(model).explain(scan).dataobj)
    assert image.get_data_dtype() == np.int16
    assert (image.dataobj.slope, image.dataobj.inter) == (pytest.approx(STEP, rel=1e-6), 0.0)
    assert np.abs(image.get_fdata() - exact).max() <= STEP / 2 + 1e-7
    assert len(np.unique(np.asarray(image.dataobj.get_unscaled()))) > 1000
    assert exact.dtype == np.float32


@pytest.mark.parametrize("heatmap", ["gradcam", "hirescam"])
def test_a_layer_is_chosen_by_its_name(model, tmp_path, heatmap):
    scan, maps, trained = head(tmp_path / "a.nii"), [], load(model)
    for layer in (None, "blocks.0.0", "blocks.1"):
        out = tmp_path / "out"  # the same: a result of another layer is not kept
        predict_scans(model, str(scan), out, heatmap=heatmap, layer=layer)
        assert sidecar_of(out).get("layer") == layer
        maps.append(image_of(out).get_fdata())
        exact = np.asarray(trained.explain(scan, method=heatmap, layer=layer).dataobj)
        np.testing.assert_allclose(maps[-1], exact, atol=STEP / 2 + 1e-7)
    assert not np.allclose(maps[1], maps[2], atol=0.01)
    assert f"{'Grad-CAM' if heatmap == 'gradcam' else 'HiResCAM'} of blocks.1" in (out / "report.html").read_text()


def test_a_layer_is_for_maps_of_layers(model, tmp_path):
    scan = str(head(tmp_path / "a.nii"))
    for heatmap in ("integrated_gradients", "smoothgrad", "none"):
        with pytest.raises(UserError, match=r"^layer='blocks\.1' is for heatmap=gradcam and hirescam only\. Leave it"):
            predict_scans(model, scan, tmp_path / "out", heatmap=heatmap, layer="blocks.1")
    options = {"model": str(model), "scans": scan, "out": str(tmp_path / "out"), "trust": None}
    with pytest.raises(UserError, match=r"^layer='blocks\.1' is for"):
        predict(options | {"heatmap": "integrated_gradients", "layer": "blocks.1"})
    with pytest.raises(UserError, match=r"^layer='blocks\.1' is for gradcam and hirescam only\. Leave it out"):
        load(model).explain(scan, layer="blocks.1")
    assert predict(options | {"heatmap": "gradcam", "layer": "blocks.1"}) == 0
    assert sidecar_of(tmp_path / "out")["layer"] == "blocks.1"


def test_an_unknown_layer_is_refused_before_anything_is_predicted(model, tmp_path):
    scan = str(head(tmp_path / "a.nii"))
    told = r"^layer='blokcs\.1' is no layer of the network SFCN\. Did you mean 'blocks\.1'\?"
    with pytest.raises(UserError, match=told):
        load(model).explain(scan, method="gradcam", layer="blokcs.1")
    with pytest.raises(UserError, match=told):
        predict_scans(model, scan, tmp_path / "out", heatmap="gradcam", layer="blokcs.1")
    assert not (tmp_path / "out").exists()


def test_linear_models_have_weights_and_occlusion_and_no_maps_of_layers(tmp_path, caplog):
    scan, folder = str(head(tmp_path / "a.nii")), FOLDERS / "linear_svm"  # two models, of a version without patterns
    predict_scans(folder, scan, tmp_path / "weights", heatmap="weights", force=True)
    told = sidecar_of(tmp_path / "weights")
    chosen = rows_of(tmp_path / "weights")["a"]["prediction"]
    assert (told["num_models"], told["unit"]) == (
        2,
        f"log odds of {chosen} per unit of intensity of the preprocessed volume",
    )
    predict_scans(folder, scan, tmp_path / "occlusion", heatmap="occlusion", force=True)
    assert sidecar_of(tmp_path / "occlusion")["num_blocks"] > 100
    assert not np.array_equal(image_of(tmp_path / "weights").get_fdata(), image_of(tmp_path / "occlusion").get_fdata())
    for heatmap, title in (("pattern", "pattern"), ("gradcam", "Grad-CAM")):
        caplog.clear()
        assert predict_scans(folder, scan, tmp_path / heatmap, heatmap=heatmap, force=True) == 0
        assert f"no heatmaps: models of this kind have no {title}" in caplog.messages
        assert not (tmp_path / heatmap / "heatmaps").exists()


def test_an_empty_heatmap_is_told(model, tmp_path):
    trained = load(model)
    with torch.no_grad():
        trained.members[0].model.network_.head[-1].weight.zero_()
    trained.save(tmp_path / "model")
    predict_scans(tmp_path / "model", str(head(tmp_path / "a.nii")), tmp_path / "out")
    assert "the heatmap is empty: nothing in the scan speaks for the pr" in rows_of(tmp_path / "out")["a"]["warnings"]
    assert not image_of(tmp_path / "out").get_fdata().any()
    assert sidecar_of(tmp_path / "out")["scale"] == 0
