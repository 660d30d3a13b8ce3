"""Formats beside NIfTI, axes of one voxel, and files that are no scans."""

import bz2
import gzip
import lzma
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nibabel.freesurfer.mghformat import MGHHeader, MGHImage

from mri3d.scans.scan import SCAN_ENDINGS, ScanError, canonical, files_of, read_scan, scan_name
from tests.scans.phantom import ORDERS, SPACING_MM, oblique_affine, reorder, values, write_scan

LIFE_SIZE = oblique_affine(10 * SPACING_MM)


@pytest.mark.parametrize("ending", [".mgh", ".mgz"])
@pytest.mark.parametrize(("stored", "kept"), [("u1", "u1"), ("i2", "i2"), ("u2", "f4"), ("i4", "f4"), ("f4", "f4")])
def test_reads_volumes_of_freesurfer(tmp_path, ending, stored, kept):
    path = tmp_path / f"orig{ending}"
    image = MGHImage(values(dtype=stored), LIFE_SIZE)
    image.to_filename(path)
    scan = read_scan(path)
    assert scan.data.dtype == np.dtype(kept)
    np.testing.assert_array_equal(scan.data, values())
    np.testing.assert_array_equal(scan.affine, image.header.get_affine())
    np.testing.assert_allclose(scan.affine, LIFE_SIZE, atol=1e-4)
    assert (scan.code, scan.oriented, scan.warnings) == (1, True, ())
    other = bytearray(gzip.decompress(path.read_bytes()) if ending == ".mgz" else path.read_bytes())
    other[-40] ^= 1
    (tmp_path / "other.mgh").write_bytes(other)
    assert read_scan(tmp_path / "other.mgh").digest != scan.digest


@pytest.mark.parametrize("order", ORDERS[::5])
def test_freesurfers_axes_are_those_of_the_same_image_in_nifti(tmp_path, order):
    data, affine = reorder(values(), LIFE_SIZE, order)
    MGHImage(data, affine).to_filename(tmp_path / "x.mgz")
    one, other = read_scan(tmp_path / "x.mgz"), read_scan(write_scan(tmp_path / "x.nii", data, affine))
    for (ours, our_affine), (theirs, their_affine) in [(canonical(one), canonical(other))]:
        np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_allclose(our_affine, their_affine, atol=1e-3)


def mgh_bytes(**fields: object) -> bytes:
    header = MGHHeader()
    header["dims"], header["type"], header["delta"] = (7, 8, 9, 1), 0, (20, 20, 20)
    for name, value in fields.items():
        header[name] = value
    return bytes(header.binaryblock[:90]) + bytes(194) + values().tobytes(order="F") + bytes(20)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (mgh_bytes(type=9), "impossible header: type 9 is none of FreeSurfer's"),
        (mgh_bytes(dims=(7, 8, 9, 2)), r"holds 2 frames \(\(7, 8, 9, 2\)\)"),
        (mgh_bytes(dims=(7, 8, 99, 1)), "is truncated: its header declares 5,544 bytes"),
        (mgh_bytes(dims=(-7, 8, 9, 1)), "is not a 3D image"),
        (mgh_bytes(delta=(20, 0, 20)), "impossible header: directions of length 1, 1, 1 instead of 1, or voxels of 20"),
        (mgh_bytes(delta=(20, np.nan, 20)), "impossible header"),
        (mgh_bytes(Mdc=np.eye(3) * 2), "impossible header: directions of length 2, 2, 2 instead of 1"),
        (mgh_bytes()[:200], "ends inside its header"),
        (mgh_bytes() + bytes(5 << 20), "goes on after the 504 bytes"),
    ],
)
def test_refuses_damaged_volumes_of_freesurfer(tmp_path, content, message):
    for path, packed in ((tmp_path / "x.mgh", content), (tmp_path / "x.mgz", gzip.compress(content))):
        path.write_bytes(packed)
        with pytest.raises(ScanError, match=message) as told:
            read_scan(path)
        assert str(told.value).startswith(f"{path} ")


def test_a_flipped_bit_in_an_mgz_never_gives_another_image(tmp_path):
    path = tmp_path / "x.mgz"
    good = gzip.compress(mgh_bytes(), mtime=0)
    path.write_bytes(good)
    digest = read_scan(path).digest
    for bit in range(80, len(good) * 8, 23):
        data = bytearray(good)
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        try:
            assert read_scan(path).digest == digest
        except ScanError as told:
            assert str(told).startswith(f"{path} ")  # noqa: PT017


def test_a_volume_of_freesurfer_without_axes_is_not_oriented(tmp_path):
    (tmp_path / "x.mgh").write_bytes(mgh_bytes(goodRASFlag=0))
    scan = read_scan(tmp_path / "x.mgh")
    assert not scan.oriented
    assert "does not say which way its axes point" in scan.warnings[0]


