"""One scan: read it whole or refuse it, know which way its axes point, write an image onto its grid.

A file is read once, as a stream that never takes more than its header declares, and nothing is read before the header
has been held against itself and against the size of the file. `nibabel` interprets headers; the voxels are a view of
the bytes read.
"""

import struct
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import nibabel as nib
import numpy as np
from isal import igzip
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation, ornt_transform

from mri3d import files
from mri3d.scans.errors import ScanError
from mri3d.scans.foreign import refuse_foreign
from mri3d.scans.formats import SCAN_ENDINGS, files_of, scan_name
from mri3d.scans.geometry import spacing_of
from mri3d.scans.head import Head, find_head
from mri3d.scans.label_map import Labels, find_labels
from mri3d.scans.layout import MAX_EXTENSION_BYTES, Layout, check_size
from mri3d.scans.mgh import MGH_START, mgh_layout
from mri3d.scans.mgh import NUM_HEADER_BYTES as SHORTEST_HEADER
from mri3d.scans.nifti import header_size, nifti_layout
from mri3d.scans.stream import Stream, open_stream

__all__ = [
    "SCAN_ENDINGS", "Scan", "ScanError", "canonical", "canonical_digest", "canonical_order", "files_of", "read_scan",
    "scan_name", "stored_order", "write_image",
]  # fmt: skip

ALIGNED, MNI = 2, 4
"""Codes of NIfTI for spaces: that of another scan, and that of MNI152."""

