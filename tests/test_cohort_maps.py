"""The maps of a cohort as files: whose they are, how they are come by, and what is said of them."""

import io
import re
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from matplotlib.image import imread
from numpy.testing import assert_allclose

import mri3d.voxels.projection
from mri3d.cohort.audit import audit
from mri3d.cohort_maps import CohortMaps, study_sections
from mri3d.errors import UserError
from mri3d.outcome import Classes, Measure
from mri3d.study import Study
from mri3d.volumes.cache import Volumes
from mri3d.volumes.recipe import Recipe
from tests.commands import undrawn
from tests.studies import class_study


@pytest.fixture(scope="module")
def study(demo_cohort):
    cohort = audit(demo_cohort, Recipe(), skip_bad=False)
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


@undrawn()
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


@undrawn()
def test_the_volumes_are_added_up_in_one_pass(tmp_path, study, monkeypatch):
    passes = []
    original = mri3d.voxels.projection.each_block

    def counted(volumes, rows, work, *, title, **options):
        passes.append(title)
        return original(volumes, rows, work, title=title, **options)

    monkeypatch.setattr(mri3d.voxels.projection, "each_block", counted)
    study_sections(
        study, tmp_path, weights={"a model": np.ones((1, *study.volumes.shape[1:]), np.float32)}, patterns={}
    )
    assert passes == ["directions in voxels"]
    maps = CohortMaps(study, tmp_path)
    expected = np.mean([study.volumes[row][0] for row in range(len(study.volumes))], axis=0)
    assert_allclose(maps.pca.mean(), expected, atol=1e-5)
    maps.components(1)
    assert_allclose(maps.pca.mean(), expected, atol=1e-5)
    passes.clear()
    maps.transposed(0.9, 1)
    assert len(passes) == 1  # that of its own components


@undrawn()
def test_each_caption_says_whose_the_map_is(tmp_path, study):
    maps = CohortMaps(study, tmp_path)
    for title, pictures in [*maps.components(2), maps.transposed(0.9, 2), *maps.averages().sections]:
        for picture in pictures:
            assert re.search("all subjects|that difference", picture.caption), (title, picture.caption)
    (picture,) = maps.weights(np.ones((1, *study.volumes.shape[1:]), np.float32), whose="a model")[1]
    assert "per unit of intensity (with model.normalize=true, of intensity divided by the norm" in picture.caption


def test_a_measure_has_a_slope_and_a_t_map_that_are_numpy_s(tmp_path, ages):
    nib.save(nib.Nifti1Image(np.ones((2, 2, 2), np.float32), np.eye(4)), tmp_path / "t_scores.nii.gz")
    maps = CohortMaps(ages, tmp_path)
    drawn = maps.differences()
    ((title, pictures),) = drawn.sections
    assert drawn.title == "How a cohort changes with age"
    assert drawn.headline == f"slope and t map of age ({ages.outcome.words.describe(ages.targets)})"
    assert title == "Correlation with age"
    assert len(pictures) == 3
    assert names(tmp_path) == ["mean", "slope_age", "t_age", "t_scores"]
    volumes = np.stack([ages.volumes[row][0] for row in range(len(ages.ids))]).astype(np.float64)
    slopes, _ = np.polyfit(ages.targets, volumes.reshape(len(volumes), -1), 1)
    written = np.asarray(nib.load(tmp_path / "slope_age.nii.gz").dataobj)
    expected = maps.space.ras((slopes * ages.targets.std(ddof=1)).reshape(volumes.shape[1:]))
    assert_allclose(written, expected, atol=1e-5)
    for picture in pictures:
        assert re.search(r"all (\d+ )?subjects|with age", picture.caption)


def test_classes_have_averages(tmp_path, study):
    maps = CohortMaps(study, tmp_path)
    drawn = maps.differences()
    ((title, _),) = drawn.sections
    assert drawn.title == "Class averages of a cohort"
    assert drawn.headline == "averages of -1 (6 subjects), 1 (6 subjects), differences, t maps"
    assert title == "Class averages"
    assert names(tmp_path) == ["average_-1", "average_1", "difference_1", "t_1"]


def test_report_of_a_measure_has_the_same_sections(tmp_path, ages):
    sections = study_sections(
        ages, tmp_path, weights={"the model": np.ones((1, *ages.volumes.shape[1:]), np.float32)}, patterns={}
    )
    titles = ["Weights", "Principal components", "Eigenbrains", "A scan from few components", "Correlation with age"]
    assert [title for title, _ in sections] == titles
    ((_, (weights, *_)), *_) = sections
    assert "what each voxel adds to the predicted age, in standard deviations" in weights.caption
    assert (tmp_path / "weights.nii.gz").exists()


def test_an_image_of_somebody_else_is_never_replaced(tmp_path, study):
    own = nib.Nifti1Image(np.ones((2, 2, 2), np.float32), np.eye(4))
    nib.save(own, tmp_path / "average_1.nii.gz")
    before = (tmp_path / "average_1.nii.gz").read_bytes()
    with pytest.raises(UserError, match=r"average_1\.nii\.gz is no map of an earlier call, and would be replaced"):
        CohortMaps(study, tmp_path).averages()
    assert (tmp_path / "average_1.nii.gz").read_bytes() == before


def test_arrays_have_no_place_for_maps(tmp_path):
    with pytest.raises(UserError, match="the study was made from arrays, which lie nowhere in the world"):
        CohortMaps(class_study(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_sessions_of_participants_are_counted_as_such(tmp_path, study):
    sessions = tuple(
        replace(session, participant=f"p{number // 2}") for number, session in enumerate(study.cohort.sessions)
    )
    drawn = CohortMaps(replace(study, cohort=replace(study.cohort, sessions=sessions)), tmp_path).differences()
    counts = re.findall(r"\((\d) sessions of (\d) participants\)", drawn.headline)
    assert [int(number) for number, _ in counts] == [6, 6]
    ((_, (first, *_)),) = drawn.sections
    assert "all sessions" in first.caption


@pytest.mark.parametrize("outcome", ["study", "ages"])
def test_statistics_of_the_air_are_in_the_file_and_not_in_the_picture(tmp_path, request, outcome):
    study = request.getfixturevalue(outcome)
    noisy = Volumes(study.cohort.scans, study.cohort.digests, Recipe(12, crop="none"))  # else all air is one value
    maps = CohortMaps(Study(study.cohort, study.outcome, noisy), tmp_path)
    *_, t_map = maps.differences().sections[0][1]
    (path,) = tmp_path.glob("t_*.nii.gz")
    assert abs(np.asarray(nib.load(path).dataobj)[0, 0, -1]) > 0.1  # beside the top of the head
    image = imread(io.BytesIO(t_map.data), format="jpeg") / 255
    width = (image.shape[1] - 96 - 4 * 12) // 3
    tint = np.abs(image[..., 0] - image[..., 2])
    for left in (12, 24 + width, 36 + 2 * width):  # the upper corners of each plane
        assert tint[30:46, left : left + 16].max() < 0.08
        assert tint[30:46, left + width - 16 : left + width].max() < 0.08
    assert tint[:, : 36 + 3 * width].max() > 0.3
