"""From decisions of held-out rows to predictions: calibration, and the line that corrects them."""

import logging
from dataclasses import replace

import numpy as np

from mri3d.models.model import Search
from mri3d.outcome import Line, Outcome, correcting_line

log = logging.getLogger(__name__)

FEW_FOLDS = 5
"""With fewer, the models of the inner folds learn from less than 80 % of the rows, and shrink clearly more."""


def calibrate(
    found: Search, decisions: np.ndarray, columns: np.ndarray, outcome: Outcome, scaling: np.ndarray | None
) -> tuple[Search, np.ndarray | None]:
    """Turn decisions into predictions, by the first of equally good points whose held-out decisions allow it.

    Of few rows and a strong penalty each inner fold's model follows the class that it saw most of, against the rows
    that it holds out: together their decisions rank backwards, however well each fold's own are ranked, and the
    probabilities would be the same for everybody.

    Args:
        found: What the inner folds found.
        decisions: Of each row when it was held out, [points, N, D].
        columns: What they should be, [N, D].
        outcome: What is predicted.
        scaling: What leads to the unit of the targets.

    Returns:
        The search with the point that is taken, and the scaling; the first point's where no other is better.
    """
    for point in found.ties:
        calibrated = outcome.calibrate(decisions[point], columns, scaling)
        if outcome.is_usable(calibrated):
            return replace(found, taken=point), calibrated
    return found, outcome.calibrate(decisions[found.best], columns, scaling)


def inner_line(outcome: Outcome, targets: np.ndarray, predictions: np.ndarray, *, num_folds: int) -> Line:
    """Fit the line by which predictions are corrected, on those of rows that inner folds held out.

    Args:
        outcome: A measure.
        targets: Truth of all training rows [N].
        predictions: Of each by the model of the inner fold that held it out [N].
        num_folds: How many inner folds there are.

    Raises:
        UserError: The line is too flat to correct by.
    """
    line = correcting_line(outcome, targets, predictions)
    if num_folds < FEW_FOLDS:
        log.warning(
            "predictions are corrected by a line of only %d inner folds, whose models learnt from %d %% of the "
            "training rows and shrink more than this one: the correction goes too far. %d or more inner folds are "
            "better",
            num_folds,
            round(100 * (num_folds - 1) / num_folds),
            FEW_FOLDS,
        )
    return line
