"""Reading: every good file as it is, every bad one refused by name."""

import gzip
import os
import tracemalloc
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mri3d.scans.scan import Scan, ScanError, canonical, canonical_digest, read_scan, stored_order, write_map
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


def read_bytes(path: Path, data: bytes) -> Scan:
    path.write_bytes(data)
    return read_scan(path)


@pytest.fixture
def plain(tmp_path) -> bytes:
    """The bytes of a good uncompressed scan, 7 x 8 x 9 uint8."""
    return write_scan(tmp_path / "plain.nii", values()).read_bytes()


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("byte_order", ["<", ">"])
@pytest.mark.parametrize("image_type", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize(
    ("stored", "kept"), [("u1", "u1"), ("i2", "i2"), ("u2", "f4"), ("i4", "f4"), ("f4", "f4"), ("f8", "f4")]
)
def test_reads_every_type_byte_order_and_version(tmp_path, ending, byte_order, image_type, stored, kept):
    header = image_type.header_class(endianness=byte_order)
    header.set_data_dtype(stored)
    image = image_type(values(dtype=np.int16), oblique_affine(), header)
    image.to_filename(tmp_path / f"scan{ending}")

    scan = read_scan(tmp_path / f"scan{ending}")

    assert scan.data.dtype == np.dtype(kept)
    np.testing.assert_array_equal(scan.data, values())
    np.testing.assert_allclose(scan.affine, oblique_affine(), atol=1e-5)
    np.testing.assert_allclose(scan.spacing_mm, SPACING_MM, rtol=1e-6)
    assert (scan.code, scan.oriented, scan.warnings) == (2, True, ())
    assert not scan.data.flags.writeable


def test_applies_the_scaling(tmp_path):
    image = nib.Nifti1Image(values(), oblique_affine())
    image.header.set_slope_inter(0.25, -3.0)
    image.to_filename(tmp_path / "scan.nii")
    raw = bytearray((tmp_path / "scan.nii").read_bytes())
    raw[112:120] = np.array([0.25, -3.0], "<f4").tobytes()  # nibabel would scale the voxels the other way
    raw[352:] = values().tobytes(order="F")
    scan = read_bytes(tmp_path / "scan.nii", raw)
    assert scan.data.dtype == np.float32
    np.testing.assert_array_equal(scan.data, 0.25 * values().astype(np.float32) - 3.0)


def test_a_single_frame_is_that_frame(tmp_path):
    scan = read_scan(write_scan(tmp_path / "scan.nii", values()[..., np.newaxis]))
    np.testing.assert_array_equal(scan.data, values())


def spoilt(**fields: object) -> bytes:
    """Return a scan some of whose header fields are wrong."""
    image = nib.Nifti1Image(values(), oblique_affine())
    header = image.header.copy()
    header["vox_offset"] = 352
    for name, value in fields.items():
        header[name] = value
    return header.binaryblock + bytes(4) + values().tobytes(order="F")


def image_bytes(data: np.ndarray, affine: np.ndarray | None = None) -> bytes:
    return nib.Nifti1Image(data, oblique_affine() if affine is None else affine).to_bytes()


RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
FLAT = oblique_affine() @ np.array([[1.0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
FLAT[:3, 1] = FLAT[:3, 0]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"Subject,class\n1,2\n", "is not a NIfTI file"),
        (image_bytes(values())[:300], "ends inside its header"),
        (image_bytes(values().astype(np.complex64)), "holds complex numbers"),
        (image_bytes(np.zeros((7, 8, 9), RGB)), "holds RGB colours"),
        (image_bytes(np.zeros((7, 8, 9, 2), np.uint8)), r"holds 2 frames \(\(7, 8, 9, 2\)\)"),
        (image_bytes(values()[0]), r"not a 3D image: its sides are \(8, 9\)"),
        (image_bytes(values()[:, :, :1]), r"not a 3D image: its sides are \(7, 8, 1\)"),
        (image_bytes(np.where(values() == 50, np.nan, values(dtype=np.float32))), "has 2 voxels that are NaN or inf"),
        (image_bytes(np.where(values() == 50, np.inf, values(dtype=np.float64))), "has 2 voxels that are NaN or inf"),
        (image_bytes(np.where(values() == 50, 1e300, values(dtype=np.float64))), "has 2 voxels that are NaN or inf"),
        (image_bytes(np.full((7, 8, 9), 3, np.int16)), "is constant: every voxel is 3"),
        (spoilt(scl_slope=2, scl_inter=np.nan), "impossible header.*inter"),
        (spoilt(datatype=-9510), "impossible header.*data code"),
        (spoilt(vox_offset=17), "impossible header.*vox offset"),
        (spoilt(vox_offset=np.nan), "impossible header"),
        (spoilt(magic=b"ni1", vox_offset=0), "one half of a .hdr/.img pair"),
        (spoilt(dim=[3, 7, 8, -9, 1, 1, 1, 1]), r"sides are \(7, 8, -9\)"),
        (spoilt(sform_code=1, srow_x=FLAT[0], srow_y=FLAT[1], srow_z=FLAT[2]), "flattens the scan"),
        (spoilt(sform_code=1, srow_x=[np.nan] * 4), "has voxels of nan"),
        (spoilt(sform_code=1, srow_x=[0] * 4, srow_y=[0] * 4, srow_z=[0, 0, 1, 0]), "has voxels of 0, 0, 1 mm"),
        (spoilt(sform_code=1, srow_x=[1000, 0, 0, 0]), "outside 0.01 to 50 mm"),
    ],
)
def test_refuses_by_name_what_cannot_be_used(tmp_path, data, message):
    path = tmp_path / "sub-07.nii"
    path.write_bytes(data)
    with pytest.raises(ScanError, match=message) as caught:
        read_scan(path)
    assert str(caught.value).startswith(f"{path} ")
    assert str(caught.value).count(". ") >= 1, "says what to do"


def test_refuses_a_pipe_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "pipe.nii")
    with pytest.raises(ScanError, match=r"pipe\.nii is neither a file nor a folder"):
        read_scan(tmp_path / "pipe.nii")


