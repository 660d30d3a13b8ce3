"""Where maps of a cohort lie in the world."""

import nibabel as nib
import numpy as np
import pytest
from nibabel.affines import from_matvec
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.transform import Rotation

from mri3d.explain.cohort_space import CohortSpace, average_affine, is_cohort_map
from mri3d.scans.scan import ScanError, read_scan
from mri3d.volumes.cache import Volumes
from mri3d.volumes.recipe import Recipe

SIDES = np.array([37, 41, 45])
BALL_MM = np.array([-9.0, 14.0, 6.0])
TURN = Rotation.from_euler("xyz", [8, -5, 97], degrees=True).as_matrix()
OBLIQUE = from_matvec(TURN * [1.9, 2.1, 1.7], -TURN @ (np.array([1.9, 2.1, 1.7]) * SIDES / 2))
LIA = np.array([[-2.0, 0.0, 0.0, 36.0], [0.0, 0.0, 2.0, -44.0], [0.0, -2.0, 0.0, 40.0], [0.0, 0.0, 0.0, 1.0]])


def head_with_ball(affine):
    """Draw a bright ellipsoid around the origin of the world with a brighter ball, on the grid of an affine."""
    world = np.moveaxis(np.indices(SIDES), 0, -1) @ affine[:3, :3].T + affine[:3, 3]
    head = (np.linalg.norm(world / [26, 30, 28], axis=-1) < 1) * 100.0
    return head + 150 * (np.linalg.norm(world - BALL_MM, axis=-1) < 5)


def cohort(folder, affines, recipe):
    scans = [folder / f"s{number}.nii" for number in range(len(affines))]
    for scan, affine in zip(scans, affines, strict=True):
        nib.save(nib.Nifti1Image(head_with_ball(affine).astype(np.float32), affine), scan)
    return Volumes(scans, [read_scan(scan).digest for scan in scans], recipe)


def space_of(volumes, **options):
    return CohortSpace.of(volumes.recipe, volumes.scans, volumes.shape[1:], **options)


def ball_mm(image):
    """Return the world position of the ball in a map."""
    values = np.asarray(image.dataobj)
    voxels = np.argwhere(values > 0.6 * values.max())
    return (voxels @ image.affine[:3, :3].T + image.affine[:3, 3]).mean(axis=0)


@pytest.mark.parametrize("affine", [OBLIQUE, LIA], ids=["oblique", "LIA"])
@pytest.mark.parametrize("orientation", ["ras", "stored"])
def test_scans_of_one_space_keep_it(tmp_path, affine, orientation):
    recipe = Recipe(40, orientation=orientation, intensity="none")
    volumes = cohort(tmp_path, [affine] * 2, recipe)
    space = space_of(volumes)
    space.write(tmp_path / "map.nii.gz", volumes[0][0])
    image = nib.load(tmp_path / "map.nii.gz")
    assert nib.aff2axcodes(image.affine) == ("R", "A", "S")
    assert_allclose(ball_mm(image), BALL_MM, atol=0.5)
    assert_allclose(nib.affines.voxel_sizes(image.affine), nib.affines.voxel_sizes(space.affine), rtol=1e-6)
    assert image.get_data_dtype() == np.float32
    assert image.header["descrip"].item().decode().startswith("mri3d cohort space: mean voxel size")
    assert_allclose(image.get_qform(), space.affine, atol=1e-3)
    assert_array_equal(np.asarray(image.dataobj), space.ras(volumes[0][0]))


def test_differing_heads_lie_at_their_average_place(tmp_path):
    moved = LIA.copy()
    moved[:3, 3] += [8.0, -4.0, 2.0]  # the head is cut at another place of the grid, not moved in the world
    volumes = cohort(tmp_path, [LIA, moved], Recipe(40, intensity="none"))
    space = space_of(volumes)
    space.write(tmp_path / "map.nii.gz", (volumes[0] + volumes[1])[0] / 2)
    assert_allclose(ball_mm(nib.load(tmp_path / "map.nii.gz")), BALL_MM, atol=1.0)


def test_a_map_is_told_from_other_files(tmp_path):
    space = CohortSpace(np.eye(4), nib.io_orientation(np.eye(4)), 3)
    values = np.zeros((7, 8, 9), np.float32)
    space.write(tmp_path / "map.nii.gz", values)
    nib.save(nib.Nifti1Image(values, np.eye(4)), tmp_path / "own.nii.gz")
    (tmp_path / "text.nii.gz").write_text("mri3d cohort space")
    (tmp_path / "cut.nii.gz").write_bytes((tmp_path / "own.nii.gz").read_bytes()[:30])
    (tmp_path / "folder.nii.gz").mkdir()
    assert [path.name for path in sorted(tmp_path.iterdir()) if is_cohort_map(path)] == ["map.nii.gz"]


def test_few_scans_of_many_are_read(tmp_path):
    volumes = cohort(tmp_path, [LIA] * 5, Recipe(24))
    volumes.scans[1].unlink()
    space = space_of(volumes, max_scans=3)
    assert space.num_scans == 3
    assert_allclose(space.affine, space_of(volumes, max_scans=1).affine)


def test_scans_that_are_gone_by_now_do_not_count(tmp_path, caplog):
    shifted = OBLIQUE.copy()
    shifted[:3, 3] += 10
    volumes = cohort(tmp_path, [OBLIQUE, shifted, shifted], Recipe(20, crop="none", intensity="none"))
    volumes.scans[0].unlink()
    space = space_of(volumes)
    assert space.num_scans == 2
    assert_allclose(space.affine, CohortSpace.of(volumes.recipe, volumes.scans[1:2], volumes.shape[1:]).affine)
    assert "maps are placed by 2 of 3 scans" in caplog.text
    for scan in volumes.scans[1:]:
        scan.unlink()
    with pytest.raises(ScanError, match=r"s0\.nii does not exist"):
        space_of(volumes)


def test_average_of_affines_by_hand():
    turn = np.deg2rad(10)

    def rotated(angle, spacing_mm, shift):
        affine = np.eye(4)
        affine[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        affine[:3, :3] *= spacing_mm
        affine[:3, 3] = shift
        return affine

    centre = np.array([3.0, 3.5, 4.0])
    pair = np.stack([rotated(turn, [1.0, 2.0, 3.0], 0.0), rotated(-turn, [3.0, 4.0, 5.0], [2.0, 4.0, 6.0])])
    average = average_affine(pair, np.array([7, 8, 9]))
    assert_allclose(average[:3, :3], np.diag([2.0, 3.0, 4.0]), atol=1e-12)  # opposite turns cancel
    centres = pair[:, :3, :3] @ centre + pair[:, :3, 3]
    assert_allclose(average[:3, :3] @ centre + average[:3, 3], centres.mean(axis=0), atol=1e-12)
