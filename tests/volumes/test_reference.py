"""The range of the training volumes against numpy's correlations, and volumes that must be named."""

import re

import numpy as np
import pytest
from scipy import ndimage

from mri3d.volumes.reference import Reference
from mri3d.volumes.sequence import InMemory

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
    assert (poisoned.lowest, poisoned.highest) == (expected.lowest, expected.highest)


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
    assert [reference.warning(volumes[row]) for row in ROWS] == [""] * len(ROWS)


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
