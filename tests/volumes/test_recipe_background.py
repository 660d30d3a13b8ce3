"""What surrounds a head is no property of it: air, fields of view and fills of any rank give the same volume."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mri3d.scans.scan import Scan, ScanError, read_scan
from mri3d.volumes.recipe import Recipe
from tests.scans.phantom import SHARED_DATA, needs_shared_data, oblique_affine
from tests.volumes.planted import CENTRE_MM, SHAPE, ball, scan_of, texture

HEADS = sorted((SHARED_DATA / "ixi/T1").glob("*.nii.gz"))[:6]
BRAINS = sorted((SHARED_DATA / "depression-bids").rglob("*T1w.nii.gz"))[:2]
RECIPES = [Recipe(20), Recipe(20, intensity="minmax", resize="warp"), Recipe("native", shape=(60, 60, 60))]


def brain() -> np.ndarray:
    """Tissue of 60 to 160 whose neighbours differ, without any air: 0 outside."""
    inside = ball(CENTRE_MM, 24) > 0
    return np.where(inside, texture(0.1) * (80 + 60 * ball(CENTRE_MM, 15)), 0).astype(np.float32)


def in_air(image: np.ndarray, sigma: float = 4.0) -> np.ndarray:
    """Add Rician noise, as magnitude images have it."""
    random = np.random.default_rng(7)
    noise = random.normal(0, sigma, (2, *image.shape))
    return np.hypot(image + noise[0], noise[1]).astype(np.float32)


def padded(scan: Scan, widths: np.ndarray, fill: float = 0.0) -> Scan:
    """Surround a scan by more voxels; its own stay where they are in the world."""
    affine = scan.affine.copy()
    affine[:3, 3] -= affine[:3, :3] @ widths[:, 0]
    return replace(scan, data=np.pad(scan.data, widths, constant_values=fill), affine=affine)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("image", [brain(), in_air(brain()), in_air(brain()).astype(np.uint8)])
@settings(max_examples=15, deadline=None)
@given(widths=st.lists(st.integers(0, 12), min_size=6, max_size=6))
def test_padding_changes_no_bit_of_the_volume(recipe, image, widths):
    scan = scan_of(image)
    around = padded(scan, np.array(widths).reshape(3, 2))
    np.testing.assert_array_equal(recipe.volume(around), recipe.volume(scan))
    np.testing.assert_allclose(recipe.affine(around), recipe.affine(scan), atol=1e-9)


@pytest.mark.parametrize("fill", [-1000.0, 0.0, 37.5, 5000.0])
def test_padding_by_another_value_is_taken_off_too(fill):
    scan = scan_of(in_air(brain()))
    around = padded(scan, np.full((3, 2), 4), fill)
    np.testing.assert_array_equal(Recipe(20).volume(around), Recipe(20).volume(scan))


def test_a_map_comes_back_onto_the_padded_scan_where_it_was():
    scan = scan_of(in_air(brain()))
    around = padded(scan, np.array([[5, 0], [2, 9], [0, 3]]))
    values = np.random.default_rng(0).random((20, 20, 20)).astype(np.float32)
    inside = Recipe(20).to_scan(values, around)[5:, 2:-9, :-3]
    np.testing.assert_allclose(inside, Recipe(20).to_scan(values, scan), atol=1e-5)


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_narrower_field_of_view_changes_nothing_where_the_head_is_whole(cut):
    scan = scan_of(in_air(brain()))
    affine = scan.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ np.full(3, cut)
    narrow = replace(scan, data=scan.data[cut:-cut, cut:-cut, cut:-cut], affine=affine)
    apart = Recipe(20).volume(narrow) - Recipe(20).volume(scan)
    np.testing.assert_allclose(apart, 0, atol=0.15)  # of the noise that was cut off


@pytest.mark.parametrize("recipe", RECIPES)
def test_zscores_give_one_volume_whatever_their_fill_and_that_of_the_brain(recipe):
    raw = brain()
    inside = raw > 0
    z = (raw - raw[inside].mean()) / raw[inside].std()
    fills = (0.0, z[inside].min() - 1, z[inside].max() + 3, -1000.0, 1e6)
    volumes = [recipe.volume(scan_of(np.where(inside, z, np.float32(fill)).astype(np.float32))) for fill in fills]
    for volume in volumes[1:]:
        np.testing.assert_allclose(volume, volumes[0], atol=1e-3)
    shown = volumes[0] > volumes[0].min()  # the background of this phantom lies far from its tissue
    assert np.corrcoef(recipe.volume(scan_of(raw))[shown], volumes[0][shown])[0, 1] > 0.8


def test_no_voxel_of_a_brain_lies_outside_its_box():
    raw = brain()
    z = np.where(raw > 0, (raw - raw[raw > 0].mean()) / raw[raw > 0].std(), 0).astype(np.float32)
    carried = Recipe(30).to_scan(np.ones((30, 30, 30)), scan_of(z))
    assert (carried[raw > 0] > 0.99).all()


@needs_shared_data
@pytest.mark.parametrize("path", BRAINS, ids=lambda path: path.name[:6])
def test_zscored_brains_give_the_volume_of_the_raw_ones(path):
    raw = read_scan(path)
    inside = raw.data > 0
    z = np.where(inside, (raw.data - raw.data[inside].mean()) / raw.data[inside].std(), 0).astype(np.float32)
    found = Recipe(50).volume(replace(raw, data=z))
    assert np.corrcoef(found.ravel(), Recipe(50).volume(raw).ravel())[0, 1] > 0.9999
    assert (Recipe(50).to_scan(np.ones((50, 50, 50)), replace(raw, data=z))[inside] > 0.99).all()


@needs_shared_data
@pytest.mark.parametrize("path", HEADS, ids=lambda path: path.name[:6])
def test_padding_changes_no_bit_of_real_heads(path):
    scan = read_scan(path)
    expected = Recipe(40).volume(scan)
    for widths in (np.full((3, 2), 2), np.array([[0, 20], [7, 0], [12, 1]])):
        np.testing.assert_array_equal(Recipe(40).volume(padded(scan, widths)), expected)


@needs_shared_data
@pytest.mark.parametrize("path", HEADS, ids=lambda path: path.name[:6])
def test_more_noise_around_real_heads_changes_almost_nothing(path):
    scan = read_scan(path)
    random = np.random.default_rng(0)
    around = padded(scan, np.array([[3, 3], [6, 6], [0, 8]]), np.nan)
    beyond = np.isnan(around.data)
    air = scan.data[:, -2:]
    data = around.data.copy()
    data[beyond] = random.choice(air[air <= np.percentile(air, 90)], beyond.sum())
    apart = np.abs(Recipe(40).volume(replace(around, data=data)) - Recipe(40).volume(scan))
    assert np.quantile(apart, 0.99) < 0.1, apart.max()


@pytest.mark.parametrize("volume_ml", [4, 1, 0.3])
@pytest.mark.parametrize("resolution", [30, 60])
def test_a_bright_lesion_is_not_clipped(volume_ml, resolution):
    raw = in_air(brain())
    lesion = ball(CENTRE_MM, (volume_ml * 1000 * 0.75 / np.pi) ** (1 / 3)) > 0.5
    level = 2 * np.median(raw[ball(CENTRE_MM, 15) == 1])
    scan = scan_of(np.where(lesion, level, raw).astype(np.float32))
    voxels, plain = Recipe(resolution).volume(scan)[0], Recipe(resolution, intensity="none").volume(scan)[0]
    tissue = np.polyfit(plain[voxels > 0], voxels[voxels > 0], 1)  # a z-score is linear unless something was clipped
    assert voxels.max() == pytest.approx(np.polyval(tissue, plain.max()), rel=0.03)


def test_single_bright_and_dark_voxels_are_clipped():
    raw = in_air(brain())
    spiked = raw.copy()
    spiked[20, 31, 16], spiked[21, 25, 17], spiked[2, 2, 2] = 65535, -30000, 65535
    apart = np.abs(Recipe(20).volume(scan_of(spiked)) - Recipe(20).volume(scan_of(raw)))
    assert apart.max() < 1  # as one voxel of the brightest tissue there is
    assert np.count_nonzero(apart > 0.05) < 30


def test_what_is_no_intensity_is_named_unless_the_cube_takes_it():
    mask = (brain() > 0).astype(np.uint8)
    tissues = np.digitize(brain(), [1, 70, 130]).astype(np.uint8)
    parcels = np.where(mask, 1 + np.arange(SHAPE[1])[:, None] // 6, 0).astype(np.int16)
    for image, what in ((mask, "a mask"), (255 - 255 * mask, "a mask"), (parcels, "a label map")):
        with pytest.raises(ScanError, match=f"sub-07.nii is {what}, not a scan of a head: .* preprocess='cube'"):
            Recipe(20).volume(scan_of(image))
        cube = Recipe(20, crop="none", intensity="minmax").volume(scan_of(image))
        assert cube.min() == pytest.approx(0, abs=0.02)
        assert 0.8 < cube.max() < 1.02
    with pytest.raises(ScanError, match="label map"):
        Recipe(20).volume(scan_of(np.kron(tissues, np.ones((2, 2, 2), np.uint8)), oblique_affine()))
