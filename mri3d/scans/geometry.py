"""What affines say: whether a scan can lie like that, and by how much two of them disagree."""

from itertools import product
from pathlib import Path

import numpy as np
from nibabel.orientations import io_orientation

from mri3d.scans.errors import ScanError

SPACING_RANGE_MM = (0.01, 50.0)
MAX_DISAGREEMENT_MM = 1.0  # between two affines, at the corner where it is largest
MAX_OBLIQUITY_DEGREES = 30.0  # beyond this, which axis is nearest to which is nearly a matter of chance
MAX_SHEAR_DEGREES = 5.0  # scanners have none, affine registration has a few
MAX_AWAY_MM = 50.0  # a head that is mirrored about a corner lies farther away; a part of a head may lie so far


def spacing_of(affine: np.ndarray) -> np.ndarray:
    """Return the length of each voxel axis [3] in mm."""
    return np.asarray(np.linalg.norm(affine[:3, :3], axis=0))


def check_affine(path: Path, affine: np.ndarray) -> None:
    """Refuse an affine [4, 4] by which no scan can lie.

    Raises:
        ScanError: Its voxels are too small, too large, or flat.
    """
    low, high = SPACING_RANGE_MM
    spacing_mm = spacing_of(affine)
    if not ((low <= spacing_mm) & (spacing_mm <= high)).all():  # NaN comes here too
        told = ", ".join(f"{s:.3g}" for s in spacing_mm)
        raise ScanError(f"{path} has voxels of {told} mm, outside {low:g} to {high:g} mm. Correct its affine.")
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3] / spacing_mm)) < 1e-3:
        raise ScanError(f"{path} has an affine that flattens the scan. Set sform and qform, e.g. with fslorient.")


def affine_warnings(affine: np.ndarray, sides: tuple[int, ...]) -> tuple[str, ...]:
    """List what is odd about a checked affine, one sentence each.

    Args:
        affine: Voxel-to-world matrix [4, 4]; world axes R, A, S in mm.
        sides: Voxels along each axis [3].
    """
    cosines = affine[:3, :3] / spacing_of(affine)
    nearest = io_orientation(affine)[:, 0].astype(int)
    oblique = float(np.degrees(np.arccos(np.clip(np.abs(cosines[nearest, range(3)]).min(), 0, 1))))
    between = np.abs(cosines.T @ cosines)[np.triu_indices(3, 1)]
    shear = float(np.degrees(np.arcsin(np.clip(between.max(), 0, 1))))
    told = []
    if oblique > MAX_OBLIQUITY_DEGREES:
        told.append(
            f"its axes are turned by {oblique:.0f} degrees from the nearest of right, anterior, superior, and the head "
            "stays so: register it first, or take preprocess=brain, which aligns brains"
        )
    if shear > MAX_SHEAR_DEGREES:
        told.append(f"its axes are {90 - shear:.0f} degrees apart, not 90: check its affine")
    origin = np.linalg.solve(affine[:3, :3], -affine[:3, 3])
    away_mm = float(np.linalg.norm(affine[:3, :3] @ (origin - np.clip(origin, 0, np.array(sides) - 1))))
    if away_mm > MAX_AWAY_MM:
        told.append(
            f"it lies {away_mm:.0f} mm away from the origin of its coordinates, which scanners and templates have "
            "inside the head: check directions and offset of its affine"
        )
    return tuple(told)


def disagreement(one: np.ndarray, other: np.ndarray, sides: tuple[int, ...]) -> str:
    """Measure by how much two affines [4, 4] disagree on a grid.

    Returns:
        Such as "by 1.3 degrees, 6.2 mm"; empty where every voxel is within a millimetre.
    """
    corners = np.array(list(product(*((0, n - 1) for n in sides))))
    apart = (corners @ (one - other)[:3, :3].T) + (one - other)[:3, 3]
    apart_mm = float(np.linalg.norm(apart, axis=1).max())
    if apart_mm <= MAX_DISAGREEMENT_MM:
        return ""
    turn = (one[:3, :3] / spacing_of(one)) @ np.linalg.inv(other[:3, :3] / spacing_of(other))
    if np.linalg.det(turn) < 0:
        return f"by left and right, {apart_mm:.1f} mm"
    degrees = np.degrees(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1)))
    return f"by {degrees:.1f} degrees, {apart_mm:.1f} mm"


def by_sides(spacing_mm: np.ndarray) -> str:
    """Write a voxel size [3] for a message.

    >>> by_sides(np.array([1.0, 0.9375, 2.5]))
    '1 x 0.9375 x 2.5'
    """
    return " x ".join(f"{side:.5g}" for side in spacing_mm)
