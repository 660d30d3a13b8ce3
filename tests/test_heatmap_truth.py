"""The heatmap that prediction writes, held against where the evidence lies by construction."""

import csv
import functools
import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from scipy.ndimage import distance_transform_edt, gaussian_filter
from sklearn.metrics import roc_auc_score

from mri3d import Study, fit
from mri3d.cohort.demo import DemoStudy, effect_mask_path
from mri3d.explain.evidence import KINDS
from mri3d.inference import predict_scans
from mri3d.model_folder import Card, Contents, write_model
from mri3d.models import CNN
from mri3d.nets.seed import Seed
from mri3d.nets.sfcn import SFCN
from mri3d.outcome import Classes, Measure, Outcome
from mri3d.scans.scan import canonical, read_scan
from mri3d.volumes.recipe import Recipe
from mri3d.volumes.reference import Reference
from tests.scans.phantom import oblique_affine, reorder, world_mm, write_scan

SPACING_MM = np.array([4.0, 3.0, 5.0])
SHAPE = (46, 70, 38)
RADIUS_MM = 20.0
RESOLUTION = 24
ORDERED = ("gradcam", "integrated_gradients")
NOT_ASKED = ("region_occlusion", "weights", "pattern")  # of regions, and of linear models


def phantom(*, inside: float) -> tuple[np.ndarray, np.ndarray]:
    """Draw an ellipsoid of 100 whose texture varies by 10, with a ball left of, before and above its middle.

    Args:
        inside: Factor on the intensities in the ball.

    Returns:
        Intensities and the ball [X, Y, Z], both RAS+ on the grid of `oblique_affine(SPACING_MM)`.
    """
    at_mm = (np.moveaxis(np.indices(SHAPE), 0, -1) - (np.array(SHAPE) - 1) / 2) * SPACING_MM
    head = ((at_mm / (72, 90, 75)) ** 2).sum(axis=-1) < 1
    ball = np.linalg.norm(at_mm - (-34, 38, 30), axis=-1) < RADIUS_MM
    texture = 100 + 10 * np.sin(at_mm / 9).prod(axis=-1)
    return (head * texture * np.where(ball, inside, 1)).astype(np.float32), ball


def network(weights: np.ndarray, *, threshold: float) -> Seed:
    """Build a network whose logit is a weighted sum over cells of 2 x 2 x 2: their maximum above a value.

    Args:
        weights: For each cell [X / 2, Y / 2, Z / 2].
        threshold: That value; a cell whose maximum lies below adds nothing.
    """
    made = Seed((RESOLUTION,) * 3, 1, channels=[1], kernel_size=[3], pooling=[2], dense=[1])
    state = {name: torch.zeros_like(tensor) for name, tensor in made.state_dict().items()}
    conv, hidden, last = (name.removesuffix(".weight") for name in state if name.endswith(".weight"))
    state[f"{conv}.weight"][0, 0, 1, 1, 1] = 1.0
    state[f"{conv}.bias"][:] = -threshold
    state[f"{hidden}.weight"][0] = torch.from_numpy(weights.astype(np.float32)).flatten()
    state[f"{hidden}.bias"][:] = 1e3  # never below zero: the logit stays a sum
    state[f"{last}.weight"][:], state[f"{last}.bias"][:] = 1.0, -1e3
    made.load_state_dict(state)
    return made


def watching(cells: np.ndarray, usual: np.ndarray, *, share: float) -> Seed:
    """Build a network whose output is the brightness of some cells, less a share of what it is in a usual volume.

    Args:
        cells: Which cells count [X / 2, Y / 2, Z / 2].
        usual: A volume [1, X, Y, Z].
        share: Near 1; with 1 the output of the usual volume is 0.
    """
    made = network(cells.astype(float), threshold=-9.0)
    brightness = np.maximum(usual[0] + 9, 0).reshape(12, 2, 12, 2, 12, 2).max(axis=(1, 3, 5))
    with torch.no_grad():
        made.head[-1].bias -= float(brightness[cells].sum() * share)
    return made


def write_run(folder: Path, net: Seed, mean: np.ndarray, outcome: Outcome, **arguments: object) -> Path:
    """Write a model folder as training does."""
    made = {
        "network": "seed",
        "options": {"channels": [1], "kernel_size": [3], "pooling": [2], "dense": [1]},
        "volume_shape": [RESOLUTION] * 3,
        "num_outputs": 1,
        "batch_size": 1,
    }
    tensors = {name: tensor.numpy() for name, tensor in net.state_dict().items()}
    card = Card(outcome, Recipe(resolution=RESOLUTION), Reference(mean, -1.0, 1.0))
    write_model(folder, Contents("cnn", made | arguments, tensors, card))
    return folder


