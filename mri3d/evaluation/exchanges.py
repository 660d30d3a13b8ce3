"""Predictions of sessions with each other's covariates."""

from dataclasses import dataclass

import numpy as np

from mri3d.models.model import FittedModel, TrainingSet
from mri3d.volumes.described import Described

EXCHANGES = 5
"""How often the covariates of a test set are dealt anew."""


@dataclass(frozen=True, eq=False)
class Exchanged:
    """Predictions of a fold's test rows, each with the covariates of another of them. M counts test rows.

    Attributes:
        partners: Position among the test rows of whom the covariates are of [B, M].
        predictions: [B, M, K] or [B, M].
    """

    partners: np.ndarray
    predictions: np.ndarray


def exchanged(model: FittedModel, training: TrainingSet, test_rows: np.ndarray) -> Exchanged | None:
    """Predict test rows with each other's covariates; None where the model has none, or there are fewer than two."""
    covariates = training.volumes.covariates
    if covariates is None or len(test_rows) < 2:
        return None
    partners, predictions = [], []
    for number in range(EXCHANGES):
        circle, order = np.random.default_rng([training.seed, number]).permutation(len(test_rows)), test_rows * 0
        order[circle] = np.roll(circle, 1)  # nobody keeps their own
        rows = np.arange(len(covariates))
        rows[test_rows] = test_rows[order]
        partners.append(order)
        predictions.append(model.predict(Described(training.volumes, covariates.taking(rows)), test_rows))
    return Exchanged(np.stack(partners), np.stack(predictions))
