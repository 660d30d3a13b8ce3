"""How good predictions of a measure are, as numbers."""

import numpy as np
from scipy.stats import rankdata


def measure_scores(targets: np.ndarray, predictions: np.ndarray) -> dict[str, float | None]:
    """Score predicted values against the truth.

    Args:
        targets: True values [N], N >= 1.
        predictions: Predicted values [N].

    Returns:
        In this order; None where the sessions do not define it, as where all have one value:
        `mae` (mean absolute error) and `rmse` (root of the mean squared error), in the unit of the measure; `r2` (share
        of the variance that is explained, 1 at best, negative for predictions worse than the mean); `pearson_r` and
        `spearman_r` (correlations of prediction and truth); `error_slope` (slope of the error, predicted minus true,
        against the truth: negative where predictions shrink towards the mean) and `gap_correlation` (Pearson
        correlation of the error with the truth).

    Raises:
        ValueError: The shapes do not fit, or a value is not finite.

    >>> scores = measure_scores(np.array([20.0, 40.0, 60.0]), np.array([30.0, 40.0, 50.0]))
    >>> round(scores["mae"], 3), scores["r2"], scores["error_slope"]
    (6.667, 0.75, -0.5)
    """
    targets, predictions = np.asarray(targets, dtype=np.float64), np.asarray(predictions, dtype=np.float64)
    if predictions.shape != targets.shape or not len(targets):
        raise ValueError(f"predictions {predictions.shape} do not fit {len(targets)} sessions")
    if not (np.isfinite(targets).all() and np.isfinite(predictions).all()):
        raise ValueError("a value of the measure or a prediction is not finite")
    errors = predictions - targets
    centred = targets - targets.mean()
    variance = float(centred @ centred)
    return {
        "mae": float(np.abs(errors).mean()),
        "rmse": float(np.sqrt(np.square(errors).mean())),
        "r2": r2(targets, predictions),
        "pearson_r": correlation(targets, predictions),
        "spearman_r": correlation(rankdata(targets), rankdata(predictions)),
        "error_slope": float(centred @ errors / variance) if variance > 0 else None,
        "gap_correlation": correlation(targets, errors),
    }


def r2(targets: np.ndarray, predictions: np.ndarray) -> float | None:
    """Compute the share of the variance of targets [N] that predictions [N] explain; None where there is none.

    >>> r2(np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 2.0]))
    0.0
    """
    variance = float(np.square(targets - targets.mean()).sum())
    return 1.0 - float(np.square(predictions - targets).sum()) / variance if variance > 0 else None


def correlation(first: np.ndarray, second: np.ndarray) -> float | None:
    """Compute Pearson's correlation of [N] and [N]; None where one of them is constant but for rounding."""
    centred = [values - values.mean() for values in (first, second)]
    norms = [float(np.linalg.norm(values)) for values in centred]
    rounding = [len(values) * np.finfo(np.float64).eps * np.abs(values).max() for values in (first, second)]
    if any(norm <= least for norm, least in zip(norms, rounding, strict=True)):
        return None
    return float(centred[0] @ centred[1] / (norms[0] * norms[1]))