def cells_of(ball: np.ndarray, path: Path) -> np.ndarray:
    """Find out which cells [X / 2, Y / 2, Z / 2] of the volume meet the ball, given RAS+ on the scan's grid."""
    scan, recipe = read_scan(path), Recipe(resolution=RESOLUTION)
    places = world_mm((RESOLUTION,) * 3, recipe.affine(scan))
    nearest = (places - canonical(scan)[1][:3, 3]) @ np.linalg.inv(canonical(scan)[1][:3, :3]).T
    index = np.round(nearest).astype(int)
    valid = ((index >= 0) & (index < SHAPE)).all(axis=-1)
    inside = valid & ball[tuple(np.moveaxis(np.where(valid[..., None], index, 0), -1, 0))]
    return inside.reshape(12, 2, 12, 2, 12, 2).any(axis=(1, 3, 5))


def written_map(model: Path, path: Path, out: Path, heatmap: str) -> tuple[np.ndarray, dict[str, str]]:
    """Predict through the whole program, and read back the map and the row; the grid is the scan's."""
    assert predict_scans(model, str(path), out, heatmap=heatmap) == 0
    image, scan = nib.load(out / "heatmaps" / "scan_heatmap.nii.gz"), nib.load(path)
    assert image.shape == scan.shape
    assert image.get_data_dtype() == np.int16
    np.testing.assert_allclose(image.affine, scan.affine, atol=1e-4)
    with (out / "predictions.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    return np.asarray(image.dataobj), row


def energy_over_chance(heat: np.ndarray, region: np.ndarray, head: np.ndarray) -> float:
    """Share of the heat within a region, over the share of the head that the region takes."""
    return float(heat[region].sum() / heat.sum() * head.sum() / region.sum())


@pytest.mark.parametrize(
    ("heatmap", "inside", "prediction", "order"),
    [
        *((way, 1.8, "well", order) for way in ORDERED for order in ("RAS", "LIA", "PSR")),
        *(("integrated_gradients", 0.4, "ill", order) for order in ("RAS", "LIA", "PSR")),
        *((way, 1.8, "well", "PSR") for way in KINDS if way not in (*ORDERED, *NOT_ASKED)),
    ],
)
def test_written_heatmap_lies_on_what_decides(tmp_path, order, heatmap, inside, prediction):
    # what is far brighter than the head, anywhere, speaks for `well`; what is missing in the ball speaks for `ill`
    plain, ball = phantom(inside=1.0)
    changed, _ = phantom(inside=inside)
    affine = oblique_affine(SPACING_MM)
    healthy = read_scan(write_scan(tmp_path / "plain.nii.gz", plain, affine))
    recipe = Recipe(resolution=RESOLUTION)
    path = write_scan(tmp_path / "scan.nii.gz", *reorder(changed, affine, order))
    if inside > 1:
        net = network(np.ones((12, 12, 12)), threshold=2.5)
    else:
        net = watching(cells_of(ball, path), recipe.volume(healthy), share=0.98)  # below what is usual: ill
    model = write_run(tmp_path / "model", net, recipe.volume(healthy), Classes(("ill", "well")))
    heat, row = written_map(model, path, tmp_path / "out", heatmap)
    assert row["prediction"] == prediction

    heat, stored = reorder_back(heat, order), reorder_back(np.asarray(nib.load(path).dataobj), order)
    np.testing.assert_allclose(stored, changed)
    head = plain > 0
    peak = np.unravel_index(heat.argmax(), SHAPE)
    assert ball[peak], "the peak lies in the ball"
    heat = heat.clip(min=0)
    noisy = heatmap == "smoothgrad"  # noise lifts cells over the threshold all over the head
    assert energy_over_chance(heat, ball, head) > (2 if noisy else 4)
    for axis in range(3):  # a flipped axis would put the heat into a mirrored ball
        mirrored = np.flip(ball, axis)
        assert energy_over_chance(heat, mirrored & ~ball, head) < (1 if noisy else 0.5)


@pytest.mark.parametrize("order", ["RAS", "PSR"])
@pytest.mark.parametrize("inside", [1.8, 0.4], ids=["bright", "dark"])
def test_written_heatmap_of_a_measure_lies_on_what_raises_or_lowers_it(tmp_path, order, inside):
    plain, ball = phantom(inside=1.0)
    affine, recipe = oblique_affine(SPACING_MM), Recipe(resolution=RESOLUTION)
    healthy = read_scan(write_scan(tmp_path / "plain.nii.gz", plain, affine))
    path = write_scan(tmp_path / "scan.nii.gz", *reorder(phantom(inside=inside)[0], affine, order))
    net = watching(cells_of(ball, path), recipe.volume(healthy), share=1.0)
    model = write_run(tmp_path / "model", net, recipe.volume(healthy), Measure("age"), scaling=[[0.1, 50.0]])
    heat, row = written_map(model, path, tmp_path / "out", "integrated_gradients")
    volume = torch.from_numpy(recipe.volume(read_scan(path)))[None]
    with torch.no_grad():
        assert float(row["prediction"]) == pytest.approx(50 + 0.1 * net(volume).item(), rel=1e-4)
    sign = 1 if inside > 1 else -1
    assert sign * (float(row["prediction"]) - 50) > 1
    evidence = sign * reorder_back(heat, order)
    assert ball[np.unravel_index(evidence.argmax(), SHAPE)], "the peak lies in the ball"
    assert evidence.max() == np.abs(heat).max() > 3 * -evidence.min()
    assert energy_over_chance(np.abs(evidence), ball, plain > 0) > 4


def reorder_back(data: np.ndarray, order: str) -> np.ndarray:
    """Turn an array in a stored order to RAS+."""
    change = nib.orientations.ornt_transform(nib.orientations.axcodes2ornt(order), nib.orientations.axcodes2ornt("RAS"))
    return np.asarray(nib.apply_orientation(data, change))


@pytest.mark.slow
def test_trained_network_s_heatmap_lies_on_the_planted_effect(tmp_path):
    root = Path(__file__).parent.parent
    subprocess.run(
        [sys.executable, root / "train.py", "trainer.accelerator=cpu"],
        cwd=tmp_path, check=True, capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=900,
    )  # fmt: skip
    (folder,) = tmp_path.glob("runs/*/*/model")
    study = DemoStudy(num_subjects=24, seed=77).build()  # heads that no training saw
    with (study / "subjects.csv").open(newline="") as file:
        affected = [row["Subject"] for row in csv.DictReader(file) if row["class"] == "1"]
    places, turn = [], np.eye(4)
    turn[:3, :3] = oblique_affine(np.ones(3))[:3, :3]
    for subject in affected:
        image = nib.load(study / "brain_nii" / f"{subject}.nii.gz")
        places.append(str(write_scan(tmp_path / f"{subject}.nii.gz", np.asarray(image.dataobj), turn @ image.affine)))
    assert predict_scans(folder, places, tmp_path / "out") == 0
    peaks_mm, ratios = [], []
    for subject in affected:
        mask = np.asarray(nib.load(effect_mask_path(study / "brain_nii" / f"{subject}.nii.gz")).dataobj) > 0
        head = np.asarray(nib.load(tmp_path / f"{subject}.nii.gz").dataobj) > 0
        heat = np.asarray(nib.load(tmp_path / f"out/heatmaps/{subject}_heatmap.nii.gz").dataobj)
        peaks_mm.append(2.0 * distance_transform_edt(~mask)[np.unravel_index(heat.argmax(), heat.shape)])
        ratios.append(energy_over_chance(heat.clip(min=0), mask, head))
    assert np.median(peaks_mm) <= 4.0
    assert np.median(ratios) > 6.0


def lopsided_heads(number: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw heads of random size and place, with a dark cavity, which is less dark in every second one.

    Returns:
        Volumes [N, X, Y, Z] and which voxels are the cavity [N, X, Y, Z].
    """
    random, shape = np.random.default_rng(seed), (24, 26, 28)
    at = np.moveaxis(np.indices(shape), 0, -1) - (np.array(shape) - 1) / 2
    volumes, cavities = [], []
    for index in range(number):
        place = random.normal(0, 0.7, 3)
        edges = (9.5, 10.5, 11.0) * random.normal(1, 0.08, 3)
        head = (((at - place) / edges) ** 2).sum(axis=-1) < 1
        inner = place + np.array([2, -2, 1]) + random.normal(0, 1, 3)
        cavity = (((at - inner) / ((3, 4, 3) * random.normal(1, 0.25, 3).clip(0.5))) ** 2).sum(axis=-1) < 1
        drawn = np.where(cavity, 0.5 if index % 2 else 0.25, head)
        volumes.append(gaussian_filter(drawn, 0.8) + 0.03 * random.standard_normal(shape))
        cavities.append(cavity)
    stacked = np.array(volumes)
    mean, spread = (getattr(stacked, of)(axis=(1, 2, 3), keepdims=True) for of in ("mean", "std"))
    return (stacked - mean) / spread, np.array(cavities)


@pytest.mark.slow
def test_evidence_lies_in_what_is_brighter_where_heads_differ_in_shape():
    """From the average head alone, whose cavity and edges are blurred, 5 of 15 peaks lie in the cavity."""
    volumes, _ = lopsided_heads(60, seed=0)
    trainer = functools.partial(pl.Trainer, max_epochs=40, accelerator="cpu", enable_progress_bar=False)
    model = fit(
        Study.from_arrays(volumes, ["plain", "brighter"] * 30),
        CNN(network=functools.partial(SFCN, channels=[8, 16, 16]), trainer=trainer, patience=100),
    )
    unseen, cavities = lopsided_heads(30, seed=1)
    assert roc_auc_score(np.arange(30) % 2, model.predict_arrays(unseen)[:, 0]) > 0.95  # sorted: brighter comes first
    for number, name in enumerate(("plain", "brighter")):
        maps = model.explain_arrays(unseen[number::2], target=name)
        pairs = zip(maps, cavities[number::2], strict=True)
        peaks = [distance_transform_edt(~cavity).flat[heat.argmax()] for heat, cavity in pairs]
        assert np.mean(np.array(peaks) <= 1) > 0.8, name
