"""The line that predictions of a measure follow, and their correction by it."""

import logging
from dataclasses import dataclass
from typing import Self

import numpy as np

from mri3d.errors import UserError, option
from mri3d.outcome.outcome import Outcome

log = logging.getLogger(__name__)

FEW_ROWS = 20
MIN_SLOPE = 0.2
"""A flatter line says so little of the truth that dividing by its slope would blow up the noise five times."""


@dataclass(frozen=True)
class Line:
    """Predictions of a measure shrink towards its mean: on average they are `intercept + slope * truth`.

    Attributes:
        intercept: In the unit of the measure.
        slope: 1 where predictions do not shrink.

    >>> line = Line.fit(np.array([20.0, 40.0, 60.0]), np.array([30.0, 40.0, 50.0]))
    >>> line
    Line(intercept=20.0, slope=0.5)
    >>> line.correct(np.array([35.0])), line.undo(np.array([30.0]))
    (array([30.]), array([35.]))
    """

    intercept: float
    slope: float

    @classmethod
    def fit(cls, targets: np.ndarray, predictions: np.ndarray) -> Self:
        """Fit the line of predictions [N] against the truth [N] by least squares; flat where the truth is one value."""
        centred = targets - targets.mean()
        slope = float(centred @ predictions / ((centred @ centred) or 1.0))
        return cls(float(predictions.mean() - slope * targets.mean()), slope)

    def correct(self, predictions: np.ndarray) -> np.ndarray:
        """Take the shrinkage off predictions [N]: `(prediction - intercept) / slope` (Cole et al. 2018)."""
        return np.asarray((predictions - self.intercept) / self.slope)

    def undo(self, predictions: np.ndarray) -> np.ndarray:
        """Return predictions [N] as they were before `correct`."""
        return np.asarray(self.intercept + self.slope * predictions)


def check_debias(debias: bool, outcome: Outcome) -> None:
    """Refuse to correct predictions of an outcome that do not shrink.

    Raises:
        UserError: The correction is asked for, and there is none.
    """
    if debias and not outcome.shrinks:
        raise UserError(
            f"{option('model.debias', True)} corrects predictions of a measure, and {option('task', outcome.task)} "
            "has none. Leave it out."
        )


def correcting_line(outcome: Outcome, targets: np.ndarray, predictions: np.ndarray) -> Line:
    """Fit the line by which a model's predictions are corrected.

    Args:
        outcome: A measure.
        targets: Truth of training rows that the model had not learnt from [N].
        predictions: What it predicted for them [N].

    Raises:
        UserError: The line is too flat to correct by.
    """
    line = Line.fit(targets, predictions)
    if not line.slope >= MIN_SLOPE:
        raise UserError(
            f"{option('model.debias', True)} is not possible: on {len(targets)} training rows that the model had "
            f"not learnt from, the slope of predicted against true {outcome.name} is {line.slope:.3f}, and "
            f"below {MIN_SLOPE} the correction would only blow up noise. Leave it out, or find a model that "
            "predicts better."
        )
    if len(targets) < FEW_ROWS:
        log.warning("predictions are corrected by a line of %d training rows only: it is not certain", len(targets))
    return line
