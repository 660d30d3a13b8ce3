"""Small scans with known content: an oblique, anisotropic grid of unequal sides, in any stored order."""

import itertools
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, ornt_transform

SHARED_DATA = Path(__file__).parents[3] / "shared" / "data"
needs_shared_data = pytest.mark.skipif(not SHARED_DATA.is_dir(), reason=f"{SHARED_DATA} is not there")

SPACING_MM = np.array([1.5, 1.0, 2.5])
ORDERS = [
    "".join(codes) for axes in itertools.permutations(("LR", "PA", "IS")) for codes in itertools.product(*axes)
]  # all 48


def oblique_affine(spacing_mm: np.ndarray = SPACING_MM) -> np.ndarray:
    """Return an affine [4, 4], near RAS+, turned by 17 degrees about x and 9 about z, away from the origin."""
    a, b = np.deg2rad([17.0, 9.0])
    turn_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    turn_z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn_z @ turn_x @ np.diag(spacing_mm)
    affine[:3, 3] = -30.0, 21.0, -44.0
    return affine


def world_mm(shape: tuple[int, ...], affine: np.ndarray) -> np.ndarray:
    """Return the world position of every voxel [X, Y, Z, 3]."""
    return np.moveaxis(np.indices(shape), 0, -1) @ affine[:3, :3].T + affine[:3, 3]


def reorder(data: np.ndarray, affine: np.ndarray, order: str) -> tuple[np.ndarray, np.ndarray]:
    """Store a RAS+ image in another axis order, e.g. LIA: same voxels at the same world positions."""
    change = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(order))
    return nib.apply_orientation(data, change), affine @ inv_ornt_aff(change, data.shape)


def write_scan(path: Path, data: np.ndarray, affine: np.ndarray | None = None, *, code: int = 1) -> Path:
    """Write a NIfTI-1 file with nibabel, sform and qform set."""
    image = nib.Nifti1Image(data, oblique_affine() if affine is None else affine)
    image.set_sform(image.affine, code)
    image.set_qform(image.affine, code)
    image.to_filename(path)
    return path


def values(shape: tuple[int, int, int] = (7, 8, 9), dtype: type = np.uint8) -> np.ndarray:
    """Return different values everywhere, up to 251."""
    return (np.arange(np.prod(shape)) * 7 % 251).reshape(shape).astype(dtype)
