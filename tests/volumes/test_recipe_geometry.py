"""Where voxels come from and go back to: planted ramps, balls and blobs in world coordinates."""

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mri3d.scans.scan import ScanError, read_scan
from mri3d.volumes.recipe import Recipe
from tests.models.refusals import refused
from tests.scans.phantom import ORDERS, SHARED_DATA, needs_shared_data, oblique_affine, reorder, world_mm
from tests.volumes.planted import CENTRE_MM, OFF_CENTRE_MM, SHAPE, ball, blob, scan_of, stored_as, texture

SOME_ORDERS = ["RAS", "LIA", "PSR", "ASL"]
WHOLE = Recipe(resolution=24, crop="none", intensity="none")


def centre_of_mass_mm(image: np.ndarray, affine: np.ndarray) -> np.ndarray:
    weights = np.clip(image.astype(np.float64), 0, None)
    return np.tensordot(weights, world_mm(image.shape, affine), 3) / weights.sum()


@pytest.mark.parametrize("order", SOME_ORDERS)
@pytest.mark.parametrize(
    "recipe",
    [
        WHOLE,
        replace(WHOLE, resolution=90),
        replace(WHOLE, resize="warp"),
        replace(WHOLE, orientation="stored"),
        replace(WHOLE, crop=[[3, 30], [5, 31], [2, 29]], resize="warp"),
        replace(WHOLE, resolution="native", shape=[35, 70, 40]),
    ],
)
def test_the_affine_places_every_voxel_of_the_volume(order, recipe):
    for axis in range(3):  # an image whose value is a world coordinate tells where each voxel came from
        ramp = world_mm(SHAPE, oblique_affine())[..., axis].astype(np.float32)
        scan = stored_as(ramp, order)
        volume = recipe.volume(scan)[0]
        affine = recipe.affine(scan)
        expected = world_mm(volume.shape, affine)[..., axis]
        at = np.moveaxis(world_mm(volume.shape, np.linalg.inv(oblique_affine()) @ affine), -1, 0)
        reach = 9 * max(1, SHAPE[1] / volume.shape[1] - 1)
        inside = np.all([(a > reach) & (a < side - 1 - reach) for a, side in zip(at, SHAPE, strict=True)], axis=0)
        assert inside.sum() > 20
        np.testing.assert_allclose(volume[inside], expected[inside], atol=2e-3)


@pytest.mark.parametrize("order", SOME_ORDERS)
@pytest.mark.parametrize("resize", ["pad", "warp"])
@pytest.mark.parametrize("resolution", [20, 48, 70])
def test_the_inverse_puts_every_value_where_it_was(order, resize, resolution):
    recipe = Recipe(resolution=resolution, crop="head", resize=resize)
    scan = stored_as(100 * ball(CENTRE_MM, 25), order)
    affine = recipe.affine(scan)
    for axis in range(3):
        ramp = world_mm((resolution,) * 3, affine)[..., axis]
        carried = recipe.to_scan(ramp, scan)
        assert carried.shape == scan.data.shape
        assert carried.dtype == np.float32
        expected = world_mm(scan.data.shape, scan.affine)[..., axis]
        at = np.moveaxis(world_mm(scan.data.shape, np.linalg.inv(affine) @ scan.affine), -1, 0)
        inside = np.all((at >= 0) & (at <= resolution - 1), axis=0) & (carried != 0)
        assert inside.sum() > 0.8 * (carried != 0).sum() * (1 - 6 / resolution)
        np.testing.assert_allclose(carried[inside], expected[inside], atol=1e-3)


@pytest.mark.parametrize("order", SOME_ORDERS)
@pytest.mark.parametrize("resize", ["pad", "warp"])
@pytest.mark.parametrize("resolution", [25, 64, "native"])
def test_a_planted_blob_survives_the_round_trip(order, resize, resolution):
    shape = (70, 70, 70) if resolution == "native" else None
    recipe = Recipe(resolution, crop="none", resize=resize, intensity="none", shape=shape)
    scan = stored_as(blob(OFF_CENTRE_MM), order)
    truth_mm = centre_of_mass_mm(scan.data, scan.affine)

    volume = recipe.volume(scan)[0]
    voxel_mm = np.linalg.norm(recipe.affine(scan)[:3, :3], axis=0).max()
    assert np.linalg.norm(centre_of_mass_mm(volume, recipe.affine(scan)) - truth_mm) < 0.05 * voxel_mm

    carried = recipe.to_scan(volume, scan)
    assert np.linalg.norm(centre_of_mass_mm(carried, scan.affine) - truth_mm) < 0.1 * voxel_mm


def test_outside_the_crop_the_inverse_is_zero():
    box = ((4, 30), (10, 50), (3, 20))
    for orientation in ("ras", "stored"):
        recipe = Recipe(resolution=16, crop=box, orientation=orientation)
        scan = stored_as(blob(CENTRE_MM), "RAS")
        carried = recipe.to_scan(np.ones((16, 16, 16)), scan)
        expected = np.zeros(SHAPE)
        expected[4:30, 10:50, 3:20] = 1
        np.testing.assert_allclose(carried, expected, atol=1e-6)


