"""Scans that are like a scan: those whose features point the same way, seen from what all have in common."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from mri3d.explain.similar import coarse_features, most_similar

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_the_nearest_in_direction_come_first_whatever_the_scale_and_the_offset(scale):
    known = np.array([[1.0, 0], [0, 1], [-1, 0], [0, -1]])
    places, similarity = most_similar(scale * (np.array([[3.0, 1.0]]) + 7), scale * (known + 7), number=3)
    assert_array_equal(places, [[0, 1, 3]])
    assert_allclose(similarity, np.array([[3, 1, -1]]) / np.sqrt(10), atol=1e-7)


def test_a_scan_is_most_like_itself_and_equals_keep_their_order():
    known = RNG.standard_normal((6, 5))
    known[4] = known[1]
    places, similarity = most_similar(known[[3, 4]], known, number=2)
    assert_array_equal(places, [[3, *places[0, 1:]], [1, 4]])
    assert_allclose(similarity[[0, 1, 1], [0, 0, 1]], 1)


def test_what_is_like_the_mean_is_like_nothing_and_few_are_all_there_are():
    known = np.array([[2.0, 0.1], [4.0, 0.1]])
    places, similarity = most_similar(np.array([[3.0, 0.1]]), known)
    assert_array_equal(places, [[0, 1]])
    assert_array_equal(similarity, [[0, 0]])
    alike = np.ones((3, 2))
    assert_array_equal(most_similar(alike, alike)[1], np.zeros((3, 3)))


def test_coarse_copies_do_not_depend_on_the_unit_of_intensity():
    volume = RNG.random((1, 30, 40, 50)).astype(np.float32)
    coarse = coarse_features(volume)
    assert coarse.shape == (14 * 19 * 24,)
    assert_allclose(coarse, coarse_features(7 * volume + 3), atol=1e-4)
