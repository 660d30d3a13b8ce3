"""DICOM through dcm2niix: a program of that name that we write, and the real one where it is installed."""

import gzip
import shutil
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mri3d.errors import UserError
from mri3d.scans.dicom import convert_dicom, convert_places, is_dicom
from mri3d.scans.scan import ScanError, read_scan
from tests.scans.phantom import values, write_scan

SAMPLE = Path(nib.__file__).parent / "nicom/tests/data/philips_mprage.dcm.gz"
REAL = shutil.which("dcm2niix") or shutil.which("dcm2niix", path=str(Path(sys.executable).parent))


@pytest.fixture
def series(tmp_path):
    """A folder with two DICOM files beneath it, and a note."""
    for name in ("notes.txt", "1.2.3/IM0001", "1.2.3/IM0002"):
        (tmp_path / "head" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "head" / name).write_bytes(b"note" if name.endswith("txt") else bytes(128) + b"DICM" + bytes(9))
    return tmp_path / "head"


def program(folder: Path, monkeypatch, *lines: str) -> None:
    """Put a program named dcm2niix first on the path: it keeps its arguments, then does what the lines say."""
    folder.mkdir()
    script = folder / "dcm2niix"
    start = f"import sys; from pathlib import Path; arguments = sys.argv[1:]; Path({str(folder / 'called')!r})"
    start += ".write_text('\\n'.join(arguments)); out = Path(arguments[arguments.index('-o') + 1])"
    script.write_text("\n".join([f"#!{sys.executable}", start, *lines]) + "\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def test_dicom_is_known_by_content(series, tmp_path):
    assert is_dicom(series)
    assert is_dicom(series / "1.2.3/IM0001")
    assert not is_dicom(series / "notes.txt")
    assert not is_dicom(tmp_path / "none")
    with pytest.raises(ScanError, match=r"IM0001 is a DICOM file\. Mend it by: dcm2niix -o \. .*/1\.2\.3$"):
        read_scan(series / "1.2.3/IM0001")


def test_only_places_without_scans_are_converted(series, tmp_path, monkeypatch):
    (tmp_path / "study/raw").mkdir(parents=True)
    scan = write_scan(tmp_path / "study/a.nii", values())
    (tmp_path / "study/raw/IM1").write_bytes(bytes(128) + b"DICM")
    program(tmp_path / "bin", monkeypatch, f"(out / 'head_1.nii').write_bytes(Path({str(scan)!r}).read_bytes())")
    given = [str(tmp_path / "study"), str(series), str(tmp_path / "none"), str(tmp_path / "*.nii")]
    out = tmp_path / "converted"
    assert convert_places(given, out) == [given[0], str(out / "1/head_1.nii"), *given[2:]]


def test_images_are_converted_and_named(series, tmp_path, monkeypatch):
    scan = write_scan(tmp_path / "good.nii", values())
    copy = f"[out.joinpath(name).write_bytes(Path({str(scan)!r}).read_bytes()) for name in "
    names = "('head_2.nii', 'head_12.nii', 'head_12_Eq_1.nii', 'head_2.bval')]"
    program(tmp_path / "bin", monkeypatch, copy + names, "print('Convert 2 DICOM')")
    (tmp_path / "out").mkdir()
    write_scan(tmp_path / "out/earlier.nii", values())
    made = convert_dicom(series, tmp_path / "out")
    assert made == [tmp_path / "out/head_12_Eq_1.nii", tmp_path / "out/head_2.nii"]
    np.testing.assert_array_equal(read_scan(made[0]).data, values())
    left = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert left == ["earlier.nii", "head_12_Eq_1.nii", "head_2.nii"]
    called = (tmp_path / "bin/called").read_text().splitlines()
    assert called[-1] == str(series)
    assert called[called.index("-f") + 1] == "%f_%s", "no name of a patient"


def test_what_converts_in_part_is_taken_and_told(series, tmp_path, monkeypatch, caplog):
    program(tmp_path / "bin", monkeypatch, "(out / 'a.nii').touch()", "print('Error: Converted 1 of 2')", "sys.exit(8)")
    assert convert_dicom(series, tmp_path / "out") == [tmp_path / "out/a.nii"]
    assert f"{series}: dcm2niix ended with status 8: Error: Converted 1 of 2" in caplog.text


def test_what_gives_no_image_is_refused_with_what_dcm2niix_says(series, tmp_path, monkeypatch):
    program(tmp_path / "bin", monkeypatch, "print('Error: Unable to find any DICOM images')", "sys.exit(2)")
    with pytest.raises(UserError, match=f"{series} gives no image: dcm2niix says 'Error: Unable to find any"):
        convert_dicom(series, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_missing_dcm2niix_is_told_in_one_line(series, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(UserError, match=r"apt-get install dcm2niix, or pip install dcm2niix$") as told:
        convert_dicom(series, tmp_path / "out")
    assert "\n" not in str(told.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(REAL is None or not SAMPLE.is_file(), reason="needs dcm2niix and nibabel's DICOM samples")
def test_a_real_series(tmp_path, monkeypatch):
    """The header of a Philips MPRAGE, whose voxels were zeroed by those who gave it, with a block planted in it."""
    monkeypatch.setenv("PATH", str(Path(str(REAL)).parent))
    planted = np.zeros((176, 256, 256), "<u2")  # [slice, row, column]
    planted[40:60, 100:200, 30:200] = 700
    raw = bytearray(gzip.decompress(SAMPLE.read_bytes()))
    at = raw.rindex(b"\xe0\x7f\x10\x00OW") + 12
    raw[at : at + planted.nbytes] = planted.tobytes()
    (tmp_path / "phantom").mkdir()
    (tmp_path / "phantom/-odd name.dcm").write_bytes(raw)
    assert is_dicom(tmp_path / "phantom")
    (path,) = convert_dicom(tmp_path / "phantom", tmp_path / "out")
    scan = read_scan(path)
    assert path.name == "phantom_301.nii"
    assert scan.oriented
    assert sorted(scan.data.shape) == [176, 256, 256]
    box = np.array(np.nonzero(scan.data)).T
    sides = np.sort(box.max(axis=0) - box.min(axis=0) + 1)
    np.testing.assert_array_equal(sides, [20, 100, 170])
    np.testing.assert_allclose(scan.spacing_mm, [1, 1, 1], rtol=1e-4)
