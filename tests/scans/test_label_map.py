"""Labels and intensities told apart: masks, parcels, real scans and their segmentations."""

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from mri3d.scans.label_map import find_labels
from mri3d.scans.scan import read_scan
from tests.scans.phantom import SHARED_DATA, needs_shared_data

SHAPE = (40, 50, 45)
BALL = np.linalg.norm(np.moveaxis(np.indices(SHAPE), 0, -1) - [20, 26, 21], axis=-1) < 17


@pytest.mark.parametrize("values", [(0, 1), (0, 255), (1, 0), (-1.5, 3.25)])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_two_values_are_a_mask(values, order):
    assert find_labels(np.where(BALL, values[1], values[0]).astype(np.float32).transpose(order)).what == "a mask"


def test_parcels_are_a_label_map_whatever_their_names():
    parcels = np.indices(SHAPE).sum(axis=0) // 8
    names = np.random.default_rng(0).permutation(3000)[parcels] * BALL
    assert find_labels(names.astype(np.int16)).what == "a label map"
    assert find_labels(np.asfortranarray(names.astype(np.float32))).what == "a label map"


@pytest.mark.parametrize("names", [(1, 2), (1, 4), (2, 9), (10, 3)])
def test_tissue_classes_are_a_label_map(names):
    right = np.indices(SHAPE)[0] > 20
    classes = BALL * np.where(right, *names)
    assert find_labels(classes.astype(np.uint8)).what == "a label map"
    assert find_labels(classes.astype(np.float32).transpose(2, 0, 1)).what == "a label map"


@pytest.mark.parametrize("names", [(60, 120), (2, 41), (17, 53), (-1, 2)])
def test_few_values_that_may_be_a_drawing_are_told(names):
    drawing = BALL * np.where(np.indices(SHAPE)[0] > 20, *names).astype(np.int16)
    assert find_labels(drawing).what == ""
    told = ", ".join(map(str, sorted({0, *names})))
    assert find_labels(drawing).warnings == (f"its values are {told} only, as those of labels are, and not of a scan",)
    assert find_labels(drawing + np.random.default_rng(0).integers(0, 2, SHAPE)).warnings == ()


@pytest.mark.parametrize("levels", [20, 60, 255])
def test_a_scan_of_few_grey_levels_is_a_scan(levels):
    random = np.random.default_rng(0)
    tissue = BALL * (0.6 + 0.1 * random.standard_normal(SHAPE))
    assert find_labels(np.round(levels * tissue).astype(np.uint8)).what == ""
    doubled = np.kron(np.round(levels * tissue), np.ones((2, 2, 2))).astype(np.uint8)
    assert find_labels(doubled).what == ""


LARGE = ndimage.zoom(BALL, 2, order=0)
SOFTENED = {
    "smoothed": lambda labels: ndimage.gaussian_filter(labels, 1),
    "finer": lambda labels: ndimage.zoom(labels, 1.7, order=1),
    "coarser": lambda labels: ndimage.zoom(labels, 0.55, order=1),
    "turned": lambda labels: ndimage.rotate(labels, 17, order=1, reshape=False, mode="nearest"),
    "turned by splines": lambda labels: ndimage.rotate(labels, 17, order=3, reshape=False, mode="nearest"),
}


@pytest.mark.parametrize("how", SOFTENED)
@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 255), (0, 1000), (-1, 1), (1, 0), (5.5, -3)])
def test_a_mask_is_one_whatever_made_its_edges_soft(how, low, high):
    soft = SOFTENED[how](np.where(LARGE, high, low).astype(np.float32))
    assert find_labels(soft).what == find_labels(soft.transpose(2, 0, 1)).what == "a mask with soft edges"


def test_a_soft_mask_of_whole_numbers_is_labels():
    soft = np.round(255 * ndimage.gaussian_filter(LARGE.astype(np.float32), 1))
    assert find_labels(soft.astype(np.uint8)).what in ("a label map", "a mask with soft edges")


