"""A scan in a viewer: its heatmap lies where it does on the volume, and of brains nothing else is shown."""

from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
from numpy.testing import assert_allclose

from mri3d.scans.scan import ScanError, read_scan
from mri3d.viewed_scans import embedded_scan, scan_of, upright
from mri3d.volumes.brain_recipe import BrainRecipe
from mri3d.volumes.recipe import Recipe
from tests.report.viewed import decoded
from tests.scans.phantom import write_scan
from tests.studies import head

OBLIQUE = nib.affines.from_matvec(
    nib.eulerangles.euler2mat(0.2, -0.1, 0.15) @ np.diag([-9.0, 9.0, 8.0]), [90.0, -99.0, -96.0]
)


@pytest.fixture
def scan(tmp_path):
    write_scan(tmp_path / "head.nii", head(), OBLIQUE)
    return read_scan(tmp_path / "head.nii")


def test_volumes_are_turned_upright_by_their_scans_while_these_are_there(scan, tmp_path):
    scans = [tmp_path / "head.nii", tmp_path / "gone.nii"]
    study = SimpleNamespace(recipe=Recipe(orientation="stored", crop="none"), cohort=SimpleNamespace(scans=scans))
    assert_allclose(upright(study, 0), study.recipe.affine(scan))
    assert upright(study, 1) is None
    study.recipe = Recipe()
    assert_allclose(upright(study, 1), np.eye(4))


class FoundBrain(BrainRecipe):
    """Takes a box in the middle of any scan for its brain, and lays it into the space of the template by a shift."""

    SHIFT = nib.affines.from_matvec(np.eye(3), [5.0, -7.0, 11.0])

    def volume(self, scan):
        """Return 1 in the box and 0 around it."""
        volume, quarter = np.zeros((1, *self.volume_shape), np.float32), [side // 4 for side in self.volume_shape]
        volume[(0, *(slice(part, -part) for part in quarter))] = 1
        return volume

    def affine(self, scan):
        """Return where the voxels of the volume lie in the scan's world."""
        return self.SHIFT @ self.shared_affine


def test_a_map_of_the_volume_lies_there_in_the_scan(scan):
    recipe = Recipe(resolution=16)
    place, heat = recipe.affine(scan), np.zeros((16, 16, 16), np.float32)
    heat[9, 5, 7] = -1
    volumes = embedded_scan(scan, recipe, heat, place)
    embedded = decoded(volumes.heatmap)
    peak = nib.affines.apply_affine(embedded.affine, np.argwhere(embedded.get_fdata() < -0.9 * volumes.strongest)[0])
    assert_allclose(peak, nib.affines.apply_affine(place, (9, 5, 7)), atol=9)  # a voxel of the scan
    assert nib.aff2axcodes(decoded(volumes.head).affine) == nib.aff2axcodes(scan.affine)
    same = embedded_scan(scan, recipe, recipe.to_scan(heat, scan), scan.affine)
    assert_allclose(same.peak_mm, volumes.peak_mm, atol=1e-3)
    assert embedded_scan(scan, recipe).heatmap is None


def test_of_brains_nothing_else_is_shown_and_they_stand_upright(scan):
    recipe = FoundBrain(resolution=20)
    heat = np.zeros(recipe.volume_shape, np.float32)
    inside, outside = (10, 12, 9), (1, 1, 1)
    heat[inside], heat[outside] = 0.5, 1.0
    volumes = embedded_scan(scan, recipe, heat, recipe.affine(scan))
    shown = decoded(volumes.head)
    assert shown.get_fdata().min() == 0
    assert_allclose(shown.affine[:3, :3], np.diag(np.diag(shown.affine)[:3]))
    assert_allclose(volumes.peak_mm, nib.affines.apply_affine(recipe.shared_affine, inside), atol=4)


def test_a_scan_that_was_replaced_is_not_taken_for_the_one_before(scan, tmp_path):
    cohort = SimpleNamespace(scans=[tmp_path / "head.nii"], digests=(scan.digest,))
    study = SimpleNamespace(cohort=cohort)
    assert scan_of(study, 0).digest == scan.digest
    write_scan(tmp_path / "head.nii", head(seed=7), OBLIQUE)
    with pytest.raises(ScanError, match=r"head\.nii has changed since the study was made from it$"):
        scan_of(study, 0)
