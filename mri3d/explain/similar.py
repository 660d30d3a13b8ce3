"""Which training scans a tested one is most like: cases to hold a prediction against."""

import numpy as np

from mri3d.volumes.alignment import shrink

NUM_SIMILAR = 3
"""How many are shown of each scan."""

_EDGE = 24  # voxels: a head is known by its coarse shape
_NOTHING = 1e-9


def coarse_features(volume: np.ndarray) -> np.ndarray:
    """Return what volumes are compared by where a model has no features of its own: a coarse copy, float32 [F].

    Args:
        volume: [C, X, Y, Z].
    """
    return shrink(volume, _EDGE).ravel()


def most_similar(
    features: np.ndarray, known: np.ndarray, *, number: int = NUM_SIMILAR
) -> tuple[np.ndarray, np.ndarray]:
    """Find those of N known scans that each of M scans is most like: the cosine of features less the known ones' mean.

    What all known scans have in common would else make any two alike.

    Args:
        features: Of the scans, [M, F].
        known: Of those that they are compared with, [N, F].
        number: How many are wanted of each; fewer where N is less.

    Returns:
        Places among the known ones, int64 [M, n], and similarities from -1 to 1, float64 [M, n], the highest first; of
        equals those that come first. Features like the mean are like nothing: 0.

    >>> most_similar(np.array([[3.0, 1.0]]), np.array([[1.0, 1.0], [2.0, 0.0], [0.0, 2.0]]), number=2)
    (array([[1, 0]]), array([[0.70710678, 0.        ]]))
    """
    mean = known.mean(axis=0, dtype=np.float64)
    units = []
    for each in (features, known):
        centred = each - mean
        lengths = np.linalg.norm(centred, axis=1, keepdims=True)
        scale = _NOTHING * max(1.0, float(np.abs(mean).max(initial=0)))
        units.append(np.where(lengths > scale, centred / np.where(lengths > scale, lengths, 1), 0))
    similarity = np.clip(units[0] @ units[1].T, -1, 1)
    places = np.argsort(-similarity, axis=1, kind="stable")[:, :number]
    return places, np.take_along_axis(similarity, places, axis=1)
