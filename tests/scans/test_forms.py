"""Fields of a header that contradict each other: refused or told, never silent; what is only rounded is read."""

import nibabel as nib
import numpy as np
import pytest

from mri3d.scans.scan import Scan, ScanError, read_scan
from tests.scans.phantom import oblique_affine, values

AFFINE = oblique_affine(np.array([15.0, 10.0, 25.0]))
CENTRED = np.diag([20.0, 20.0, 20.0, 1.0])
CENTRED[:3, 3] = -60, -70, -80


def read(tmp_path, forms: str = "sq", affine: np.ndarray = AFFINE, **fields: object) -> Scan:
    """Read a file with the forms `s` and `q` set, some of whose fields are then set by hand; `pixdim1` is pixdim[1]."""
    header = nib.Nifti1Header()
    header.set_data_dtype(np.uint8)
    header.set_data_shape((7, 8, 9))
    header["pixdim"][1:4] = np.linalg.norm(affine[:3, :3], axis=0)
    if "s" in forms:
        header.set_sform(affine, 1)
    if "q" in forms:
        header.set_qform(affine, 1)
    header["vox_offset"], header["magic"] = 352, b"n+1"
    for name, value in fields.items():
        if name[-1].isdigit():
            header[name[:-1]][int(name[-1])] = value
        else:
            header[name] = value
    path = tmp_path / "sub-07.nii"
    path.write_bytes(header.binaryblock + bytes(4) + values().tobytes(order="F"))
    return read_scan(path)


@pytest.mark.parametrize(
    ("forms", "fields", "message"),
    [
        ("s", {"pixdim1": 20}, r"its sform has voxels of 15 x 10 x 25 mm, its pixdim of 20 x 10 x 25 mm. If the sform"),
        ("s", {"srow_x": [30, 0, 0, -30]}, "contradicts itself: its sform has voxels of 30.* mm, its pixdim of 15"),
        ("q", {"pixdim0": -2}, r"pixdim\[0\] \(qfac\) is -2, not -1 or 1, and the qform needs it"),
        ("q", {"pixdim0": np.nan}, r"pixdim\[0\] \(qfac\) is nan"),
        ("q", {"quatern_b": 0.9, "quatern_c": 0.9}, r"quaternion of its qform has the length 1\.27.*, more than 1"),
        ("q", {"quatern_b": np.nan}, "quaternion of its qform|has voxels of nan"),
        ("q", {"pixdim2": 0}, r"its voxel size, pixdim\[1\.\.3\], is 15, 0, 25"),
        ("q", {"pixdim2": -10}, r"its voxel size, pixdim\[1\.\.3\], is 15, -10, 25"),
        ("sq", {"scl_slope": -0.5, "scl_inter": 100}, "has the scl_slope -0.5, which turns dark into bright"),
        ("sq", {"scl_slope": np.inf}, "impossible header: its scl_slope is inf"),
        ("sq", {"scl_slope": 1, "scl_inter": 1e9}, r"scl_slope 1 and scl_inter 1e\+09, which leave 4 steps"),
        ("sq", {"scl_slope": 1e-35, "scl_inter": 0}, "intensities up to 2.5e-33: check datatype and scl_slope"),
        ("sq", {"datatype": 4}, r"datatype 4 \(int16\) has not the 8 bits of bitpix"),
        ("sq", {"dim0": 512}, r"dim\[0\] is 512, not 1 to 7"),
        ("sq", {"dim": [4, 7, 8, 8, 1, 1, 1, 1]}, "goes on after the 448 bytes of voxels"),
    ],
)
def test_refused(tmp_path, forms, fields, message):
    with pytest.raises(ScanError, match=message) as told:
        read(tmp_path, forms, **fields)
    assert str(told.value).startswith(f"{tmp_path / 'sub-07.nii'} ")


@pytest.mark.parametrize(
    ("forms", "fields", "message"),
    [
        ("s", {"pixdim3": 25.1}, "the sform has voxels of 15 x 10 x 25 mm, pixdim of 15 x 10 x 25.1 mm; the sform is"),
        ("sq", {"pixdim3": 50}, "pixdim of 15 x 10 x 50 mm; the sform is used"),
        ("sq", {"pixdim0": -1}, "qform and sform disagree (by left and right, "),
        ("sq", {"pixdim0": -2}, "the qform is invalid; the sform is used"),
        ("sq", {"sform_code": 99}, "sform_code 99 is none of NIfTI's: it counts as 0"),
        ("sq", {"xyzt_units": 1}, "xyzt_units says metres, which its affine cannot be in"),
        ("sq", {"intent_code": 1002}, "its header declares labels, not intensities (intent_code 1002)"),
        ("s", {"pixdim0": -1}, "pixdim[0] is -1, as of left-handed axes; the sform, which is used, has right-handed"),
        ("sq", {"srow_x": [15, 0, 15, -30]}, "degrees apart, not 90: check its affine"),
    ],
)
def test_told(tmp_path, forms, fields, message):
    affine = read(tmp_path, forms).affine
    scan = read(tmp_path, forms, **fields)
    assert any(message in warning for warning in scan.warnings), scan.warnings
    if "srow_x" not in fields:
        np.testing.assert_allclose(scan.affine, affine, atol=1e-5)


