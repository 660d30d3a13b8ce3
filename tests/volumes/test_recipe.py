"""Recipes: geometry against planted ramps and blobs, intensities against planted tissue, arguments against nonsense."""

import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from mri3d.errors import UserError
from mri3d.scans.head import find_head
from mri3d.scans.scan import Scan, ScanError, read_scan
from mri3d.volumes.recipe import Recipe
from tests.scans.phantom import (
    ORDERS,
    SHARED_DATA,
    needs_shared_data,
    oblique_affine,
    reorder,
    values,
    world_mm,
    write_scan,
)

SHAPE = (40, 62, 33)
SOME_ORDERS = ["RAS", "LIA", "PSR", "ASL"]
WHOLE = Recipe(resolution=24, crop="none", intensity="none")


def scan_of(data: np.ndarray, affine: np.ndarray | None = None, *, code: int = 1, path: str = "sub-07.nii") -> Scan:
    """Wrap an array as a scan."""
    affine = oblique_affine() if affine is None else affine
    return Scan(Path(path), np.asfortranarray(data), affine, code, (), "digest")


def stored_as(data: np.ndarray, order: str) -> Scan:
    return scan_of(*reorder(data, oblique_affine(), order))


def ball(centre_mm: np.ndarray, radius_mm: float, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """Return a ball with a soft rim, 0..1 [X, Y, Z], on the oblique grid."""
    apart_mm = np.linalg.norm(world_mm(shape, oblique_affine()) - centre_mm, axis=-1)
    return np.clip(radius_mm - apart_mm + 0.5, 0, 1).astype(np.float32)


def blob(centre_mm: np.ndarray, sigma_mm: float = 6.0) -> np.ndarray:
    """Return a Gaussian blob of height 100 [X, Y, Z], on the oblique grid."""
    apart_mm = np.linalg.norm(world_mm(SHAPE, oblique_affine()) - centre_mm, axis=-1)
    return (100 * np.exp(-0.5 * (apart_mm / sigma_mm) ** 2)).astype(np.float32)


CENTRE_MM = world_mm(SHAPE, oblique_affine())[20, 31, 16]
OFF_CENTRE_MM = world_mm(SHAPE, oblique_affine())[23, 26, 18]


def centre_of_mass_mm(image: np.ndarray, affine: np.ndarray) -> np.ndarray:
    weights = np.clip(image.astype(np.float64), 0, None)
    return np.tensordot(weights, world_mm(image.shape, affine), 3) / weights.sum()


# ---------------------------------------------------------------------------------------------------------- geometry


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
    volume = Recipe(resolution=30).volume(stored_as(100 * ball(OFF_CENTRE_MM, 15), "LPS"))[0]
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
        with pytest.raises(ScanError, match=r"sub-07\.nii does not say which way.*preprocess\.orientation=stored"):
            call(scan)
    assert Recipe(orientation="stored", resolution=8).volume(scan).shape == (1, 8, 8, 8)


# ------------------------------------------------------------------------------------------------------- intensities


@pytest.fixture
def head() -> np.ndarray:
    """Tissue of 80 and 120 in air of 10."""
    return 10 + 70 * ball(CENTRE_MM, 26) + 40 * ball(CENTRE_MM, 18)


def test_zscore_is_over_tissue_and_padding_is_air(head):
    volume = Recipe(resolution=40, crop="none").volume(scan_of(head))[0]
    tissue = Recipe(resolution=40, crop="none", intensity="none").volume(scan_of(head))[0] > find_head(head).threshold
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
    expected = Recipe(resolution=20).volume(scan_of(np.round(head)))
    for dtype in (np.uint8, np.int16):
        found = Recipe(resolution=20).volume(scan_of(np.round(head).astype(dtype)))
        np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("intensity", "message"), [("zscore", "shows no tissue"), ("minmax", "is constant"), ("none", "is constant")]
)
def test_a_crop_without_tissue_is_refused_by_name(head, intensity, message):
    recipe = Recipe(resolution=5, crop=[[0, 5], [0, 5], [0, 5]], intensity=intensity)
    with pytest.raises(ScanError, match=rf"sub-07\.nii {message} inside its crop"):
        recipe.volume(scan_of(head))


