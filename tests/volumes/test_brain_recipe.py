"""The recipe for brains: where its voxels lie, what they hold, and how a map finds its way back."""

import functools
import json
import math

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from mri3d import BrainRecipe, Recipe, UserError
from mri3d.brain.brain import VERSION, Brain
from mri3d.scans.scan import canonical, stored_order
from mri3d.volumes.brain_recipe import BLUR, BOX_MM, CENTRE_MM, normalised
from mri3d.volumes.recipes import recipe_of
from tests.scans.phantom import oblique_affine, reorder, world_mm
from tests.volumes.planted import scan_of

SHAPE, SPACING_MM = (110, 150, 70), np.array([1.5, 1.2, 2.5])
"""An oblique, anisotropic grid in which a brain has room."""


def pose() -> np.ndarray:
    """Return a matrix [4, 4] from the template to a scan: turned, larger and sheared, and elsewhere."""
    matrix = np.eye(4)
    turn = Rotation.from_euler("xyz", [8, -5, 12], degrees=True).as_matrix()
    matrix[:3, :3] = turn @ np.array([[1.05, 0.02, 0], [0, 0.97, -0.03], [0, 0, 1.02]])
    centre_mm = world_mm(SHAPE, oblique_affine(SPACING_MM))[tuple(side // 2 for side in SHAPE)]
    matrix[:3, 3] = centre_mm - matrix[:3, :3] @ CENTRE_MM
    return matrix


@functools.cache
def template_mm() -> np.ndarray:
    """Return where each voxel of the scan lies in the space of the template [X, Y, Z, 3]."""
    back = np.linalg.inv(pose())
    return world_mm(SHAPE, oblique_affine(SPACING_MM)) @ back[:3, :3].T + back[:3, 3]


def ellipsoid(at_mm: np.ndarray) -> np.ndarray:
    """Return which places in the space of the template [..., 3] are brain."""
    return np.square((at_mm - CENTRE_MM) / [60, 75, 62]).sum(axis=-1) < 1


@functools.cache
def brain_of_scan() -> tuple[np.ndarray, np.ndarray]:
    """Return the intensities of the scan, and which of its voxels are brain [X, Y, Z]."""
    return pattern(template_mm()), ellipsoid(template_mm())


def pattern(at_mm: np.ndarray) -> np.ndarray:
    """Return smooth intensities of places in the space of the template [..., 3]."""
    x, y, z = np.moveaxis(at_mm, -1, 0)
    return 500 + 100 * np.sin(x / 17) + 80 * np.cos(y / 23) + 60 * np.sin(z / 19 + 1)


@pytest.fixture
def brains(monkeypatch):
    """Have brains that are known, by the digest of their scans."""
    known = {}
    monkeypatch.setattr("mri3d.volumes.brain_recipe.brain_of", lambda scan: known[scan.digest])
    return known


def scan_in(order: str, brains: dict, data: np.ndarray | None = None):
    """Return the scan of the pattern in an axis order, and make its brain known."""
    image, mask = brain_of_scan()
    image = image if data is None else data
    scan = scan_of(*reorder(image.astype(np.float32), oblique_affine(SPACING_MM), order))
    mask = reorder(mask, oblique_affine(SPACING_MM), order)[0]
    mask = canonical(scan_of(mask, scan.affine))[0]
    brains[scan.digest] = Brain(mask, pose(), False, 1500.0, 0.97, 0.5)
    return scan


@pytest.mark.parametrize(
    ("order", "resolution"),
    [("RAS", 48), ("LIA", 48), ("PSR", 48), pytest.param("LIA", "native", marks=pytest.mark.slow)],
)
def test_voxels_lie_where_the_template_has_them(order, resolution, brains, monkeypatch):
    def plain(values, mask, spacing_mm):
        return np.where(mask, values, 0).astype(np.float32)

    monkeypatch.setattr("mri3d.volumes.brain_recipe.normalised", plain)
    recipe = BrainRecipe(resolution, size=0)
    volume = recipe.volume(scan_in(order, brains))
    assert volume.shape == (1, *recipe.volume_shape)
    assert volume.dtype == np.float32
    at_mm = world_mm(recipe.volume_shape, recipe.shared_affine)
    inside = np.square((at_mm - CENTRE_MM) / [50, 65, 52]).sum(axis=-1) < 1  # well away from the edge
    off = volume[0][inside] - pattern(at_mm)[inside]
    assert np.ptp(off) < 30, "of 480, but for a constant: what counts as air"
    assert np.corrcoef(volume[0][inside], pattern(at_mm)[inside])[0, 1] > 0.998
    outside = np.square((at_mm - CENTRE_MM) / [72, 87, 75]).sum(axis=-1) > 1
    assert np.abs(volume[0][outside]).max() < 1e-4 * volume.max(), "but for the tail of the blur"
    far = math.ceil(4 * BLUR) + 2  # voxels along each axis: the blur's reach, and that of two interpolations
    around = ndimage.binary_dilation(ellipsoid(at_mm), np.ones((3, 3, 3)), iterations=far)
    assert not volume[0][~around].any()


def test_scans_of_smaller_voxels_than_the_volume_are_equally_sharp(brains, monkeypatch):
    monkeypatch.setattr("mri3d.volumes.brain_recipe.normalised", lambda values, mask, spacing_mm: values)
    fine = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal((96,) * 3).astype(np.float32), 1.5)
    volumes = []
    for voxels in (1, 2, 3):
        affine = np.diag([2.0 * voxels] * 3 + [1.0])
        affine[:3, 3] = CENTRE_MM - (np.array(fine.shape) - voxels)
        blocks = fine.reshape([number for side in fine.shape for number in (side // voxels, voxels)])
        scan = scan_of(1000 * blocks.mean(axis=(1, 3, 5)), affine)  # a voxel is the mean over it
        brains[scan.digest] = Brain(np.ones(scan.data.shape, bool), np.eye(4), False, 1500.0, 0.97, 0.5)
        volumes.append(BrainRecipe(24, size=0).volume(scan)[0, 3:-3, 3:-3, 3:-3])
    for volume in volumes[1:]:
        assert np.std(volume) == pytest.approx(np.std(volumes[0]), rel=0.04)
        assert np.corrcoef(volume.ravel(), volumes[0].ravel())[0, 1] > 0.99


def test_volumes_of_another_version_are_refused():
    arguments = BrainRecipe().arguments()
    assert arguments["version"] == VERSION
    with pytest.raises(UserError, match=rf"brains of version 1 are no longer made: .* version {VERSION}\. Train"):
        recipe_of(arguments | {"version": 1})


def test_the_box_is_centred_on_the_brain_of_the_template():
    for recipe, sides in ((BrainRecipe("native"), BOX_MM), (BrainRecipe(50), (192, 192, 192))):
        middle = recipe.shared_affine @ [*(np.array(recipe.volume_shape) - 1) / 2, 1]
        np.testing.assert_allclose(middle[:3], CENTRE_MM)
        np.testing.assert_allclose(np.diag(recipe.shared_affine)[:3] * recipe.volume_shape, sides)


def test_intensities_are_those_of_the_brain_whatever_their_unit_and_what_surrounds_it(brains):
    image, mask = brain_of_scan()
    recipe = BrainRecipe(48)
    first = recipe.volume(scan_in("RAS", brains))
    np.testing.assert_allclose(recipe.volume(scan_in("RAS", brains, 0.01 * image - 3)), first, atol=1e-2)
    around = np.where(mask, image, 250 * np.random.default_rng(0).random(SHAPE))
    assert np.corrcoef(recipe.volume(scan_in("RAS", brains, around)).ravel(), first.ravel())[0, 1] > 0.99


def tissue():
    """Return the intensities of tissues in blobs [X, Y, Z], and which are of a brain."""
    fine = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal((40, 50, 40)), 1.5)
    mask = np.square((np.indices(fine.shape).T - [20, 25, 20]) / [17, 22, 17]).sum(axis=-1).T < 1
    return 100 + 60 * fine / fine.std() * 0.3, mask


def test_neither_contrast_nor_a_bias_field_changes_what_a_brain_is():
    values, mask = tissue()
    spacing_mm = np.array([4.0, 4.0, 4.0])
    plain = normalised(values, mask, spacing_mm)
    assert plain[mask].mean() == pytest.approx(0, abs=0.01)
    assert plain[mask].std() == pytest.approx(1, abs=0.02)
    assert not plain[~mask].any()
    assert np.abs(plain).max() < 3
    np.testing.assert_allclose(normalised(7 * values, mask, spacing_mm), plain, atol=5e-3)
    field = np.exp(0.4 * np.linspace(-1, 1, 40))[:, None, None]
    gamma = 100 * (values / 100) ** 0.6
    for changed, least in ((field * values, 0.94), (gamma, 0.999), (field * gamma, 0.88)):
        assert np.corrcoef(normalised(changed, mask, spacing_mm)[mask], plain[mask])[0, 1] > least
    assert np.corrcoef((field * values)[mask], values[mask])[0, 1] < 0.85, "it is a strong one"


def test_the_size_of_a_brain_is_added_to_its_voxels(brains):
    scan, voxel = scan_in("RAS", brains), (24, 24, 24)
    brain = brains[scan.digest]
    with_size, without = BrainRecipe(48).volume(scan), BrainRecipe(48, size=0).volume(scan)
    assert with_size[0][voxel] - without[0][voxel] == pytest.approx(0.3 * brain.deviation_of_size, abs=1e-3)
    assert brain.deviation_of_size == pytest.approx((np.log(np.linalg.det(pose()[:3, :3])) + 0.28) / 0.11)


@pytest.mark.parametrize("size", [-1, 11, "large", True, float("nan")])
def test_sizes_that_cannot_be_are_refused(size):
    with pytest.raises(UserError, match=r"size is .* Give a number from 0, which hides the size of brains, to 10"):
        BrainRecipe(size=size)


@pytest.mark.parametrize("order", ["RAS", "LIA", "SPL"])
def test_a_marker_comes_back_into_the_right_voxels(order, brains):
    scan, recipe = scan_in(order, brains), BrainRecipe("native")
    for voxel in ((50, 70, 30), (60, 80, 40), (40, 90, 28)):
        places = np.zeros(SHAPE, np.float32)
        places[voxel] = 1
        stored = reorder(places, oblique_affine(SPACING_MM), order)[0]
        at_mm = template_mm()[voxel]
        index = np.linalg.inv(recipe.shared_affine) @ [*at_mm, 1]
        along = np.ogrid[tuple(slice(side) for side in recipe.volume_shape)]
        x, y, z = (np.exp(-0.5 * ((axis - at) / 2.5) ** 2) for axis, at in zip(along, index, strict=False))
        carried = recipe.to_scan((x * y * z).astype(np.float32), scan)
        assert carried.shape == scan.data.shape
        peak, true = np.unravel_index(carried.argmax(), carried.shape), np.argwhere(stored)[0]
        assert np.abs(np.array(peak) - true).max() <= 1


def test_affines_lead_from_volume_to_scan_and_back(brains):
    scan, recipe = scan_in("LIA", brains), BrainRecipe(50)
    voxels = np.random.default_rng(0).uniform(0, 49, size=(100, 3))
    world = voxels @ recipe.affine(scan)[:3, :3].T + recipe.affine(scan)[:3, 3]
    back = np.linalg.inv(pose())
    template = world @ back[:3, :3].T + back[:3, 3]
    expected = voxels @ recipe.shared_affine[:3, :3].T + recipe.shared_affine[:3, 3]
    np.testing.assert_allclose(template, expected, atol=1e-9)


def test_a_map_goes_to_the_scan_and_covers_the_brain(brains):
    scan, recipe = scan_in("PSR", brains), BrainRecipe(48)
    carried = recipe.to_scan(np.ones(recipe.volume_shape, np.float32), scan)
    mask = stored_order(brains[scan.digest].mask, scan)
    np.testing.assert_allclose(carried[mask], 1, atol=1e-6)
    assert not carried[~mask].any()


def test_evidence_may_lie_in_the_brain_alone(brains):
    recipe = BrainRecipe(48)
    inside = recipe.inside(scan_in("PSR", brains))
    expected = ellipsoid(world_mm(recipe.volume_shape, recipe.shared_affine))
    assert inside.shape == expected.shape
    assert 2 * np.count_nonzero(inside & expected) / (inside.sum() + expected.sum()) > 0.98


def test_arguments_build_it_again_and_are_no_other_recipes():
    recipe = BrainRecipe(40)
    kept = json.loads(json.dumps(recipe.arguments()))
    assert recipe_of(kept) == recipe
    assert recipe_of(Recipe(40).arguments()) == Recipe(40)
    assert recipe_of({"resolution": 40}) == Recipe(40, version=1), "as mri3d up to 0.2 wrote it"
    assert len({recipe.digest(), BrainRecipe(41).digest(), BrainRecipe(40, size=0).digest(), Recipe(40).digest()}) == 4
    with pytest.raises(TypeError):
        recipe_of({"kind": "brain", "crop": "head"})


@pytest.mark.parametrize("resolution", [1, 2000, "tiny", 1.5, True])
def test_resolutions_that_cannot_be_are_refused(resolution):
    with pytest.raises(UserError, match=r"resolution is .* Give a whole number from 2 to 1024, or native"):
        BrainRecipe(resolution)
