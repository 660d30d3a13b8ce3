"""A scan that comes with a mask: on its own grid, a mask indeed, and part of what the scan is known by."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from mri3d.errors import UserError
from mri3d.scans.scan import ScanError, read_scan
from mri3d.scans.scan_file import Masked, masked, path_of, paths_of, read_file
from tests.scans.phantom import oblique_affine

SHAPE = (20, 24, 18)


def write(path: Path, data: np.ndarray, affine: np.ndarray | None = None) -> Path:
    nib.Nifti1Image(data, oblique_affine() if affine is None else affine).to_filename(path)
    return path


def block(value=1) -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    mask[5:15, 6:18, 4:14] = value
    return mask


@pytest.fixture
def scan(tmp_path):
    data = np.random.default_rng(0).integers(0, 900, SHAPE).astype(np.int16)
    return write(tmp_path / "s1.nii.gz", data)


@pytest.mark.parametrize("value", [1, 255])
def test_the_brain_is_where_the_mask_is_not_zero(scan, tmp_path, value):
    read = read_file(Masked(scan, write(tmp_path / "m.nii", block(value))))
    alone = read_file(scan)
    np.testing.assert_array_equal(read.mask, block() > 0)
    np.testing.assert_array_equal(read.data, alone.data)
    assert read.mask_path == tmp_path / "m.nii"
    assert alone.mask is None
    assert read.path == scan
    with pytest.raises(ValueError, match="read-only"):
        read.mask[0, 0, 0] = True


def test_a_label_map_is_a_mask_of_all_its_labels(scan, tmp_path):
    labels = block(3)
    labels[8:12, 8:14, 6:10] = 7
    read = read_file(Masked(scan, write(tmp_path / "m.nii", labels)))
    np.testing.assert_array_equal(read.mask, block() > 0)


def test_a_scan_is_another_with_another_mask(scan, tmp_path):
    first = read_file(Masked(scan, write(tmp_path / "m.nii", block())))
    other = block()
    other[5, 6, 4] = 0
    second = read_file(Masked(scan, write(tmp_path / "n.nii", other)))
    assert len({read_scan(scan).digest, first.digest, second.digest}) == 3
    assert read_file(Masked(scan, write(tmp_path / "copy.nii", block()))).digest == first.digest


def moved(millimetres) -> np.ndarray:
    affine = oblique_affine()
    affine[:3, 3] += millimetres
    return affine


@pytest.mark.parametrize(
    ("data", "affine"),
    [
        (block()[1:], None),
        (block(), moved([0.5, 0, 0])),
        (block(), oblique_affine() @ np.diag([1.05, 1, 1, 1])),
        (block().transpose(0, 2, 1), None),
    ],
    ids=["fewer-voxels", "moved", "larger-voxels", "other-axes"],
)
def test_a_mask_on_another_grid_is_refused(scan, tmp_path, data, affine):
    path = write(tmp_path / "m.nii", np.ascontiguousarray(data), affine)
    with pytest.raises(ScanError, match=r"m\.nii, the mask of .*s1\.nii\.gz, lies on another grid than the scan \("):
        read_file(Masked(scan, path))


def test_an_affine_that_was_rounded_is_the_same_grid(scan, tmp_path):
    read_file(Masked(scan, write(tmp_path / "m.nii", block(), moved([0.01, -0.01, 0.01]))))


def test_what_is_no_mask_is_refused_by_name(scan, tmp_path):
    with pytest.raises(ScanError, match=r"the mask of .*s1\.nii\.gz, holds other values than masks and label maps do"):
        read_file(Masked(scan, scan))
    empty = write(tmp_path / "m.nii", np.zeros(SHAPE, np.uint8))
    with pytest.raises(ScanError, match=r"m\.nii, the mask of .*s1\.nii\.gz, is the same everywhere"):
        read_file(Masked(scan, empty))
    with pytest.raises(ScanError, match=r"n\.nii.* It is to be the mask of"):
        read_file(Masked(scan, tmp_path / "n.nii"))


@pytest.mark.parametrize("soft", ["smoothed", "percent", "upsampled"])
def test_a_mask_with_soft_edges_does_not_say_where_the_brain_ends(scan, tmp_path, soft):
    if soft == "upsampled":
        values = ndimage.zoom(block()[::2, ::2, ::2].astype(np.float32), 2, order=1)
    else:
        values = ndimage.gaussian_filter(block().astype(np.float32), 1)
    data = np.round(100 * values).astype(np.uint8) if soft == "percent" else values
    with pytest.raises(ScanError, match="0 around the brain and 1 in it, with nothing between"):
        read_file(Masked(scan, write(tmp_path / "m.nii", data)))


def test_masks_are_named_by_their_scans(tmp_path):
    paths = [Path("a/s1.nii.gz"), Path("b/s1.nii"), Path("a/s1_mask.nii.gz")]
    assert masked(paths, None) == paths
    found = masked(paths, "{id}_mask.nii.gz")
    assert [(str(file), str(file.mask)) for file in found] == [
        ("a/s1.nii.gz", "a/s1_mask.nii.gz"),
        ("b/s1.nii", "b/s1_mask.nii.gz"),
    ]
    assert masked([Path("a/s1.nii")], "/masks/{id}.nii")[0].mask == Path("/masks/s1.nii")
    assert path_of(found[0]) == paths[0]
    beside = masked([Path("d/scans/a.nii"), Path("d/masks/a.nii")], "../masks/{id}.nii")
    assert [str(file) for file in beside] == ["d/scans/a.nii"]
    with pytest.raises(UserError, match="names the scans themselves"):
        masked(paths[:1], "{id}.nii.gz")
    with pytest.raises(UserError, match=r"mask='brain\.nii' is the same for every scan"):
        masked(paths, "brain.nii")


def test_all_files_that_are_read_are_known(scan, tmp_path):
    mask = write(tmp_path / "m.nii", block())
    assert paths_of(scan) == [scan]
    assert paths_of(Masked(scan, mask)) == [scan, mask]