PLAUSIBLE = (1e-30, 1e30)  # of the largest intensity: beyond these, sums and squares in float32 lose it
MIN_LEVELS = 1000  # steps of float32 between darkest and brightest, where the file has so many


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
        stored: Data type of the voxels in the file, such as "int16".
        mask: Where somebody else has found the brain, bool [X, Y, Z]; None where nobody has.
        mask_path: The file that says so.
    """

    path: Path
    data: np.ndarray
    affine: np.ndarray
    code: int
    warnings: tuple[str, ...]
    digest: str
    stored: str = ""
    mask: np.ndarray | None = None
    mask_path: Path | None = None

    @property
    def oriented(self) -> bool:
        """Whether the file says which way its axes point (sform or qform code set)."""
        return self.code > 0

    @cached_property
    def head(self) -> Head:
        """What the scan shows of a head, its axes turned to RAS+, see `canonical`."""
        return find_head(canonical(self)[0])

    @cached_property
    def labels(self) -> Labels:
        """What speaks for labels in place of intensities."""
        return find_labels(self.data)

    @property
    def spacing_mm(self) -> np.ndarray:
        """Distance between neighbouring voxels along each stored axis [3]."""
        return spacing_of(self.affine)


def read_scan(path: Path) -> Scan:
    """Read one 3D image, compressed or not, whole and checked: NIfTI-1 or 2, FreeSurfer's .mgh, ANALYZE 7.5.

    Args:
        path: A file; what it is is decided by its content. Of a .hdr/.img pair, either half.

    Returns:
        The scan in stored order. Axes of one voxel are left out.

    Raises:
        ScanError: The file is missing, damaged, no scan, contradicts itself, would fill the memory, or holds what no
            model can use: colours, complex numbers, several frames, values that are not finite, one constant value.
    """
    with np.errstate(all="ignore"):  # what overflows is refused by its result
        own, *image = files_of(Path(path))
        with open_stream(own) as stream:
            start, layout = _header(stream, paired=bool(image))
            if not image:
                return _scan(Path(path), stream, layout, start, len(start))
            extension = stream.read(MAX_EXTENSION_BYTES + 1)  # reaches the end, where gzip's checksum is compared
        if len(extension) > MAX_EXTENSION_BYTES:
            raise ScanError(
                f"{own} goes on for more than {MAX_EXTENSION_BYTES:,} bytes. Copy it again from its source."
            )
        with open_stream(image[0]) as stream:
            return _scan(Path(path), stream, layout, start + extension, 0)


def _header(stream: Stream, *, paired: bool) -> tuple[bytes, Layout]:
    """Read a header: its bytes, and what they declare."""
    start = stream.read(SHORTEST_HEADER)
    if not start:
        raise ScanError(f"{stream.path} is empty. Copy it again from its source.")
    if start.startswith(MGH_START) and not paired:
        return start, mgh_layout(stream.path, start)
    num_bytes = header_size(start)
    if not num_bytes:
        refuse_foreign(stream.path, start)
    start += stream.read(num_bytes - len(start))
    return start, nifti_layout(stream.path, start, paired=paired)


def _scan(path: Path, stream: Stream, layout: Layout, header: bytes, at: int) -> Scan:
    """Read the voxels and what follows.

    Args:
        path: What was asked for.
        stream: The file with the voxels.
        layout: What the header declares.
        header: The header's bytes.
        at: How many bytes of the stream have been read.
    """
    check_size(layout, stream)
    between = stream.read(layout.offset - at)
    voxels = stream.read_array(layout.num_bytes)
    spare = stream.read(layout.max_spare_bytes + 1)  # reaches the end, where gzip's checksum is compared
    if len(voxels) < layout.num_bytes:
        raise ScanError(
            f"{stream.path} is truncated: its header declares {layout.num_bytes:,} bytes of voxels, it holds "
            f"{len(voxels):,}. Copy it again from its source."
        )
    if len(spare) > layout.max_spare_bytes or layout.is_planes(len(spare)):
        raise ScanError(
            f"{stream.path} goes on after the {layout.num_bytes:,} bytes of voxels that its header declares: the "
            "header is not of this image. Copy it again from its source."
        )
    digest = files.digest(header, between, voxels.data)
    data, warnings = _intensities(path, voxels.view(layout.dtype).reshape(layout.sides, order="F"), layout)
    if len(spare) > layout.usual_spare_bytes:
        told = "1 byte follows" if len(spare) == 1 else f"{len(spare):,} bytes follow"
        warnings += (f"{told} its voxels: check the sides in its header, {layout.sides}",)
    stored = layout.dtype.newbyteorder("=").name
    return Scan(path, data, layout.affine, layout.code, (*layout.warnings, *warnings), digest, stored)


def _intensities(path: Path, stored: np.ndarray, layout: Layout) -> tuple[np.ndarray, tuple[str, ...]]:
    """Scale the stored voxels, which are written over where that is possible; refuse values that no model can use."""
    data = stored.astype(layout.kept, copy=False)
    if layout.scaled:
        data *= np.float32(layout.slope)
        data += np.float32(layout.inter)
    data.setflags(write=False)
    low, high = data.min(), data.max()  # NaN and infinity come through
    if not np.isfinite(low) or not np.isfinite(high):
        count = data.size - np.count_nonzero(np.isfinite(data))
        told = "1 voxel that is" if count == 1 else f"{count:,} voxels that are"
        raise ScanError(f"{path} has {told} NaN or infinite. Replace what is, e.g. with 0.")
    if low == high:
        raise ScanError(f"{path} is constant: every voxel is {low:g}. Copy it again from its source.")
    largest = max(abs(float(low)), abs(float(high)))
    if not PLAUSIBLE[0] <= largest <= PLAUSIBLE[1]:
        raise ScanError(f"{path} has intensities up to {largest:g}: check datatype and scl_slope in its header.")
    if layout.scaled:
        levels = (float(high) - float(low)) / float(np.spacing(np.float32(largest)))
        known = (float(high) - float(low)) / float(layout.slope or 1) if layout.dtype.kind in "iu" else MIN_LEVELS
        if levels < min(known, MIN_LEVELS) / 2:
            raise ScanError(
                f"{path} has scl_slope {layout.slope:g} and scl_inter {layout.inter:g}, which leave {levels:.0f} steps "
                "between darkest and brightest. Correct them."
            )
    # Bits of a floating-point number above 2, read as a whole number, are at least a quarter of the type's range.
    whole = layout.dtype.kind in "iu" and layout.dtype.itemsize >= 4 and not layout.scaled
    if whole and largest >= 2.0 ** (8 * layout.dtype.itemsize - 2):
        return data, (f"its intensities reach {largest:.2g}: check the datatype ({layout.dtype.name})",)
    return data, ()


def canonical(scan: Scan) -> tuple[np.ndarray, np.ndarray]:
    """Turn a scan to RAS+: the permutation and flips of its axes nearest to right, anterior, superior.

    Args:
        scan: Any scan; whether its affine can be trusted is `scan.oriented`.

    Returns:
        Its voxels [X, Y, Z], RAS+, a view, and the affine [4, 4] of that view.
    """
    orientation = io_orientation(scan.affine)
    return canonical_order(scan.data, scan), scan.affine @ inv_ornt_aff(orientation, scan.data.shape)


def canonical_order(values: np.ndarray, scan: Scan) -> np.ndarray:
    """Turn one value per stored voxel of `scan` [X, Y, Z] to RAS+, as `canonical` does its intensities; a view."""
    return np.asarray(apply_orientation(values, io_orientation(scan.affine)))


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
    """Hash the RAS+ voxels: equal for two files that hold the same image in any axis order and data type.

    Of every second voxel along each axis the place counts, of the others the value: hashing all would take most of the
    time of an audit.
    """
    voxels = np.asarray(canonical(scan)[0], np.float32)
    total = int(voxels.view(np.uint32).sum(dtype=np.uint64))  # the same in any order
    half = np.asarray(voxels[::2, ::2, ::2], order="F")
    return files.digest(f"{voxels.shape} {total}".encode(), half.ravel(order="K").data.cast("B"))


def image_of(values: np.ndarray, affine: np.ndarray, *, code: int = ALIGNED, description: str = "") -> nib.Nifti1Image:
    """Make a NIfTI image of values [X, Y, Z] or [X, Y, Z, C], written as they are; arguments as for `write_image`."""
    image = nib.Nifti1Image(values, affine)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = description.encode("latin-1", "replace")[:79]
    image.set_sform(affine, code)
    image.set_qform(affine, code)
    return image


_SLOPE, _SLOPE_AT = struct.Struct("=2f"), 112  # of a NIfTI header: what values are multiplied by, and what is added


def write_image(
    path: Path,
    values: np.ndarray,
    affine: np.ndarray,
    *,
    code: int = ALIGNED,
    description: str = "",
    step: float | None = None,
) -> None:
    """Write an image as NIfTI, atomically; the same image gives the same bytes.

    Args:
        path: The file, ending in `.nii` or `.nii.gz`.
        values: One value per voxel [X, Y, Z], or several [X, Y, Z, C], on the grid of `affine`; uint8 is written as it
            is, all else as float32.
        affine: Voxel-to-world matrix [4, 4] for both sform and qform; world axes R, A, S in mm.
        code: NIfTI code of the space; for a map on a scan's grid the scan's.
        description: For the header, which has room for 79 letters of Latin-1.
        step: Write whole multiples of it as int16, which takes a third of the room; values go up to 32767 steps.
    """
    level = 3 if values.dtype == np.uint8 else 2  # same bytes as in older versions
    dtype: type[np.generic] = np.uint8 if values.dtype == np.uint8 else np.float32 if step is None else np.int16
    columns = np.empty(values.shape[::-1], dtype)  # the file's order, in which nibabel need not turn the image
    for first in range(0, len(values), 16):  # a whole image at once would leave the processor's cache at every voxel
        part = values[first : first + 16].T
        columns[..., first : first + 16] = part if step is None else np.round(part / step)
    data = bytearray(image_of(columns.T, affine, code=code, description=description).to_bytes())
    if step is not None:
        _SLOPE.pack_into(data, _SLOPE_AT, step, 0.0)  # nibabel would choose a slope of its own
    files.write_bytes(path, igzip.compress(data, level, mtime=0) if Path(path).name.endswith(".gz") else bytes(data))
