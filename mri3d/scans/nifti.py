"""The header of a NIfTI or ANALYZE file, each of its fields held against the others."""

import logging
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError

from mri3d.scans.errors import ScanError
from mri3d.scans.forms import Forms
from mri3d.scans.geometry import check_affine
from mri3d.scans.layout import Layout, three_sides

HEADERS = {348: nib.Nifti1Header, 540: nib.Nifti2Header}  # by size in bytes, which is also the first number of a file
_TEMPORAL = 56  # bits of xyzt_units
_INTENTS = {**dict.fromkeys(range(2, 25), "a statistic"), 1002: "labels", 1003: "labels"}

_SILENT = logging.Logger("nibabel header", level=logging.CRITICAL + 1)  # nibabel's remarks never name the file


def header_size(start: bytes) -> int:
    """Return how many bytes a NIfTI or ANALYZE header has by its first four; 0 where it is none."""
    return next((n for n in HEADERS if start[:4] in (n.to_bytes(4, "little"), n.to_bytes(4, "big"))), 0)


def nifti_layout(path: Path, start: bytes, *, paired: bool) -> Layout:
    """Read a header and hold its fields against each other.

    Args:
        path: The file, for messages.
        start: The header's bytes.
        paired: Whether the voxels lie in a file of their own.

    Raises:
        ScanError: The header is impossible, contradicts itself, or is not of one 3D image of real numbers.
    """
    if len(start) < header_size(start):
        raise ScanError(f"{path} is truncated: it ends inside its header. Copy it again from its source.")
    try:
        header = _header(path, start, paired)
        raw = header.copy()  # `check_fix` makes what is wrong fit to be used, and does not tell
        dtype = _dtype(path, header)
        sides, warnings = _sides(path, header)
        header.check_fix(logger=_SILENT)
        offset = int(header.get_data_offset())
        if offset < (0 if paired else len(start)):
            raise ValueError(f"its voxels would begin at byte {offset}, inside the header")
        slope, inter = _scaling(path, header)
        affine, code, told = _affine(path, header, raw, sides)
    except ScanError:
        raise
    except (HeaderDataError, ValueError, OverflowError) as error:
        raise ScanError(f"{path} has an impossible header: {error}. Convert it again from its source.") from error
    return Layout(dtype, sides, offset, affine, code, warnings + told, slope, inter)


def _is_nifti(header: Any) -> bool:  # noqa: ANN401 (nibabel has no types)
    return isinstance(header, nib.Nifti1Header)


def _header(path: Path, start: bytes, paired: bool) -> Any:  # noqa: ANN401
    """Interpret the bytes in the order that their first number says, and as what their magic says."""
    num_bytes = header_size(start)
    order = "<" if start[:4] == num_bytes.to_bytes(4, "little") else ">"
    header = HEADERS[num_bytes](start, endianness=order, check=False)
    magic = header["magic"].item()
    if paired and num_bytes == 348 and magic not in (header.pair_magic, header.single_magic):
        header = nib.Spm99AnalyzeHeader(start, endianness=order, check=False)
    elif magic == header.pair_magic and not paired:
        raise ScanError(f"{path} is one half of a .hdr/.img pair. Name it .hdr beside its .img, or convert the pair.")
    elif magic == header.single_magic and paired:
        raise ScanError(f"{path} says that it holds its voxels itself, yet an image lies beside it. Convert it again.")
    if not 1 <= int(header["dim"][0]) <= 7:
        raise ValueError(f"dim[0] is {header['dim'][0]}, not 1 to 7")
    return header


def _dtype(path: Path, header: Any) -> np.dtype[Any]:  # noqa: ANN401
    """Return the type of the stored voxels, refusing what is not one real number per voxel."""
    try:
        dtype: np.dtype[Any] = header.get_data_dtype()
    except KeyError as error:
        raise ValueError(f"data code {error} is none of NIfTI's") from error
    if dtype.kind not in "iuf":
        kind = "complex numbers" if dtype.kind == "c" else "RGB colours" if dtype.names else str(dtype)
        raise ScanError(f"{path} holds {kind}, not one real number per voxel. Convert it to intensities.")
    bits = int(header["bitpix"])
    if bits not in (0, 8 * dtype.itemsize):  # 0: some writers do not say
        raise ValueError(f"datatype {int(header['datatype'])} ({dtype.name}) has not the {bits} bits of bitpix")
    return dtype


def _sides(path: Path, header: Any) -> tuple[tuple[int, ...], tuple[str, ...]]:  # noqa: ANN401
    """Return the sides [3], and warnings."""
    timed = _is_nifti(header) and bool(int(header["xyzt_units"]) & _TEMPORAL)
    sides, warnings = three_sides(path, tuple(int(n) for n in header.get_data_shape()), timed=timed)
    if _is_nifti(header) and (intent := _INTENTS.get(int(header["intent_code"]))):
        warnings += (f"its header declares {intent}, not intensities (intent_code {int(header['intent_code'])})",)
    return sides, warnings


def _scaling(path: Path, header: Any) -> tuple[float | None, float | None]:  # noqa: ANN401
    """Return slope and intercept; None where nothing is scaled."""
    slope, inter = header.get_slope_inter()
    if np.isinf(header["scl_slope"]):
        raise ValueError(f"its scl_slope is {header['scl_slope']}")
    if slope is None:
        return None, None
    if slope < 0:
        raise ScanError(
            f"{path} has the scl_slope {slope:g}, which turns dark into bright. Set the slope that is right; if this "
            "one is, write the scaled values into a new file."
        )
    return float(slope), float(inter or 0.0)


def _affine(path: Path, header: Any, raw: Any, sides: tuple[int, ...]) -> tuple[np.ndarray, int, tuple[str, ...]]:  # noqa: ANN401
    """Return affine, its code, and warnings."""
    if _is_nifti(header):
        return Forms.of(path, header, raw).affine(sides)
    affine = np.asarray(header.get_base_affine(), np.float64)
    check_affine(path, affine)
    return affine, 0, ("an ANALYZE header does not say which way its axes point: left and right are unknown",)
