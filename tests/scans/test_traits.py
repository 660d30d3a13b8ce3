"""Traits of a scan: known sizes, planted noise and blur, and nothing of how a file stores its image."""

import json

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, zoom

from mri3d.scans.scan import read_scan
from mri3d.scans.traits import Traits, traits_of
from tests.damages import header_turn
from tests.scans.heads import RADII_MM, SHAPE, SPACING_MM, made_head, scan_of
from tests.scans.phantom import ORDERS, SHARED_DATA, needs_shared_data, oblique_affine, reorder


@pytest.fixture(scope="module")
def head() -> np.ndarray:
    return np.round(made_head()).astype(np.float32)


def test_sizes_are_those_that_were_planted(head):
    traits = traits_of(scan_of(head))
    assert traits.spacing_mm == (SPACING_MM,) * 3
    assert traits.field_mm == tuple(side * SPACING_MM for side in SHAPE)
    assert traits.box_mm == pytest.approx(2 * RADII_MM, rel=0.1)
    lengths = np.diag([2.0, 3.0, 5.0, 1.0])
    assert traits_of(scan_of(head, lengths)).spacing_mm == (2.0, 3.0, 5.0)


@pytest.mark.parametrize("order", ORDERS[::5])
def test_the_axis_order_changes_nothing(head, order):
    expected = traits_of(scan_of(head, oblique_affine(np.array([4.0, 3.5, 4.5]))))
    assert traits_of(scan_of(*reorder(head, oblique_affine(np.array([4.0, 3.5, 4.5])), order))) == expected


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float64])
def test_the_data_type_changes_nothing(head, dtype):
    assert traits_of(scan_of(head.astype(dtype))) == traits_of(scan_of(head))


@pytest.mark.parametrize("part", [slice(None), slice(10, 50)])
def test_air_around_the_head_changes_nothing(head, part):
    head = head[:, :, part]
    assert traits_of(scan_of(np.pad(head, ((20, 20), (0, 30), (7, 60))))) == traits_of(scan_of(head))


def test_a_gain_changes_nothing_that_could_be_seen(head):
    one, other = (traits_of(scan_of(gain * head)).to_json() for gain in (1, 37))
    for name in ("sharpness", "noise", "quantiles", "dark"):
        assert one[name] == pytest.approx(other[name], rel=1e-3), name


@pytest.mark.parametrize("sigma", [2.0, 5.0, 10.0])
def test_noise_is_the_one_that_was_planted(sigma):
    random = np.random.default_rng(1)
    at = (np.indices((60, 60, 60)) - 29.5) / 28
    smooth = np.where(np.square(at).sum(axis=0) < 1, 100 + 10 * at[0], 0)
    noisy = np.abs(smooth + sigma * random.standard_normal(smooth.shape))
    air = 0.6745 * sigma  # the median of what is left of noise without its sign
    assert traits_of(scan_of(noisy)).noise == pytest.approx(sigma / (100 - air), rel=0.1)


def test_blur_makes_a_scan_less_sharp_and_finer_voxels_do_not_make_it_sharper(head):
    sharpness = [traits_of(scan_of(gaussian_filter(head, sigma))).sharpness for sigma in (0, 0.5, 1, 1.5)]
    assert sharpness == sorted(sharpness, reverse=True)
    assert sharpness[0] > 1.5 * sharpness[2]
    smooth, small = gaussian_filter(made_head(noise=0), 2), np.diag([2.0, 2.0, 2.0, 1.0])
    finer = scan_of(zoom(smooth, 2, order=3, grid_mode=True, mode="nearest"), np.diag([1.0, 1.0, 1.0, 1.0]))
    assert traits_of(finer).sharpness == pytest.approx(traits_of(scan_of(smooth, small)).sharpness, rel=0.15)


