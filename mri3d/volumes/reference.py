"""What the training volumes look like, so that a scan unlike them is named before anybody trusts its prediction."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from mri3d.volumes.cache import Volumes


@dataclass(frozen=True, eq=False)
class Reference:
    """The average training volume, and how closely the training volumes follow it.

    A scan in another orientation, of another contrast, with or without its skull, or cropped otherwise, still gives
    probabilities; its correlation with the average falls out of the range that training scans show. Each training
    volume is held against the average of the others, so that the range is fair to scans not seen in training.

    Args:
        mean: Average of the training volumes, float32 [C, X, Y, Z].
        lowest: Smallest correlation of a training volume with the average of the others.
        highest: Largest.
    """

    mean: np.ndarray
    lowest: float
    highest: float

    @classmethod
    def fit(cls, volumes: Volumes, rows: np.ndarray) -> Self:
        """Average the training volumes; two passes, one volume in memory at a time."""
        total = np.zeros(volumes.shape, dtype=np.float64)
        for row in rows:
            total += volumes[int(row)]
        correlations = [
            _correlation(volume, (total - volume) / (len(rows) - 1)) for volume in (volumes[int(row)] for row in rows)
        ]
        return cls((total / len(rows)).astype(np.float32), min(correlations), max(correlations))

    def correlation(self, volume: np.ndarray) -> float:
        """Correlate a volume [C, X, Y, Z] with the average; 0 for a constant volume."""
        return _correlation(volume, self.mean)

    def warning(self, volume: np.ndarray) -> str:
        """Say that a volume is unlike every training volume, or nothing.

        Args:
            volume: float32 [C, X, Y, Z], made by the recipe that made the training volumes.
        """
        correlation = self.correlation(volume)
        if correlation >= self.lowest:
            return ""
        return (
            f"unlike every training scan: correlation {correlation:.2f} with their average (training scans: "
            f"{self.lowest:.2f} to {self.highest:.2f}); check orientation, contrast, skull-stripping and field of view "
            "before trusting this prediction"
        )


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    first, second = first - first.mean(), second - second.mean()
    scale = float(np.sqrt((first * first).sum() * (second * second).sum()))
    return float((first * second).sum() / scale) if scale else 0.0
