"""Masks of brains from the table to the volumes and predictions: nothing is taken from a cache past a change of one."""

import os
import shutil
import time

import nibabel as nib
import numpy as np
import pytest

from mri3d import BrainRecipe, KFold, Study, UserError, evaluate, models
from mri3d.brain.brain import Brain
from mri3d.cohort import audit_memory
from mri3d.cohort.table import Table
from mri3d.errors import NotInstalledError
from mri3d.inference import predict_scans
from mri3d.scans.scan import canonical, canonical_order
from mri3d.scans.scan_file import Masked, read_file
from tests.studies import write_heads

PEOPLE = 12


@pytest.fixture(scope="module")
def heads(tmp_path_factory):
    """Twelve heads with a mask each, which is a block in their middle."""
    folder = tmp_path_factory.mktemp("heads")
    write_heads(folder, PEOPLE)
    (folder / "masks").mkdir()
    for number in range(PEOPLE):
        write_mask(folder, number)
    return folder


def write_mask(folder, number, first=5):
    scan = nib.load(folder / f"s{number:02}.nii")
    inside = np.zeros(scan.shape, np.uint8)
    inside[first:15, 5:17, 6:18] = 1
    path = folder / f"masks/s{number:02}_mask.nii"
    nib.save(nib.Nifti1Image(inside, scan.affine), path)
    os.utime(path, (time.time() - 100 + first,) * 2)


@pytest.fixture
def folder(heads, tmp_path, monkeypatch):
    """A copy of the heads, a cache of its own, and brains that are where the masks say, without being looked for."""

    def located(scan):
        _, affine = canonical(scan)
        inside = canonical_order(scan.mask, scan)
        pose = np.diag([0.95, 0.95, 0.95, 1.0])
        pose[:3, 3] = affine[:3, :3] @ np.argwhere(inside).mean(axis=0) + affine[:3, 3]
        return Brain(inside, pose, False, 1300.0, 0.96, 0.5, 0.01)

    monkeypatch.setattr("mri3d.brain.locating.locate_brain", located)
    monkeypatch.setattr(audit_memory, "SETTLED_SECONDS", 0.0)
    monkeypatch.setenv("MRI3D_CACHE", str(tmp_path / "cache"))
    return shutil.copytree(heads, tmp_path / "study")


def study(folder):
    table = {"root": folder, "scan": "{id}.nii", "mask": "masks/{id}_mask.nii", "label": "label"}
    return Study.from_table("study.csv", **table, recipe=BrainRecipe(12))


def test_another_mask_gives_another_volume_and_the_others_are_known(folder, caplog):
    first = study(folder)
    before = [first.volumes[row] for row in range(PEOPLE)]
    assert first.cohort.sessions[3].mask == folder / "masks/s03_mask.nii"
    assert first.cohort.sessions[3].figures["misfit"] == 0.01
    write_mask(folder, 3, first=8)
    caplog.clear()
    with caplog.at_level("INFO"):
        second = study(folder)
    assert f"audit: 1 scan read in 0 s, {PEOPLE - 1} known" in caplog.text
    changed = [not np.array_equal(before[row], second.volumes[row]) for row in range(PEOPLE)]
    assert changed == [row == 3 for row in range(PEOPLE)]
    with pytest.raises(UserError, match=r"s03\.nii or its mask .*s03_mask\.nii has changed since"):
        type(first.volumes)(first.cohort.scans, first.cohort.digests, BrainRecipe(10))[3]


def test_new_scans_are_predicted_by_their_masks(folder, tmp_path):
    ridge = models.Ridge(num_components=0.9, inner_folds=2)
    model = evaluate(study(folder), ridge, KFold(folds=2, validation=0)).model
    model.save(tmp_path / "model")
    new = tmp_path / "new"
    new.mkdir()
    for number in range(3):
        shutil.copy(folder / f"s{number:02}.nii", new)
        shutil.copy(folder / f"masks/s{number:02}_mask.nii", new)
    (new / "s02_mask.nii").unlink()
    table = model.predict(new, mask="{id}_mask.nii")
    assert table["scan"].tolist() == ["s00", "s01", "s02"]
    assert table["status"].tolist()[2] == "failed"
    assert "s02_mask.nii" in table["warnings"][2]
    assert "was among the training scans" in table["warnings"][0]
    assert predict_scans(tmp_path / "model", str(new), tmp_path / "out", mask="{id}_mask.nii", heatmap="none") == 1
    kept = (tmp_path / "out/predictions.csv").read_text()
    write_mask(folder, 1, first=8)
    shutil.copy(folder / "masks/s01_mask.nii", new)
    assert predict_scans(tmp_path / "model", str(new), tmp_path / "out", mask="{id}_mask.nii", heatmap="none") == 1
    page = (tmp_path / "out/report.html").read_text()
    assert "part of the evidence is the size" not in page, "there are no heatmaps"
    assert predict_scans(tmp_path / "model", str(new), tmp_path / "maps", mask="{id}_mask.nii") == 1
    assert "part of the evidence is the size of the brain" in (tmp_path / "maps/report.html").read_text()
    rows = [text.splitlines() for text in (kept, (tmp_path / "out/predictions.csv").read_text())]
    assert sorted(rows[0])[0] == sorted(rows[1])[0], "the first is kept"
    assert [row for row in rows[0] if row.startswith("s01")] != [row for row in rows[1] if row.startswith("s01")]