def test_refuses_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(ScanError, match=r"none\.nii does not exist"):
        read_scan(tmp_path / "none.nii")
    with pytest.raises(ScanError, match="cannot be read: Is a directory"):
        read_scan(tmp_path)


def test_a_flipped_bit_in_a_compressed_file_never_gives_another_image(tmp_path):
    good = gzip.compress(image_bytes(values((3, 4, 5))), mtime=0)
    digest = read_bytes(tmp_path / "scan.nii.gz", good).digest
    refused, bits = 0, range(0, len(good) * 8, 5)
    for bit in bits:
        data = bytearray(good)
        data[bit // 8] ^= 1 << bit % 8
        try:
            assert read_bytes(tmp_path / "scan.nii.gz", data).digest == digest  # in gzip's name and time fields
        except ScanError:
            refused += 1
    assert refused >= len([bit for bit in bits if bit >= 8 * 10]), "all after the ten bytes of gzip's own header"


def test_a_cut_file_is_refused_wherever_it_is_cut(tmp_path, plain):
    for data in (plain, gzip.compress(plain)):
        for length in range(0, len(data), 7):
            with pytest.raises(ScanError, match=r"truncated|empty|not a NIfTI"):
                read_bytes(tmp_path / "scan", data[:length])
        with pytest.raises(ScanError, match="truncated"):
            read_bytes(tmp_path / "scan", data[:-1])


def test_reads_several_gzip_members_as_one_file(tmp_path, plain):
    members = b"".join(gzip.compress(plain[i : i + 100]) for i in range(0, len(plain), 100))
    assert read_bytes(tmp_path / "scan.nii.gz", members).digest == read_bytes(tmp_path / "scan.nii", plain).digest


def test_takes_padding_at_the_end_but_not_another_image(tmp_path, plain):
    digest = read_bytes(tmp_path / "scan.nii", plain).digest
    for pack in (bytes, gzip.compress):
        assert read_bytes(tmp_path / "scan.nii", pack(plain + bytes(4096))).digest == digest
        with pytest.raises(ScanError, match="goes on after the 504 bytes of voxels"):
            read_bytes(tmp_path / "scan.nii", pack(plain + bytes(4097)))


def test_a_gzip_bomb_does_not_fill_the_memory(tmp_path, plain):
    header = bytearray(plain[:352])
    header[42:48] = np.array([700, 800, 900], "<i2").tobytes()
    bombs = {
        "goes on after": gzip.compress(plain + bytes(200_000_000)),
        "more than it can hold": gzip.compress(bytes(header)),
    }
    for message, bomb in bombs.items():
        (tmp_path / "scan.nii.gz").write_bytes(bomb)
        tracemalloc.start()
        with pytest.raises(ScanError, match=message):
            read_scan(tmp_path / "scan.nii.gz")
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak_bytes < 5_000_000


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 347), st.integers(0, 255)), min_size=1, max_size=12))
def test_any_header_is_read_or_refused_by_name(tmp_path, changes):
    data = bytearray(image_bytes(values((3, 4, 5), np.int16)))
    for at, byte in changes:
        data[at] = byte
    try:
        scan = read_bytes(tmp_path / "scan.nii", data)
    except ScanError as refusal:
        message = str(refusal)
    else:
        message = f"{tmp_path / 'scan.nii'} is good"
        assert np.isfinite(scan.data).all()
        assert np.isfinite(scan.affine).all()
        assert canonical(scan)[0].size == scan.data.size
    assert message.startswith(f"{tmp_path / 'scan.nii'} ")


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
    sform = np.diag([2.0, 2.0, 2.0, 1.0])
    qform = sform.copy()
    qform[:2, :2] = 2 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    far_mm = 2 * np.sin(angle / 2) * np.hypot(6 * 2, 7 * 2)  # how far the corner farthest from the axis turns
    scan = read_scan(write_forms(tmp_path / "scan.nii", sform, 2, qform, 1))
    np.testing.assert_allclose(scan.affine, sform)
    assert scan.code == 2
    assert scan.warnings == (f"qform and sform disagree (by 10.0 degrees, {far_mm:.1f} mm); the sform is used",)


