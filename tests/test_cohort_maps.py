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
from mri3d.volumes.cache import Volumes
from mri3d.volumes.recipe import Recipe


@pytest.fixture(scope="module")
def cohort(demo_cohort):
    return audit(demo_cohort, oriented=True, skip_bad=False)


@pytest.fixture(scope="module")
def volumes(cohort):
    volumes = Volumes(cohort.scans, cohort.digests, Recipe(12), ids=cohort.ids)
    volumes.fill()
    return volumes


def names(folder):
    return sorted(path.name.removesuffix(".nii.gz") for path in folder.iterdir())


def test_maps_of_an_earlier_call_do_not_stay_and_files_of_others_do(tmp_path, volumes, cohort):
    own = nib.Nifti1Image(np.ones((2, 2, 2), np.float32), np.eye(4))
    for name in ("t_scores", "eigenbrain_009"):
        nib.save(own, tmp_path / f"{name}.nii.gz")
    CohortMaps(volumes, cohort, tmp_path).components(3, [7])
    CohortMaps(volumes, cohort, tmp_path).transposed(4, 3)
    CohortMaps(volumes, cohort, tmp_path).averages()
    renamed = replace(cohort, subjects=tuple(replace(one, label=f"x{one.label}") for one in cohort.subjects))
    maps = CohortMaps(volumes, renamed, tmp_path)
    maps.components(1)
    maps.transposed(4, 1)
    maps.averages()
    assert names(tmp_path) == [
        "average_x-1", "average_x1", "difference_x1", "eigenbrain_001", "eigenbrain_009", "mean", "t_scores", "t_x1",
        "transposed_001",
    ]  # fmt: skip


def test_the_volumes_are_added_up_in_one_pass(tmp_path, volumes, cohort, monkeypatch):
    passes = []
    original = mri3d.voxels.projection.each_block

    def counted(volumes, rows, work, *, title, **options):
        passes.append(title)
        return original(volumes, rows, work, title=title, **options)

    monkeypatch.setattr(mri3d.voxels.projection, "each_block", counted)
    study_sections(volumes, cohort, tmp_path, weights={"a model": np.ones((1, *volumes.shape[1:]), np.float32)})
    assert passes == ["directions in voxels"]
    maps = CohortMaps(volumes, cohort, tmp_path)
    expected = np.mean([volumes[row][0] for row in range(len(volumes))], axis=0)
    assert_allclose(maps.pca.mean(), expected, atol=1e-5)
    maps.components(1)
    assert_allclose(maps.pca.mean(), expected, atol=1e-5)
    passes.clear()
    maps.transposed(0.9, 1)
    assert len(passes) == 1  # that of its own components


def test_each_caption_says_whose_the_map_is(tmp_path, volumes, cohort):
    maps = CohortMaps(volumes, cohort, tmp_path)
    for title, pictures in [*maps.components(2), maps.transposed(0.9, 2), maps.averages()]:
        for picture in pictures:
            assert re.search("all subjects|that difference", picture.caption), (title, picture.caption)
    (picture,) = maps.weights(np.ones((1, *volumes.shape[1:]), np.float32), whose="a model")[1]
    assert "per unit of intensity (with model.normalize=true, of intensity divided by the norm" in picture.caption
