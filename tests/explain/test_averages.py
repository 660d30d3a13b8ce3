"""Class averages and t maps against scipy and a planted effect."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import ttest_ind

from mri3d.errors import UserError
from mri3d.explain.averages import class_averages
from mri3d.volumes.sequence import InMemory
from tests.models.planted import OTHER_REGION, REGION, SHAPE, planted_arrays


def in_memory(targets, *, seed):
    """Draw planted volumes of the classes."""
    return InMemory(planted_arrays(targets, seed=seed)[:, None])


def test_two_classes_agree_with_scipy_and_show_the_planted_region():
    targets = np.array([0, 1, 1, 0, 1, 0, 1, 1, 0, 1, 1])
    volumes = in_memory(targets, seed=5)
    found = class_averages(volumes, targets, ("a", "b"), budget_bytes=20_000)  # many blocks
    one, other = volumes.volumes[targets == 1, 0].astype(float), volumes.volumes[targets == 0, 0].astype(float)
    assert_allclose(found.means, [other.mean(axis=0), one.mean(axis=0)], rtol=1e-6, atol=1e-6)
    assert_allclose(found.differences[0], one.mean(axis=0) - other.mean(axis=0), rtol=1e-5, atol=1e-6)
    varies = np.ptp(volumes.volumes[:, 0], axis=0) > 0
    expected = ttest_ind(one[:, varies], other[:, varies], equal_var=False).statistic
    assert_allclose(found.t[0][varies], expected, rtol=1e-5)
    assert not varies[0].any()
    assert_array_equal(found.t[0][~varies], 0)  # no spread, no evidence, and no NaN
    inside = np.zeros(SHAPE, bool)
    inside[REGION] = True
    assert inside[np.unravel_index(found.t[0].argmax(), SHAPE)]


def test_each_of_three_classes_is_held_against_all_others():
    targets = np.arange(24) % 3
    volumes = in_memory(targets, seed=6)
    found = class_averages(volumes, targets, ("a", "b", "c"))
    assert found.means.shape == found.differences.shape == found.t.shape == (3, *SHAPE)
    flat = volumes.volumes[:, 0, 1:].astype(float)
    for k in range(3):
        expected = ttest_ind(flat[targets == k], flat[targets != k], equal_var=False).statistic
        assert_allclose(found.t[k][1:], expected, rtol=1e-5)
    inside = np.zeros(SHAPE, bool)
    inside[OTHER_REGION] = True
    assert inside[np.unravel_index(found.t[2].argmax(), SHAPE)]


def test_a_class_of_one_has_no_t():
    targets = np.array([0, 0, 1])
    with pytest.raises(UserError, match="class b has 1 session: a t map needs two"):
        class_averages(in_memory(targets, seed=1), targets, ("a", "b"))
    with pytest.raises(UserError) as caught:
        class_averages(in_memory(targets, seed=1), targets, ("a", "b"))
    assert caught.value.on_command_line().endswith("declare the label unlabelled (data.unlabelled).")