def test_planes_behind_the_voxels_are_told(tmp_path):
    (tmp_path / "x.mgh").write_bytes(mgh_bytes(dims=(7, 8, 8, 1)))
    assert (
        "76 bytes follow its voxels: check the sides in its header, (7, 8, 8)" in read_scan(tmp_path / "x.mgh").warnings
    )


@pytest.mark.parametrize("packed", ["", ".gz"])
@pytest.mark.parametrize("pair_type", [nib.Nifti1Pair, nib.Nifti2Pair])
def test_reads_both_halves_of_a_pair(tmp_path, packed, pair_type):
    pair_type(values(), LIFE_SIZE).to_filename(tmp_path / f"x.img{packed}")
    one, other = read_scan(tmp_path / f"x.img{packed}"), read_scan(tmp_path / f"x.hdr{packed}")
    np.testing.assert_array_equal(one.data, values())
    np.testing.assert_allclose(one.affine, LIFE_SIZE, atol=1e-5)
    assert (one.oriented, one.digest) == (True, other.digest)
    assert files_of(tmp_path / f"x.hdr{packed}") == (tmp_path / f"x.hdr{packed}", tmp_path / f"x.img{packed}")
    header = bytearray((gzip.decompress if packed else bytes)((tmp_path / f"x.hdr{packed}").read_bytes()))
    header[-6 if pair_type is nib.Nifti1Pair else 500] ^= 1  # another header, the same voxels
    (tmp_path / f"x.hdr{packed}").write_bytes((gzip.compress if packed else bytes)(header))
    try:
        assert read_scan(tmp_path / f"x.img{packed}").digest != one.digest
    except ScanError as told:
        assert "x.hdr" in str(told)  # noqa: PT017


def test_reads_analyze_without_believing_it_the_axes(tmp_path):
    image = nib.AnalyzeImage(values(dtype=np.int16), LIFE_SIZE)
    image.to_filename(tmp_path / "OAS1.img")
    scan = read_scan(tmp_path / "OAS1.hdr")
    np.testing.assert_array_equal(scan.data, values())
    np.testing.assert_allclose(scan.spacing_mm, 10 * SPACING_MM, rtol=1e-6)
    assert not scan.oriented
    assert scan.warnings == ("an ANALYZE header does not say which way its axes point: left and right are unknown",)


def test_half_a_pair_is_refused(tmp_path):
    nib.Nifti1Pair(values(), LIFE_SIZE).to_filename(tmp_path / "x.img")
    (tmp_path / "x.img").rename(tmp_path / "y.img")
    with pytest.raises(ScanError, match=r"x\.hdr is one half of a .*its image x\.img does not lie beside it"):
        read_scan(tmp_path / "x.hdr")
    with pytest.raises(ScanError, match=r"y\.img is one half of a .*its header y\.hdr does not lie beside it"):
        read_scan(tmp_path / "y.img")
    (tmp_path / "x.hdr").rename(tmp_path / "x.nii")
    with pytest.raises(ScanError, match=r"x\.nii is one half of a \.hdr/\.img pair\. Name it \.hdr"):
        read_scan(tmp_path / "x.nii")
    (tmp_path / "y.hdr").write_bytes(write_scan(tmp_path / "z.nii", values()).read_bytes())
    with pytest.raises(ScanError, match=r"y\.hdr says that it holds its voxels itself"):
        read_scan(tmp_path / "y.img")


@pytest.mark.parametrize("shape", [(1, 7, 8, 9), (1, 1, 7, 8, 9), (7, 8, 9, 1), (7, 8, 9, 1, 1), (7, 1, 8, 9)])
def test_axes_of_one_voxel_are_left_out(tmp_path, shape):
    stored = values().reshape(shape)
    scan = read_scan(write_scan(tmp_path / "x.nii", stored, LIFE_SIZE))
    np.testing.assert_array_equal(scan.data, values())
    np.testing.assert_allclose(scan.affine, LIFE_SIZE, atol=1e-5)
    told = " x ".join(map(str, shape))
    expected = (f"its sides are {told}: axes of 1 are left out, and the affine is taken for the other three",)
    assert scan.warnings == (expected if shape[:3] != (7, 8, 9) else ())


