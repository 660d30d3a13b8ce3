"""What a header declares: how the voxels are stored, where they lie, and how much memory they take."""

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from mri3d.scans.errors import ScanError
from mri3d.scans.stream import Stream

MAX_BYTES = 3 << 30  # twice a whole head of 512 x 512 x 512 in float64, and a quarter of a millimetre in int16
FREE_BYTES = 1 << 28  # up to this, whatever the compression
MAX_RATIO = 100  # real scans shrink to a half or a twentieth; zeros to a thousandth, and nobody needs a head of zeros
MAX_EXTENSION_BYTES = 1 << 24  # between header and voxels


@dataclass(frozen=True, eq=False)
class Layout:
    """What a header declares.

    Attributes:
        dtype: Type of the stored voxels, with its byte order.
        sides: Voxels along each axis [3].
        offset: Where the voxels begin in their file.
        affine: Voxel-to-world matrix [4, 4], float64; world axes R, A, S in mm.
        code: NIfTI code of the affine's space; 0 where it is unknown.
        warnings: What a user should know about the header, one sentence each.
        slope: What stored values are multiplied by; None where nothing is said.
        inter: What is added afterwards; None where nothing is said.
        usual_spare_bytes: How many may follow the voxels without a word.
        max_spare_bytes: How many may follow the voxels.
    """

    dtype: np.dtype[Any]
    sides: tuple[int, ...]
    offset: int
    affine: np.ndarray
    code: int
    warnings: tuple[str, ...]
    slope: float | None = None
    inter: float | None = None
    usual_spare_bytes: int = 4096
    max_spare_bytes: int = 4096  # some writers pad the end; more belongs to an image that the header does not describe

    @property
    def scaled(self) -> bool:
        """Whether the intensities are others than the stored values."""
        return self.slope is not None and self.inter is not None and (self.slope, self.inter) != (1.0, 0.0)

    @property
    def kept(self) -> np.dtype[Any]:
        """The type of the intensities: uint8 and int16 stay what they are where nothing is scaled."""
        native = self.dtype.newbyteorder("=")
        return native if not self.scaled and native in (np.uint8, np.int16) else np.dtype(np.float32)

    @property
    def num_bytes(self) -> int:
        """How many bytes the stored voxels take."""
        return prod(self.sides) * self.dtype.itemsize

    @property
    def memory_bytes(self) -> int:
        """How much memory the intensities take with the copies that are made of them."""
        copies = prod(self.sides) * self.kept.itemsize if self.kept != self.dtype else 0
        return self.num_bytes + copies

    def is_planes(self, spare_bytes: int) -> bool:
        """Whether what follows the voxels is whole planes of them, which one side too small leaves over."""
        return any(spare_bytes and spare_bytes % (self.num_bytes // side) == 0 for side in self.sides)


def three_sides(path: Path, shape: tuple[int, ...], *, timed: bool = False) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return the sides [3] of one 3D image, and warnings; axes of one voxel are left out.

    Args:
        path: The file, for messages.
        shape: What the header declares.
        timed: Whether it says in which unit the time between frames is measured.

    Raises:
        ScanError: It is not one 3D image.
    """
    shape = (*shape[:3], *(n or 1 for n in shape[3:]))  # some writers leave 0 in what they do not use
    sides = tuple(n for n in shape if n > 1)
    if len(shape) < 3 or min(shape) < 1 or len(sides) < 3:
        raise ScanError(f"{path} is not a 3D image: its sides are {shape}. Give one 3D image per session.")
    if len(sides) == 3 and min(shape[:3]) > 1:
        return sides, ()
    if min(shape[:3]) > 1 or (timed and shape[2] == 1 and min(shape[:2]) > 1):
        raise ScanError(f"{path} holds {prod(shape[3:])} frames ({shape}), not one. Give one 3D image per session.")
    if len(sides) > 3:
        raise ScanError(f"{path} is not a 3D image: its sides are {shape}. Give one 3D image per session.")
    told = " x ".join(map(str, shape))
    return sides, (f"its sides are {told}: axes of 1 are left out, and the affine is taken for the other three",)


def check_size(layout: Layout, stream: Stream) -> None:
    """Refuse what cannot be in the file, and what would take more memory than a scan does.

    Args:
        layout: What the header declares.
        stream: The file with the voxels, of which none has been read.

    Raises:
        ScanError: See above.
    """
    path, num_bytes, needed = stream.path, layout.num_bytes, layout.memory_bytes
    declared = f"({layout.sides}, {layout.dtype.name})"
    if layout.offset + num_bytes > stream.max_bytes:
        raise ScanError(
            f"{path} is truncated: its header declares {num_bytes:,} bytes of voxels {declared}, more than it can "
            "hold. Copy it again from its source."
        )
    if layout.offset > MAX_EXTENSION_BYTES:
        raise ScanError(
            f"{path} has an impossible header: its voxels would begin at byte {layout.offset:,}, after an extension "
            f"of more than {MAX_EXTENSION_BYTES:,} bytes. Convert it again from its source."
        )
    if needed > MAX_BYTES:
        raise ScanError(
            f"{path} would take {needed / 1e9:.1f} GB of memory {declared}; up to {MAX_BYTES / 1e9:.1f} GB are read. "
            "Crop or resample it."
        )
    if stream.zipped and needed > FREE_BYTES and num_bytes > MAX_RATIO * stream.num_bytes:
        raise ScanError(
            f"{path} would take {needed / 1e9:.1f} GB of memory {declared}, and shrinks to a "
            f"{num_bytes // stream.num_bytes:,}th on disk, which no scan of a head does. Look into it; if it is right, "
            "unpack it by gunzip."
        )
