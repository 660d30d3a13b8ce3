"""Finding the head: planted ellipsoids in silence, in noise, with spikes, beside other things."""

import re

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mri3d.scans import head as module
from mri3d.scans.head import find_head

SHAPE = (60, 72, 66)
CENTRE = np.array([28.0, 38.0, 30.0])
RADII = np.array([18.0, 25.0, 21.0])


def distance(centre: np.ndarray = CENTRE, radii: np.ndarray = RADII) -> np.ndarray:
    grid = np.moveaxis(np.indices(SHAPE), 0, -1)
    return np.linalg.norm((grid - centre) / radii, axis=-1)


def head_warnings(data: np.ndarray, spacing_mm: np.ndarray) -> tuple[str, ...]:
    return module.head_warnings(data, find_head(data).box, spacing_mm)


@pytest.fixture
def head() -> np.ndarray:
    """An ellipsoid of tissue, 60 at its rim and 160 in its core, in zeros."""
    return np.where(distance() < 1, np.where(distance() < 0.7, 160, 60), 0).astype(np.float32)


def assert_box(box: tuple[tuple[int, int], ...], margin: int = 3) -> None:
    """The box holds the planted head and little more."""
    found = np.array(box)
    low, high = np.ceil(CENTRE - RADII), np.floor(CENTRE + RADII) + 1
    assert (found[:, 0] <= low).all()
    assert (found[:, 1] >= high).all()
    assert (np.abs(found - np.stack([low, high], axis=1)) <= margin).all(), found


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_finds_a_skull_stripped_brain(head, dtype):
    found = find_head(head.astype(dtype))
    assert_box(found.box)
    assert found.air == 0
    assert 0 < found.threshold < 60
    assert found.limits == (0, 160)
    assert found.limits[0].dtype == dtype


def test_finds_a_head_in_noise(head):
    random = np.random.default_rng(0)
    noisy = np.hypot(head + random.normal(0, 8, SHAPE), random.normal(0, 8, SHAPE)).astype(np.float32)
    found = find_head(noisy)
    assert_box(found.box)
    assert found.air == pytest.approx(8 * np.sqrt(np.pi / 2), rel=0.1)  # mean of Rayleigh noise
    assert found.air < found.threshold < 60


@pytest.mark.parametrize("spike", [65535.0, -32768.0])
@pytest.mark.parametrize("at", [(0, 0, 0), (28, 38, 30), (59, 70, 2)])
def test_a_spike_changes_nothing(head, spike, at):
    spiked = head.copy()
    spiked[at] = spike
    found, expected = find_head(spiked), find_head(head)
    assert found.box == expected.box
    assert found.limits == expected.limits
    assert found.threshold == pytest.approx(expected.threshold, rel=0.01)


@pytest.mark.parametrize("num_spikes", [20, 200])
@pytest.mark.parametrize("value", [65535.0, 1.0])
@pytest.mark.parametrize("noise", [0.0, 8.0])
def test_spikes_anywhere_change_nothing(head, num_spikes, value, noise):
    random = np.random.default_rng(0)
    scan = np.hypot(head + random.normal(0, noise, SHAPE), random.normal(0, noise, SHAPE)).astype(np.float32)
    spiked = scan.copy()
    spiked.flat[random.choice(scan.size, num_spikes, replace=False)] = value
    found, expected = find_head(spiked), find_head(scan)
    assert found.box == expected.box
    assert found.limits == pytest.approx(expected.limits, rel=0.02)  # 0.07 % of the voxels move a percentile of 99.9
    assert found.threshold == pytest.approx(expected.threshold, rel=0.02)


def test_what_lies_beside_the_head_is_left_out(head):
    head[distance(np.array([55.0, 5.0, 60.0]), np.full(3, 4.0)) < 1] = 160
    assert_box(find_head(head).box)


def test_an_offset_of_all_intensities_moves_air_with_it(head):
    found = find_head(head - 1000)
    assert_box(found.box)
    assert found.air == -1000


def test_large_scans_are_sampled_to_within_a_few_voxels():
    grid = np.moveaxis(np.indices((200, 150, 30)), 0, -1)
    image = 100 * (np.linalg.norm((grid - [90, 70, 14]) / [60, 50, 10], axis=-1) < 1).astype(np.uint8)
    np.testing.assert_allclose(find_head(image).box, [(30, 151), (20, 121), (4, 25)], atol=8)


def test_one_bright_voxel_among_zeros_is_no_reason_to_fail():
    image = np.zeros((70, 80, 90), np.int16)
    image[3, 5, 7] = 100
    found = find_head(image)
    assert found.box == ((0, 70), (0, 80), (0, 90))
    assert found.limits == (0, 100)


