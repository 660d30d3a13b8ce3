"""Correlation maps against scipy and a planted effect."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import linregress

from mri3d.errors import UserError
from mri3d.explain.correlation import correlation_map
from mri3d.volumes.sequence import InMemory
from tests.models.planted import REGION, SHAPE, brains

AGES = np.array([34.0, 71.5, 20.25, 48.0, 55.0, 63.0, 29.0, 80.0, 41.0, 66.0, 52.0])


def ageing_brains():
    """Draw volumes [N, 1, X, Y, Z] whose region gets brighter with age; the first plane is 0 in all of them."""
    arrays = brains(len(AGES), seed=5)
    arrays[(slice(None), *REGION)] += 0.2 * (AGES - AGES.mean())[:, None, None, None]
    return arrays[:, None]


def test_agrees_with_scipy_voxel_by_voxel_and_shows_the_planted_region():
    arrays = ageing_brains()
    found = correlation_map(InMemory(arrays), AGES, budget_bytes=20_000)  # many blocks
    assert found.mean.shape == found.slope.shape == found.t.shape == SHAPE
    assert {found.mean.dtype, found.slope.dtype, found.t.dtype} == {np.dtype(np.float32)}
    assert_allclose(found.mean, arrays[:, 0].mean(axis=0), rtol=1e-5, atol=1e-6)
    for voxel in np.ndindex(SHAPE):
        if voxel[0] == 0:
            continue  # constant: below
        line = linregress(AGES, arrays[(slice(None), 0, *voxel)].astype(float))
        assert found.slope[voxel] == pytest.approx(line.slope * AGES.std(ddof=1), rel=1e-4, abs=1e-6)
        assert found.t[voxel] == pytest.approx(line.slope / line.stderr, rel=1e-4, abs=1e-5)
    assert_array_equal(found.slope[0], 0)  # no spread, no evidence, and no NaN
    assert_array_equal(found.t[0], 0)
    inside = np.zeros(SHAPE, bool)
    inside[REGION] = True
    assert inside[np.unravel_index(found.t.argmax(), SHAPE)]
    assert found.slope[inside].mean() == pytest.approx(0.2 * AGES.std(ddof=1), rel=0.2)


def test_turning_the_measure_round_turns_the_map_and_its_unit_does_not_matter():
    volumes = InMemory(ageing_brains())
    found, turned = correlation_map(volumes, AGES), correlation_map(volumes, 1000 - 365.25 * AGES)
    assert_allclose(turned.slope, -found.slope, rtol=1e-5, atol=1e-6)
    assert_allclose(turned.t, -found.t, rtol=1e-4, atol=1e-5)
    assert_array_equal(turned.mean, found.mean)


def test_a_voxel_that_is_the_measure_itself_has_a_large_finite_t():
    arrays = ageing_brains()
    arrays[:, 0, 3, 3, 3] = 2 * AGES
    found = correlation_map(InMemory(arrays), AGES)
    assert found.slope[3, 3, 3] == pytest.approx(2 * AGES.std(ddof=1), rel=1e-6)
    assert 1e6 < found.t[3, 3, 3] < np.inf
    assert np.isfinite(found.t).all()


@pytest.mark.parametrize(("count", "said"), [(1, "1 session is"), (2, "2 sessions are")])
def test_too_few_sessions_are_told(count, said):
    volumes = InMemory(ageing_brains()[:count])
    with pytest.raises(UserError, match=f"^{said} too few for a t map: it needs 3. Add subjects"):
        correlation_map(volumes, AGES[:count])


def test_a_measure_is_never_constant():
    with pytest.raises(AssertionError, match="no measure if all have one value"):
        correlation_map(InMemory(ageing_brains()), np.full(len(AGES), 42.0))
