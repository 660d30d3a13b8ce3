"""Scans in memory with something planted in them, on an oblique grid of unequal sides, in any stored order."""

from pathlib import Path

import numpy as np

from mri3d.scans.scan import Scan
from tests.scans.phantom import oblique_affine, reorder, world_mm

SHAPE = (40, 62, 33)


def scan_of(data: np.ndarray, affine: np.ndarray | None = None, *, code: int = 1, path: str = "sub-07.nii") -> Scan:
    """Wrap an array as a scan."""
    affine = oblique_affine() if affine is None else affine
    return Scan(Path(path), np.asfortranarray(data), affine, code, (), "digest")


def stored_as(data: np.ndarray, order: str) -> Scan:
    return scan_of(*reorder(data, oblique_affine(), order))


def ball(centre_mm: np.ndarray, radius_mm: float, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """Return a ball with a soft rim, 0..1 [X, Y, Z], on the oblique grid."""
    apart_mm = np.linalg.norm(world_mm(shape, oblique_affine()) - centre_mm, axis=-1)
    return np.clip(radius_mm - apart_mm + 0.5, 0, 1).astype(np.float32)


def blob(centre_mm: np.ndarray, sigma_mm: float = 6.0) -> np.ndarray:
    """Return a Gaussian blob of height 100 [X, Y, Z], on the oblique grid."""
    apart_mm = np.linalg.norm(world_mm(SHAPE, oblique_affine()) - centre_mm, axis=-1)
    return (100 * np.exp(-0.5 * (apart_mm / sigma_mm) ** 2)).astype(np.float32)


def texture(deviation: float = 5e-4, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """Return noise of mean 1 [X, Y, Z]: tissue without any would be a label map."""
    return (1 + deviation * np.random.default_rng(3).standard_normal(shape)).astype(np.float32)


CENTRE_MM = world_mm(SHAPE, oblique_affine())[20, 31, 16]
OFF_CENTRE_MM = world_mm(SHAPE, oblique_affine())[23, 26, 18]
