"""Refusals: every file that cannot be used is refused by name, none gives another image, none fills the memory."""

import gzip
import os
import tracemalloc
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mri3d.scans.scan import Scan, ScanError, canonical, read_scan
from tests.scans.phantom import SHARED_DATA, needs_shared_data, oblique_affine, values, write_scan


def read_bytes(path: Path, data: bytes) -> Scan:
    path.write_bytes(data)
    return read_scan(path)


@pytest.fixture
def plain(tmp_path) -> bytes:
    """The bytes of a good uncompressed scan, 7 x 8 x 9 uint8."""
    return write_scan(tmp_path / "plain.nii", values()).read_bytes()


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
        (spoilt(vox_offset=0), "impossible header: its voxels would begin at byte 0, inside the header"),
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
    with pytest.raises(ScanError, match=f"{tmp_path} is a folder"):
        read_scan(tmp_path)


def test_refuses_a_link_that_leads_nowhere_by_its_target(tmp_path):
    (tmp_path / "sub-07.nii").symlink_to("annex/sub-07.nii")
    with pytest.raises(ScanError, match=r"sub-07\.nii is a link to annex/sub-07\.nii, which does not exist\. Check"):
        read_scan(tmp_path / "sub-07.nii")


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
