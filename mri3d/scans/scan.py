"""One scan: read it whole or refuse it, know which way its axes point, write an image onto its grid.

A file is read once, as a stream that never takes more than its header declares. `nibabel` interprets the header; the
voxels are a view of the bytes read, and gzip goes through `isal`, which is fast and, unlike `nibabel.load`, always
reaches the checksum at the end.
"""

import logging
from dataclasses import dataclass
from itertools import product
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import nibabel as nib
import numpy as np
from isal import igzip, isal_zlib
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation, ornt_transform
from nibabel.spatialimages import HeaderDataError

from mri3d import files
from mri3d.errors import UserError
from mri3d.scans.head import head_warnings

SCAN_ENDINGS = (".nii", ".nii.gz")
HEADERS = {348: nib.Nifti1Header, 540: nib.Nifti2Header}  # by size in bytes, which is also the first number of a file

MAX_BYTES = 4 << 30  # four times a head at 0.5 mm in float64
MAX_SPARE_BYTES = 4096  # some writers pad the end; more than this belongs to an image that the header does not describe
MAX_COMPRESSION = 1032  # deflate cannot do better, so a header that asks for more than this lies
SPACING_RANGE_MM = (0.01, 50.0)
MAX_DISAGREEMENT_MM = 1.0  # between qform and sform, at the corner where it is largest

_SILENT = logging.Logger("nibabel header", level=logging.CRITICAL + 1)  # nibabel's remarks never name the file


class ScanError(UserError):
    """A scan that cannot be used; the message names the file, the fact and what to do."""


@dataclass(frozen=True, eq=False)
class Scan:
    """One scan on its own grid.

    Attributes:
        path: The file it came from.
        data: Intensities [X, Y, Z] in stored order, finite, read-only; uint8 and int16 as stored when the file has no
            scaling, else float32 with the scaling applied.
        affine: Voxel-to-world matrix [4, 4], float64; world axes R, A, S in mm.
        code: NIfTI code of the affine's space: 0 unknown, 1 scanner, 2 aligned, 3 Talairach, 4 MNI.
        warnings: What a user should know about the scan, one sentence each.
        digest: SHA-256 of header and voxels.
    """

    path: Path
    data: np.ndarray
    affine: np.ndarray
    code: int
    warnings: tuple[str, ...]
    digest: str

    @property
    def oriented(self) -> bool:
        """Whether the file says which way its axes point (sform or qform code set)."""
        return self.code > 0

    @property
    def spacing_mm(self) -> np.ndarray:
        """Distance between neighbouring voxels along each stored axis [3]."""
        return _spacing_mm(self.affine)


def read_scan(path: Path) -> Scan:
    """Read a NIfTI-1 or NIfTI-2 file, compressed or not, whole and checked.

    Args:
        path: A `.nii` or `.nii.gz` file; what it is is decided by its content.

    Returns:
        The scan in stored order. A file with four dimensions and one frame is that frame.

    Raises:
        ScanError: The file is missing, damaged, no NIfTI, or holds what no model can use: colours, complex
            numbers, several frames, values that are not finite, one constant value, an impossible affine.
    """
    path = Path(path)
    try:
        if not path.is_file():  # reading a pipe would wait for ever
            raise ScanError(f"{path} {files.what_is(path)}. Check the path.")
        with path.open("rb") as file, np.errstate(all="ignore"):  # what overflows is refused by its result
            size = file.seek(0, 2)
            file.seek(0)
            zipped = file.peek(2)[:2] == b"\x1f\x8b"
            if zipped:
                with igzip.IGzipFile(fileobj=file) as stream:
                    return _read(path, stream, size * MAX_COMPRESSION)
            return _read(path, file, size)
    except EOFError as error:
        raise ScanError(f"{path} is truncated: {error}. Copy it again from its source.") from error
    except (igzip.BadGzipFile, isal_zlib.error) as error:  # type: ignore[misc] # isal's stub says "instance"
        raise ScanError(f"{path} is damaged: {error}. Copy it again from its source.") from error
    except OSError as error:
        raise ScanError(f"{path} cannot be read: {error.strerror or error}. Mend that or leave it out.") from error


