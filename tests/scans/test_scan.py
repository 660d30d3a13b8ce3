"""Reading: every good file as it is, in any stored order; writing an image onto its grid."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mri3d.scans.scan import canonical, canonical_digest, read_scan, stored_order, write_image
from tests.scans.phantom import (
    ORDERS,
    SHARED_DATA,
    SPACING_MM,
    needs_shared_data,
    oblique_affine,
    reorder,
    values,
    world_mm,
    write_scan,
)

LIFE_SIZE = oblique_affine(10 * SPACING_MM)  # 7 x 8 x 9 voxels of a head


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("byte_order", ["<", ">"])
@pytest.mark.parametrize("image_type", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize(
    ("stored", "kept"), [("u1", "u1"), ("i2", "i2"), ("u2", "f4"), ("i4", "f4"), ("f4", "f4"), ("f8", "f4")]
)
def test_reads_every_type_byte_order_and_version(tmp_path, ending, byte_order, image_type, stored, kept):
    header = image_type.header_class(endianness=byte_order)
    header.set_data_dtype(stored)
    image = image_type(values(dtype=np.int16), LIFE_SIZE, header)
    image.to_filename(tmp_path / f"scan{ending}")

    scan = read_scan(tmp_path / f"scan{ending}")

    assert scan.data.dtype == np.dtype(kept)
    np.testing.assert_array_equal(scan.data, values())
    np.testing.assert_allclose(scan.affine, LIFE_SIZE, atol=1e-5)
    np.testing.assert_allclose(scan.spacing_mm, 10 * SPACING_MM, rtol=1e-6)
    assert (scan.code, scan.oriented, scan.warnings) == (2, True, ())
    assert not scan.data.flags.writeable


def test_applies_the_scaling(tmp_path):
    image = nib.Nifti1Image(values(), oblique_affine())
    image.header.set_slope_inter(0.25, -3.0)
    image.to_filename(tmp_path / "scan.nii")
    raw = bytearray((tmp_path / "scan.nii").read_bytes())
    raw[112:120] = np.array([0.25, -3.0], "<f4").tobytes()  # nibabel would scale the voxels the other way
    raw[352:] = values().tobytes(order="F")
    (tmp_path / "scan.nii").write_bytes(raw)
    scan = read_scan(tmp_path / "scan.nii")
    assert scan.data.dtype == np.float32
    np.testing.assert_array_equal(scan.data, 0.25 * values().astype(np.float32) - 3.0)


def test_a_single_frame_is_that_frame(tmp_path):
    scan = read_scan(write_scan(tmp_path / "scan.nii", values()[..., np.newaxis]))
    np.testing.assert_array_equal(scan.data, values())


def test_the_digest_is_of_header_and_voxels(tmp_path):
    first = write_scan(tmp_path / "a.nii", values())
    zipped = write_scan(tmp_path / "b.nii.gz", values())
    moved = write_scan(tmp_path / "c.nii", values(), oblique_affine() + np.eye(4)[:, [3, 3, 3, 0]] * 0.1)
    other = write_scan(tmp_path / "d.nii", values()[::-1])
    assert read_scan(first).digest == read_scan(zipped).digest
    assert len({read_scan(path).digest for path in (first, moved, other)}) == 3


@pytest.mark.parametrize("order", ORDERS)
def test_canonical_undoes_every_stored_order(tmp_path, order):
    scan = read_scan(write_scan(tmp_path / "scan.nii", *reorder(values(), oblique_affine(), order)))
    assert "".join(nib.aff2axcodes(scan.affine)) == order
    data, affine = canonical(scan)
    np.testing.assert_array_equal(data, values())
    np.testing.assert_allclose(affine, oblique_affine(), atol=1e-4)
    assert np.shares_memory(data, scan.data)
    np.testing.assert_array_equal(stored_order(data, scan), scan.data)


def test_the_canonical_digest_ignores_order_and_type(tmp_path):
    paths = [
        write_scan(tmp_path / f"{order}.nii", *reorder(values(dtype=dtype), oblique_affine(), order))
        for order, dtype in [("RAS", np.uint8), ("LIA", np.float32), ("PSR", np.int16)]
    ]
    other = write_scan(tmp_path / "other.nii", values()[::-1])
    assert len({canonical_digest(read_scan(path)) for path in paths}) == 1
    assert canonical_digest(read_scan(other)) != canonical_digest(read_scan(paths[0]))


def write_forms(path: Path, sform: np.ndarray, sform_code: int, qform: np.ndarray, qform_code: int) -> Path:
    image = nib.Nifti1Image(values(), sform)
    image.set_sform(sform, sform_code)
    image.set_qform(qform, qform_code)
    image.to_filename(path)
    return path


def test_the_sform_wins_and_the_disagreement_is_told_in_numbers(tmp_path):
    angle = np.deg2rad(10.0)
    sform = np.diag([20.0, 20.0, 20.0, 1.0])
    qform = sform.copy()
    qform[:2, :2] = 20 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    far_mm = 2 * np.sin(angle / 2) * np.hypot(6 * 20, 7 * 20)  # how far the corner farthest from the axis turns
    scan = read_scan(write_forms(tmp_path / "scan.nii", sform, 2, qform, 1))
    np.testing.assert_allclose(scan.affine, sform)
    assert scan.code == 2
    assert scan.warnings == (f"qform and sform disagree (by 10.0 degrees, {far_mm:.1f} mm); the sform is used",)


def test_one_form_is_enough_and_none_leaves_the_scan_unoriented(tmp_path):
    sform, qform = LIFE_SIZE, np.diag([-20.0, 20.0, 20.0, 1.0])
    only_qform = read_scan(write_forms(tmp_path / "q.nii", qform, 0, qform, 3))
    np.testing.assert_allclose(only_qform.affine, qform, atol=1e-6)
    assert (only_qform.code, only_qform.oriented, only_qform.warnings) == (3, True, ())
    only_sform = read_scan(write_forms(tmp_path / "s.nii", sform, 4, sform, 0))
    np.testing.assert_allclose(only_sform.affine, sform, rtol=1e-6)
    assert (only_sform.code, only_sform.oriented, only_sform.warnings) == (4, True, ())
    neither = read_scan(write_forms(tmp_path / "n.nii", sform, 0, qform, 0))
    assert not neither.oriented
    assert neither.warnings == ("neither sform nor qform is set: left and right are unknown",)


def test_a_form_that_is_filled_in_without_being_set_is_not_used_but_told_where_it_disagrees(tmp_path):
    sform, qform = LIFE_SIZE, np.diag([-20.0, 20.0, 20.0, 1.0])
    only_qform = read_scan(write_forms(tmp_path / "q.nii", sform, 0, qform, 3))
    np.testing.assert_allclose(only_qform.affine, qform, atol=1e-6)
    assert only_qform.warnings == ("the sform, filled in but not set, has axes RAS, the qform, which is used, LAS",)
    scaled = read_scan(write_forms(tmp_path / "v.nii", qform @ np.diag([1, 1, 1.1, 1]), 0, qform, 3))
    told = (
        "the sform, filled in but not set, has voxels of 20 x 20 x 22 mm, the qform, which is used, of 20 x 20 x 20 mm"
    )
    assert scaled.warnings == (told,)
    mirrored = sform @ np.diag([-1, 1, 1, 1])
    only_sform = read_scan(write_forms(tmp_path / "s.nii", sform, 4, mirrored, 0))
    np.testing.assert_allclose(only_sform.affine, sform, rtol=1e-6)
    assert only_sform.warnings == ("the qform, filled in but not set, has axes LAS, the sform, which is used, RAS",)
    sheared = sform @ np.array([[1, 0.05, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    nib.Nifti1Image(values(), sheared).to_filename(tmp_path / "n.nii")  # nibabel fills in the nearest qform
    assert read_scan(tmp_path / "n.nii").warnings == ()


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("code", [0, 1, 4])
def test_a_map_lies_on_the_grid_of_its_scan(tmp_path, ending, code):
    data, affine = reorder(values(), oblique_affine(), "PIR")
    if code == 0:  # such a file places its scan by voxel size alone, and so must the map
        affine = nib.Nifti1Image(data, None, None).header.get_best_affine()
    scan = read_scan(write_scan(tmp_path / f"scan{ending}", data, affine, code=code))
    heat = world_mm(scan.data.shape, scan.affine)[..., 1]

    write_image(tmp_path / f"map{ending}", heat, scan.affine, code=scan.code)

    image = nib.load(tmp_path / f"map{ending}")
    assert image.get_data_dtype() == np.float32
    np.testing.assert_array_equal(image.get_fdata(dtype=np.float32), heat.astype(np.float32))
    np.testing.assert_array_equal(image.affine, scan.affine)
    np.testing.assert_allclose(image.header.get_qform(), scan.affine, atol=1e-4)
    assert (int(image.header["sform_code"]), int(image.header["qform_code"])) == (code, code)
    first = (tmp_path / f"map{ending}").read_bytes()
    write_image(tmp_path / f"map{ending}", heat, scan.affine, code=scan.code)
    assert (tmp_path / f"map{ending}").read_bytes() == first


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize(
    ("dtype", "kept"),
    [(np.uint8, np.uint8), (np.float32, np.float32), (np.float64, np.float32), (np.int16, np.float32), (bool, "f4")],
)
def test_bytes_are_written_as_bytes_and_all_else_as_floats(tmp_path, ending, dtype, kept):
    stored = np.asfortranarray(values((37, 8, 9), dtype))
    write_image(tmp_path / f"image{ending}", stored, LIFE_SIZE, code=1)
    image = nib.load(tmp_path / f"image{ending}")
    assert image.get_data_dtype() == kept
    np.testing.assert_array_equal(np.asarray(image.dataobj), stored)
    np.testing.assert_allclose(image.affine, LIFE_SIZE, atol=1e-5)
    assert image.header.get_xyzt_units()[0] == "mm"
    assert image.header["descrip"].item() == b""
    write_image(tmp_path / f"again{ending}", np.ascontiguousarray(stored), LIFE_SIZE, code=1)
    assert (tmp_path / f"again{ending}").read_bytes() == (tmp_path / f"image{ending}").read_bytes()


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_multiples_of_a_step_are_written_as_whole_numbers(tmp_path, ending, dtype):
    step = 1 / 32767
    heat = np.random.default_rng(1).uniform(-1, 1, (37, 8, 9)).astype(dtype)
    heat[0, 0, :3] = -1, 0, 1
    write_image(tmp_path / f"map{ending}", np.asfortranarray(heat), LIFE_SIZE, code=1, description="heat", step=step)
    image = nib.load(tmp_path / f"map{ending}")
    assert image.get_data_dtype() == np.int16
    np.testing.assert_array_equal(image.dataobj.get_unscaled(), np.round(heat / step).astype(int))
    np.testing.assert_allclose(image.get_fdata(), heat, atol=step / 2 + 1e-7)
    np.testing.assert_allclose(image.get_fdata()[0, 0, :3], [-1, 0, 1], atol=1e-7)
    np.testing.assert_allclose(image.affine, LIFE_SIZE, atol=1e-5)
    assert image.header["descrip"].item() == b"heat"
    np.testing.assert_allclose(read_scan(tmp_path / f"map{ending}").data, heat, atol=step)
    write_image(tmp_path / f"again{ending}", heat, LIFE_SIZE, code=1, description="heat", step=step)
    assert (tmp_path / f"again{ending}").read_bytes() == (tmp_path / f"map{ending}").read_bytes()


@pytest.mark.parametrize(
    ("description", "stored"),
    [
        ("mri3d: mean of 3 volumes", b"mri3d: mean of 3 volumes"),
        ("Zürich", "Zürich".encode("latin-1")),
        ("5 µm → 1 mm", "5 µm ? 1 mm".encode("latin-1")),
        ("é" * 200, b"\xe9" * 79),
    ],
)
def test_a_description_stands_in_the_header_as_far_as_it_fits(tmp_path, description, stored):
    write_image(tmp_path / "map.nii.gz", values(dtype=np.float32), LIFE_SIZE, description=description)
    header = nib.load(tmp_path / "map.nii.gz").header
    assert header["descrip"].item() == stored
    assert header["aux_file"].item() == b""  # the field behind it
    np.testing.assert_array_equal(read_scan(tmp_path / "map.nii.gz").data, values())


@needs_shared_data
def test_sixteen_stored_orders_of_one_head_are_one_image():
    scans = [read_scan(path) for path in sorted((SHARED_DATA / "odd-scans" / "axis-orders").glob("*.nii.gz"))]
    assert len({"".join(nib.aff2axcodes(scan.affine)) for scan in scans}) == len(scans) == 16
    assert len({canonical_digest(scan) for scan in scans}) == 1
    affines = np.array([canonical(scan)[1] for scan in scans])
    np.testing.assert_allclose(affines, affines[:1].repeat(16, axis=0), atol=1e-3)


@needs_shared_data
def test_a_minimal_header_has_no_orientation():
    scan = read_scan(SHARED_DATA / "odd-scans" / "broken" / "minimal-header.nii")
    assert scan.data.shape == (64, 64, 10)
    assert not scan.oriented


@needs_shared_data
def test_sub_21_is_named_for_its_two_affines():
    folder = SHARED_DATA / "depression-bids" / "sub-21" / "anat"
    scan = read_scan(folder / "sub-21_T1w.nii.gz")
    np.testing.assert_array_equal(scan.affine, nib.load(folder / "sub-21_T1w.nii.gz").get_sform())
    assert scan.warnings == ("qform and sform disagree (by 1.3 degrees, 6.2 mm); the sform is used",)


@needs_shared_data
def test_values_are_those_of_nibabel():
    path = next((SHARED_DATA / "ixi" / "T1").glob("*.nii.gz"))
    scan = read_scan(path)
    np.testing.assert_allclose(scan.data, nib.load(path).get_fdata(), rtol=1e-6)
    assert scan.data.dtype == np.float32, "scl_slope is set"
