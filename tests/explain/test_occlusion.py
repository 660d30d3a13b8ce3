"""Occlusion of hand-built models: what is lost without a block, or a region, is known by formula."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from mri3d.errors import UserError
from mri3d.explain import contrasted
from mri3d.explain.evidence import Method, Question
from mri3d.explain.occlusion import occlusion, region_occlusion
from mri3d.explain.regions import require_regions
from tests.explain.asked import ask

SHAPE = (7, 8, 12)
WEIGHTS, VOLUME, BASELINE = np.random.default_rng(1).standard_normal((3, 2, *SHAPE)).astype(np.float32)


def linear(volumes):
    """Weigh the voxels of volumes [B, C, X, Y, Z]."""
    return (volumes.astype(np.float64) * WEIGHTS).sum(axis=(1, 2, 3, 4))


def added():
    """Compute what each voxel adds to `linear`, from the baseline on."""
    return ((VOLUME.astype(np.float64) - BASELINE) * WEIGHTS).sum(axis=0)


def test_a_voxel_has_the_mean_loss_of_the_blocks_that_hold_it():
    evidence = occlusion(linear, VOLUME, baseline=BASELINE)
    assert evidence.values.shape == SHAPE
    assert evidence.values.dtype == np.float32
    total, count, num_blocks = np.zeros(SHAPE), np.zeros(SHAPE), 0
    for x in range(-1, 7):  # blocks of a sixth of 12 voxels, half a block apart; the first reach out
        for y in range(-1, 8):
            for z in range(-1, 12):
                block = tuple(slice(max(at, 0), at + 2) for at in (x, y, z))
                total[block] += added()[block].sum()
                count[block] += 1
                num_blocks += 1
    assert_allclose(evidence.values, total / count, atol=1e-5)
    assert evidence.facts == {"num_blocks": num_blocks}


@pytest.mark.parametrize("size", [1, 5, 10**9])
def test_batches_of_any_size_give_the_same(size, monkeypatch):
    expected = occlusion(linear, VOLUME, baseline=BASELINE).values
    seen = []

    def noted(volumes):
        seen.append(len(volumes))
        return linear(volumes)

    monkeypatch.setattr(contrasted, "BATCH_VOXELS", size * VOLUME.size)
    assert_allclose(occlusion(noted, VOLUME, baseline=BASELINE).values, expected, rtol=1e-6)
    assert max(seen) == min(size, 8 * 9 * 13)
    assert sum(seen) == 1 + 8 * 9 * 13


def test_a_volume_like_the_baseline_has_no_evidence():
    evidence = occlusion(linear, BASELINE, baseline=BASELINE)
    assert_array_equal(evidence.values, np.zeros(SHAPE))
    assert evidence.facts == {"num_blocks": 0}
    regions = np.ones(SHAPE, int)
    assert_array_equal(region_occlusion(linear, BASELINE, baseline=BASELINE, regions=regions).values, np.zeros(SHAPE))


def test_only_blocks_that_differ_are_replaced():
    changed = BASELINE.copy()
    changed[1, 3, 4, 5] += 2.0
    loss = 2.0 * WEIGHTS[1, 3, 4, 5]
    evidence = occlusion(linear, changed, baseline=BASELINE)
    assert evidence.facts == {"num_blocks": 8}
    assert evidence.values[3, 4, 5] == pytest.approx(loss, rel=1e-4)
    for shift, share in (((1, 0, 0), 1 / 2), ((0, -1, 1), 1 / 4), ((1, 1, 1), 1 / 8), ((2, 0, 0), 0)):
        assert evidence.values[tuple(np.add((3, 4, 5), shift))] == pytest.approx(share * loss, rel=1e-4)


def test_what_takes_away_from_the_number_is_negative():
    def darkness(volumes):
        return -volumes.sum(axis=(1, 2, 3, 4))

    bright = np.zeros((1, *SHAPE), np.float32)
    bright[0, 2:5, 3:6, 4:8] = 1.0
    values = occlusion(darkness, bright, baseline=0 * bright).values
    assert values.max() == 0.0 > values[3, 4, 5] == values.min() == -8.0  # a block of 2 x 2 x 2


def test_volumes_are_left_as_they_were():
    before = VOLUME.copy(), BASELINE.copy()
    occlusion(linear, VOLUME, baseline=BASELINE)
    region_occlusion(linear, VOLUME, baseline=BASELINE, regions=np.ones(SHAPE, int))
    assert_array_equal(VOLUME, before[0])
    assert_array_equal(BASELINE, before[1])


def test_each_region_has_the_loss_of_the_whole_region():
    regions = np.zeros(SHAPE, np.int16)
    regions[:3], regions[5:, :4], regions[3:5, 2:4, 6:] = 17, 1003, -2
    evidence = region_occlusion(linear, VOLUME, baseline=BASELINE, regions=regions)
    assert evidence.values.dtype == np.float32
    for label in (17, 1003, -2):
        assert_allclose(evidence.values[regions == label], added()[regions == label].sum(), rtol=1e-4)
    assert_array_equal(evidence.values[regions == 0], 0)
    assert evidence.facts == {"num_regions": 3}


def test_without_regions_there_is_no_evidence_and_without_an_image_of_them_no_answer():
    nothing = region_occlusion(linear, VOLUME, baseline=BASELINE, regions=np.zeros(SHAPE, int))
    assert_array_equal(nothing.values, np.zeros(SHAPE))
    assert nothing.facts == {"num_regions": 0}
    regions = np.ones(SHAPE, int)
    assert require_regions(ask(VOLUME, "region_occlusion", regions=regions)) is regions
    with pytest.raises(UserError, match=r"^occlusion of regions needs regions: an image of labels"):
        require_regions(Question(VOLUME, 0, Method("region_occlusion")))