def test_one_form_is_enough_and_none_leaves_the_scan_unoriented(tmp_path):
    sform, qform = oblique_affine(), np.diag([-2.0, 2.0, 2.0, 1.0])
    only_qform = read_scan(write_forms(tmp_path / "q.nii", sform, 0, qform, 3))
    np.testing.assert_allclose(only_qform.affine, qform, atol=1e-6)
    assert (only_qform.code, only_qform.oriented, only_qform.warnings) == (3, True, ())
    only_sform = read_scan(write_forms(tmp_path / "s.nii", sform, 4, qform, 0))
    assert (only_sform.code, only_sform.warnings) == (4, ())
    neither = read_scan(write_forms(tmp_path / "n.nii", sform, 0, qform, 0))
    assert not neither.oriented
    assert neither.warnings == ("neither sform nor qform is set: left and right are unknown",)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("code", [0, 1, 4])
def test_a_map_lies_on_the_grid_of_its_scan(tmp_path, ending, code):
    data, affine = reorder(values(), oblique_affine(), "PIR")
    if code == 0:  # such a file places its scan by voxel size alone, and so must the map
        affine = nib.Nifti1Image(data, None, None).header.get_best_affine()
    scan = read_scan(write_scan(tmp_path / f"scan{ending}", data, affine, code=code))
    heat = world_mm(scan.data.shape, scan.affine)[..., 1]

    write_map(tmp_path / f"map{ending}", heat, scan.affine, code=scan.code)

    image = nib.load(tmp_path / f"map{ending}")
    assert image.get_data_dtype() == np.float32
    np.testing.assert_array_equal(image.get_fdata(dtype=np.float32), heat.astype(np.float32))
    np.testing.assert_array_equal(image.affine, scan.affine)
    np.testing.assert_allclose(image.header.get_qform(), scan.affine, atol=1e-4)
    assert (int(image.header["sform_code"]), int(image.header["qform_code"])) == (code, code)
    first = (tmp_path / f"map{ending}").read_bytes()
    write_map(tmp_path / f"map{ending}", heat, scan.affine, code=scan.code)
    assert (tmp_path / f"map{ending}").read_bytes() == first


@needs_shared_data
def test_sixteen_stored_orders_of_one_head_are_one_image():
    scans = [read_scan(path) for path in sorted((SHARED_DATA / "odd-scans" / "axis-orders").glob("*.nii.gz"))]
    assert len({"".join(nib.aff2axcodes(scan.affine)) for scan in scans}) == len(scans) == 16
    assert len({canonical_digest(scan) for scan in scans}) == 1
    affines = np.array([canonical(scan)[1] for scan in scans])
    np.testing.assert_allclose(affines, affines[:1].repeat(16, axis=0), atol=1e-3)


@needs_shared_data
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("complex.nii", "complex numbers"),
        ("fuzz-crash.nii", "not a NIfTI file"),
        ("header-only.nii", "truncated: its header declares 134,217,728 bytes"),
        ("rgb-3d.nii", "RGB colours"),
        ("zero-byte.nii.gz", "is empty"),
    ],
)
def test_broken_files_of_others_are_refused(name, message):
    with pytest.raises(ScanError, match=rf"{name} .*{message}"):
        read_scan(SHARED_DATA / "odd-scans" / "broken" / name)


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