@pytest.mark.parametrize("how", ["finer", "coarser", "turned"])
def test_parcels_that_were_mixed_at_their_edges_are_a_label_map(how):
    blocks = np.ravel_multi_index(tuple(np.indices(LARGE.shape) // 16), (7, 7, 7))
    names = np.random.default_rng(0).permutation(3000)[blocks] * LARGE
    soft = SOFTENED[how](names.astype(np.float32))
    assert find_labels(soft).what == "a resampled label map"


def test_what_may_be_a_mask_or_a_noise_free_head_is_told():
    inner = np.indices(LARGE.shape)[0] > 35
    drawing = ndimage.gaussian_filter(LARGE * np.where(inner, 130.0, 60.5), 0.5)
    assert find_labels(drawing).what == ""
    (told,) = find_labels(drawing).warnings
    assert "of its voxels, the background left out, are 130 as all their neighbours" in told


@pytest.mark.parametrize("fill", [0, -1000, 1e6])
@pytest.mark.parametrize("noise", [0.002, 0.05])
def test_noise_makes_a_scan_whatever_its_background(fill, noise):
    tissue = 1 + noise * np.random.default_rng(0).standard_normal(SHAPE)
    assert find_labels(np.where(BALL, tissue, fill)).what == ""


@pytest.mark.parametrize("times", [2, 3, 4, 5])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_scan_whose_voxels_were_repeated_is_a_scan(times, dtype):
    tissue = BALL * (100 + 15 * np.random.default_rng(0).standard_normal(SHAPE))
    repeated = np.kron(tissue.astype(dtype), np.ones((times,) * 3, dtype))
    assert find_labels(repeated).what == ""
    assert find_labels(repeated).warnings == ()


@pytest.mark.parametrize("step", [0.5, 0.25, 2.0])
@pytest.mark.parametrize("levels", [12, 60, 255])
def test_steps_between_grey_levels_are_no_labels(step, levels):
    smooth = ndimage.zoom(np.random.default_rng(0).standard_normal((20, 25, 23)), 4)[:80, :100, :90]
    grey = step * np.round(levels * LARGE * (0.6 + 0.1 * smooth))
    assert find_labels(grey.astype(np.float32)).what == ""


def test_letters_that_were_burnt_in_leave_a_scan_what_it_is():
    scan = np.abs(BALL + 0.02 * np.random.default_rng(0).standard_normal(SHAPE)).astype(np.float32)
    scan[2:12, 2:12, 2:12] = 300
    assert find_labels(scan).what == ""
    assert find_labels(scan).warnings == ()


def test_a_third_value_makes_a_mask_with_noise_no_mask():
    noisy = (BALL + 0.01 * np.random.default_rng(0).standard_normal(SHAPE)).astype(np.float32)
    assert find_labels(noisy).what == ""


@needs_shared_data
def test_real_scans_and_their_segmentations():
    scans = sorted((SHARED_DATA / "ixi/T1").glob("*.nii.gz"))[:20:5]
    maps = sorted((SHARED_DATA / "ixi/segmentation").glob("*.nii.gz"))[:20:5]
    brains = sorted((SHARED_DATA / "depression-bids").rglob("*T1w.nii.gz"))[:1]
    assert {find_labels(read_scan(path).data).what for path in (*scans, *brains)} == {""}
    assert {find_labels(read_scan(path).data).warnings for path in (*scans, *brains)} == {()}
    assert {find_labels(np.asarray(nib.load(path).dataobj)).what for path in maps} == {"a label map"}


@needs_shared_data
def test_real_masks_and_label_maps_with_soft_edges():
    for path in sorted((SHARED_DATA / "ixi/segmentation").glob("*.nii.gz"))[:20:10]:
        labels = np.asarray(nib.load(path).dataobj)
        for how in ("smoothed", "finer", "coarser", "turned"):
            soft = SOFTENED[how]((labels > 0).astype(np.float32))
            assert find_labels(soft).what == "a mask with soft edges", (path.name, how)
        for how in ("finer", "turned"):
            assert find_labels(SOFTENED[how](labels.astype(np.float32))).what == "a resampled label map", (
                path.name,
                how,
            )


@needs_shared_data
@pytest.mark.parametrize("clipped", [80, 90, 95, 99])
def test_real_scans_that_were_clipped_or_blurred_are_scans(clipped):
    paths = sorted((SHARED_DATA / "ixi/T1").glob("*.nii.gz"))[:20:10]
    paths += sorted((SHARED_DATA / "depression-bids").rglob("*T1w.nii.gz"))[:1]
    for path in paths:
        data = read_scan(path).data[::2, ::2, ::2].astype(np.float32)
        limit = np.percentile(data[data > data.mean()], clipped)
        blurred = ndimage.gaussian_filter(data, 1.7)
        for scan in (np.minimum(data, limit), np.round(255 * np.clip(data / limit, 0, 1)).astype(np.uint8), blurred):
            assert find_labels(scan).what == "", path.name
            assert find_labels(scan).warnings == (), path.name
