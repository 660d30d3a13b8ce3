"""What the classes look like on average, and where they differ."""

from dataclasses import dataclass

import numpy as np

from mri3d.errors import UserError, option
from mri3d.texts import number_text
from mri3d.volumes.sequence import VolumeSequence
from mri3d.voxels.blocks import BUDGET_BYTES, each_block
from mri3d.voxels.gram import voxel_moments


@dataclass(frozen=True, eq=False)
class ClassAverages:
    """Average volumes of the classes, and their differences.

    With two classes there is one difference, the second less the first; with more there is one for each class, less
    all others together.

    Attributes:
        means: float32 [K, X, Y, Z].
        differences: float32 [D, X, Y, Z].
        t: Welch's t of each difference, float32 [D, X, Y, Z]; 0 at a voxel without any spread. Each voxel is taken by
            itself: values are not corrected for the number of voxels.
    """

    means: np.ndarray
    differences: np.ndarray
    t: np.ndarray


def class_averages(
    volumes: VolumeSequence, targets: np.ndarray, classes: tuple[str, ...], *, budget_bytes: int = BUDGET_BYTES
) -> ClassAverages:
    """Average the volumes of each class and test every voxel for a difference, in one pass over the voxels.

    Args:
        volumes: Of the whole cohort [N], one channel; read block by block.
        targets: Class of each volume [N], an index into `classes`.
        classes: Names of the K classes.
        budget_bytes: Bound for the voxels held at once, beside the result.

    Raises:
        UserError: A class has fewer than two sessions, and so no spread.
    """
    assert volumes.shape[0] == 1, "maps of a cohort are made of volumes of one channel"
    counts = np.bincount(targets, minlength=len(classes))
    if counts.min() < 2:
        raise UserError(
            f"class {classes[counts.argmin()]} has {number_text(counts.min(), 'session')}: a t map needs two of each "
            f"class. Add subjects, or declare the label unlabelled ({option('data.unlabelled')})."
        )
    memberships = [targets == k for k in range(len(classes))]
    contrasts = [(memberships[1], memberships[0])] if len(classes) == 2 else [(mine, ~mine) for mine in memberships]

    def work(_: slice, block: np.ndarray) -> np.ndarray:
        compared = [_welch(block[one], block[other]) for one, other in contrasts]
        parts = [block[mine].mean(axis=0) for mine in memberships]
        parts += [difference for difference, _ in compared] + [t for _, t in compared]
        return np.stack(parts).astype(np.float32)

    maps = np.empty((len(classes) + 2 * len(contrasts), int(np.prod(volumes.shape))), np.float32)
    height = 2 * len(targets) + len(maps)
    for voxels, part in each_block(
        volumes, np.arange(len(targets)), work, title="class averages", height=height, budget_bytes=budget_bytes
    ):
        maps[:, voxels] = part
    shaped = maps.reshape(-1, *volumes.shape[1:])
    means, differences, t = np.split(shaped, [len(classes), len(classes) + len(contrasts)])
    return ClassAverages(means, differences, t)


def _welch(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the difference of the means of two groups of rows [N, V] and its t (Welch 1947), each [V]."""
    (mean, scale), (other_mean, other_scale) = voxel_moments(one), voxel_moments(other)
    difference = mean - other_mean
    error = np.sqrt(scale**2 / (len(one) - 1) + other_scale**2 / (len(other) - 1))
    t = np.zeros_like(difference)
    np.divide(difference, error, out=t, where=error > 0)
    return difference, t
