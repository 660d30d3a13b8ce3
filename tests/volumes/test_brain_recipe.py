"""The recipe for brains: where its voxels lie, what they hold, and how a map finds its way back."""

import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mri3d import BrainRecipe, Recipe, UserError
from mri3d.brain.brain import Brain
from mri3d.scans.scan import canonical, stored_order
from mri3d.volumes.brain_recipe import BOX_MM, CENTRE_MM
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


def template_mm() -> np.ndarray:
    """Return where each voxel of the scan lies in the space of the template [X, Y, Z, 3]."""
    back = np.linalg.inv(pose())
    return world_mm(SHAPE, oblique_affine(SPACING_MM)) @ back[:3, :3].T + back[:3, 3]


def ellipsoid(at_mm: np.ndarray) -> np.ndarray:
    """Return which places in the space of the template [..., 3] are brain."""
    return np.square((at_mm - CENTRE_MM) / [60, 75, 62]).sum(axis=-1) < 1


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
    image = pattern(template_mm()) if data is None else data
    scan = scan_of(*reorder(image.astype(np.float32), oblique_affine(SPACING_MM), order))
    mask = reorder(ellipsoid(template_mm()), oblique_affine(SPACING_MM), order)[0]
    mask = canonical(scan_of(mask, scan.affine))[0]
    brains[scan.digest] = Brain(mask, pose(), False, 1500.0, 0.97, 0.5)
    return scan


@pytest.mark.parametrize("order", ["RAS", "LIA", "PSR"])
@pytest.mark.parametrize("resolution", [48, "native"])
def test_voxels_lie_where_the_template_has_them(order, resolution, brains):
    recipe = BrainRecipe(resolution)
    volume = recipe.volume(scan_in(order, brains))
    assert volume.shape == (1, *recipe.volume_shape)
    assert volume.dtype == np.float32
    at_mm = world_mm(recipe.volume_shape, recipe.shared_affine)
    inside = np.square((at_mm - CENTRE_MM) / [50, 65, 52]).sum(axis=-1) < 1  # well away from the edge
    expected = pattern(at_mm)
    whole = pattern(template_mm())[ellipsoid(template_mm())]
    expected = (expected - whole.mean()) / whole.std()
    np.testing.assert_allclose(volume[0][inside], expected[inside], atol=0.12)
    assert np.corrcoef(volume[0][inside], expected[inside])[0, 1] > 0.998
    outside = np.square((at_mm - CENTRE_MM) / [72, 87, 75]).sum(axis=-1) > 1
    assert not volume[0][outside].any()


def test_the_box_is_centred_on_the_brain_of_the_template():
    for recipe, sides in ((BrainRecipe("native"), BOX_MM), (BrainRecipe(50), (192, 192, 192))):
        middle = recipe.shared_affine @ [*(np.array(recipe.volume_shape) - 1) / 2, 1]
        np.testing.assert_allclose(middle[:3], CENTRE_MM)
        np.testing.assert_allclose(np.diag(recipe.shared_affine)[:3] * recipe.volume_shape, sides)


def test_intensities_are_those_of_the_brain_whatever_their_unit_and_what_surrounds_it(brains):
    image = pattern(template_mm())
    recipe = BrainRecipe(48)
    first = recipe.volume(scan_in("RAS", brains))
    np.testing.assert_allclose(recipe.volume(scan_in("RAS", brains, 0.01 * image - 3)), first, atol=1e-3)
    around = np.where(ellipsoid(template_mm()), image, 250 * np.random.default_rng(0).random(SHAPE))
    np.testing.assert_allclose(recipe.volume(scan_in("RAS", brains, around)), first, atol=1e-5)


@pytest.mark.parametrize("order", ["RAS", "LIA", "SPL"])
def test_a_marker_comes_back_into_the_right_voxels(order, brains):
    scan, recipe = scan_in(order, brains), BrainRecipe("native")
    for voxel in ((50, 70, 30), (60, 80, 40), (40, 90, 28)):
        places = np.zeros(SHAPE, np.float32)
        places[voxel] = 1
        stored = reorder(places, oblique_affine(SPACING_MM), order)[0]
        at_mm = template_mm()[voxel]
        index = np.linalg.inv(recipe.shared_affine) @ [*at_mm, 1]
        apart = np.linalg.norm(np.moveaxis(np.indices(recipe.volume_shape), 0, -1) - index[:3], axis=-1)
        carried = recipe.to_scan(np.exp(-0.5 * (apart / 2.5) ** 2).astype(np.float32), scan)
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


def test_arguments_build_it_again_and_are_no_other_recipes():
    recipe = BrainRecipe(40)
    kept = json.loads(json.dumps(recipe.arguments()))
    assert recipe_of(kept) == recipe
    assert recipe_of(Recipe(40).arguments()) == Recipe(40)
    assert recipe_of({"resolution": 40}) == Recipe(40, version=1), "as mri3d up to 0.2 wrote it"
    assert len({recipe.digest(), BrainRecipe(41).digest(), Recipe(40).digest()}) == 3
    with pytest.raises(TypeError):
        recipe_of({"kind": "brain", "crop": "head"})


@pytest.mark.parametrize("resolution", [1, 2000, "tiny", 1.5, True])
def test_resolutions_that_cannot_be_are_refused(resolution):
    with pytest.raises(UserError, match=r"resolution is .* Give a whole number from 2 to 1024, or native"):
        BrainRecipe(resolution)