# --------------------------------------------------------------------------------------------------- the seed's recipe


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
    with pytest.raises(ScanError, match=r"sub-07\.nii has 40 x 62 x 33 voxels, too few for preprocess\.crop=\[\[50, 2"):
        recipe.volume(scan_of(blob(CENTRE_MM)))


@pytest.mark.parametrize("name", ["default", "seed"])
def test_configurations_build_and_say_when_to_choose_them(name):
    text = (Path(__file__).parents[2] / "conf" / "preprocess" / f"{name}.yaml").read_text()
    assert text.startswith("# Choose this ")
    arguments = yaml.safe_load(text)
    assert arguments.pop("_target_") == "mri3d.volumes.recipe.Recipe"
    assert arguments.pop("resolution") == "${resolution}"
    recipe = Recipe(**arguments)
    if name == "default":
        assert recipe == Recipe()
    else:
        assert recipe == Recipe(50, "stored", ((50, 205), (60, 225), (30, 225)), "warp")


# ------------------------------------------------------------------------------------------------------------ native


def test_native_pads_to_the_largest_crop_of_the_cohort_and_centres(tmp_path):
    recipe = Recipe(resolution="native", crop="none", intensity="none")
    paths = [
        write_scan(tmp_path / f"{i}.nii", *reorder(10 + values(shape, np.int16), oblique_affine(), order))
        for i, (shape, order) in enumerate([((7, 12, 9), "RAS"), ((10, 8, 9), "LIA"), ((8, 9, 6), "PSR")])
    ]
    recipe = recipe.for_cohort(paths)
    assert recipe.shape == recipe.volume_shape == (10, 12, 9)
    assert recipe.spacing_mm == pytest.approx((1.5, 1.0, 2.5), abs=1e-3)
    assert recipe.for_cohort([]) is recipe
    volume = recipe.volume(read_scan(paths[2]))[0]
    np.testing.assert_allclose(volume[1:9, 1:10, 1:7], 10 + values((8, 9, 6), np.int16), rtol=1e-6)
    air = volume[0, 0, 0]
    volume[1:9, 1:10, 1:7] = air
    np.testing.assert_array_equal(volume, air)


def test_native_without_its_cohort_has_no_shape():
    with pytest.raises(UserError, match="resolution=native has no shape yet"):
        _ = Recipe(resolution="native").volume_shape
    assert Recipe(resolution=30).volume_shape == (30, 30, 30)
    assert Recipe(resolution=30).for_cohort([]) == Recipe(resolution=30)


def test_a_larger_scan_is_cut_centrally_and_said_to_be():
    recipe = Recipe("native", crop="none", intensity="none", shape=[5, 12, 9], spacing_mm=[1.5, 1, 2.5])
    image = values((9, 12, 7), np.int16)
    volume = recipe.volume(scan_of(image))[0]
    np.testing.assert_allclose(volume[:, :, 1:8], image[2:7], rtol=1e-5)
    assert recipe.warnings(scan_of(image)) == ("the crop of 9 x 12 x 7 voxels is cut to the 5 x 12 x 9 of the cohort",)
    carried = recipe.to_scan(np.ones((5, 12, 9)), scan_of(image))
    np.testing.assert_array_equal(carried[:, 0, 0], [0, 0, 1, 1, 1, 1, 1, 0, 0])
    assert recipe.warnings(scan_of(image[2:7])) == ()


def test_a_native_recipe_warns_of_another_voxel_size():
    recipe = Recipe("native", crop="none", shape=[9, 12, 9], spacing_mm=[1, 1, 1])
    assert recipe.warnings(scan_of(values(), oblique_affine(np.array([1, 1.02, 0.99])))) == ()
    (warning,) = recipe.warnings(scan_of(values(), oblique_affine(np.array([0.8, 1, 1]))))
    assert warning == "voxels of 0.8 x 1 x 1 mm where the cohort has 1 x 1 x 1 mm: a native recipe does not resize"
    assert Recipe().warnings(scan_of(values())) == ()


