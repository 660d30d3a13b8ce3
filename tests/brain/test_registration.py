"""Alignment with the template: of the template itself, moved by what is known, and of real heads, moved in two ways."""

import functools
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage
from threadpoolctl import threadpool_limits

from mri3d.brain.registration import overlap, register, similarity
from mri3d.brain.template import mni_template
from tests.brain.heads import Seen, apart_mm, moving, scanned

DATA = Path(__file__).parents[3] / "shared" / "data"
MOVED = moving()

real_scans = pytest.mark.skipif(not (DATA / "ixi").is_dir(), reason=f"the real scans are not at {DATA}")


@functools.cache
def moved_brain() -> Seen:
    return scanned(MOVED, (2.2, 1.9, 2.5), oblique=(8, -5, 12))


@functools.cache
def its_pose() -> np.ndarray:
    return register(*moved_brain())


@pytest.mark.parametrize(
    ("matrix", "how"),
    [
        (MOVED, {"spacing_mm": (1.2, 2.0, 3.5), "oblique": (10, -15, 20)}),
        (moving((-15, 15, -15), (-30, 30, 30), 0.9), {"spacing_mm": (5.0, 1.3, 1.6)}),
        pytest.param(
            moving((15, -15, -15), (30, 30, -30), 1.1),
            {"spacing_mm": (2.0, 2.0, 2.0), "oblique": (20, 0, 0), "shear": 0.3},
            marks=pytest.mark.slow,
        ),
    ],
    ids=["oblique", "slices", "sheared"],
)
def test_a_known_pose_is_found_whatever_the_contrast_the_field_and_the_grid(matrix, how):
    apart = apart_mm(register(*scanned(matrix, **how)), matrix)
    assert np.median(apart) < 0.3
    assert apart.max() < 0.5


@pytest.mark.slow
def test_stretched_and_sheared_brains_are_aligned_with_all_twelve_parameters():
    matrix = moving() @ np.array([[1.08, 0.06, 0, 0], [0, 0.94, 0.05, 0], [-0.04, 0, 1.05, 0], [0, 0, 0, 1]])
    apart = apart_mm(register(*scanned(matrix)), matrix)
    assert np.median(apart) < 0.3
    assert apart.max() < 0.5


def test_the_contrast_may_be_inverted():
    brain, mask, affine = scanned(MOVED, distorted=False)
    found = register(np.where(mask, 1.2 * brain.max() - brain, 0), mask, affine)
    assert np.median(apart_mm(found, MOVED)) < 0.6
    assert apart_mm(found, MOVED).max() < 1.2


def test_a_pose_is_an_affine_with_a_way_back():
    assert np.linalg.cond(its_pose()[:3, :3]) < 2
    assert its_pose().dtype == np.float64
    np.testing.assert_array_equal(its_pose()[3], [0, 0, 0, 1])


def test_the_bits_are_the_same_again_and_with_more_threads():
    for num_threads in (1, 2):
        with threadpool_limits(num_threads):
            np.testing.assert_array_equal(register(*moved_brain()), its_pose())


@pytest.mark.parametrize(
    "change", [moving((15, 15, -15), (30, -30, 30), 1.1), moving((0, 0, 0), (500, 0, -900), 0.5)], ids=["turned", "far"]
)
def test_a_scan_whose_header_is_edited_is_moved_by_just_that(change):
    brain, mask, affine = moved_brain()
    found = np.linalg.inv(change) @ register(brain, mask, change @ affine)
    assert apart_mm(found, its_pose()).max() < 0.1


def test_neither_the_unit_nor_what_is_outside_the_mask_nor_air_around_matters():
    brain, mask, affine = moved_brain()
    littered = np.where(mask, brain * 7 - 3000, np.random.default_rng(0).uniform(-1e6, 1e6, mask.shape))
    found = register(littered.astype(np.float64), mask, affine)
    assert apart_mm(found, its_pose()).max() < 0.01
    padded = affine.copy()
    padded[:3, 3] -= affine[:3, :3] @ [9, 9, 9]
    np.testing.assert_allclose(register(np.pad(brain, 9), np.pad(mask, 9), padded), its_pose(), atol=1e-9)


def test_a_mask_that_leaves_out_a_part_moves_the_rest_little():
    brain, mask, affine = moved_brain()
    cut = mask.copy()
    cut[:, :, : int(np.flatnonzero(mask.any((0, 1)))[0]) + 6] = False  # 15 mm of the lower end
    apart = apart_mm(register(brain, cut, affine), MOVED)
    assert np.median(apart) < 1
    assert apart.max() < 2


def test_agreement_is_high_where_the_pose_is_right_and_low_where_it_is_not():
    brain, mask, affine = moved_brain()
    assert similarity(brain, mask, affine, its_pose()) > 0.8
    assert 0.97 < overlap(mask, affine, its_pose()) <= 1
    off = MOVED @ moving((0, 0, 0), (0, 20, 0), 1)
    assert similarity(brain, mask, affine, off) < 0.3
    assert 0.7 < overlap(mask, affine, off) < 0.9
    assert overlap(mask, affine, MOVED @ moving((0, 0, 0), (0, 0, 300), 1)) == 0


