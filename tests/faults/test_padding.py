"""Air around heads: two sites with other fields of view cannot be told apart, and no prediction depends on it."""

import csv

import numpy as np
import pytest

from mri3d import KFold, Study, evaluate, fit, models
from mri3d.scans.scan import read_scan
from mri3d.volumes.recipe import Recipe
from tests.scans.phantom import SHARED_DATA, needs_shared_data
from tests.volumes.planted import scan_of
from tests.volumes.test_recipe_background import brain, in_air, padded

RECIPE = Recipe(40)


@pytest.mark.parametrize("voxels", [2, 5, 20])
@pytest.mark.parametrize("fill", [0.0, -1000.0])
def test_more_air_around_made_heads_changes_no_bit_of_what_a_model_sees(voxels, fill):
    for number in range(3):
        scan = scan_of(in_air(brain() * (1 + number / 2), sigma=2.0 + number))
        around = padded(scan, np.full((3, 2), voxels), fill)
        assert around.data.shape == tuple(side + 2 * voxels for side in scan.data.shape)
        np.testing.assert_array_equal(RECIPE.volume(around), RECIPE.volume(scan))


@needs_shared_data
@pytest.mark.slow
@pytest.mark.parametrize("voxels", [2, 5, 20])
def test_more_air_around_half_of_the_heads_is_not_found_out(voxels):
    paths = sorted((SHARED_DATA / "ixi/T1").glob("*.nii.gz"))[:80]
    more = np.random.default_rng(0).permutation(np.arange(80) % 2)
    scans = (read_scan(path) for path in paths)
    volumes = [RECIPE.volume(padded(s, np.full((3, 2), voxels)) if m else s) for s, m in zip(scans, more, strict=True)]
    study = Study.from_arrays(np.stack(volumes), np.array(["as it is", "padded"])[more])
    for seed in (0, 1):
        results = evaluate(study, models.LinearSVM(), KFold(folds=5), seed=seed)
        assert 0.4 <= results.scores["auc"].value <= 0.6  # 0.81 to 0.98 where the box is found on a coarse sample


@needs_shared_data
@pytest.mark.slow
def test_no_head_changes_its_class_with_the_air_around_it():
    with (SHARED_DATA / "ixi/subjects.csv").open() as file:
        sex = {row["subject"]: row["sex"] for row in csv.DictReader(file)}
    paths = [path for path in sorted((SHARED_DATA / "ixi/T1").glob("*.nii.gz")) if sex[path.name[:-10]]]
    scans = [read_scan(path) for path in paths[:80]]
    volumes = np.stack([RECIPE.volume(scan) for scan in scans])
    model = fit(Study.from_arrays(volumes[:40], [sex[path.name[:-10]] for path in paths[:40]]), models.LinearSVM())
    expected = model.predict_arrays(volumes)
    widths = np.random.default_rng(0).integers(1, 13, (len(scans), 3, 2))
    around = np.stack([RECIPE.volume(padded(scan, width)) for scan, width in zip(scans, widths, strict=True)])
    np.testing.assert_array_equal(model.predict_arrays(around), expected)
