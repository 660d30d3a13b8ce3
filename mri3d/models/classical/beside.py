"""Covariates beside the scores of volumes: made into columns by the rows that a fit learns from."""

from collections.abc import Sequence

import numpy as np

from mri3d.cohort.encoding import Encoder
from mri3d.volumes.sequence import VolumeSequence


def encoded(
    volumes: VolumeSequence, rows: np.ndarray, trainings: Sequence[np.ndarray]
) -> list[np.ndarray] | list[None]:
    """Return the covariates of some rows as columns, for fits that each learn from a part of them.

    Args:
        volumes: With covariates or without.
        rows: Which of them, [N].
        trainings: For each fit the positions in `rows` that it learns from.

    Returns:
        For each fit float64 [N, Q]; None where there are no covariates.
    """
    if volumes.covariates is None:
        return [None] * len(trainings)
    variables = volumes.covariates.taking(rows)
    return [Encoder.fit(variables, training).encode(variables) for training in trainings]


def weighed(volumes: VolumeSequence, rows: np.ndarray, encoder: Encoder | None, weight: float) -> np.ndarray:
    """Return the covariates of rows as a fitted model sees them, float64 [len(rows), Q]; Q is 0 without an encoder."""
    if encoder is None:
        return np.empty((len(rows), 0))
    assert volumes.covariates is not None, "the model has covariates, and so must have what it predicts"
    return weight * encoder.encode(volumes.covariates.taking(rows))