@pytest.mark.parametrize(
    ("shape", "timed", "message"),
    [
        ((7, 8, 1, 9), True, "holds 9 frames"),  # a series of one slice
        ((1, 7, 8, 9, 3), False, "is not a 3D image"),
        ((7, 8, 9, 1, 3), False, "holds 3 frames"),
        ((1, 7, 8), False, "is not a 3D image"),
    ],
)
def test_what_is_no_single_3d_image_stays_refused(tmp_path, shape, timed, message):
    image = nib.Nifti1Image(np.arange(np.prod(shape), dtype=np.int16).reshape(shape), LIFE_SIZE)
    if timed:
        image.header.set_xyzt_units("mm", "sec")
    image.to_filename(tmp_path / "x.nii")
    with pytest.raises(ScanError, match=message):
        read_scan(tmp_path / "x.nii")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
            "Git LFS pointer.*git -C /.* lfs pull",
        ),
        (b"/annex/objects/SHA256E-s123--4d7a.nii.gz\n", "git-annex pointer: .* git annex get /"),
        (b"../../.git/annex/objects/x1/Q2/MD5E-s1--a.nii.gz/MD5E-s1--a.nii.gz", "git-annex link.*git annex get /"),
        (bz2.compress(bytes(500)), "compressed with bzip2. Mend it by: bunzip2 --keep /"),
        (lzma.compress(bytes(500)), "compressed with xz. Mend it by: unxz --keep /"),
        (lzma.compress(bytes(500), lzma.FORMAT_ALONE), "compressed with lzma. Mend it by: unlzma --keep /"),
        (b"\x28\xb5\x2f\xfd" + bytes(9), "compressed with zstd. Mend it by: zstd -d /"),
        (gzip.compress(gzip.compress(bytes(500), mtime=0), mtime=0), "compressed twice. Mend it by: gzip -d < /"),
        (gzip.compress(bytes(257) + b"ustar" + bytes(250), mtime=0), "a tar archive. Mend it by: tar -xf /"),
        (bytes(128) + b"DICM" + bytes(400), r"a DICOM file. Mend it by: dcm2niix -o \. /"),
        (b"NRRD0004\ntype: short\n", "an NRRD image. Mend it by: SimpleITK"),
        (b"CDF\x01" + bytes(99), "a MINC image. Mend it by: mnc2nii /"),
        (b"\x93NUMPY" + bytes(99), "a NumPy array"),
        (b"\0\x05\x16\x07\0\x02\0\0Mac OS X", "a companion file of macOS"),
        (b"<!doctype html><title>Login</title>", "a web page: a download that failed"),
        (bytes(5000), "begins with zeros alone: its copy has failed"),
        (b"Subject,class\n1,2\n", "is not a NIfTI file. Convert it"),
    ],
)
def test_other_files_are_named_as_what_they_are(tmp_path, content, message):
    path = tmp_path / "sub-1_T1w.nii.gz"
    path.write_bytes(content)
    with pytest.raises(ScanError, match=message) as told:
        read_scan(path)
    assert str(told.value).startswith(f"{path} ")
    assert "\n" not in str(told.value)


def test_a_zip_archive_is_named_and_its_command_quotes_the_name(tmp_path):
    path = tmp_path / "a scan.nii.gz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.nii", bytes(500))
    with pytest.raises(ScanError, match=f"a zip archive. Mend it by: unzip '{path}'"):
        read_scan(path)


def test_a_link_of_git_annex_without_its_content_is_named(tmp_path):
    path = tmp_path / "sub-1_T1w.nii.gz"
    path.symlink_to("../.git/annex/objects/x1/Q2/MD5E-s1--a.nii.gz/MD5E-s1--a.nii.gz")
    with pytest.raises(
        ScanError, match=rf"link of git-annex .* has not been fetched\. Fetch it by: git annex get {path}"
    ):
        read_scan(path)


@pytest.mark.parametrize("ending", [*SCAN_ENDINGS, ".hdr", ".NII.GZ", ".Nii", ".MGZ", ".hdr.gz"])
def test_names_lose_their_ending_in_any_case(ending):
    assert scan_name(Path(f"a/sub-01.v2_T1w{ending}")) == "sub-01.v2_T1w"
    assert ending.lower().endswith((*SCAN_ENDINGS, ".hdr", ".hdr.gz"))


def test_a_name_without_an_ending_stays(tmp_path):
    assert scan_name(Path("a/IM0001")) == "IM0001"
    assert scan_name(Path("a/x.nii.zst")) == "x.nii.zst"


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 89), st.integers(0, 255)), min_size=1, max_size=6))
def test_any_header_of_freesurfer_is_read_or_refused_by_name(tmp_path, changes):
    data = bytearray(mgh_bytes())
    for at, byte in changes:
        data[at] = byte
    (tmp_path / "x.mgh").write_bytes(data)
    try:
        scan = read_scan(tmp_path / "x.mgh")
    except ScanError as told:
        assert str(told).startswith(f"{tmp_path / 'x.mgh'} ")  # noqa: PT017
    else:
        assert np.isfinite(scan.affine).all()
        assert canonical(scan)[0].size == scan.data.size
