"""Limits that part spikes from tissue, against SciPy's median filter."""

import tracemalloc

import numpy as np
import pytest
from scipy import ndimage

from mri3d.scans.intensities import outermost_values, spike_free_limits

SHAPE = (30, 34, 38)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
@pytest.mark.parametrize("at_once", [7, 1 << 15])
def test_limits_are_those_of_a_median_filter_where_a_few_reach_further(order, at_once, monkeypatch):
    monkeypatch.setattr("mri3d.scans.intensities.PLACES_AT_ONCE", at_once)
    random = np.random.default_rng(0)
    scan = random.normal(100, 10, SHAPE).astype(np.float32)
    scan[4:7, 5:9, 6:9] += 300  # a lesion
    scan[20:23, 21:24, 3:6] -= 250
    scan.flat[random.choice(scan.size, 12, replace=False)] = 9000  # spikes
    scan = scan.transpose(order)[::-1]
    low, high = outermost_values(scan)
    medians = ndimage.median_filter(scan, 3, mode="nearest")
    assert spike_free_limits(scan, scan) == (min(low, medians[scan < low].min()), max(high, medians[scan > high].max()))
    assert spike_free_limits(scan, scan)[1] > 380


def test_a_sample_that_misses_half_of_the_voxels_takes_no_memory_for_each():
    scan = np.full((120, 120, 120), 100, np.uint8)
    scan[::2] = 200
    scan[0, 0] = 0
    tracemalloc.start()
    assert spike_free_limits(scan, scan[1::2])[1] == 200
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * scan.size, "27 voxels and their places would be 864 bytes for each of half of them"
