"""Maps over several sessions: t as SciPy has it, and a family-wise error that is kept."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from scipy.ndimage import gaussian_filter

from mri3d.errors import UserError
from mri3d.explain.group import group_map

SHAPE = (7, 8, 9)


def maps_of(count, *, shift=0.0, seed=0):
    """Draw maps of noise, in a part of which there is evidence."""
    made = np.random.default_rng(seed).standard_normal((count, *SHAPE)).astype(np.float32)
    made[:, 2:4, 2:4, 2:4] += shift
    return list(made)


def test_mean_and_t_are_those_of_scipy():
    maps = maps_of(9, shift=0.5)
    found = group_map(maps, num_flips=50)
    assert_allclose(found.mean, np.mean(maps, axis=0), atol=1e-6)
    assert_allclose(found.t, stats.ttest_1samp(np.stack(maps), 0, axis=0).statistic, rtol=1e-4, atol=1e-4)


def test_a_place_that_all_share_is_found_and_no_other():
    found = group_map(maps_of(12, shift=4.0), num_flips=500)
    inside = np.zeros(SHAPE, bool)
    inside[2:4, 2:4, 2:4] = True
    assert (found.p[inside] <= 0.01).all()
    assert (found.p[~inside] > 0.05).mean() > 0.99
    assert found.consistency[inside].min() > 0.7 > 0.3 > found.consistency[~inside].max()


def test_few_sessions_are_tested_by_all_signs_there_are():
    found = group_map(maps_of(4, shift=9.0))
    assert found.least_p == 1 / 8  # signs of three of them: the first keeps its own
    assert set(np.unique(found.p)) <= set(np.arange(1, 9, dtype=np.float32) / 8)


def test_family_wise_error_is_kept():
    random, hits = np.random.default_rng(3), 0
    for seed in range(60):
        noise = [gaussian_filter(random.standard_normal((10, 10, 10)), 1.5) for _ in range(10)]
        hits += group_map(noise, num_flips=100, seed=seed).p.min() <= 0.05
    assert hits <= 8  # of 60 at 0.05: more come about once in 200 times


def test_where_no_map_has_evidence_there_is_none():
    maps = maps_of(5, shift=1.0)
    for one in maps:
        one[0] = 0
    found = group_map(maps)
    assert (found.t[0] == 0).all()
    assert (found.p[0] == 1).all()
    assert (found.consistency[0] == 0).all()


def test_two_sessions_are_no_group():
    with pytest.raises(UserError, match=r"2 sessions are too few for a group map: it needs 3\."):
        group_map(maps_of(2))
