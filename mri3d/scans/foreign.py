"""Files that are no scans, named as what they are, with what makes a scan of them."""

import shlex
from pathlib import Path

from mri3d import files
from mri3d.scans.errors import ScanError

_ANNEX = "annex/objects/"
_SIMPLEITK = "SimpleITK.WriteImage(SimpleITK.ReadImage({file}), 'scan.nii.gz') in Python, or with 3D Slicer"
_KINDS = (  # where the mark stands, the mark, what it is, and what mends it
    (
        0,
        b"version https://git-lfs.github.com/",
        "a Git LFS pointer: the scan has not been fetched",
        "git -C {folder} lfs pull",
    ),
    (0, b"/annex/objects/", "a git-annex pointer: the scan has not been fetched", "git annex get {file}"),
    (0, b"BZh", "compressed with bzip2", "bunzip2 --keep {file}"),
    (0, b"\x28\xb5\x2f\xfd", "compressed with zstd", "zstd -d {file}"),
    (0, b"\xfd7zXZ\0", "compressed with xz", "unxz --keep {file}"),
    (0, b"LZIP", "compressed with lzip", "lzip -d --keep {file}"),
    (0, b"\x04\x22\x4d\x18", "compressed with lz4", "lz4 -d {file}"),
    (0, b"\x1f\x9d", "compressed with compress", "gunzip --keep {file}"),
    (0, b"\x5d\0\0", "compressed with lzma", "unlzma --keep {file}"),
    (0, b"\x1f\x8b", "compressed twice", "gzip -d < {file} > once.nii.gz"),
    (0, b"PK\x03\x04", "a zip archive", "unzip {file}"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", "7z x {file}"),
    (0, b"Rar!", "a rar archive", "unrar x {file}"),
    (257, b"ustar", "a tar archive", "tar -xf {file}"),
    (128, b"DICM", "a DICOM file", "dcm2niix -o . {folder}"),
    (0, b"NRRD000", "an NRRD image", _SIMPLEITK),
    (0, b"ObjectType", "a MetaImage", _SIMPLEITK),
    (0, b"NDims", "a MetaImage", _SIMPLEITK),
    (0, b"CDF\x01", "a MINC image", "mnc2nii {file}"),
    (0, b"CDF\x02", "a MINC image", "mnc2nii {file}"),
    (0, b"\x89HDF", "an HDF5 file, perhaps a MINC image", "mnc2nii {file}"),
    (0, b"\x93NUMPY", "a NumPy array, which has neither voxel size nor axes", "nibabel.save in Python"),
    (0, b"\0\x05\x16\x07", "a companion file of macOS, no scan", "rm {file}"),
    (0, b"\0\x05\x16\0", "a companion file of macOS, no scan", "rm {file}"),
    (0, b"<!DOCTYPE html", "a web page: a download that failed", "a new download"),
    (0, b"<html", "a web page: a download that failed", "a new download"),
)


def refuse_foreign(path: Path, start: bytes) -> None:
    """Refuse what is no scan by what it is.

    Args:
        path: The file.
        start: Its first bytes, uncompressed.

    Raises:
        ScanError: Always.
    """
    words = {"file": shlex.quote(str(path)), "folder": shlex.quote(str(path.parent))}
    head = start[:512]
    for at, mark, what, mend in _KINDS:
        if head[at : at + len(mark)].lower() == mark.lower():
            raise ScanError(f"{path} is {what}. Mend it by: {mend.format(**words)}")
    if _ANNEX.encode() in head and b"\0" not in head:  # a link that a system without links wrote out as text
        raise ScanError(f"{path} is a git-annex link, not the scan. Fetch it by: git annex get {words['file']}")
    if len(head) > 4 and not any(head):
        raise ScanError(f"{path} begins with zeros alone: its copy has failed. Copy it again from its source.")
    raise ScanError(f"{path} is not a NIfTI file. Convert it, e.g. with dcm2niix or mri_convert.")


def refuse_no_file(path: Path) -> None:
    """Refuse a path where no file is, and a link of git-annex by what fetches its content.

    Raises:
        ScanError: Always.
    """
    if path.is_symlink() and _ANNEX in path.readlink().as_posix():
        raise ScanError(
            f"{path} is a link of git-annex to a scan that has not been fetched. Fetch it by: git annex get "
            f"{shlex.quote(str(path))} (or datalad get)"
        )
    raise ScanError(f"{path} {files.what_is(path)}. Check the path.")
