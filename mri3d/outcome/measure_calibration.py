"""How predicted values agree with the true ones."""

import numpy as np

from mri3d.outcome.estimates import Calibration, line_estimate, mean_estimate


def measure_calibration(name: str, targets: np.ndarray, predictions: np.ndarray, *, weights: np.ndarray) -> Calibration:
    """Compare predicted values with the truth.

    Args:
        name: Of the measure.
        targets: True values [T].
        predictions: Predicted values [T].
        weights: How much each test counts [T].

    Returns:
        Facts: none. Estimates: `mean_difference` (predicted minus true), `intercept` and `slope` of the line that the
        truth follows given the prediction.
    """
    difference = mean_estimate("mean_difference", predictions - targets, weights)
    return Calibration({}, {name: (difference, line_estimate(targets, predictions, weights))})