def test_overlap_counts_what_lies_beyond_the_template_s_image_too():
    template = mni_template()
    inside = 2 * 1 / (1 + 2**3)  # of a brain within one of eight times its volume
    double = moving((0, 0, 0), (0, 0, 0), 0.5)
    assert overlap(template.mask, template.affine, double) == pytest.approx(inside, abs=0.03)
    assert overlap(template.mask, template.affine, np.eye(4)) == pytest.approx(1, abs=1e-3)


@pytest.mark.slow
def test_an_upside_down_brain_is_unlike_the_template_after_alignment_too():
    seen = scanned(moving((180, 0, 0), (0, 0, 0), 1))
    assert similarity(*seen, register(*seen)) < 0.4


@pytest.mark.slow
def test_noise_is_unlike_the_template():
    brain, mask, affine = moved_brain()
    noise = np.random.default_rng(1).normal(100, 20, brain.shape)
    assert abs(similarity(noise, mask, affine, register(noise, mask, affine))) < 0.15


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda seen: {"mask": np.zeros_like(seen.mask)}, "0 voxels only, fewer than 1,000"),
        (lambda _: {"affine": np.diag([2.0, 2.0, 0.0, 1.0])}, "the affine is singular"),
        (lambda _: {"affine": np.full((4, 4), np.nan)}, "the affine is singular"),
        (lambda seen: {"brain": np.full_like(seen.brain, np.nan)}, "not finite"),
        (lambda seen: {"brain": seen.mask}, "the same intensity"),
        (lambda seen: {"mask": np.random.default_rng(0).random(seen.mask.shape) < 0.01}, "scattered"),
    ],
    ids=["empty", "flat", "nan-affine", "nan", "mask", "scattered"],
)
def test_what_tells_nothing_is_refused_with_the_reason(change, reason):
    seen = moved_brain()._replace(**change(moved_brain()))
    with pytest.raises(ValueError, match=reason):
        register(*seen)
    with pytest.raises(ValueError, match=reason):
        similarity(*seen, np.eye(4))


def test_measures_refuse_a_singular_alignment_and_brains_that_do_not_meet():
    seen = moved_brain()
    for matrix in (np.zeros((4, 4)), np.full((4, 4), np.inf)):
        with pytest.raises(ValueError, match="alignment is singular"):
            similarity(*seen, matrix)
        with pytest.raises(ValueError, match="alignment is singular"):
            overlap(seen.mask, seen.affine, matrix)
    with pytest.raises(ValueError, match="hardly meets"):
        similarity(*seen, moving((0, 0, 0), (0, 0, 900), 1))


def canonical(path: Path) -> tuple[np.ndarray, np.ndarray]:
    image = nib.as_closest_canonical(nib.load(path))
    return image.get_fdata(dtype=np.float32), image.affine


def real_brain(name: str) -> Seen:
    if name.startswith("sub"):
        (path,) = (DATA / "depression-bids" / name / "anat").glob("*.nii.gz")
        brain, affine = canonical(path)
        return Seen(brain, brain > 0, affine)
    brain, affine = canonical(DATA / "ixi" / "T1" / f"{name}_T1.nii.gz")
    labels, _ = canonical(DATA / "ixi" / "segmentation" / f"{name}_T1_DLMUSE.nii.gz")
    return Seen(brain, labels > 0, affine)


def resampled(seen: Seen, change: np.ndarray) -> Seen:
    """Move a head on its own grid, which is made larger so that it stays whole."""
    affine = seen.affine.copy()
    affine[:3, 3] -= affine[:3, :3] @ [25, 25, 25]
    back = np.linalg.inv(affine) @ np.linalg.inv(change) @ affine
    values = [np.pad(values, 25).astype(np.float32) for values in (seen.brain, seen.mask)]
    brain, mask = (ndimage.affine_transform(v, back[:3, :3], back[:3, 3], order=1) for v in values)
    return Seen(brain, mask > 0.5, affine)


@pytest.mark.slow
@real_scans
@pytest.mark.parametrize(
    "name", ["IXI012-HH-1211", "IXI163-HH-1621", "IXI327-HH-1999", "IXI519-HH-2240", "sub-01", "sub-02"]
)
def test_real_brains_are_aligned_and_again_from_another_pose(name):
    seen = real_brain(name)
    pose = register(*seen)
    assert overlap(seen.mask, seen.affine, pose) >= 0.94
    assert similarity(*seen, pose) > 0.4
    center_mm = (seen.affine @ [*np.argwhere(seen.mask).mean(axis=0), 1])[:3]
    for change in (
        moving((15, 15, 15), (30, -30, 30), 1.1, center_mm),
        moving((-15, 15, -15), (-30, 30, 30), 0.9, center_mm),
    ):
        apart = apart_mm(np.linalg.inv(change) @ register(*resampled(seen, change)), pose)
        assert np.median(apart) < 0.2
        assert apart.max() < 0.4
    upside_down = resampled(seen, moving((180, 0, 0), (0, 0, 0), 1, center_mm))
    assert similarity(*upside_down, register(*upside_down)) < 0.25
