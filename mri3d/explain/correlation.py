"""Where in the volumes of a cohort the intensity goes with a measure, such as age."""

from dataclasses import dataclass

import numpy as np

from mri3d.errors import UserError
from mri3d.texts import number_text
from mri3d.volumes.sequence import VolumeSequence
from mri3d.voxels.blocks import BUDGET_BYTES, each_block
from mri3d.voxels.gram import voxel_moments

MIN_SESSIONS = 3


@dataclass(frozen=True, eq=False)
class CorrelationMap:
    """How each voxel changes with a measure.

    Attributes:
        mean: Average volume, float32 [X, Y, Z].
        slope: Change of intensity per standard deviation of the measure (that of the sample, over N - 1), by least
            squares, float32 [X, Y, Z].
        t: Of Pearson's correlation, r * sqrt((N - 2) / (1 - r^2)), float32 [X, Y, Z]; 0 at a voxel without any spread.
            Each voxel is taken by itself: values are not corrected for the number of voxels.
    """

    mean: np.ndarray
    slope: np.ndarray
    t: np.ndarray


def correlation_map(volumes: VolumeSequence, values: np.ndarray, *, budget_bytes: int = BUDGET_BYTES) -> CorrelationMap:
    """Correlate every voxel with a measure, in one pass over the voxels.

    Args:
        volumes: Of the whole cohort [N], one channel; read block by block.
        values: The measure of each volume, float64 [N], finite and not all the same.
        budget_bytes: Bound for the voxels held at once, beside the result.

    Raises:
        UserError: There are fewer than three sessions.

    >>> from mri3d.volumes.sequence import InMemory
    >>> volumes = np.array([5.0, 7.0, 9.0, 8.0], np.float32).reshape(4, 1, 1, 1, 1)
    >>> found = correlation_map(InMemory(volumes), np.array([20.0, 30.0, 50.0, 40.0]))
    >>> found.mean.item(), round(found.t.item(), 2)
    (7.25, 7.51)
    """
    assert volumes.shape[0] == 1, "maps of a cohort are made of volumes of one channel"
    if len(values) < MIN_SESSIONS:
        too_few = "is too few" if len(values) == 1 else "are too few"
        raise UserError(
            f"{number_text(len(values), 'session')} {too_few} for a t map: it needs {MIN_SESSIONS}. Add subjects."
        )
    assert np.ptp(values), "an outcome is no measure if all have one value"
    units = (values - values.mean()) / values.std(ddof=1)  # in standard deviations
    degrees = len(values) - 2

    def work(_: slice, block: np.ndarray) -> np.ndarray:
        mean, scale = voxel_moments(block)
        block -= mean
        slope = np.where(scale > 0, units @ block / (len(units) - 1), 0.0)
        r = np.zeros_like(slope)
        np.divide(slope, scale * np.sqrt(len(units) / (len(units) - 1)), out=r, where=scale > 0)
        rest = np.maximum(1 - r**2, np.finfo(np.float64).eps)  # a perfect correlation has a finite t too
        return np.stack([mean, slope, r * np.sqrt(degrees / rest)]).astype(np.float32)

    maps = np.empty((3, int(np.prod(volumes.shape))), np.float32)
    height = 2 * len(values) + len(maps)
    for voxels, part in each_block(
        volumes, np.arange(len(values)), work, title="correlation map", height=height, budget_bytes=budget_bytes
    ):
        maps[:, voxels] = part
    return CorrelationMap(*maps.reshape(-1, *volumes.shape[1:]))
