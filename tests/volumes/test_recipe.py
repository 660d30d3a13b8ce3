"""What a recipe takes from its cohort and from its arguments, and what it refuses."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from mri3d.scans.scan import read_scan
from mri3d.volumes.recipe import Recipe
from tests.models.refusals import refused
from tests.scans.phantom import oblique_affine, reorder, values, write_scan
from tests.volumes.planted import scan_of


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
    with refused(r"^resolution=native has no shape yet\. Set preprocess\.shape", r"^resolution='native' .* Set shape,"):
        _ = Recipe(resolution="native").volume_shape
    assert Recipe(resolution=30).volume_shape == (30, 30, 30)
    assert Recipe(resolution=30).for_cohort([]) == Recipe(resolution=30)


def test_a_larger_scan_is_cut_centrally_and_said_to_be():
    recipe = Recipe("native", crop="none", intensity="none", shape=[5, 12, 9], spacing_mm=[1.5, 1, 2.5])
    image = values((9, 12, 7), np.int16)
    volume = recipe.volume(scan_of(image))[0]
    np.testing.assert_allclose(volume[:, :, 1:8], image[2:7], rtol=1e-5)
    assert recipe.cohort_warnings(scan_of(image)) == (
        "the crop of 9 x 12 x 7 voxels is cut to the 5 x 12 x 9 of the cohort",
    )
    carried = recipe.to_scan(np.ones((5, 12, 9)), scan_of(image))
    np.testing.assert_array_equal(carried[:, 0, 0], [0, 0, 1, 1, 1, 1, 1, 0, 0])
    assert recipe.cohort_warnings(scan_of(image[2:7])) == ()


def test_a_native_recipe_warns_of_another_voxel_size():
    recipe = Recipe("native", crop="none", shape=[9, 12, 9], spacing_mm=[1, 1, 1])
    assert recipe.cohort_warnings(scan_of(values(), oblique_affine(np.array([1, 1.02, 0.99])))) == ()
    (warning,) = recipe.cohort_warnings(scan_of(values(), oblique_affine(np.array([0.8, 1, 1]))))
    assert warning == "voxels of 0.8 x 1 x 1 mm where the cohort has 1 x 1 x 1 mm: a native recipe does not resize"
    assert Recipe().cohort_warnings(scan_of(values())) == ()


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
    with refused(message, message.replace("preprocess.", "^")):
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


@pytest.mark.parametrize("name", ["default", "seed"])
def test_configurations_build_and_say_when_to_choose_them(name):
    text = (Path(__file__).parents[2] / "conf" / "preprocess" / f"{name}.yaml").read_text()
    assert text.startswith("# Choose this ")
    arguments = yaml.safe_load(text)
    assert arguments.pop("_target_") == "mri3d.volumes.recipe.Recipe"
    assert "resolution" not in arguments, "it stands at the top of a configuration, once"
    recipe = Recipe(**arguments)
    if name == "default":
        assert recipe == Recipe()
    else:
        assert recipe == Recipe(50, "stored", ((50, 205), (60, 225), (30, 225)), "warp")
