"""`mri3d layers`: feature maps of scans where they belong in the world, first kernels, and a page."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from mri3d.cli.layers import Schema, layers
from mri3d.errors import UserError
from mri3d.model_folder import Card, write_model
from mri3d.models.loading import load
from mri3d.models.network.cnn import CNN
from mri3d.nets.sfcn import SFCN
from mri3d.outcome import Classes
from mri3d.scans.scan import read_scan
from mri3d.viewed_layers import view_layers
from mri3d.volumes.recipe import Recipe
from mri3d.volumes.reference import Reference
from tests.report.reader import HOSTILE, read
from tests.scans.phantom import oblique_affine, reorder, world_mm, write_scan

SIDES, MARKER = (20, 24, 22), (14, 6, 10)
LINEAR_MODEL = Path(__file__).parent / "models_of_format_1" / "linear_svm"


def write_identity(folder, *, seed=0, **card: object):
    """Write a model whose first layer takes every second voxel: as it is, negative, and halved."""
    torch.manual_seed(seed)
    options = {"channels": [3, 2], "norm": "none"}
    model = CNN()
    model.network_ = SFCN(SIDES, 1, **options).eval()
    first = model.network_.blocks[0][0]
    first.weight.data.zero_()
    first.weight.data[:, 0, 1, 1, 1] = torch.tensor([1.0, -2.0, 0.5]) * (seed + 1)
    first.bias.data.zero_()
    model.outcome_, model.scaling_, model.line_, model.temperature_ = Classes(("a", "b")), None, None, None
    shape = {"volume_shape": list(SIDES), "num_outputs": 1, "batch_size": 1}
    model.arguments_ = {"network": "sfcn", "options": options, **shape}
    recipe = Recipe("native", crop="none", intensity="none", shape=SIDES)
    mean = np.zeros((1, *SIDES), np.float32)
    write_model(folder, model.contents(Card(model.outcome_, recipe, Reference(mean, -1.0, 1.0), **card)))
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_identity(tmp_path_factory.mktemp("model"))


def scan(path, order="RAS", *, seed=0):
    """Write a noisy scan on an oblique, anisotropic grid with one bright voxel; return where that lies in the world."""
    values = np.random.default_rng(seed).integers(10, 90, SIDES).astype(np.uint8)
    values[MARKER] = 250
    stored, affine = reorder(values, oblique_affine(), order)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_scan(path, stored, affine)
    return world_mm(SIDES, oblique_affine())[MARKER]


@pytest.mark.parametrize("order", ["LIA", "PSR"])
def test_a_voxel_comes_back_at_its_place_in_the_world(model, tmp_path, order):
    marker_mm = scan(tmp_path / "a.nii.gz", order)
    assert view_layers(model, [str(tmp_path / "a.nii.gz")], tmp_path / "out", layers=["blocks.0.0"]) == 0
    image = nib.load(tmp_path / "out/blocks.0.0/a_features.nii.gz")
    told = json.loads((tmp_path / "out/blocks.0.0/a_features.json").read_text())
    assert image.shape == (10, 12, 11, 3)
    assert told["channels"] == [1, 0, 2], "from the one that varies most"
    strongest = np.unravel_index(image.get_fdata()[..., 1].argmax(), (10, 12, 11))
    np.testing.assert_allclose(nib.affines.apply_affine(image.affine, strongest), marker_mm, atol=1e-4)
    np.testing.assert_allclose(image.get_qform(), image.affine, atol=1e-4)
    volume = load(model).require_recipe().volume(read_scan(tmp_path / "a.nii.gz"))[0]
    every_second = volume[::2, ::2, ::2].astype(float)
    np.testing.assert_array_equal(image.get_fdata(), np.stack([-2 * every_second, every_second, every_second / 2], -1))
    np.testing.assert_allclose(told["variances"], [4 * every_second.var(), every_second.var(), every_second.var() / 4])


def test_kernels_are_written_as_they_are_and_one_member_is_viewed(tmp_path):
    for fold in range(2):
        write_identity(tmp_path / f"model/fold_{fold}", seed=fold, fold=fold, num_folds=2)
    scan(tmp_path / "a.nii.gz")
    chosen = {"layers": ["blocks.0.0"], "channels": [0]}
    for out, place, factor in (("first", "model", 1.0), ("second", "model/fold_1", 2.0)):
        assert view_layers(tmp_path / place, [str(tmp_path / "a.nii.gz")], tmp_path / out, **chosen) == 0
        kernels = nib.load(tmp_path / out / "kernels.nii.gz")
        expected = np.zeros((3, 3, 3, 3))
        expected[1, 1, 1] = factor * np.array([1.0, -2.0, 0.5])
        np.testing.assert_allclose(kernels.get_fdata(), expected)
        np.testing.assert_array_equal(nib.affines.apply_affine(kernels.affine, [1, 1, 1]), [0, 0, 0])
        page = " ".join(read(tmp_path / out / "report.html").texts)
        assert f"the model of fold {int(factor) - 1} of 2, counted from 0" in page
        features = nib.load(tmp_path / out / "blocks.0.0/a_features.nii.gz").get_fdata()
        assert features.max() == 250 * factor
    told = json.loads((tmp_path / "first/layers.json").read_text())
    assert told["kernels"] == {"layer": "blocks.0.0", "output_and_input": [[0, 0], [1, 0], [2, 0]]}


def test_all_scans_have_the_channels_of_the_first_that_can_be_used_and_one_bad_scan_stops_none(model, tmp_path):
    name = HOSTILE.replace("/", "\N{RIGHT-TO-LEFT MARK}")
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans/a.nii").write_bytes(b"no scan")
    scan(tmp_path / f"scans/{name}.nii")
    scan(tmp_path / "scans/z.nii", seed=1)
    some = {"layers": ["blocks.0.0", "blocks.1.2"], "channels": 2}
    assert view_layers(model, [str(tmp_path / "scans")], tmp_path / "out", **some) == 1
    page = read(tmp_path / "out/report.html")
    assert "script" not in page.tags
    assert any(text.startswith("a: ") for text in page.texts)
    assert len(page.images) == 1 + 2 * 2, "the kernels, and two layers of two scans"
    assert any(name in picture["alt"] for picture in page.images)
    for scan_name in (name, "z"):
        told = json.loads((tmp_path / f"out/blocks.0.0/{scan_name}_features.json").read_text())
        assert told["channels"] == [1, 0]
    assert json.loads((tmp_path / "out/layers.json").read_text())["channels"]["blocks.0.0"] == [1, 0]


def test_a_layer_that_gives_no_finite_numbers_is_told_of_that_scan(tmp_path):
    folder = write_identity(tmp_path / "model")
    scan(tmp_path / "a.nii")
    trained = load(folder)
    network = trained.members[0].model.network_
    network.blocks[0][0].weight.data[0, 0, 1, 1, 1] = 1e38  # the ReLU of the other block takes it away
    network.blocks[1][0].weight.data[:, 0] = -1.0
    network.blocks[1][0].bias.data.zero_()
    write_model(tmp_path / "large", trained.members[0].model.contents(trained.members[0].card))
    assert view_layers(tmp_path / "large", [str(tmp_path / "a.nii")], tmp_path / "out", layers=["blocks.0.0"]) == 1
    told = "a: the layer blocks.0.0 gives no finite numbers for this scan."
    assert told in read(tmp_path / "out/report.html").texts


def given(model, **options: object):
    return vars(Schema()) | {"model": str(model)} | options


def test_without_scans_the_layers_are_listed_and_nothing_is_written(model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert layers(given(model)) == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["layer", "type", "output", "[C,", "X,", "Y,", "Z]", "weights"]
    assert rows[0].split() == ["blocks.0.0", "*", "FFTConv3d", "3", "x", "10", "x", "12", "x", "11", "84"]
    assert rows[-1] == "first convolution: blocks.0.0, 3 kernels of 3 x 3 x 3 voxels"
    assert not list(tmp_path.iterdir())
    assert layers(given(model, out="kernels")) == 0
    assert sorted(path.name for path in Path("kernels").iterdir()) == ["kernels.nii.gz", "layers.json", "report.html"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"layers": "blocks.0.0,block.1"}, "layers='block.1' is no layer of the network SFCN. Did you mean 'blocks.1'"),
        ({"layers": ["head.1"]}, "the cells of the layer head.1 of the network SFCN cannot be placed in the volume"),
        ({"channels": 0}, "channels=0 is no number of channels. Give 1 or more, or a list."),
        ({"channels": True}, "channels=True is neither a number of channels nor a list of them"),
        ({"channels": [0, 3]}, "channels=[3]: the layer blocks.0.0 has 3 channels, counted from 0 to 2."),
        ({"channels": "1,-1"}, "channels='1,-1' is neither a number of channels nor a list of them"),
        ({"channels": []}, "channels=[] is neither a number of channels nor a list of them"),
        ({"space": "mni"}, "the model knows nothing of where brains lie"),
        ({"force": 3}, "force=3 is neither true nor false"),
        ({"model": str(LINEAR_MODEL)}, "holds no network: models of principal components have no layers."),
    ],
)
def test_a_mistake_is_told_before_anything_is_written(model, tmp_path, options, told):
    scan(tmp_path / "a.nii")
    with pytest.raises(UserError) as raised:
        layers(given(model, scans=str(tmp_path / "a.nii"), out=str(tmp_path / "out")) | options)
    assert told in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_a_folder_of_somebody_else_is_left_alone(model, tmp_path):
    scan(tmp_path / "out/a.nii")
    with pytest.raises(UserError, match="holds files that are of no earlier call"):
        view_layers(model, [str(tmp_path / "out/a.nii")], tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.nii"]