@pytest.mark.parametrize("spacing_mm", [(40.0, 40.0, 40.0), (0.4, 0.4, 0.4), (4.0, 4.0, 40.0)])
def test_a_head_of_no_human_size_is_named(head, spacing_mm):
    for order in ((0, 1, 2), (2, 0, 1)):
        (told,) = head_warnings(head.transpose(order), np.array(spacing_mm)[list(order)])
        sides = re.fullmatch(r"the head measures (.*) mm, which no human head does: check the voxel size .*", told)[1]
        sides_mm = np.array(sides.split(" x "), float) / np.array(spacing_mm)[list(order)]
        np.testing.assert_allclose(sides_mm, 2 * RADII[list(order)], atol=4)


@pytest.mark.parametrize("spacing_mm", [(4.0, 4.0, 4.0), (2.0, 2.0, 2.0), (3.0, 3.0, 7.0)])
def test_heads_of_human_size_are_not(head, spacing_mm):
    assert head_warnings(head, np.array(spacing_mm)) == ()


@pytest.mark.parametrize("num_others", [1, 20, 285])
def test_an_almost_constant_scan_is_named(num_others):
    image = np.full(SHAPE, 7.5, np.float32)
    image.reshape(-1)[np.random.default_rng(0).choice(image.size, num_others, replace=False)] = 90
    told = f"almost constant: all but {num_others} of its 285,120 voxels are 7.5"
    assert head_warnings(image, np.full(3, 3.0)) == (told,)


def test_a_small_brain_in_a_large_field_is_not_almost_constant():
    image = np.zeros((90, 100, 80), np.uint8)
    image[40:50, 40:50, 40:50] = 9
    assert head_warnings(image, np.full(3, 10.0)) == ()


@pytest.mark.parametrize("scale", [1e-45, 1e-38, 1e38])
def test_intensities_of_any_size_are_looked_at(head, scale):
    assert head_warnings((head / 160 * scale).astype(np.float32), np.full(3, 4.0)) == ()


@settings(max_examples=150, deadline=None)
@example(sides=(2, 2, 2), values=[0, 0, 0, 1, 0, 7, 1], dtype=np.uint8, seed=78)  # one voxel stands out
@example(sides=(2, 3, 3), values=[7, 7, 7, 0, 7, 1, 7], dtype=np.uint8, seed=79)  # two voxels do
@given(
    sides=st.tuples(*[st.integers(2, 9)] * 3),
    values=st.lists(st.sampled_from([0, 1, 7, 255]), min_size=2, max_size=40),
    dtype=st.sampled_from([np.uint8, np.int16, np.float32]),
    seed=st.integers(0, 99),
)
def test_any_image_has_a_box_and_limits(sides, values, dtype, seed):
    image = np.random.default_rng(seed).choice(np.array(values, dtype), sides)
    if image.min() == image.max():
        return
    found = find_head(image)
    shown = [(max(first, 0), min(end, side)) for (first, end), side in zip(found.box, sides, strict=True)]
    assert all(first < end for first, end in shown)
    assert found.limits[0] < found.limits[1]
    assert np.isfinite([found.air, found.threshold]).all()
    assert found.limits[0].dtype == dtype


@pytest.mark.parametrize("widths", [(1, 1, 1, 1, 1, 1), (0, 12, 3, 0, 7, 2)])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_zeros_around_a_head_move_its_box_and_change_nothing_else(head, widths, order):
    random = np.random.default_rng(0)
    noisy = np.hypot(head + random.normal(0, 8, SHAPE), random.normal(0, 8, SHAPE)).astype(np.float32).transpose(order)
    pairs = np.reshape(widths, (3, 2))
    expected, found = find_head(noisy), find_head(np.pad(noisy, pairs))
    np.testing.assert_array_equal(np.array(found.box) - pairs[:, :1], expected.box)
    assert (found.air, found.threshold, found.limits) == (expected.air, expected.threshold, expected.limits)


@pytest.mark.parametrize("fill", [-500.0, 0.0, 400.0])
def test_air_written_by_somebody_is_told_from_measured_air(head, fill):
    random = np.random.default_rng(0)
    tissue = np.where(head > 0, head + random.normal(0, 30, SHAPE), fill).astype(np.float32)
    found = find_head(tissue)
    assert_box(found.box)
    assert found.fill == fill
    assert tissue[head > 0].min() - 30 < found.air < np.percentile(tissue[head > 0], 0.2)
    assert found.air < found.threshold < np.median(tissue[head > 0])


def test_corners_without_an_image_leave_measured_air_what_it_is(head):
    random = np.random.default_rng(0)
    noisy = np.hypot(head + random.normal(0, 8, SHAPE), random.normal(0, 8, SHAPE)).astype(np.float32)
    x, y = np.indices(SHAPE)[:2]
    noisy[np.abs(x - 30) + np.abs(y - 36) > 52] = 0  # as where a scan was turned
    assert find_head(noisy).fill is None
    assert_box(find_head(noisy).box)