def _read(path: Path, stream: BinaryIO, max_bytes: int) -> Scan:
    """Read header, voxels and what follows from a stream that can hold at most `max_bytes`."""
    start = stream.read(min(HEADERS))
    if not start:
        raise ScanError(f"{path} is empty. Copy it again from its source.")
    num_header_bytes = next((n for n in HEADERS if start[:4] in (n.to_bytes(4, "little"), n.to_bytes(4, "big"))), 0)
    if not num_header_bytes:
        raise ScanError(f"{path} is not a NIfTI file. Convert it, e.g. with dcm2niix or mri_convert.")
    start += stream.read(num_header_bytes - len(start))
    if len(start) < num_header_bytes:
        raise ScanError(f"{path} is truncated: it ends inside its header. Copy it again from its source.")
    try:
        header = HEADERS[num_header_bytes](start, check=False)
        header.check_fix(logger=_SILENT)
        if header["magic"] != header.single_magic:
            raise ScanError(f"{path} is one half of a .hdr/.img pair. Convert the pair to .nii.gz.")
        dtype, shape = _dtype(path, header), _shape(path, header)
        offset = int(header.get_data_offset())
        if offset < num_header_bytes:
            raise ValueError(f"its voxels would begin at byte {offset}, inside the header")
        slope, inter = header.get_slope_inter()
        affine, code, warnings = _affine(path, header, shape)
    except ScanError:
        raise
    except (HeaderDataError, ValueError, OverflowError) as error:
        raise ScanError(f"{path} has an impossible header: {error}. Convert it again from its source.") from error

    num_bytes = prod(shape) * dtype.itemsize
    if offset + num_bytes > min(max_bytes, MAX_BYTES):
        raise ScanError(
            f"{path} is truncated: its header declares {num_bytes:,} bytes of voxels ({shape}, {dtype.name}), "
            "more than it can hold. Copy it again from its source."
        )
    between = stream.read(offset - num_header_bytes)
    voxels = stream.read(num_bytes)
    spare = stream.read(MAX_SPARE_BYTES + 1)  # reaches the end, where gzip's checksum is compared
    if len(voxels) < num_bytes:
        raise ScanError(
            f"{path} is truncated: its header declares {num_bytes:,} bytes of voxels, it holds {len(voxels):,}. "
            "Copy it again from its source."
        )
    if len(spare) > MAX_SPARE_BYTES:
        raise ScanError(
            f"{path} goes on after the {num_bytes:,} bytes of voxels that its header declares: the header is not of "
            "this image. Copy it again from its source."
        )
    stored = np.frombuffer(voxels, dtype).reshape(shape[:3], order="F")
    data = _intensities(path, stored, slope, inter)
    warnings += head_warnings(data, _spacing_mm(affine))
    return Scan(path, data, affine, code, warnings, files.digest(start, between, voxels))


def _shape(path: Path, header: nib.Nifti1Header) -> tuple[int, ...]:
    """Return the sides, refusing what is not one 3D image."""
    shape = tuple(int(n) for n in header.get_data_shape())
    if len(shape) > 3 and min(shape) > 0 and prod(shape[3:]) > 1:
        raise ScanError(f"{path} holds {prod(shape[3:])} frames ({shape}), not one. Give one 3D image per session.")
    if len(shape) < 3 or min(shape[:3]) < 2:
        raise ScanError(f"{path} is not a 3D image: its sides are {shape}. Give one 3D image per session.")
    return shape


def _dtype(path: Path, header: nib.Nifti1Header) -> np.dtype[Any]:
    """Return the type of the stored voxels, refusing what is not one real number per voxel."""
    dtype: np.dtype[Any] = header.get_data_dtype()
    if dtype.kind not in "iuf":
        kind = "complex numbers" if dtype.kind == "c" else "RGB colours" if dtype.names else str(dtype)
        raise ScanError(f"{path} holds {kind}, not one real number per voxel. Convert it to intensities.")
    return dtype


def _affine(path: Path, header: nib.Nifti1Header, shape: tuple[int, ...]) -> tuple[np.ndarray, int, tuple[str, ...]]:
    """Return affine, its code, and warnings; the sform wins over the qform."""
    sform_code, qform_code = int(header["sform_code"]), int(header["qform_code"])
    affine = np.asarray(header.get_best_affine(), np.float64)
    low, high = SPACING_RANGE_MM
    spacing_mm = _spacing_mm(affine)
    if not ((low <= spacing_mm) & (spacing_mm <= high)).all():  # NaN comes here too
        spacing = ", ".join(f"{s:.3g}" for s in spacing_mm)
        raise ScanError(f"{path} has voxels of {spacing} mm, outside {low:g} to {high:g} mm. Correct its affine.")
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3] / spacing_mm)) < 1e-3:
        raise ScanError(f"{path} has an affine that flattens the scan. Set sform and qform, e.g. with fslorient.")
    if sform_code <= 0 and qform_code <= 0:
        return affine, 0, ("neither sform nor qform is set: left and right are unknown",)
    if sform_code <= 0 or qform_code <= 0:
        return affine, max(sform_code, qform_code), ()
    return affine, sform_code, _disagreement(header, shape)


