"""Net benefit of acting by a model's predictions, with intervals through whole groups."""

from typing import Any

import numpy as np

from mri3d.evaluation.calibration import estimate_intervals
from mri3d.evaluation.sampling import Sampling
from mri3d.outcome.decision_curve import DecisionCurve
from mri3d.outcome.estimates import mean_estimate


def net_benefit(curve: DecisionCurve, sampling: Sampling) -> dict[str, Any]:
    """Average what each test adds to net benefit.

    Args:
        curve: See `mri3d.outcome.decision_curve`.
        sampling: Who was tested.

    Returns:
        `positive`, the class that one acts on; and by threshold: `thresholds`, `net_benefit` of the model, that of
        acting on `everybody`, and `gain`, what the model's is more than that or than 0, whichever is larger. Both the
        model's and the gain have an interval, `low` and `high`, `gain_low` and `gain_high`: None where nothing bounds
        it, as where one acts on nobody.
    """
    weights = sampling.once
    everybody = _means(curve.everybody, weights)
    gains = curve.model - np.where(everybody > 0, curve.everybody, 0.0)
    return {
        "positive": curve.positive,
        "thresholds": curve.thresholds.tolist(),
        "everybody": everybody.tolist(),
        **_with_ends("net_benefit", curve.model, sampling),
        **_with_ends("gain", gains, sampling, before="gain_"),
    }


def _with_ends(name: str, values: np.ndarray, sampling: Sampling, *, before: str = "") -> dict[str, list[float | None]]:
    """Average values [T, S] over tests, and compute the interval of each mean."""
    ends = [estimate_intervals(mean_estimate(name, each, sampling.once), sampling)[0] for each in values.T]
    means: list[float | None] = _means(values, sampling.once).tolist()
    return {name: means, f"{before}low": [end.low for end in ends], f"{before}high": [end.high for end in ends]}


def _means(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Average values [T, S] over tests."""
    return np.asarray(weights @ values / weights.sum())
