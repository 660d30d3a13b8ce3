"""Labels and intensities told apart: masks, parcels, real scans and their segmentations."""

import nibabel as nib
import numpy as np
import pytest

from mri3d.scans.label_map import label_warnings, what_labels
from mri3d.scans.scan import read_scan
from tests.scans.phantom import SHARED_DATA, needs_shared_data

SHAPE = (40, 50, 45)
BALL = np.linalg.norm(np.moveaxis(np.indices(SHAPE), 0, -1) - [20, 26, 21], axis=-1) < 17


@pytest.mark.parametrize("values", [(0, 1), (0, 255), (1, 0), (-1.5, 3.25)])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_two_values_are_a_mask(values, order):
    assert what_labels(np.where(BALL, values[1], values[0]).astype(np.float32).transpose(order)) == "a mask"


def test_parcels_are_a_label_map_whatever_their_names():
    parcels = np.indices(SHAPE).sum(axis=0) // 8
    names = np.random.default_rng(0).permutation(3000)[parcels] * BALL
    assert what_labels(names.astype(np.int16)) == "a label map"
    assert what_labels(np.asfortranarray(names.astype(np.float32))) == "a label map"


@pytest.mark.parametrize("names", [(1, 2), (1, 4), (2, 9), (10, 3)])
def test_tissue_classes_are_a_label_map(names):
    right = np.indices(SHAPE)[0] > 20
    classes = BALL * np.where(right, *names)
    assert what_labels(classes.astype(np.uint8)) == "a label map"
    assert what_labels(classes.astype(np.float32).transpose(2, 0, 1)) == "a label map"


@pytest.mark.parametrize("names", [(60, 120), (2, 41), (17, 53), (-1, 2)])
def test_few_values_that_may_be_a_drawing_are_told(names):
    drawing = BALL * np.where(np.indices(SHAPE)[0] > 20, *names).astype(np.int16)
    assert what_labels(drawing) == ""
    told = ", ".join(map(str, sorted({0, *names})))
    assert label_warnings(drawing) == (f"its values are {told} only, as those of labels are, and not of a scan",)
    assert label_warnings(drawing + np.random.default_rng(0).integers(0, 2, SHAPE)) == ()


@pytest.mark.parametrize("levels", [20, 60, 255])
def test_a_scan_of_few_grey_levels_is_a_scan(levels):
    random = np.random.default_rng(0)
    tissue = BALL * (0.6 + 0.1 * random.standard_normal(SHAPE))
    assert what_labels(np.round(levels * tissue).astype(np.uint8)) == ""
    doubled = np.kron(np.round(levels * tissue), np.ones((2, 2, 2))).astype(np.uint8)
    assert what_labels(doubled) == ""


def test_a_third_value_makes_a_mask_with_noise_no_mask():
    noisy = (BALL + 0.01 * np.random.default_rng(0).standard_normal(SHAPE)).astype(np.float32)
    assert what_labels(noisy) == ""


@needs_shared_data
def test_real_scans_and_their_segmentations():
    scans = sorted((SHARED_DATA / "ixi/T1").glob("*.nii.gz"))[:20:5]
    maps = sorted((SHARED_DATA / "ixi/segmentation").glob("*.nii.gz"))[:20:5]
    brains = sorted((SHARED_DATA / "depression-bids").rglob("*T1w.nii.gz"))[:1]
    assert {what_labels(read_scan(path).data) for path in (*scans, *brains)} == {""}
    assert {label_warnings(read_scan(path).data) for path in (*scans, *brains)} == {()}
    assert {what_labels(np.asarray(nib.load(path).dataobj)) for path in maps} == {"a label map"}