def _disagreement(header: nib.Nifti1Header, shape: tuple[int, ...]) -> tuple[str, ...]:
    """Measure by how much qform and sform disagree, if they do."""
    sform = header.get_sform()
    try:
        qform = header.get_qform()
    except HeaderDataError:
        return ("the qform is invalid; the sform is used",)
    corners = np.array(list(product(*((0, n - 1) for n in shape[:3]))))
    apart_mm = float(np.linalg.norm((corners @ (sform - qform)[:3, :3].T) + (sform - qform)[:3, 3], axis=1).max())
    if apart_mm <= MAX_DISAGREEMENT_MM:
        return ()
    turn = (sform[:3, :3] / _spacing_mm(sform)) @ np.linalg.inv(qform[:3, :3] / _spacing_mm(qform))
    degrees = np.degrees(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1)))
    return (f"qform and sform disagree (by {degrees:.1f} degrees, {apart_mm:.1f} mm); the sform is used",)


def _intensities(path: Path, stored: np.ndarray, slope: float | None, inter: float | None) -> np.ndarray:
    """Scale the stored voxels and refuse values that no model can use."""
    scaled = slope is not None and inter is not None and (slope, inter) != (1.0, 0.0)
    if not scaled and stored.dtype.newbyteorder("=") in (np.uint8, np.int16):
        data = stored.astype(stored.dtype.newbyteorder("="), copy=False)
    else:
        data = stored.astype(np.float32)
        if scaled:
            data *= np.float32(slope)
            data += np.float32(inter)
    data.setflags(write=False)
    low, high = data.min(), data.max()  # NaN and infinity come through
    if not np.isfinite(low) or not np.isfinite(high):
        count = data.size - np.count_nonzero(np.isfinite(data))
        raise ScanError(f"{path} has {count:,} voxels that are NaN or infinite. Replace them, e.g. with 0.")
    if low == high:
        raise ScanError(f"{path} is constant: every voxel is {low:g}. Copy it again from its source.")
    return data


def _spacing_mm(affine: np.ndarray) -> np.ndarray:
    """Return the length of each voxel axis [3]."""
    return np.asarray(np.linalg.norm(affine[:3, :3], axis=0))


def canonical(scan: Scan) -> tuple[np.ndarray, np.ndarray]:
    """Turn a scan to RAS+: the permutation and flips of its axes nearest to right, anterior, superior.

    Args:
        scan: Any scan; whether its affine can be trusted is `scan.oriented`.

    Returns:
        Its voxels [X, Y, Z], RAS+, a view, and the affine [4, 4] of that view.
    """
    orientation = io_orientation(scan.affine)
    data = apply_orientation(scan.data, orientation)
    return data, scan.affine @ inv_ornt_aff(orientation, scan.data.shape)


def stored_order(values: np.ndarray, scan: Scan) -> np.ndarray:
    """Turn an array back from RAS+ to the order in which `scan` is stored: undo `canonical`.

    Args:
        values: One value per voxel [X, Y, Z], RAS+, with the sides of the canonical scan.
        scan: The scan whose axis order is wanted.

    Returns:
        The same values as a view, with the shape of `scan.data`.
    """
    ras = np.array([[0, 1], [1, 1], [2, 1]])
    return np.asarray(apply_orientation(values, ornt_transform(ras, io_orientation(scan.affine))))


def canonical_digest(scan: Scan) -> str:
    """Hash the RAS+ voxels: equal for two files that hold the same image in any axis order and data type."""
    data, _ = canonical(scan)
    voxels = np.asarray(data, np.float32, order="F")
    return files.digest(str(voxels.shape).encode(), voxels.ravel(order="K").data.cast("B"))


def scan_name(path: Path) -> str:
    """Return a scan's file name without its ending.

    >>> scan_name(Path("study/sub-01_T1w.nii.gz"))
    'sub-01_T1w'
    """
    return Path(path).name.removesuffix(".gz").removesuffix(".nii")


def write_image(path: Path, values: np.ndarray, affine: np.ndarray, *, code: int = 2, description: str = "") -> None:
    """Write a 3D image as NIfTI, atomically; the same image gives the same bytes.

    Args:
        path: The file, ending in `.nii` or `.nii.gz`.
        values: One value per voxel [X, Y, Z] on the grid of `affine`; uint8 is written as it is, all else as float32.
        affine: Voxel-to-world matrix [4, 4] for both sform and qform; world axes R, A, S in mm.
        code: NIfTI code of the space; for a map on a scan's grid the scan's.
        description: For the header, which has room for 79 letters of Latin-1.
    """
    dtype, level = (np.uint8, 3) if values.dtype == np.uint8 else (np.float32, 2)  # same bytes as in older versions
    columns = np.empty(values.shape[::-1], dtype)  # the file's order, in which nibabel need not turn the image
    for first in range(0, len(values), 16):  # a whole image at once would leave the processor's cache at every voxel
        columns[..., first : first + 16] = values[first : first + 16].T
    image = nib.Nifti1Image(columns.T, affine)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = description.encode("latin-1", "replace")[:79]
    image.set_sform(affine, code)
    image.set_qform(affine, code)
    data = image.to_bytes()
    files.write_bytes(path, igzip.compress(data, level, mtime=0) if Path(path).name.endswith(".gz") else data)