def test_heatmaps_lie_in_the_brain_alone(folder):
    model = evaluate(study(folder), models.Ridge(num_components=0.9, inner_folds=2), KFold(folds=2, validation=0)).model
    own, aligned = (
        model.explain(folder / "s01.nii", space=space, mask="masks/{id}_mask.nii") for space in ("scan", "mni")
    )
    brain = nib.load(folder / "masks/s01_mask.nii").get_fdata() > 0
    assert own.shape == brain.shape
    assert np.abs(own.get_fdata()[brain]).max() > 0.5
    assert not own.get_fdata()[~brain].any()
    back = np.linalg.inv(model.recipe.affine(read_file(Masked(folder / "s01.nii", folder / "masks/s01_mask.nii"))))
    assert aligned.shape == (12, 12, 12)
    places = np.argwhere(aligned.get_fdata())
    assert len(places) > 3
    inside = back @ np.c_[nib.affines.apply_affine(own.affine, np.argwhere(brain)), np.ones(brain.sum())].T
    apart = np.abs(places[:, None] - inside.T[None, :, :3]).max(axis=2).min(axis=1)
    assert apart.max() <= 0.5, "within half a voxel of the brain"


def test_what_is_not_installed_ends_the_call_and_leaves_nobody_out(folder, tmp_path, monkeypatch):
    def missing(scan):
        raise NotInstalledError("deepbet is not installed")

    model = evaluate(study(folder), models.Ridge(num_components=0.9, inner_folds=2), KFold(folds=2, validation=0)).model
    monkeypatch.setattr("mri3d.brain.locating.locate_brain", missing)
    monkeypatch.setenv("MRI3D_CACHE", str(tmp_path / "empty"))
    with pytest.raises(NotInstalledError, match=r"^deepbet is not installed$"):
        model.predict(folder / "s00.nii", mask="masks/{id}_mask.nii")
    table = {"root": folder, "scan": "{id}.nii", "mask": "masks/{id}_mask.nii", "label": "label", "skip_bad": True}
    with pytest.raises(NotInstalledError, match=r"^deepbet is not installed$"):
        Study.from_table("study.csv", **table, recipe=BrainRecipe(12))


def named(folder, text, scans):
    """Write a table, and empty files in the place of scans and masks: nothing opens one."""
    (folder / "subjects.csv").write_text(text)
    for scan in scans:
        (folder / scan).parent.mkdir(exist_ok=True)
        (folder / scan).touch()
    return folder


def test_each_scan_has_its_mask_or_a_problem(tmp_path):
    scans = [f"T1/{id}.nii" for id in "abc"]
    masks = ["m/a_mask.nii", "m/b_mask.nii", "m/b_mask.nii.gz"]
    root = named(tmp_path, "subject,label\na,F\nb,M\nc,F\nd,M\n", [*scans, *masks])
    a, b, c, d = Table(str(root), "subjects.csv", scan="T1/{id}.nii", mask="m/{id}_mask.nii*").read().sessions
    assert (a.mask, a.problem) == (root / "m/a_mask.nii", "")
    assert (str(a.file), a.file.mask) == (str(root / "T1/a.nii"), a.mask)
    assert "lies beside its twin b_mask.nii.gz: remove one, or let mask name the ending" in str(UserError(b.problem))
    assert str(UserError(c.problem)).startswith(f"no mask matches {root / 'm/c_mask.nii'}")
    assert "no scan matches" in d.problem
    assert (b.scan, c.scan) == (None, None), "no volume is to be made of them"
    with pytest.raises(UserError, match=r"mask finds no mask for any row; no mask matches .*x/a\.nii"):
        Table(str(root), "subjects.csv", scan="T1/{id}.nii", mask="x/{id}.nii").read()
    with pytest.raises(UserError, match=r"mask='mask\.nii' is the same for every session"):
        Table(str(root), "subjects.csv", scan="T1/{id}.nii", mask="mask.nii").read()
