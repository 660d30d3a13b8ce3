"""The intensities of a volume: on a scale that scans share, whatever surrounds the head."""

from collections.abc import Sequence

import numpy as np

from mri3d.scans.head import Head
from mri3d.volumes.placement import Placement
from mri3d.volumes.resample import resample


def volume_values(placed: Placement, intensity: str, *, flat: bool, version: int) -> np.ndarray:
    """Carry the intensities of a scan into a volume; air, and with it padding, has no say in their scale.

    Args:
        placed: How the volume lies in the scan.
        intensity: "zscore", "minmax" or "none", see `Recipe`.
        flat: Whether all that is as dark as the noise of air counts as one value, as it does around a head.
        version: Of the recipe.

    Returns:
        Intensities [X, Y, Z], float32.
    """
    cropped, matrices, head = placed.cropped, placed.to_volume(), placed.head
    if intensity == "none":
        return resample(cropped, matrices, outside=_own_value(head, matrices, version))
    air = head.floor if flat else head.air
    values = resample(cropped, matrices, limits=head.limits, outside=air, fill=head.fill, flat=flat)
    if intensity == "minmax":
        low, high = air if flat else min(air, float(head.limits[0])), float(head.limits[1])
        return (values - np.float32(low)) / np.float32(high - low)
    tissue = values[values > head.threshold].astype(np.float64)
    if tissue.size < 2 or not tissue.std():  # so little of it that no voxel of the volume shows it alone
        tissue = values.astype(np.float64)
    return (values - np.float32(tissue.mean())) / np.float32(tissue.std() or 1.0)


def _own_value(head: Head, matrices: Sequence[np.ndarray], version: int) -> float:
    """Return what surrounds an image whose intensities are kept: of its own values, so that none is rounded."""
    if version == 1:
        return head.air
    if all(np.allclose(matrix.sum(axis=1), 1, atol=1e-5) for matrix in matrices):
        return 0.0  # nothing of it is seen
    return float(head.limits[0] if head.fill is None else head.fill)