# --------------------------------------------------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"resolution": 1}, "resolution is 1. Give a whole number from 2 to 1024, or native"),
        ({"resolution": 50.0}, r"resolution is 50\.0"),
        ({"resolution": True}, "resolution is True"),
        ({"resolution": "nativ"}, "resolution is 'nativ'"),
        ({"orientation": "lps"}, "preprocess.orientation is 'lps'. Give one of ras, stored"),
        ({"crop": "heads"}, "preprocess.crop is 'heads'. Give one of head, none or a voxel box. Did you mean 'head'"),
        ({"crop": [[0, 5], [0, 5]]}, r"preprocess.crop is \[\[0, 5\], \[0, 5\]\]. Give head, none, or three pairs"),
        ({"crop": [[0, 5], [0, 5], [7, 7]]}, r"preprocess.crop is .*\[7, 7\]"),
        ({"crop": [[0, 5], [0, 5], [-1, 7]]}, r"preprocess.crop is .*\[-1, 7\]"),
        ({"crop": [[0, 5], [0, 5], [0.5, 7]]}, r"preprocess.crop is .*\[0\.5, 7\]"),
        ({"crop": 5}, "preprocess.crop is 5"),
        ({"crop": None}, "preprocess.crop is None"),
        ({"resize": "stretch"}, "preprocess.resize is 'stretch'. Give one of pad, warp"),
        ({"intensity": 3}, "preprocess.intensity is 3. Give one of zscore, minmax, none"),
        ({"resolution": "native", "shape": [5, 6]}, r"preprocess.shape is \[5, 6\]"),
        ({"resolution": "native", "shape": [5, 6, 0]}, r"preprocess.shape is \[5, 6, 0\]"),
        ({"resolution": "native", "shape": [5, 6, 7.5]}, r"preprocess.shape is \[5, 6, 7\.5\]"),
        ({"resolution": 50, "shape": [5, 6, 7]}, r"preprocess.shape is \(5, 6, 7\), but resolution=50 decides"),
        ({"resolution": "native", "spacing_mm": ["1", 1, 1]}, "preprocess.spacing_mm is"),
    ],
)
def test_every_argument_is_checked_and_named_with_its_value(arguments, message):
    with pytest.raises(UserError, match=message.replace("preprocess.", r"preprocess\.")):
        Recipe(**arguments)


OTHERS = [
    Recipe(resolution=51),
    Recipe(orientation="stored"),
    Recipe(crop="none"),
    Recipe(crop=[[0, 9], [1, 8], [2, 7]]),
    Recipe(resize="warp"),
    Recipe(intensity="minmax"),
    Recipe(resolution="native", shape=[7, 8, 9], spacing_mm=[1, 1.5, 2]),
]


@pytest.mark.parametrize("recipe", [Recipe(), *OTHERS])
def test_arguments_are_json_and_make_the_same_recipe(recipe):
    again = Recipe(**json.loads(json.dumps(recipe.arguments())))
    assert again == recipe
    assert hash(again) == hash(recipe)
    assert again.digest() == recipe.digest()


def test_the_digest_tells_recipes_apart_that_give_other_volumes():
    assert len({recipe.digest() for recipe in [Recipe(), *OTHERS]}) == 1 + len(OTHERS)
    native = OTHERS[-1]
    assert replace(native, spacing_mm=None).digest() == native.digest(), "the spacing is for warnings alone"


@needs_shared_data
@pytest.mark.slow
def test_real_scans_come_back_onto_their_grids():
    for path in sorted((SHARED_DATA / "depression-bids").glob("sub-*/anat/*.nii.gz"))[:3]:
        scan, recipe = read_scan(path), Recipe()
        volume = recipe.volume(scan)[0]
        carried = recipe.to_scan(volume - volume.min(), scan)
        assert carried.shape == nib.load(path).shape
        assert np.corrcoef(carried.ravel()[::7], scan.data.ravel()[::7])[0, 1] > 0.9
