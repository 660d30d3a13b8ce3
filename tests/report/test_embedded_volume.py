"""Volumes in a page are small, lie where the scans lie, and keep the signs and the peak of the heatmap."""

import nibabel as nib
import numpy as np
import pytest

from mri3d.report.embedded_volume import MAX_BYTES, MAX_EDGE, embed
from tests.report.viewed import PEAK, VALLEY, affine, decoded, evidence, stored, world


def embedded(arrays, **more):
    volumes = embed(*arrays, **more)
    return volumes, decoded(volumes.head), decoded(volumes.heatmap)


def center_mm(image, values):
    """The centre of mass of what is bright, in mm [3]."""
    voxels = np.argwhere(values)
    return nib.affines.apply_affine(image.affine, voxels).mean(axis=0)


@pytest.mark.parametrize("codes", ["RAS", "LIA", "PSR"])
@pytest.mark.parametrize("max_edge", [96, 40])
def test_head_and_heatmap_stay_where_they_are(codes, max_edge):
    arrays = stored(codes)
    volumes, head, heatmap = embedded(arrays, max_edge=max_edge)
    assert nib.aff2axcodes(head.affine) == tuple(codes)
    assert max(head.shape) <= max_edge
    assert head.get_data_dtype() == np.uint8
    assert heatmap.get_data_dtype() == np.int8
    np.testing.assert_array_equal(head.affine, heatmap.affine)
    np.testing.assert_allclose(center_mm(head, head.get_fdata() > 50), world((30, 36, 25)), atol=0.25)
    values = heatmap.get_fdata()
    for found, place in ((values.argmax(), PEAK), (values.argmin(), VALLEY)):
        position = nib.affines.apply_affine(heatmap.affine, np.unravel_index(found, values.shape))
        apart = np.linalg.inv(head.affine[:3, :3]) @ (position - world(place))
        assert np.abs(apart).max() <= 0.501
    np.testing.assert_allclose(volumes.peak_mm, world(PEAK), atol=0.001)
    np.testing.assert_allclose([values.max(), values.min()], [0.04, -0.03], rtol=0.01)
    assert (volumes.strongest, volumes.signed) == (pytest.approx(0.04), True)


def test_only_the_axes_that_are_finer_than_needed_become_coarser():
    head = embedded(stored(), max_edge=40)[1]
    sizes_mm = nib.affines.voxel_sizes(head.affine)
    assert sizes_mm[2] == pytest.approx(3.0, rel=1e-5)
    assert sizes_mm[0] == pytest.approx(sizes_mm[1], rel=0.05)
    assert sizes_mm[0] == pytest.approx(72 / 40, rel=0.1)  # the ball and two voxels at each side are 69 to 75 mm long


def test_no_place_of_the_heatmap_changes_its_sign():
    values = np.zeros((64, 60, 58), np.float32)
    rng = np.random.default_rng(0)
    places = rng.choice(values.size, 400, replace=False)
    values.flat[places] = rng.choice([-1, 1], 400) * rng.uniform(0.1, 1, 400)
    volume = np.full(values.shape, 100.0, np.float32)
    small = decoded(embed(volume, affine(), values, max_edge=30).heatmap)
    voxels = np.argwhere(values)
    inside = np.linalg.inv(small.affine) @ affine() @ np.c_[voxels, np.ones(len(voxels))].T
    blocks = [tuple(place) for place in np.floor(inside[:3].T + 0.5001).astype(int)]
    strongest: dict[tuple, float] = {}
    for voxel, block in zip(voxels, blocks, strict=True):
        strongest[block] = max(strongest.get(block, 0.0), values[tuple(voxel)], key=abs)
    found = small.get_fdata()
    assert {tuple(place) for place in np.argwhere(found)} == set(strongest)
    for block, value in strongest.items():
        assert found[block] == pytest.approx(value, abs=1 / 127)


def test_a_small_voxel_of_the_head_is_the_mean_of_what_it_covers():
    volume = np.random.default_rng(0).uniform(50, 100, (40, 60, 80)).astype(np.float32)
    head = decoded(embed(volume, np.eye(4), max_edge=20).head)
    assert head.shape == (10, 15, 20)
    expected = volume.reshape(10, 4, 15, 4, 20, 4).mean(axis=(1, 3, 5))
    step = (volume.max() - volume.min()) / 63
    np.testing.assert_allclose(head.get_fdata(), expected, atol=step)
    np.testing.assert_allclose(head.affine[:3, 3], 1.5)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, ">i2", np.float64, np.float16])
def test_any_type_of_numbers(dtype):
    volume = np.zeros((20, 21, 22), dtype)
    volume[5:15, 5:15, 5:15] = 100
    heatmap = np.zeros((20, 21, 22), dtype)
    heatmap[7, 8, 9] = -128 if np.dtype(dtype).kind != "u" else 128
    volumes = embed(volume, np.eye(4), heatmap)
    assert volumes.strongest == 128
    assert volumes.peak_mm == (7, 8, 9)
    assert decoded(volumes.heatmap).get_fdata().sum() == pytest.approx(heatmap.sum(dtype=float))


def test_evidence_outside_the_head_is_not_cut_off():
    values = evidence() * 0
    values[1, 1, 1] = -1.0
    volume, place, _ = stored()
    volumes = embed(volume, place, values)
    assert decoded(volumes.heatmap).get_fdata().min() == pytest.approx(-1.0)
    np.testing.assert_allclose(volumes.peak_mm, world((1, 1, 1)), atol=0.001)


def test_without_evidence_there_is_no_heatmap():
    volume, place, _ = stored()
    for nothing in (None, np.zeros_like(volume)):
        volumes = embed(volume, place, nothing)
        assert (volumes.heatmap, volumes.strongest, volumes.signed) == (None, 0.0, False)


def test_noise_is_made_smaller_until_it_fits():
    rng = np.random.default_rng(0)
    volume, heatmap = rng.normal(100, 20, (2, 110, 120, 100)).astype(np.float32)
    volumes = embed(volume, np.eye(4), heatmap - 100)
    assert MAX_BYTES / 2 < volumes.num_bytes <= MAX_BYTES
    assert max(decoded(volumes.head).shape) < MAX_EDGE
    assert volumes == embed(volume, np.eye(4), heatmap - 100)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"volume": np.zeros((3, 4))}, "no volume and affine"),
        ({"affine": np.eye(3)}, "no volume and affine"),
        ({"heatmap": np.zeros((3, 4, 6))}, r"a heatmap of \(3, 4, 6\) is none of \(3, 4, 5\)"),
        ({"heatmap": np.full((3, 4, 5), np.nan)}, "some values are NaN or infinite"),
        ({"affine": np.full((4, 4), np.inf)}, "some values are NaN or infinite"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change, message):
    arguments = {"volume": np.zeros((3, 4, 5)), "affine": np.eye(4)}
    with pytest.raises(ValueError, match=message):
        embed(**(arguments | change))
