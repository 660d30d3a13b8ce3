"""Resampling: against scipy and MONAI, and against what padding, memory order and limits must mean."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from mri3d.volumes.resample import interpolation_matrix, resample, shrinking_matrix


def warping_matrices(shape: tuple[int, ...], shape_out: tuple[int, ...]) -> list[np.ndarray]:
    """Stretch each axis onto its new length, edges onto edges."""
    return [shrinking_matrix(n, m, start=0.5 * n / m - 0.5, step=n / m) for n, m in zip(shape, shape_out, strict=True)]


def smooth_image(shape: tuple[int, ...], *, border: int = 0) -> np.ndarray:
    """Return a random image with structure at several scales in 0..1, zero in a border."""
    random = np.random.default_rng(3)
    image = sum(ndimage.gaussian_filter(random.standard_normal(shape), sigma) * sigma**1.5 for sigma in (0.7, 2, 5))
    image = (image - image.min()) / np.ptp(image)
    if border:
        inside = np.zeros(shape)
        inside[(slice(border, -border),) * 3] = 1
        image *= inside
    return image.astype(np.float32)


@pytest.mark.parametrize("shape_out", [(11, 13, 9), (25, 30, 41), (33, 41, 37)])
def test_equals_gaussian_filter_then_linear_interpolation(shape_out):
    image = smooth_image((47, 53, 41), border=8)
    factors = np.divide(image.shape, shape_out)
    smoothed = ndimage.gaussian_filter(image.astype(np.float64), np.maximum(0, (factors - 1) / 2), truncate=4)
    at = [factor * (np.arange(m) + 0.5) - 0.5 for factor, m in zip(factors, shape_out, strict=True)]
    expected = ndimage.map_coordinates(smoothed, np.meshgrid(*at, indexing="ij"), order=1, mode="nearest")

    found = resample(image, warping_matrices(image.shape, shape_out))

    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    # scipy mirrors at the edges where we weight what is there; a zero border makes both the same but for their tails
    np.testing.assert_allclose(found, expected, atol=2e-3 * image.max())


def test_equals_monai_antialiased_resize_within_one_percent():
    from monai.transforms import Resize

    image, shape_out = smooth_image((61, 53, 56), border=10), (12, 11, 10)
    resize = Resize(shape_out, mode="trilinear", align_corners=False, anti_aliasing=True)
    expected = np.asarray(resize(image[np.newaxis]))[0]
    found = resample(image, warping_matrices(image.shape, shape_out))
    assert np.abs(found - expected).max() <= 0.01 * np.ptp(expected)


def test_growing_is_plain_linear_interpolation():
    image = smooth_image((7, 8, 9))
    factors = np.divide(image.shape, (20, 21, 22))
    at = [factor * (np.arange(m) + 0.5) - 0.5 for factor, m in zip(factors, (20, 21, 22), strict=True)]
    expected = ndimage.map_coordinates(image, np.meshgrid(*at, indexing="ij"), order=1, mode="nearest")
    np.testing.assert_allclose(resample(image, warping_matrices(image.shape, (20, 21, 22))), expected, atol=1e-6)


def test_shrinking_does_not_alias():
    stripes = np.tile(np.array([0.0, 1.0], np.float32), 64)[:, np.newaxis, np.newaxis] * np.ones((1, 8, 9), np.float32)
    found = resample(stripes, warping_matrices(stripes.shape, (25, 8, 9)))
    np.testing.assert_allclose(found[2:-2], 0.5, atol=0.01)  # taking single voxels gives stripes of another width


@settings(deadline=None)
@given(st.integers(2, 60), st.integers(1, 40), st.floats(-30, 30), st.floats(0.1, 9))
def test_a_row_weighs_no_more_than_one_and_what_lies_inside_weighs_one(num_in, num_out, start, step):
    weights = shrinking_matrix(num_in, num_out, start, step)
    assert (weights >= 0).all()
    sums = weights.sum(axis=1)
    assert (sums <= 1 + 1e-5).all()
    reach = int(4 * max(0, (step - 1) / 2) + 0.5) + 1
    centres = start + step * np.arange(num_out)
    np.testing.assert_allclose(sums[(centres >= reach) & (centres <= num_in - 1 - reach)], 1, atol=1e-5)
    np.testing.assert_array_equal(sums[(centres < -reach) | (centres > num_in - 1 + reach)], 0)


@given(st.integers(1, 30), st.lists(st.floats(-5, 40), min_size=1, max_size=20))
def test_interpolation_is_that_of_numpy(num_in, at):
    values = np.sin(np.arange(num_in))
    expected = np.interp(at, np.arange(num_in), values)
    np.testing.assert_allclose(interpolation_matrix(num_in, np.array(at)) @ values, expected, atol=1e-12)


def test_what_reaches_beyond_the_axis_meets_the_outside():
    image = smooth_image((30, 32, 34)) + 1
    padded = np.pad(image, ((8, 8), (4, 4), (0, 0)), constant_values=0.25)
    step = 46 / 10
    expected = resample(padded, [shrinking_matrix(n, 10, 0.5 * step - 0.5 - (46 - n) / 2, step) for n in (46, 40, 34)])
    found = resample(
        image,
        [shrinking_matrix(n, 10, 0.5 * step - 0.5 - (46 - n) / 2, step) for n in image.shape],
        outside=0.25,
    )
    np.testing.assert_allclose(found[:, 2:-2, 3:-3], expected[:, 2:-2, 3:-3], atol=1e-5)
    away = [shrinking_matrix(n, 5, -100.0, 3.0) for n in image.shape]
    np.testing.assert_array_equal(resample(image, away, outside=0.25), 0.25)


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
@pytest.mark.parametrize("flips", [(), (0,), (0, 1, 2)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, ">i2", np.float32])
def test_memory_order_and_type_change_nothing(axes, flips, dtype):
    image = (smooth_image((17, 18, 19)) * 250).astype(dtype)
    expected = resample(image.astype(np.float32), warping_matrices(image.shape, (5, 6, 7)), limits=(20, 200))
    stored = np.ascontiguousarray(np.flip(image, flips).transpose(axes)) if flips else image.transpose(axes).copy()
    view = np.flip(stored.transpose(np.argsort(axes)), flips)
    np.testing.assert_array_equal(view, image)
    limits = image.dtype.type(20), image.dtype.type(200)
    np.testing.assert_allclose(
        resample(view, warping_matrices(image.shape, (5, 6, 7)), limits=limits), expected, atol=1e-3
    )


def test_several_slabs_give_what_one_gives(monkeypatch):
    image = smooth_image((23, 18, 19))
    whole = resample(image, warping_matrices(image.shape, (5, 6, 7)))
    monkeypatch.setattr("mri3d.volumes.resample.SLAB_VOXELS", 2 * 18 * 19)
    np.testing.assert_allclose(resample(image, warping_matrices(image.shape, (5, 6, 7))), whole, atol=1e-6)


def test_limits_clip_before_a_spike_can_spread():
    image = smooth_image((20, 21, 22))
    spiked = image.copy()
    spiked[10, 10, 10] = 1e6
    matrices = warping_matrices(image.shape, (5, 5, 5))
    limits = np.float32(0), np.float32(1)
    np.testing.assert_allclose(resample(spiked, matrices, limits=limits), resample(image, matrices), atol=0.05)
