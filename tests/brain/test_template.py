"""The template: nilearn's own image and mask, in the right place, one piece without holes."""

import nibabel as nib
import numpy as np
import pytest
from nilearn.datasets import load_mni152_brain_mask, load_mni152_template
from scipy import ndimage

from mri3d.brain.template import CENTRE_MM, SIDES_MM, mni_template
from mri3d.errors import NotInstalledError


def test_is_the_image_of_nilearn_inside_the_mask():
    template, image = mni_template(), load_mni152_template(resolution=1)
    intensities = image.get_fdata(dtype=np.float32)
    assert template.brain.dtype == np.float32
    np.testing.assert_array_equal(template.brain, np.where(template.mask, intensities, 0))
    np.testing.assert_array_equal(template.affine, image.affine)
    assert template.affine.dtype == np.float64


def test_the_mask_is_that_of_nilearn_without_holes():
    mask = mni_template().mask
    assert mask.dtype == bool
    known = load_mni152_brain_mask(resolution=1).get_fdata() > 0
    assert 2 * np.count_nonzero(mask & known) / (mask.sum() + known.sum()) > 0.9999
    assert ndimage.label(mask)[1] == 1
    np.testing.assert_array_equal(ndimage.binary_fill_holes(mask), mask)


def test_is_loaded_once_and_cannot_be_changed_by_who_uses_it():
    template = mni_template()
    assert mni_template() is template
    with pytest.raises(ValueError, match="read-only"):
        template.brain[90, 110, 90] = 0


def test_the_box_of_its_brain_is_known_without_loading_it():
    template = mni_template()
    inside = np.argwhere(template.mask)
    first, end = inside.min(axis=0) - 0.5, inside.max(axis=0) + 0.5
    np.testing.assert_array_equal(end - first, SIDES_MM)
    np.testing.assert_allclose((template.affine @ [*((first + end) / 2), 1])[:3], CENTRE_MM)


def test_another_template_is_refused(monkeypatch):
    image = load_mni152_template(resolution=1)
    other = nib.Nifti1Image(0.99 * image.get_fdata(dtype=np.float32), image.affine)
    monkeypatch.setattr("nilearn.datasets.load_mni152_template", lambda resolution: other)
    with pytest.raises(NotInstalledError, match=r"nilearn .* carries is another than .* Install nilearn 0\.14\.1"):
        mni_template.__wrapped__()