def test_a_map_of_another_shape_is_no_map_of_this_recipe():
    with pytest.raises(AssertionError, match=r"the map has sides \(3, 4, 5\), the volume \(24, 24, 24\)"):
        WHOLE.to_scan(np.ones((3, 4, 5)), scan_of(blob(CENTRE_MM)))


@settings(max_examples=40, deadline=None)
@given(
    sides=st.tuples(*[st.integers(9, 40)] * 3),
    spacing_mm=st.tuples(*[st.floats(0.5, 4)] * 3),
    order=st.sampled_from(ORDERS),
    resolution=st.integers(30, 60),
    resize=st.sampled_from(["pad", "warp"]),
)
def test_there_and_back_is_the_identity_where_nothing_shrinks(sides, spacing_mm, order, resolution, resize):
    affine = oblique_affine(np.array(spacing_mm))
    plane = world_mm(sides, affine) @ np.array([0.3, -0.5, 0.8])  # linear, so that interpolation is exact
    scan = scan_of(*reorder(plane.astype(np.float32), affine, order))
    recipe = Recipe(resolution=resolution, crop="none", intensity="none", resize=resize)
    step = np.array(sides) * np.array(spacing_mm) / np.array(spacing_mm) / resolution
    if resize == "pad":
        step = (np.array(sides) * spacing_mm).max() / np.array(spacing_mm) / resolution
    carried = recipe.to_scan(recipe.volume(scan)[0], scan)
    if (step <= 1).all():
        inner = (slice(2, -2),) * 3  # at the rim the outermost voxel goes on
        np.testing.assert_allclose(carried[inner], scan.data[inner], atol=2e-3 * np.abs(scan.data).max() + 1e-3)


def test_padding_keeps_proportions_and_warping_does_not():
    scan = scan_of(ball(CENTRE_MM, 22))  # voxels of 1.5 x 1 x 2.5 mm
    for resize, tolerance in (("pad", True), ("warp", False)):
        volume = Recipe(resolution=40, crop="none", resize=resize, intensity="none").volume(scan)[0]
        spread = [
            np.sqrt(np.average((np.arange(40) - 19.5) ** 2, weights=volume.sum(axis=other)))
            for other in ((1, 2), (0, 2), (0, 1))
        ]
        assert (max(spread) / min(spread) < 1.02) == tolerance, spread


def test_the_head_fills_the_cube_and_is_centred():
    volume = Recipe(resolution=30).volume(stored_as(100 * texture() * ball(OFF_CENTRE_MM, 15), "LPS"))[0]
    inside = np.argwhere(volume > volume[0, 0, 0] + 1)
    assert (inside.min(axis=0) <= 4).all()
    assert (inside.max(axis=0) >= 25).all()
    np.testing.assert_allclose(inside.mean(axis=0), 14.5, atol=1.5)


@pytest.mark.parametrize("recipe", [Recipe(resolution=20), Recipe(resolution="native"), WHOLE])
def test_all_stored_orders_give_the_same_volume(recipe):
    image = 100 * ball(OFF_CENTRE_MM, 18) * (1 + blob(CENTRE_MM) / 200)
    expected = recipe.volume(stored_as(image, "RAS"))
    for order in ORDERS:
        np.testing.assert_allclose(recipe.volume(stored_as(image, order)), expected, atol=1e-4)


@needs_shared_data
def test_sixteen_stored_orders_of_one_head_give_one_volume():
    paths = sorted((SHARED_DATA / "odd-scans" / "axis-orders").glob("*.nii.gz"))
    volumes = [Recipe(resolution=30).volume(read_scan(path)) for path in paths]
    assert len(volumes) == 16
    for volume in volumes[1:]:
        np.testing.assert_allclose(volume, volumes[0], atol=1e-4)


def test_the_stored_order_is_kept_when_told():
    recipe = replace(WHOLE, orientation="stored")
    image = blob(OFF_CENTRE_MM)
    scan = stored_as(image, "LIA")
    peak = np.unravel_index(recipe.volume(scan)[0].argmax(), (24, 24, 24))
    expected = np.array(np.unravel_index(scan.data.argmax(), scan.data.shape))
    at = (np.linalg.inv(scan.affine) @ recipe.affine(scan) @ [*peak, 1])[:3]
    np.testing.assert_allclose(at, expected, atol=2)
    np.testing.assert_allclose(recipe.volume(replace(scan, code=0)), recipe.volume(scan), atol=1e-5)


def test_an_unoriented_scan_is_refused_by_name_unless_order_is_kept():
    scan = scan_of(blob(CENTRE_MM), code=0)
    for call in (Recipe().volume, Recipe().affine):
        with refused(r"sub-07\.nii does not say which way.*preprocess\.orientation=stored", kind=ScanError):
            call(scan)
    assert Recipe(orientation="stored", resolution=8).volume(scan).shape == (1, 8, 8, 8)


@needs_shared_data
@pytest.mark.slow
def test_real_scans_come_back_onto_their_grids():
    for path in sorted((SHARED_DATA / "depression-bids").glob("sub-*/anat/*.nii.gz"))[:3]:
        scan, recipe = read_scan(path), Recipe()
        volume = recipe.volume(scan)[0]
        carried = recipe.to_scan(volume - volume.min(), scan)
        assert carried.shape == nib.load(path).shape
        assert np.corrcoef(carried.ravel()[::7], scan.data.ravel()[::7])[0, 1] > 0.9
