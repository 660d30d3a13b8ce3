"""The line that predictions of a measure follow, and their correction by it."""

from dataclasses import dataclass
from typing import Self

import numpy as np


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
