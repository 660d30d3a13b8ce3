"""The range of the training volumes against numpy's correlations, and volumes that must be named."""

import re
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from mri3d.scans.scan import read_scan
from mri3d.volumes.recipe import Recipe
from mri3d.volumes.reference import Reference, outliers
from mri3d.volumes.sequence import InMemory
from tests.scans.phantom import SHARED_DATA, needs_shared_data

SHAPE = (12, 13, 14)
ROWS = np.array([0, 2, 3, 5, 6, 7, 8, 9])


def heads(num_volumes=10):
    """Give lopsided heads that differ by noise and by a smooth change of shape, float32 [N, 1, X, Y, Z]."""
    rng = np.random.default_rng(0)
    offsets = (np.moveaxis(np.indices(SHAPE), 0, -1) - (4.5, 5.0, 7.8)) / (4.0, 4.5, 5.0)
    head = np.exp(-((offsets**2).sum(axis=-1) ** 2)) + 0.5 * np.exp(-(((offsets - (0.5, 0.6, 0.2)) / 0.3) ** 2).sum(-1))
    changes = ndimage.gaussian_filter(rng.standard_normal((num_volumes, *SHAPE)), (0, 3, 3, 3))
    volumes = head + 2 * changes + 0.05 * rng.standard_normal((num_volumes, *SHAPE))
    return ((volumes - volumes.mean()) / volumes.std()).astype(np.float32)[:, None]


def test_range_is_that_of_each_training_volume_with_the_average_of_the_others():
    volumes = heads()
    reference = Reference.fit(InMemory(volumes), ROWS)
    expected = [
        np.corrcoef(volumes[row].ravel(), volumes[np.setdiff1d(ROWS, row)].mean(axis=0).ravel())[0, 1] for row in ROWS
    ]
    assert reference.lowest == pytest.approx(min(expected), abs=1e-6)
    assert reference.highest == pytest.approx(max(expected), abs=1e-6)
    np.testing.assert_allclose(reference.mean, volumes[ROWS].mean(axis=0), atol=1e-6)
    assert reference.mean.dtype == np.float32


def test_only_the_training_rows_are_read():
    volumes = heads()
    expected = Reference.fit(InMemory(volumes), ROWS)
    volumes[np.setdiff1d(np.arange(10), ROWS)] = np.nan
    poisoned = Reference.fit(InMemory(volumes), ROWS)
    np.testing.assert_array_equal(poisoned.mean, expected.mean)
    np.testing.assert_array_equal(poisoned.variations, expected.variations)
    assert (poisoned.lowest, poisoned.highest) == (expected.lowest, expected.highest)


def test_starts_are_as_far_from_the_average_as_volumes_are():
    """Of weights with variance 1 / (n - 1) the variance over draws is that of the volumes, voxel by voxel."""
    volumes = np.random.default_rng(4).normal(5.0, np.linspace(1, 3, 6 * 7 * 8), (60, 6 * 7 * 8)).astype(np.float32)
    reference = Reference.fit(InMemory(volumes.reshape(60, 1, 6, 7, 8)), np.arange(60))
    starts, average = np.reshape(reference.starts, (8, -1)), volumes.mean(axis=0)
    np.testing.assert_allclose(starts.mean(axis=0), average, atol=1e-2)
    sizes = np.linalg.norm((starts - average) / volumes.std(axis=0, ddof=1), axis=1) / np.sqrt(average.size)
    assert sizes.mean() == pytest.approx(1, rel=0.1)
    assert np.abs(np.corrcoef(starts - average, volumes - average)[:8, 8:]).max() < 0.5  # none shows anybody
    assert np.abs(np.corrcoef(starts[::2] - average) - np.eye(4)).max() < 0.5, "all are different"


def test_one_volume_is_its_own_start():
    volumes = heads(1)
    reference = Reference.fit(InMemory(np.concatenate([volumes, volumes])), np.arange(2))
    for start in reference.starts:
        np.testing.assert_array_equal(start, volumes[0])
    (only,) = Reference(volumes[0], -1.0, 1.0).starts  # of a model folder of an earlier version
    np.testing.assert_array_equal(only, volumes[0])


@pytest.mark.parametrize(("unit", "dtype"), [(1.0, np.float16), (1e9, np.float32), (1e-9, np.float32)])
def test_a_variation_is_kept_to_a_thousandth_in_any_unit(unit, dtype):
    usual, other = (Reference.fit(InMemory(heads() * np.float32(each)), ROWS).variations for each in (1.0, unit))
    assert other.dtype == dtype
    np.testing.assert_allclose(other / unit, usual, atol=1e-3 * np.abs(usual).max())


def test_correlation_is_numpys_and_knows_no_unit():
    volumes = heads()
    reference = Reference.fit(InMemory(volumes), ROWS)
    new = volumes[1]
    expected = np.corrcoef(new.ravel(), volumes[ROWS].mean(axis=0).ravel())[0, 1]
    for same in (new, 3 * new, new + 100, 1000 * new - 7):
        assert reference.correlation(same) == pytest.approx(expected, abs=1e-4)


def test_training_volumes_are_not_named():
    volumes = heads()
    reference = Reference.fit(InMemory(volumes), ROWS)
    assert [reference.warning(volumes[row], seen=True) for row in ROWS] == [""] * len(ROWS)
    assert max(reference.correlation(volumes[row]) for row in ROWS) > reference.highest  # they are part of the average