@pytest.mark.parametrize(
    ("forms", "fields"),
    [
        ("sq", {"pixdim0": 1.0}),
        ("q", {"pixdim0": 0}),  # NIfTI reads 0 as 1
        ("s", {"pixdim1": 0, "pixdim2": 0, "pixdim3": 0}),  # says nothing
        ("s", {"pixdim1": 15.005}),
        ("sq", {"scl_slope": np.nan, "scl_inter": 7}),
        ("sq", {"scl_slope": 0, "scl_inter": np.nan}),
        ("sq", {"bitpix": 0}),
        ("sq", {"dim4": 0, "dim5": -3, "dim6": 99}),  # beyond dim[0]
        ("sq", {"dim": [4, 7, 8, 9, 0, 1, 1, 1]}),
        ("sq", {"xyzt_units": 2}),
    ],
)
def test_read_without_a_word(tmp_path, forms, fields):
    scan = read(tmp_path, forms, **fields)
    assert scan.warnings == ()
    np.testing.assert_array_equal(scan.data, values())
    np.testing.assert_allclose(scan.affine, AFFINE, atol=1e-4)


@pytest.mark.parametrize("digits", [8, 6, 5, 4])
def test_a_quaternion_that_is_too_long_by_rounding_is_read(tmp_path, digits):
    """Half turns about the diagonals, whose quaternions have no room for rounding upwards."""
    for count in (2, 3):
        part = np.ceil(10**digits / np.sqrt(count)) / 10**digits
        parts = dict(zip(("quatern_b", "quatern_c", "quatern_d"), [part] * count, strict=False))
        scan = read(tmp_path, "q", CENTRED, **parts)
        axis = np.ones(3) * (np.arange(3) < count) / np.sqrt(count)
        np.testing.assert_allclose(scan.affine[:3, :3], 20 * (2 * np.outer(axis, axis) - np.eye(3)), atol=0.05)


@pytest.mark.parametrize(("degrees", "told"), [(0, False), (29, False), (31, True), (44, True), (59, True)])
def test_an_obliquity_above_thirty_degrees_is_told(tmp_path, degrees, told):
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([20, 20, 20])
    affine[:3, 3] = -affine[:3, :3] @ [3, 3.5, 4]
    warnings = read(tmp_path, affine=affine).warnings
    assert len(warnings) == told
    if told:
        assert warnings[0].startswith(
            f"its axes are turned by {min(degrees, 90 - degrees)} degrees from the nearest of"
        )


def test_a_scan_far_from_the_origin_is_told(tmp_path):
    assert read(tmp_path, affine=CENTRED).warnings == ()
    mirrored = CENTRED.copy()
    mirrored[0, 0] *= -1  # about the corner at x = -60, as a lost sign does
    (told,) = read(tmp_path, affine=mirrored).warnings
    assert told.startswith("it lies 60 mm away from the origin of its coordinates")


@pytest.mark.parametrize(("unit", "name", "scale"), [(1, "metres", 1e-3), (3, "microns", 1e3)])
def test_other_units_are_named(tmp_path, unit, name, scale):
    affine = np.diag([scale, scale, scale, 1])
    with pytest.raises(ScanError, match=rf"has its affine in {name} \(xyzt_units\)\. Write it in millimetres"):
        read(tmp_path, affine=affine, xyzt_units=unit)


@pytest.mark.parametrize(("stored", "kept", "read_as"), [(300.0, np.float32, np.int32), (300.0, np.float32, np.uint32)])
def test_floats_read_as_whole_numbers_are_told(tmp_path, stored, kept, read_as):
    image = nib.Nifti1Image(values().astype(kept) * stored / 250, AFFINE)
    image.header["datatype"] = nib.Nifti1Header._data_type_codes[np.dtype(kept)]
    raw = bytearray(image.to_bytes())
    raw[70:72] = np.array(nib.Nifti1Header._data_type_codes[np.dtype(read_as)], "<i2").tobytes()
    (tmp_path / "x.nii").write_bytes(raw)
    assert any("check the datatype" in warning for warning in read_scan(tmp_path / "x.nii").warnings)
