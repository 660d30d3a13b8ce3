"""The file of a scan, alone or with that of a mask of its brain."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mri3d import files
from mri3d.errors import UserError, option
from mri3d.scans.errors import ScanError
from mri3d.scans.scan import Scan, files_of, read_scan, scan_name

_SHARP = ("a mask", "a label map")  # of `Labels.what`; where edges are soft, no number says where a brain ends
_FEW = 16  # values: so many labels are some whatever their shapes
_SAME_PLACE = 0.1  # voxels, at the corners; programs that write masks round affines


@dataclass(frozen=True)
class Masked:
    """A scan whose brain somebody else has found.

    Attributes:
        path: The scan.
        mask: A mask or label map on its grid: the brain is where it is not 0.
    """

    path: Path
    mask: Path

    def __str__(self) -> str:
        return str(self.path)


ScanFile = Path | Masked
"""What `read_file` reads: a scan, alone or with a mask."""


def path_of(file: ScanFile) -> Path:
    """Return the scan's own path."""
    return file.path if isinstance(file, Masked) else file


def paths_of(file: ScanFile) -> list[Path]:
    """Return all files that are read.

    Raises:
        ScanError: Of a .hdr/.img pair, one half is missing.
    """
    return list(files_of(file)) if isinstance(file, Path) else [*files_of(file.path), *files_of(file.mask)]


def masked(paths: Sequence[Path], pattern: str | None) -> list[ScanFile]:
    """Give each scan the mask that a pattern names; scans that are masks of others are left out.

    Args:
        paths: The scans.
        pattern: A path, relative to the folder of each scan, in which `{id}` stands for the scan's name; None for scans
            without masks.

    Raises:
        UserError: The pattern is the same for all scans, or names themselves.

    >>> masked([Path("a/s1.nii.gz"), Path("a/s1_mask.nii.gz")], "{id}_mask.nii.gz")
    [Masked(path=PosixPath('a/s1.nii.gz'), mask=PosixPath('a/s1_mask.nii.gz'))]
    """
    if pattern is None:
        return list(paths)
    if "{id}" not in pattern:
        raise UserError(f"{option('mask', pattern)} is the same for every scan. Put {{id}}, the scan's name, into it.")
    pairs = [Masked(path, path.parent / pattern.replace("{id}", scan_name(path))) for path in paths]
    masks = {os.path.normpath(pair.mask) for pair in pairs}
    scans: list[ScanFile] = [pair for pair in pairs if os.path.normpath(pair.path) not in masks]
    if not scans:
        raise UserError(f"{option('mask', pattern)} names the scans themselves. Give what their masks are called.")
    return scans


def read_file(file: ScanFile) -> Scan:
    """Read a scan, and its mask where it comes with one: then its digest is that of both.

    Raises:
        ScanError: See `read_scan`; or the mask cannot be read, is none, or lies on another grid.
    """
    if isinstance(file, Path):
        return read_scan(file)
    scan = read_scan(file.path)
    try:
        mask = read_scan(file.mask)
    except ScanError as error:
        if " is constant: " in error.text:
            raise ScanError(f"{file.mask}, the mask of {file.path}, is the same everywhere. Give another.") from error
        raise ScanError(f"{error.text} It is to be the mask of {file.path}.") from error.__cause__ or error
    if mask.data.shape != scan.data.shape or farthest_corner(mask.affine, scan.affine, scan.data.shape) > _SAME_PLACE:
        grids = " and ".join(_grid_text(one) for one in (mask, scan))
        raise ScanError(
            f"{file.mask}, the mask of {file.path}, lies on another grid than the scan ({grids}). Resample it to the "
            "scan's, by its nearest voxels."
        )
    if mask.labels.what not in _SHARP and not _has_few_labels(mask.data):
        raise ScanError(
            f"{file.mask}, the mask of {file.path}, holds other values than masks and label maps do. Give one that is "
            "0 around the brain and 1 in it, with nothing between."
        )
    inside = np.asarray(mask.data != 0)
    inside.setflags(write=False)
    return replace(scan, mask=inside, mask_path=file.mask, digest=files.digest_json([scan.digest, mask.digest]))


def _has_few_labels(data: np.ndarray) -> bool:
    """Return whether there are a few whole numbers."""
    values = np.unique(data)
    return len(values) <= _FEW and bool((values == np.rint(values)).all())


def farthest_corner(one: np.ndarray, other: np.ndarray, shape: Sequence[int]) -> float:
    """Return by how many voxels two grids of the same sides lie apart at their corners, at most.

    Args:
        one: Affine of a grid [4, 4].
        other: Affine of the other, whose voxels are the unit.
        shape: Sides of both.
    """
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(shape) - 1)
    apart = (np.linalg.inv(other) @ one - np.eye(4))[:3]
    return float(np.abs(corners @ apart[:, :3].T + apart[:, 3]).max())


def _grid_text(scan: Scan) -> str:
    """Write the sides of a scan, its voxels and where the first of them lies."""
    sides, spacing = (" x ".join(f"{one:.4g}" for one in numbers) for numbers in (scan.data.shape, scan.spacing_mm))
    start = ", ".join(f"{number:.1f}" for number in scan.affine[:3, 3])
    return f"{sides} voxels of {spacing} mm from {start} mm"
