"""Masks of the user's own: taken as they are, and refused where they are of another brain."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from mri3d import BrainRecipe
from mri3d.brain.brain import DOUBTFUL_MISFIT, MOST_MISFIT, Brain
from mri3d.brain.extraction import NoBrain
from mri3d.brain.given_mask import misfit
from mri3d.brain.kept import brain_of, found_in
from mri3d.brain.locating import locate_brain
from mri3d.scans.scan import ScanError
from tests.brain.heads import apart_mm, moving, scanned
from tests.scans.phantom import reorder
from tests.volumes.planted import scan_of

SPACING_MM = np.array([3.0, 3.0, 3.0])
POSE = moving((10, -8, 12), (20, 10, -15), 0.95)


@pytest.fixture
def aligned(monkeypatch):
    """Have brains aligned without looking for the pose, which takes a second."""
    monkeypatch.setattr("mri3d.brain.locating.register", lambda image, mask, affine: POSE)


@pytest.fixture(scope="module")
def seen():
    return scanned(POSE, (3.0, 3.0, 3.0))


def test_masks_of_one_brain_fit_however_wide_they_are(seen):
    assert misfit(ndimage.binary_dilation(seen.mask), seen.mask, SPACING_MM) < 0.05
    hollow = seen.mask & ~ndimage.binary_erosion(seen.mask, iterations=4)  # ventricles, and more, left out
    assert misfit(hollow, seen.mask, SPACING_MM) == pytest.approx(0, abs=0.01)


def test_masks_of_another_brain_do_not(seen):
    other = scanned(moving((10, -8, 2), (20, 10, -15), 1.1), (3.0, 3.0, 3.0)).mask
    sides = np.minimum(seen.mask.shape, other.shape)
    inside = tuple(map(slice, sides))
    assert misfit(other[inside], seen.mask[inside], SPACING_MM) > DOUBTFUL_MISFIT
    assert misfit(np.roll(seen.mask, 4, axis=1), seen.mask, SPACING_MM) > MOST_MISFIT
    assert misfit(np.zeros_like(seen.mask), seen.mask, SPACING_MM) == 1


def test_the_misfit_is_that_of_millimetres():
    box = np.zeros((30, 40, 30), bool)
    box[8:22, 8:30, 8:22] = True
    for spacing_mm, too_far in (([3.0, 1.0, 3.0], False), ([3.0, 3.0, 3.0], True)):
        moved = misfit(np.roll(box, 4, axis=1), box, np.array(spacing_mm))  # by 4 mm, or 12
        assert moved == (pytest.approx(0.2, abs=0.08) if too_far else 0), "two of its sides"


def given(seen, mask=None, order="LIA"):
    """Return the scan with a mask, stored in some axis order."""
    scan = scan_of(*reorder(seen.brain, seen.affine, order))
    stored = reorder(seen.mask if mask is None else mask, seen.affine, order)[0]
    return replace(scan, mask=np.ascontiguousarray(stored), mask_path="m.nii", digest=f"{order} {mask is None}")


def test_a_given_mask_is_the_brain_in_any_axis_order(seen, monkeypatch):
    monkeypatch.setattr("mri3d.brain.locating.brain_mask", lambda image: image > 0)
    narrower = ndimage.binary_erosion(seen.mask)
    brain = locate_brain(given(seen, narrower))
    np.testing.assert_array_equal(brain.mask, reorder(narrower, seen.affine, "RAS")[0])
    assert brain.misfit == pytest.approx(0, abs=0.05)
    assert brain.figures == {
        "brain_ml": pytest.approx(narrower.sum() * 27 / 1000),
        "overlap": brain.overlap,
        "similarity": brain.similarity,
        "misfit": brain.misfit,
    }
    assert np.median(apart_mm(brain.to_scan, moving((10, -8, 12), (20, 10, -15), 0.95))) < 5  # as far as it was eroded


def test_a_mask_of_another_subject_is_refused_and_said_to_be(seen, aligned, monkeypatch):
    monkeypatch.setattr("mri3d.brain.locating.brain_mask", lambda image: image > 0)
    scan = given(seen, np.roll(seen.mask, 4, axis=1))
    with pytest.raises(ScanError, match=r"sub-07\.nii: the mask m\.nii does not fit: \d+% of its surface lies more"):
        brain_of(scan)
    assert found_in(scan).misfit > MOST_MISFIT
    assert BrainRecipe().figures(scan)["misfit"] > MOST_MISFIT


def test_what_cannot_be_certain_is_told(seen, aligned, monkeypatch):
    def nothing(image):
        raise NoBrain("nothing")

    monkeypatch.setattr("mri3d.brain.locating.brain_mask", nothing)
    scan = given(seen)
    (told,) = BrainRecipe().warnings(scan)
    assert told == "its mask m.nii could not be held against the scan, in which no brain was found"
    assert "misfit" not in BrainRecipe().figures(scan)

    doubtful = Brain(seen.mask, np.eye(4), False, 1500.0, 0.97, 0.5, 0.1)
    monkeypatch.setattr("mri3d.volumes.brain_recipe.brain_of", lambda scan: doubtful)
    (told,) = BrainRecipe().warnings(scan)
    assert told.startswith("10% of the surface of its mask m.nii lies more than 5 mm from that of the brain")
    monkeypatch.setattr("mri3d.volumes.brain_recipe.brain_of", lambda scan: replace(doubtful, misfit=0.04))
    assert BrainRecipe().warnings(scan) == ()


def test_a_mask_outside_of_the_head_is_refused(seen, monkeypatch):
    monkeypatch.setattr("mri3d.brain.locating.brain_mask", lambda image: image > 0)
    corner = np.zeros_like(seen.mask)
    corner[:2, :2, :2] = True
    with pytest.raises(ScanError, match=r"no brain was found in it|the mask m\.nii"):
        brain_of(given(seen, corner))