def test_volumes_that_resemble_the_average_more_than_any_training_volume_are_named():
    volumes = heads()
    reference = Reference.fit(InMemory(volumes), ROWS)
    mean = volumes[ROWS].mean(axis=0)
    for alike in (mean, (volumes[1] + volumes[4] + mean) / 3):
        correlation = np.corrcoef(alike.ravel(), volumes[ROWS].mean(axis=0).ravel())[0, 1]
        assert correlation > reference.highest
        message = reference.warning(alike)
        assert message.startswith(f"unlike every training scan: correlation {correlation:.3f} with their average, more")
        assert f"{reference.lowest:.3f} to {reference.highest:.3f}); check whether it was blurred" in message


def test_an_ordinary_volume_is_named_on_either_side_as_often_as_one_in_n_plus_one():
    """Of n training volumes and one more of the same kind each is as likely to be the lowest or the highest."""
    volumes, counts = heads(60), {"check whether it was blurred": 0, "check orientation": 0}
    rng, num_training, draws = np.random.default_rng(0), 30, 60
    for _ in range(draws):
        new, *rows = rng.permutation(60)[: num_training + 1]
        told = Reference.fit(InMemory(volumes), np.array(rows)).warning(volumes[new])
        for key in counts:
            counts[key] += key in told
    assert sum(counts.values()) / draws == pytest.approx(2 / (num_training + 1), abs=0.08)


@pytest.mark.parametrize(
    "change",
    [
        lambda head: head[:, ::-1],
        lambda head: head[:, :, ::-1],
        lambda head: head[:, :, :, ::-1],
        lambda head: -head,
        lambda head: np.roll(head, 5, axis=2),
        lambda head: np.zeros_like(head),
        lambda head: np.full_like(head, 7.0),
    ],
    ids=["left-right", "front-back", "upside down", "contrast", "shifted", "zero", "constant"],
)
def test_volumes_unlike_the_training_volumes_are_named(change):
    volumes = heads()
    reference = Reference.fit(InMemory(volumes), ROWS)
    strange = np.ascontiguousarray(change(volumes[0]))
    correlation = np.corrcoef(strange.ravel(), reference.mean.ravel())[0, 1] if strange.std() else 0.0
    message = reference.warning(strange)
    assert re.match(r"unlike every training scan: correlation -?\d\.\d\d with their average", message)
    assert f"correlation {correlation:.2f} " in message
    assert f"{reference.lowest:.2f} to {reference.highest:.2f}" in message


def strange(head):
    """Give what a scan of something else becomes, by its name."""
    spike = np.full_like(head, -500)
    spike[:, 3, 4, 5] = 3
    return {
        "noise": np.random.default_rng(1).standard_normal(head.shape),
        "almost constant": spike,
        "constant": np.zeros_like(head),
        "contrast": -head,
        "upside down": head[..., ::-1],
    }


@pytest.mark.parametrize("name", ["noise", "almost constant", "constant", "contrast", "upside down"])
def test_one_strange_volume_in_a_cohort_is_named_and_no_other(name):
    volumes = heads(20)
    rows = np.array([2, 3, 4, 7, 8, 9, 11, 12, 15, 17])
    volumes[8] = strange(volumes[8])[name]
    found = outliers(InMemory(volumes), rows)
    assert list(found) == [8]
    correlation = 0.0
    if name != "constant":
        scaled = volumes[rows].reshape(len(rows), -1)
        scaled = (scaled - scaled.mean(axis=1, keepdims=True)) / scaled.std(axis=1, keepdims=True)
        correlation = np.corrcoef(scaled[4], np.delete(scaled, 4, axis=0).mean(axis=0))[0, 1]
    text = found[8].replace("-0.00", "0.00")
    assert text.startswith(f"unlike the other scans: correlation {correlation:.2f} ".replace("-0.00", "0.00"))


def test_no_head_of_a_cohort_is_an_outlier_whatever_its_scale():
    volumes = heads(20) * np.linspace(1, 9, 20, dtype=np.float32)[:, None, None, None, None]
    assert outliers(InMemory(volumes), np.arange(20)) == {}
    for num_volumes in range(3):
        assert outliers(InMemory(volumes), np.arange(num_volumes)) == {}


def test_a_minority_of_another_kind_is_named():
    volumes = heads(20)
    volumes[[1, 5, 6]] *= -1
    assert list(outliers(InMemory(volumes), np.arange(20))) == [1, 5, 6]


@needs_shared_data
@pytest.mark.slow
def test_real_heads_that_were_blurred_are_named_more_often_than_others():
    paths = sorted((SHARED_DATA / "ixi" / "T1").glob("*.nii.gz"))
    scans = [read_scan(path) for path in paths[:80]]
    blurred = [replace(scan, data=fwhm_16_mm(scan)) for scan in scans[60:]]
    volumes = np.stack([Recipe().volume(scan) for scan in (*scans, *blurred)])
    reference = Reference.fit(InMemory(volumes), np.arange(60))
    ordinary, smooth = ([reference.warning(volume) for volume in part] for part in (volumes[60:80], volumes[80:]))
    assert sum("blurred" in told for told in ordinary) <= 2
    assert sum("blurred" in told for told in smooth) >= 8


def fwhm_16_mm(scan):
    """Return a scan's intensities, blurred by 16 mm (full width at half maximum)."""
    return ndimage.gaussian_filter(scan.data.astype(np.float32), 16 / 2.355 / scan.spacing_mm)


@needs_shared_data
@pytest.mark.slow
def test_no_head_of_a_real_cohort_is_an_outlier():
    paths = sorted((SHARED_DATA / "ixi" / "T1").glob("*.nii.gz"))[::3]
    volumes = np.stack([Recipe(resolution=32).volume(read_scan(path)) for path in paths])
    assert outliers(InMemory(volumes), np.arange(len(paths))) == {}
    volumes[7] = volumes[7, ..., ::-1]
    assert list(outliers(InMemory(volumes), np.arange(len(paths)))) == [7]
