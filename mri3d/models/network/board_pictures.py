"""Pictures of volumes for TensorBoard: slices on three planes, with evidence on top or without."""

from collections.abc import Sequence

import numpy as np

AGAINST_AND_FOR = np.array(
    [[176, 228, 255], [58, 165, 255], [11, 58, 140], [16, 16, 16], [196, 60, 0], [255, 158, 27], [255, 243, 176]]
)
"""Colours of evidence from -1 to 1 in even steps, red, green and blue up to 255 [7, 3]: those of the reports."""


def middle_slices(volumes: np.ndarray) -> np.ndarray:
    """Lay the middle slices of three planes side by side, a row per volume.

    Args:
        volumes: [B, X, Y, Z], any unit.

    Returns:
        Grey picture [1, H, W], 0 to 1, first the slice across X, then Y, then Z.

    >>> middle_slices(np.zeros((2, 7, 8, 9))).shape
    (1, 18, 22)
    """
    return np.concatenate([_gray(volume, _middle(volume)) for volume in volumes], axis=0)[None]


def slices_with_evidence(volumes: np.ndarray, heats: Sequence[np.ndarray]) -> np.ndarray:
    """Lay the slices through the strongest place of each map side by side, a row per volume, the map in colour on top.

    Args:
        volumes: [B, X, Y, Z], any unit.
        heats: Evidence in each [X, Y, Z], -1 to 1; without any, the slices are those in the middle.

    Returns:
        Picture [3, H, W] of red, green and blue, 0 to 1, first the slice across X, then Y, then Z.

    >>> slices_with_evidence(np.zeros((2, 7, 8, 9)), np.zeros((2, 7, 8, 9))).shape
    (3, 18, 22)
    """
    rows = []
    for volume, heat in zip(volumes, heats, strict=True):
        strength = np.abs(heat)
        point = np.unravel_index(strength.argmax(), heat.shape) if strength.any() else _middle(volume)
        evidence = _planes(heat, point, empty=0.0)  # [H, W]
        steps = np.linspace(-1, 1, len(AGAINST_AND_FOR))
        colours = np.stack([np.interp(evidence, steps, part / 255) for part in AGAINST_AND_FOR.T])  # [3, H, W]
        opacity = 0.9 * np.abs(evidence) ** 0.7  # weak evidence leaves the anatomy visible
        rows.append((1 - opacity) * 0.85 * _gray(volume, point) + opacity * colours)
    return np.concatenate(rows, axis=1)


def _middle(volume: np.ndarray) -> tuple[int, ...]:
    return tuple(size // 2 for size in volume.shape)


def _gray(volume: np.ndarray, point: Sequence[int]) -> np.ndarray:
    """Cut a volume at a point into three planes, its lowest value black and its highest white [H, W]."""
    low, high = float(volume.min()), float(volume.max())
    return (_planes(volume, point, empty=low) - low) / (high - low or 1.0)


def _planes(volume: np.ndarray, point: Sequence[int], *, empty: float) -> np.ndarray:
    """Lay the planes through a point side by side, each with its last axis upwards [H, W]."""
    planes = [np.take(volume, at, axis=axis).T[::-1] for axis, at in enumerate(point)]
    height = max(plane.shape[0] for plane in planes)
    padded = [np.pad(plane, ((0, height - plane.shape[0]), (0, 0)), constant_values=empty) for plane in planes]
    return np.concatenate(padded, axis=1)
