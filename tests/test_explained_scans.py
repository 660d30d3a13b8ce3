"""`mri3d explain`: maps of scans by several ways, by region and over all of them, in a folder of their own."""

import csv
import json

import nibabel as nib
import numpy as np
import pytest

from mri3d.cli.explain import Schema, explain
from mri3d.errors import UserError
from mri3d.explain.evidence import Method
from mri3d.explain.trust import NO_BETTER_THAN_CHANCE
from mri3d.explained_scans import explain_scans
from mri3d.inference import predict_scans
from mri3d.models.loading import load
from mri3d.outcome import HeldOut
from tests.scans.phantom import write_scan
from tests.test_inference import head, write_network


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("model"))


@pytest.fixture
def scans(tmp_path):
    """Four scans, and labels beside each: its left half is 1, its right half 2."""
    for name in "abcd":
        path = head(tmp_path / f"scans/{name}.nii")
        halves = np.ones((20, 24, 22), np.uint8)
        halves[10:] = 2
        write_scan(path.with_name(f"{name}_dseg.nii.gz"), halves, np.diag([9.0, 8.0, 9.0, 1.0]))
    (tmp_path / "scans/a_dseg.tsv").write_text("index\tname\n1\tleft\n2\tright\n")
    return tmp_path / "scans"


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_maps_of_several_ways_by_region_and_over_all(model, scans, tmp_path):
    out = tmp_path / "out"
    ways = ["integrated_gradients", "hirescam", "region_occlusion"]
    assert explain_scans(model, [str(scans)], out, methods=ways, target="b", regions="{id}_dseg.nii.gz") == 0
    for way in ways:
        assert sorted(path.name for path in (out / way).glob("*.nii.gz")) == [f"{n}_heatmap.nii.gz" for n in "abcd"]
        told = json.loads((out / way / "a_heatmap.json").read_text())
        assert (told["scan"], told["method"], told["positive"]) == ("a", way, "for b")
    image = nib.load(out / "integrated_gradients/a_heatmap.nii.gz")
    exact = load(model).explain(scans / "a.nii", "b")
    np.testing.assert_allclose(image.get_fdata(), exact.get_fdata(), atol=2e-4)
    assert not list(out.glob("*/*_spread.nii.gz")), "one model has no spread"
    rows = rows_of(out / "regions.csv")
    assert len(rows) == 4 * 3 * 2
    of_a = [row for row in rows if (row["scan"], row["method"]) == ("a", "integrated_gradients")]
    assert [row["name"] for row in of_a] == ["left", "right"]
    assert sum(float(row["share"]) for row in of_a) == pytest.approx(1.0)
    group = {path.name for path in (out / "group").iterdir()}
    assert {"integrated_gradients_for_b_mean.nii.gz", "hirescam_for_b_p_fwe.nii.gz"} <= group
    assert "the least that can be is 0.12)" in (out / "report.html").read_text()


def test_one_bad_scan_does_not_stop_the_others(model, scans, tmp_path):
    (scans / "c.nii").write_bytes(b"no scan")
    (scans / "d_dseg.nii.gz").unlink()
    write_scan(scans / "b_dseg.nii.gz", np.arange(20 * 24 * 21).reshape(20, 24, 21).astype(np.uint8) % 3)
    assert explain_scans(model, [f"{scans}/?.nii"], tmp_path / "out", regions="{id}_dseg.nii.gz") == 1
    page = (tmp_path / "out/report.html").read_text()
    assert "b_dseg.nii.gz is not on the grid of" in page
    assert "c: " in page
    assert "d: " in page
    assert {row["scan"] for row in rows_of(tmp_path / "out/regions.csv")} == {"a"}


