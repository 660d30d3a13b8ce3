"""The maps of a cohort as files: whose they are, how they are come by, and what is said of them."""

import re
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from numpy.testing import assert_allclose

import mri3d.voxels.projection
from mri3d.cohort.audit import audit
from mri3d.cohort_maps import CohortMaps, study_sections
from mri3d.outcome import Classes, Measure
from mri3d.study import Study
from mri3d.volumes.cache import Volumes
from mri3d.volumes.recipe import Recipe


@pytest.fixture(scope="module")
def study(demo_cohort):
    cohort = audit(demo_cohort, oriented=True, skip_bad=False)
    volumes = Volumes(cohort.scans, cohort.digests, Recipe(12), ids=cohort.ids)
    volumes.fill()
    return Study(cohort, Classes(("-1", "1"), "class"), volumes)


@pytest.fixture(scope="module")
def ages(study):
    """Return the same heads with an age each."""
    values = np.random.default_rng(0).uniform(20, 80, len(study.ids)).round(1)
    sessions = tuple(
        replace(session, label=str(value)) for session, value in zip(study.cohort.sessions, values, strict=True)
    )
    return Study(replace(study.cohort, sessions=sessions), Measure("age"), study.volumes)


def names(folder):
    return sorted(path.name.removesuffix(".nii.gz") for path in folder.iterdir())


def test_maps_of_an_earlier_call_do_not_stay_and_files_of_others_do(tmp_path, study):
    own = nib.Nifti1Image(np.ones((2, 2, 2), np.float32), np.eye(4))
    for name in ("t_scores", "eigenbrain_009"):
        nib.save(own, tmp_path / f"{name}.nii.gz")
    CohortMaps(study, tmp_path).components(3, [7])
    CohortMaps(study, tmp_path).transposed(4, 3)
    CohortMaps(study, tmp_path).averages()
    sessions = tuple(replace(session, label=f"x{session.label}") for session in study.cohort.sessions)
    renamed = Study(replace(study.cohort, sessions=sessions), Classes(("x-1", "x1"), "class"), study.volumes)
    maps = CohortMaps(renamed, tmp_path)
    maps.components(1)
    maps.transposed(4, 1)
    maps.averages()
    assert names(tmp_path) == [
        "average_x-1", "average_x1", "difference_x1", "eigenbrain_001", "eigenbrain_009", "mean", "t_scores", "t_x1",
        "transposed_001",
    ]  # fmt: skip


def test_the_volumes_are_added_up_in_one_pass(tmp_path, study, monkeypatch):
    passes = []
    original = mri3d.voxels.projection.each_block

    def counted(volumes, rows, work, *, title, **options):
        passes.append(title)
        return original(volumes, rows, work, title=title, **options)

    monkeypatch.setattr(mri3d.voxels.projection, "each_block", counted)
    study_sections(study, tmp_path, weights={"a model": np.ones((1, *study.volumes.shape[1:]), np.float32)})
    assert passes == ["directions in voxels"]
    maps = CohortMaps(study, tmp_path)
    expected = np.mean([study.volumes[row][0] for row in range(len(study.volumes))], axis=0)
    assert_allclose(maps.pca.mean(), expected, atol=1e-5)
    maps.components(1)
    assert_allclose(maps.pca.mean(), expected, atol=1e-5)
    passes.clear()
    maps.transposed(0.9, 1)
    assert len(passes) == 1  # that of its own components


def test_each_caption_says_whose_the_map_is(tmp_path, study):
    maps = CohortMaps(study, tmp_path)
    for title, pictures in [*maps.components(2), maps.transposed(0.9, 2), maps.averages()]:
        for picture in pictures:
            assert re.search("all subjects|that difference", picture.caption), (title, picture.caption)
    (picture,) = maps.weights(np.ones((1, *study.volumes.shape[1:]), np.float32), whose="a model")[1]
    assert "per unit of intensity (with model.normalize=true, of intensity divided by the norm" in picture.caption


def test_a_measure_has_a_slope_and_a_t_map_that_are_numpy_s(tmp_path, ages):
    nib.save(nib.Nifti1Image(np.ones((2, 2, 2), np.float32), np.eye(4)), tmp_path / "t_scores.nii.gz")
    maps = CohortMaps(ages, tmp_path)
    title, pictures = maps.differences()
    assert title == "Correlation with age"
    assert len(pictures) == 2
    assert names(tmp_path) == ["mean", "slope_age", "t_age", "t_scores"]
    volumes = np.stack([ages.volumes[row][0] for row in range(len(ages.ids))]).astype(np.float64)
    slopes, _ = np.polyfit(ages.targets, volumes.reshape(len(volumes), -1), 1)
    written = np.asarray(nib.load(tmp_path / "slope_age.nii.gz").dataobj)
    expected = maps.space.ras((slopes * ages.targets.std(ddof=1)).reshape(volumes.shape[1:]))
    assert_allclose(written, expected, atol=1e-5)
    for picture in pictures:
        assert re.search("all subjects|with age", picture.caption)


def test_classes_have_averages(tmp_path, study):
    maps = CohortMaps(study, tmp_path)
    title, _ = maps.differences()
    assert title == "Class averages"
    assert names(tmp_path) == ["average_-1", "average_1", "difference_1", "t_1"]


def test_report_of_a_measure_has_the_same_sections(tmp_path, ages):
    sections = study_sections(ages, tmp_path, weights={"the model": np.ones((1, *ages.volumes.shape[1:]), np.float32)})
    titles = ["Weights", "Principal components", "Eigenbrains", "A scan from few components", "Correlation with age"]
    assert [title for title, _ in sections] == titles
    ((_, (weights, *_)), *_) = sections
    assert "what each voxel adds to the predicted age, in standard deviations" in weights.caption
    assert (tmp_path / "weights.nii.gz").exists()