@pytest.mark.parametrize(
    ("side", "part"),
    [
        (0, np.s_[26:]), (1, np.s_[:26]), (2, np.s_[:, 31:]), (3, np.s_[:, :31]), (4, np.s_[:, :, 29:]),
        (5, np.s_[:, :, :29]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("zeroed", [False, True])
def test_it_shows_where_a_head_was_cut(head, side, part, zeroed):
    whole = traits_of(scan_of(head))
    kept = np.zeros_like(head)
    kept[part] = head[part]
    traits = traits_of(scan_of(kept if zeroed else head[part]))
    assert whole.cut == (0,) * 6
    assert [share > 0.4 for share in traits.cut] == [place == side for place in range(6)]
    assert traits.head_ml < 0.75 * whole.head_ml


def test_the_header_s_angle_is_told(head):
    assert traits_of(scan_of(head)).oblique_deg == pytest.approx(0, abs=1e-5)
    for axis in range(3):
        assert traits_of(header_turn(scan_of(head), axis, 30)).oblique_deg == pytest.approx(30)


def test_what_surrounds_the_image(head):
    at = (np.indices(SHAPE) - (np.reshape(SHAPE, (3, 1, 1, 1)) - 1) / 2) * SPACING_MM / RADII_MM[:, None, None, None]
    brain = np.where(np.square(at).sum(axis=0) < 0.6, head, 0)
    cut_out = np.where(np.square(at).sum(axis=0) < 1.05, head, 0)
    silent = np.where(np.square(at).sum(axis=0) < 1, head, 0)
    assert traits_of(scan_of(head)).background == "air"
    assert traits_of(scan_of(brain)).background == "removed"
    assert traits_of(scan_of(brain - 0.5 * brain.max() * (brain > 0))).background == "removed"
    assert traits_of(scan_of(silent.max() - silent)).background == "bright"
    assert traits_of(scan_of(cut_out)).background == "air"


def test_labels_are_told(head):
    assert traits_of(scan_of((head > 50).astype(np.uint8))).labels == "a mask"
    assert traits_of(scan_of(head)).labels == ""


@pytest.mark.parametrize("shape", [(2, 2, 2), (3, 40, 2), (5, 5, 5)])
def test_images_of_few_voxels_have_traits_too(shape):
    traits = traits_of(scan_of(np.random.default_rng(0).random(shape)))
    assert Traits.from_json(traits.to_json()) == traits


def test_they_go_through_json(head):
    traits = traits_of(scan_of(head))
    assert Traits.from_json(json.loads(json.dumps(traits.to_json()))) == traits


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("spacing_mm", [1.0, 2.0], "spacing_mm is not 3 finite numbers"),
        ("cut", [0.0] * 7, "cut is not 6 finite numbers"),
        ("noise", float("nan"), "noise is not a finite number"),
        ("noise", True, "noise is not a finite number"),
        ("noise", "0.1", "noise is not a finite number"),
        ("dark", 1e300, "dark is not a finite number"),
        ("background", "blue", "background is none of air, removed, bright"),
        ("labels", 3, "labels is no short text"),
        ("labels", "x" * 1000, "labels is no short text"),
    ],
)
def test_what_is_no_trait_is_refused(head, name, value, told):
    with pytest.raises(ValueError, match=told):
        Traits.from_json(traits_of(scan_of(head)).to_json() | {name: value})


def test_what_is_missing_is_named(head):
    told = traits_of(scan_of(head)).to_json()
    del told["cut"]
    with pytest.raises(KeyError, match="cut"):
        Traits.from_json(told)


@needs_shared_data
def test_real_heads_are_whole_and_brains_are_not():
    heads = sorted((SHARED_DATA / "ixi" / "T1").glob("*.nii.gz"))[:3]
    brains = sorted((SHARED_DATA / "depression-bids").glob("sub-*/anat/*.nii.gz"))[:2]
    assert [traits_of(read_scan(path)).background for path in (*heads, *brains)] == ["air"] * 3 + ["removed"] * 2
