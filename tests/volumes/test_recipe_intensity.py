"""Intensities against planted tissue, and the recipe of the seed study against scipy."""

import numpy as np
import pytest
from scipy import ndimage

from mri3d.scans.head import find_head
from mri3d.scans.scan import ScanError
from mri3d.volumes.recipe import Recipe
from tests.models.refusals import refused
from tests.scans.phantom import oblique_affine, reorder, values, world_mm
from tests.volumes.planted import CENTRE_MM, SHAPE, ball, blob, scan_of, texture


@pytest.fixture
def head() -> np.ndarray:
    """Tissue of 80 and 120 in air of 10."""
    return 10 + texture() * (70 * ball(CENTRE_MM, 26) + 40 * ball(CENTRE_MM, 18))


def test_zscore_is_over_tissue_and_padding_is_air(head):
    volume = Recipe(resolution=40, crop="none").volume(scan_of(head))[0]
    found = find_head(head, tuple((0, side) for side in SHAPE))
    assert found.fill == 10
    as_air = scan_of(np.where(head == 10, np.float32(found.air), head))
    tissue = Recipe(resolution=40, crop="none", intensity="none").volume(as_air)[0] > found.threshold
    assert volume[tissue].mean() == pytest.approx(0, abs=1e-4)
    assert volume[tissue].std() == pytest.approx(1, abs=1e-3)
    assert volume.min() == pytest.approx(volume[0, 0, 0], abs=1e-5)
    affine = Recipe(resolution=40, crop="none").affine(scan_of(head))
    at = world_mm(volume.shape, np.linalg.inv(oblique_affine()) @ affine)
    padding = ((at < -3) | (at > np.array(SHAPE) + 2)).any(axis=-1)
    assert padding.sum() > 1000
    np.testing.assert_allclose(volume[padding], volume[~padding].min(), atol=1e-4)


@pytest.mark.parametrize("intensity", ["zscore", "minmax"])
@pytest.mark.parametrize("crop", ["head", "none"])
@pytest.mark.parametrize("at", [(0, 0, 0), (20, 31, 16)])
def test_a_spike_voxel_does_not_spread(head, intensity, crop, at):
    recipe = Recipe(resolution=30, crop=crop, intensity=intensity)
    spiked = head.copy()
    spiked[at] = 65535
    expected = recipe.volume(scan_of(head))
    found = recipe.volume(scan_of(spiked))
    assert np.abs(found - expected).max() < 0.2 * np.ptp(expected)  # it counts as one bright voxel
    assert np.abs(found - expected).mean() < 0.001 * np.ptp(expected)


def test_zscore_ignores_gain_and_offset(head):
    for recipe in (Recipe(resolution=20), Recipe(resolution=20, intensity="minmax")):
        np.testing.assert_allclose(recipe.volume(scan_of(7 * head - 300)), recipe.volume(scan_of(head)), atol=1e-3)


def test_minmax_lies_between_zero_and_one(head):
    volume = Recipe(resolution=40, intensity="minmax").volume(scan_of(head))
    assert volume.min() == pytest.approx(0, abs=1e-5)
    assert volume.max() == pytest.approx(1, abs=1e-3)


def test_types_make_no_difference(head):
    whole_numbers = np.round(head * texture(0.05))
    expected = Recipe(resolution=20).volume(scan_of(whole_numbers))
    for dtype in (np.uint8, np.int16):
        found = Recipe(resolution=20).volume(scan_of(whole_numbers.astype(dtype)))
        np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("intensity", "message"), [("zscore", "shows no tissue"), ("minmax", "is constant"), ("none", "is constant")]
)
def test_a_crop_without_tissue_is_refused_by_name(head, intensity, message):
    recipe = Recipe(resolution=5, crop=[[0, 5], [0, 5], [0, 5]], intensity=intensity)
    told = rf"sub-07\.nii {message} inside its crop\. Choose another "
    with refused(rf"{told}preprocess\.crop\.", rf"{told}crop\.", kind=ScanError):
        recipe.volume(scan_of(head))


def test_seed_equals_crop_gaussian_and_interpolation_by_scipy():
    random = np.random.default_rng(5)
    image = ndimage.gaussian_filter(random.standard_normal((60, 64, 58)), 2).astype(np.float32)
    box = [[5, 52], [8, 60], [3, 49]]
    recipe = Recipe(resolution=12, orientation="stored", crop=box, resize="warp", intensity="none")
    cropped = image[5:52, 8:60, 3:49].astype(np.float64)
    factors = np.array(cropped.shape) / 12
    smooth = ndimage.gaussian_filter(cropped, (factors - 1) / 2)
    at = [factor * (np.arange(12) + 0.5) - 0.5 for factor in factors]
    expected = ndimage.map_coordinates(smooth, np.meshgrid(*at, indexing="ij"), order=1)

    found = recipe.volume(scan_of(*reorder(image, oblique_affine(), "RAS")))[0]

    inner = (slice(2, -2),) * 3
    assert np.abs(found - expected)[inner].max() < 0.01 * np.ptp(expected)


def test_seed_native_is_the_box_itself():
    image = values((60, 64, 58))
    recipe = Recipe("native", "stored", [[5, 52], [8, 60], [3, 49]], "warp", "none", shape=[47, 52, 46])
    np.testing.assert_array_equal(recipe.volume(scan_of(image, code=0))[0], image[5:52, 8:60, 3:49])


def test_a_scan_too_small_for_the_box_is_refused_by_name():
    recipe = Recipe(crop=[[50, 205], [60, 225], [30, 225]], orientation="stored")
    told = r"sub-07\.nii has 40 x 62 x 33 voxels, too few for preprocess\.crop=\[\[50,2.* or preprocess\.crop=head"
    with refused(told, r"too few for crop=\[\[50, 2.* or crop='head'", kind=ScanError):
        recipe.volume(scan_of(blob(CENTRE_MM)))