def test_a_folder_of_somebody_else_is_left_alone(model, scans, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("mine")
    with pytest.raises(UserError, match="holds files that are of no earlier call"):
        explain_scans(model, [str(scans / "a.nii")], tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"method": "grad_cam"}, "method='grad_cam' is none of this model's. Did you mean 'gradcam'?"),
        ({"method": "region_occlusion"}, "region_occlusion needs regions"),
        ({"layer": "blocks.1"}, "layer='blocks.1' is for gradcam and hirescam only"),
        ({"method": "gradcam", "layer": "block.1"}, "layer='block.1' is no layer of the network SFCN"),
        ({"target": "c", "force": 3}, "force=3 is neither true nor false"),
        ({"regions": "nowhere.nii"}, "nowhere.nii does not exist"),
        ({"target": "c"}, "target='c' is no class of this model"),
        ({"space": "mni"}, "the model knows nothing of where brains lie"),
    ],
)
def test_a_mistake_is_told_before_anything_is_written(model, scans, tmp_path, options, told):
    given = vars(Schema()) | {"model": str(model), "scans": str(scans / "a.nii"), "out": str(tmp_path / "out")}
    with pytest.raises(UserError) as raised:
        explain(given | options)
    assert told in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_what_was_found_of_the_first_model_alone_is_told_so(scans, tmp_path):
    """Of a run of several folds, the first model's maps were examined."""
    verdict = {"maps": {"method": "integrated_gradients", "trusted": False, "reason": "They look alike."}}
    for fold in range(2):
        facts = verdict if fold == 0 else {}
        write_network(tmp_path / f"model/fold_{fold}", seed=fold, fold=fold, num_folds=2, facts=facts)
    of_first = " That was found of the first of 2 models, whose mean map this is."
    for model, whose in (("model", of_first), ("model/fold_0", "")):
        out = tmp_path / f"out{len(whose)}"
        assert explain_scans(tmp_path / model, [str(scans / "a.nii")], out, methods=["integrated_gradients"]) == 0
        told = json.loads((out / "integrated_gradients/a_heatmap.json").read_text())
        assert (told["trusted"], told["trusted_reason"]) == (False, f"They look alike.{whose}")
        assert f"do not trust it: They look alike.{whose}" in (out / "report.html").read_text()


def test_a_layer_whose_name_has_slashes_has_one_folder(model, scans, tmp_path, monkeypatch):
    """As modules of a user's own may have."""
    trained, heatmap = type(load(model)), type(load(model)).heatmap

    def of_usual_layer(self, found, target, **more):
        return heatmap(self, found, target, **more | {"method": Method("hirescam")})

    monkeypatch.setattr(trained, "method", lambda self, name, layer=None: Method("hirescam", "left/right"))
    monkeypatch.setattr(trained, "heatmap", of_usual_layer)
    assert explain_scans(model, [f"{scans}/?.nii"], tmp_path / "out", methods=["hirescam"], target="b") == 0
    folders = sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_dir())
    assert folders == ["group", "hirescam_left%2Fright"]
    assert (tmp_path / "out/group/hirescam_left%2Fright_for_b_mean.nii.gz").is_file()


@pytest.mark.parametrize("found", [{"method": "integrated_gradients", "trusted": True, "reason": "It follows."}, {}])
@pytest.mark.parametrize("right", [True, False])
def test_explain_and_predict_say_the_same_of_whether_to_trust_a_map(scans, tmp_path, right, found):
    """Of a model that predicts no better than chance, neither says that its maps can be trusted."""
    targets = np.arange(40) % 2
    sure = np.where(targets == 1, 0.8, 0.2) if right else np.where(np.arange(40) % 4 < 2, 0.8, 0.2)
    tested = HeldOut.of(targets, np.c_[1 - sure, sure])
    write_network(tmp_path / "model", tested=tested, facts={"maps": found} if found else {})
    way, scan = "integrated_gradients", str(scans / "a.nii")
    assert explain_scans(tmp_path / "model", [scan], tmp_path / "explained", methods=[way, "smoothgrad"]) == 0
    predict_scans(tmp_path / "model", scan, tmp_path / "predicted", heatmap=way)
    explained = json.loads((tmp_path / f"explained/{way}/a_heatmap.json").read_text())
    predicted = json.loads((tmp_path / "predicted/heatmaps/a_heatmap.json").read_text())
    told = (True, "It follows.") if right and found else (None, None) if right else (False, NO_BETTER_THAN_CHANCE)
    for sidecar in (explained, predicted):
        assert (sidecar["trusted"], sidecar.get("trusted_reason")) == told
    page = (tmp_path / "explained/report.html").read_text()
    assert page.count(f"(do not trust it: {NO_BETTER_THAN_CHANCE})") == (0 if right else 2)
    assert page.count("(whether it can be trusted was not examined)") == (right + (right and not found))


def test_how_far_the_models_of_the_folds_differ_is_written(scans, tmp_path):
    for fold in range(2):
        write_network(tmp_path / f"model/fold_{fold}", seed=fold, fold=fold, num_folds=2)
    assert explain_scans(tmp_path / "model", [str(scans / "a.nii")], tmp_path / "out", target="b") == 0
    folder = tmp_path / "out/integrated_gradients"
    told = json.loads((folder / "a_heatmap.json").read_text())
    spread = told["scale"] * nib.load(folder / "a_spread.nii.gz").get_fdata()
    one, other = (load(tmp_path / f"model/fold_{fold}") for fold in range(2))
    found = [each.predict_scan("a", scans / "a.nii") for each in (one, other)]
    maps = [each.heatmap(of_scan, "b").evidence.values for each, of_scan in zip((one, other), found, strict=True)]
    exact = one.require_recipe().to_scan(np.abs(maps[0] - maps[1]) / np.sqrt(2), found[0].scan)
    np.testing.assert_allclose(spread, exact, atol=1e-5 * exact.max())
