"""What is known of sessions without being asked for: usual columns of the table, and what the files show."""

import nibabel as nib
import numpy as np
import pytest

from mri3d import Recipe, Study
from mri3d.cohort import audit_memory
from mri3d.cohort.noticed import HEAD_SIZE, is_usual, noticed_variables

USUAL = ["age", "Age_at_scan", "SCAN AGE", "age (years)", "Sex", "gender", "PTGENDER", "SITE_ID", "Scanner", "centre"]
USUAL += ["icv_mm3", "eTIV", "EstimatedTotalIntraCranialVol", "TIV ml", "head size", "Manufacturer"]
OTHERS = ["stage", "agent", "language", "website", "sexual_orientation", "active", "diagnosis", "iq", "subject"]


@pytest.mark.parametrize("name", USUAL)
def test_usual_columns_are_known_by_their_names(name):
    assert is_usual(name)


@pytest.mark.parametrize("name", OTHERS)
def test_others_are_not(name):
    assert not is_usual(name)


def head(radius_mm, spacing_mm=4.0, side=60, *, order=(0, 1, 2)):
    """Return a ball of tissue with a neck, on a grid of any axis order, and its affine."""
    axis = (np.arange(side) - side / 2) * spacing_mm
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    inside = x**2 + y**2 + (z - 20) ** 2 < radius_mm**2
    neck = (x**2 + y**2 < 40**2) & (z < 20)
    noise = np.random.default_rng(0).normal(5, 1.0, inside.shape)
    data = np.where(inside | neck, 200 + 20 * np.sin(x / 15) * np.cos(y / 11), noise).clip(0, 255).astype(np.uint8)
    affine = np.diag([spacing_mm] * 3 + [1.0])[[*order, 3]]
    affine[:3, :3] = np.eye(3)[:, list(order)] * spacing_mm
    return data.transpose(order), affine


def write_study(folder, radii_mm, table="subject,dx,Age,site_name\n", **options):
    rows = []
    for number, radius_mm in enumerate(radii_mm):
        data, affine = head(radius_mm, order=[(0, 1, 2), (2, 0, 1)][number % 2], **options)
        nib.save(nib.Nifti1Image(data, affine), folder / f"s{number}.nii.gz")
        rows.append(f"s{number},{'ab'[number % 2]},{30 + number},{'xy'[number // 2 % 2]}\n")
    (folder / "subjects.csv").write_text(table + "".join(rows))
    return Study.from_table("subjects.csv", root=folder, label="dx", resolution=16)


def test_the_size_of_a_head_is_estimated_whatever_its_axes_and_its_neck(tmp_path):
    study = write_study(tmp_path, [60, 60.5, 70, 70.5])
    found = {variable.name: variable for variable in noticed_variables(study.cohort)}
    assert list(found) == ["Age", "site_name", HEAD_SIZE, "voxel_size_mm3", "field_of_view_ml", "file_type"]
    assert found["Age"].values.tolist() == [30, 31, 32, 33]
    assert found["site_name"].values.tolist() == ["x", "x", "y", "y"]
    assert found[HEAD_SIZE].estimate == "estimated from the scan"
    ball = 4 / 3 * np.pi * np.array([60, 60.5, 70, 70.5]) ** 3 / 1000
    sizes = found[HEAD_SIZE].values
    assert sizes == pytest.approx(ball, rel=0.2), "and some of the neck"
    assert sizes[2:].min() - sizes[:2].max() > 300
    assert found["voxel_size_mm3"].values == pytest.approx([64] * 4)
    assert found["field_of_view_ml"].values == pytest.approx([64 * 60**3 / 1000] * 4, rel=1e-3)
    assert found["file_type"].values.tolist() == [".nii.gz uint8"] * 4


def test_a_column_of_the_head_size_stands_for_the_estimate(tmp_path):
    study = write_study(tmp_path, [60, 61, 62, 63], table="subject,dx,ICV,site_name\n")
    names = [variable.name for variable in noticed_variables(study.cohort)]
    assert "ICV" in names
    assert HEAD_SIZE not in names


def test_it_is_remembered_with_the_scan_whatever_was_looked_at_between(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(audit_memory, "SETTLED_SECONDS", 0.0)
    caplog.set_level("INFO")
    first = write_study(tmp_path, [60, 61, 62, 63]).cohort
    for recipe in (Recipe(16, crop="none"), Recipe(16)):
        again = Study.from_table("subjects.csv", root=tmp_path, label="dx", recipe=recipe).cohort
    assert "audit: 0 scans read" in caplog.text
    assert [session.facts for session in again.sessions] == [session.facts for session in first.sessions]


def test_volumes_without_scans_have_what_they_came_with():
    volumes = np.random.default_rng(0).random((4, 5, 6, 7))
    study = Study.from_arrays(volumes, list("abab"), sites=list("xxyy"), covariates={"iq": [90, 100, 110, 120]})
    assert [variable.name for variable in noticed_variables(study.cohort)] == ["site", "iq"]


def test_columns_that_are_taken_for_something_are_not_noticed_too(tmp_path):
    write_study(tmp_path, [60, 61, 62, 63])
    study = Study.from_table("subjects.csv", root=tmp_path, label="dx", site="site_name", covariates="Age")
    assert [variable.name for variable in noticed_variables(study.cohort)][:2] == ["site", "Age"]
    assert study.cohort.sessions[0].usual == {}
    by_age = Study.from_table("subjects.csv", root=tmp_path, label="Age", task="regression")
    assert "Age" not in by_age.cohort.sessions[0].usual
