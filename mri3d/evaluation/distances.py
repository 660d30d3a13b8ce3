"""Intervals of scores that add up absolute values of means, such as the calibration error.

Noise makes such a score too large: where every mean is 0, it is the noise. Its distribution is not normal there and no
resampling knows it. But it is never more above the truth than the absolute values of the noise are together, and never
more below it than their signed sum is. The ends follow from these two, and hold too often where the means are far
from 0.
"""

import numpy as np
from scipy.special import ndtri
from scipy.stats import t as student

from mri3d.evaluation.sampling import LEVEL, Sampling

DRAWS = 10_000


def distance_interval(
    parts: np.ndarray, sampling: Sampling, bounds: tuple[float, float], *, seed: int
) -> tuple[float, float]:
    """Compute the interval of the sum of absolute means of B parts.

    Args:
        parts: What each test adds to each mean [T, B].
        sampling: Who was tested.
        bounds: The least and the largest value that the sum can have; with a single group these are the ends.
        seed: Of the noise that is drawn.
    """
    number = sampling.num_units
    if number < 2:
        return bounds
    weights = sampling.once / sampling.once.sum()
    means = weights @ parts
    by_group = np.zeros((number, len(means)))
    np.add.at(by_group, sampling.unit, weights[:, None] * (parts - means))
    few = student.ppf((1 + LEVEL) / 2, number - 1) / ndtri((1 + LEVEL) / 2)
    factor = float(few * np.sqrt(number / (number - 1))) * sampling.widening
    lengths, directions = np.linalg.eigh(by_group.T @ by_group)
    noise = np.random.default_rng(seed).normal(size=(DRAWS, len(means))) * np.sqrt(lengths.clip(min=0)) @ directions.T
    value, above = float(np.abs(means).sum()), factor * float(np.quantile(np.abs(noise).sum(axis=1), (1 + LEVEL) / 2))
    covariance = np.abs(by_group.T @ by_group).sum()  # whatever the signs are
    below = float(ndtri((1 + LEVEL) / 2) * factor * np.sqrt(covariance))
    return max(value - above, bounds[0]), min(value + below, bounds[1])
