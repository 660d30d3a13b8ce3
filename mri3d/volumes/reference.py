"""What volumes of a cohort look like, so that one unlike the others is named before anybody trusts what it gives."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from mri3d.volumes.sequence import VolumeSequence

OUTLIER_SCORE = 3.5  # of the modified z-score (Iglewicz and Hoaglin 1993, How to detect and handle outliers)
OUTLIER_DROP = 0.1  # in correlation; heads that differ by less are heads

NUM_VARIATIONS = 4
"""Mixtures of how training volumes differ, which are kept; each is added to the average, and taken from it."""


@dataclass(frozen=True, eq=False)
class Reference:
    """The average training volume, and how closely the training volumes follow it.

    A scan in another orientation, of another contrast, with or without its skull, or cropped otherwise, still gives
    probabilities; its correlation with the average falls below the range that training scans show. One that was
    smoothed, or that is itself an average of heads, lies above it: what is its own is gone, and with it what a model
    may go by. So may a training scan that was saved again, which the average contains. Each training volume is held
    against the average of the others, so that the range is fair to scans not seen in training.

    Of n training volumes and one more of the same kind each is as likely to be the lowest or the highest, so an
    ordinary new scan is named with a chance of about 1 / (n + 1) on each side. On IXI, with 60 heads drawn ten times,
    1.2 % of the others lay above, and 80 % of heads blurred by 16 mm (full width at half maximum) did. A margin of a
    tenth of the range would bring these down to 0.1 % and 68 %, and to 65 % with 100 heads, so there is none.

    The average is smoother than any volume. The `starts` are not: they have the texture of heads, and edges where
    heads have them. They are made of all training volumes at once with random weights, so that they show nobody.

    Args:
        mean: Average of the training volumes, float32 [C, X, Y, Z].
        lowest: Smallest correlation of a training volume with the average of the others.
        highest: Largest.
        variations: Sums of what sets training volumes apart from their average, with random weights of such a size that
            they are as large as what sets one apart: float16 or float32 [M, C, X, Y, Z]. None of earlier versions.
    """

    mean: np.ndarray
    lowest: float
    highest: float
    variations: np.ndarray | None = None

    @classmethod
    def fit(cls, volumes: VolumeSequence, rows: np.ndarray) -> Self:
        """Average the training volumes; two passes, one volume in memory at a time."""
        total = np.zeros(volumes.shape, dtype=np.float64)
        for row in rows:
            total += volumes[int(row)]
        mean = (total / len(rows)).astype(np.float32)
        weights = np.random.default_rng(0).standard_normal((len(rows), NUM_VARIATIONS)) / np.sqrt(max(1, len(rows) - 1))
        variations, correlations = np.zeros((NUM_VARIATIONS, *volumes.shape), np.float32), []
        for row, of_row in zip(rows, weights.astype(np.float32), strict=True):
            volume = volumes[int(row)]
            correlations.append(_correlation(volume, (total - volume) / (len(rows) - 1)))
            for variation, weight in zip(variations, of_row, strict=True):
                variation += weight * (volume - mean)
        return cls(mean, min(correlations), max(correlations), _compact(variations))

    @property
    def starts(self) -> tuple[np.ndarray, ...]:
        """Volumes as typical as those of the training, float32 [C, X, Y, Z], whose average is `mean`.

        It is `mean` alone where no variations are kept.
        """
        if self.variations is None:
            return (self.mean,)
        return tuple(start for each in self.variations for start in (self.mean + each, self.mean - each))

    def correlation(self, volume: np.ndarray) -> float:
        """Correlate a volume [C, X, Y, Z] with the average; 0 for a constant volume."""
        return _correlation(volume, self.mean)

    def warning(self, volume: np.ndarray, *, seen: bool = False) -> str:
        """Describe in what a volume is unlike every training volume; empty where it is not.

        Args:
            volume: float32 [C, X, Y, Z], made by the recipe that made the training volumes.
            seen: Whether it is a training volume: it is a part of the average then, and may correlate with it more than
                with that of the others.
        """
        correlation = self.correlation(volume)
        if correlation < self.lowest:
            return (
                f"unlike every training scan: correlation {correlation:.2f} with their average (training scans: "
                f"{self.lowest:.2f} to {self.highest:.2f}); check orientation, contrast, skull-stripping and field of "
                "view before trusting this prediction"
            )
        if correlation > self.highest and not seen:
            return (
                f"unlike every training scan: correlation {correlation:.3f} with their average, more than any of them "
                f"has (training scans: {self.lowest:.3f} to {self.highest:.3f}); check whether it was blurred, "
                "smoothed or averaged over heads, or is a training scan saved again, before trusting this prediction"
            )
        return ""


def outliers(volumes: VolumeSequence, rows: np.ndarray) -> dict[int, str]:
    """Name the volumes of a cohort that are unlike the others: noise, a wrong contrast, a head upside down or cut off.

    Each volume is correlated with the average of the others, in which all have an equal say whatever their scale, so
    that one volume of large values cannot hide behind itself. An outlier lies far below the median of the cohort,
    measured by the median absolute deviation. Two passes, one volume in memory at a time.

    Args:
        volumes: All volumes.
        rows: Those to compare, [N].

    Returns:
        For the row of each outlier, what is wrong, in the order of `rows`; none of fewer than three volumes.
    """
    if len(rows) < 3:
        return {}
    total = np.zeros(volumes.shape, dtype=np.float64)
    for row in rows:
        total += _direction(volumes[int(row)])
    correlations = np.array(
        [_correlation(direction, total - direction) for direction in (_direction(volumes[int(row)]) for row in rows)]
    )
    median = float(np.median(correlations))
    spread = 1.4826 * float(np.median(np.abs(correlations - median)))  # the standard deviation, were they normal
    lowest = median - max(OUTLIER_SCORE * spread, OUTLIER_DROP)
    return {
        int(row): f"unlike the other scans: correlation {correlation:.2f} with their average (median of the cohort: "
        f"{median:.2f}); look at it before trusting what is learnt from it"
        for row, correlation in zip(rows, correlations, strict=True)
        if correlation < lowest
    }


def _compact(variations: np.ndarray) -> np.ndarray:
    """Keep variations in half the bytes, where that holds them."""
    largest = float(np.abs(variations).max())
    return variations.astype(np.float16) if 0.1 < largest < float(np.finfo(np.float16).max) else variations


def _direction(volume: np.ndarray) -> np.ndarray:
    """Bring a volume to mean 0 and length 1; a constant one to 0."""
    centred = volume - volume.mean(dtype=np.float64)
    return np.asarray(centred / (np.linalg.norm(centred) or 1.0))


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    first, second = first - first.mean(), second - second.mean()
    scale = float(np.sqrt((first * first).sum() * (second * second).sum()))
    return float((first * second).sum() / scale) if scale else 0.0
