"""How probabilities of classes agree with how often the classes occur."""

from collections.abc import Sequence

import numpy as np
from scipy.special import logit

from mri3d.outcome.estimates import Calibration, Estimates, logistic_estimate, mean_estimate

CERTAIN = 1e-9
"""Probabilities nearer to 0 and 1 count as this near: log odds are finite."""


def class_calibration(
    names: Sequence[str],
    targets: np.ndarray,
    proba: np.ndarray,
    *,
    weights: np.ndarray,
    learnt: Sequence[np.ndarray],
) -> Calibration:
    """Compare probabilities with the truth: of the second of two classes, or of each of more against the others.

    Args:
        names: Of the K classes.
        targets: Index of the true class of each test [T].
        proba: Probability of each class [T, K].
        weights: How much each test counts [T].
        learnt: Truth of the rows that each fold learnt from.

    Returns:
        Facts: `prevalence`, how frequent each class is among the rows that were learnt from, the mean over the folds;
        `predicted`, of each class the `number` of tests in which it is the most probable, its `mean_probability` in
        them and how often it is `observed`. Estimates: `mean_difference` (mean probability minus observed frequency),
        `intercept` and `slope` of the calibration curve: log odds of the truth are a line of those predicted.
    """
    predicted, shares = proba.argmax(axis=1), [np.bincount(each, minlength=len(names)) / len(each) for each in learnt]
    facts = {
        "prevalence": dict(zip(names, np.mean(shares, axis=0).tolist(), strict=True)),
        "predicted": {
            name: _means(predicted == k, weights, mean_probability=proba[:, k], observed=targets == k)
            for k, name in enumerate(names)
        },
    }
    shown = [1] if len(names) == 2 else range(len(names))
    return Calibration(facts, {names[k]: _estimates(targets == k, proba[:, k], weights) for k in shown})


def _estimates(truth: np.ndarray, proba: np.ndarray, weights: np.ndarray) -> tuple[Estimates, ...]:
    log_odds = logit(np.clip(proba, CERTAIN, 1 - CERTAIN))
    difference = mean_estimate("mean_difference", proba - truth, weights, bounded=True)
    return difference, logistic_estimate(truth, log_odds, weights)


def _means(chosen: np.ndarray, weights: np.ndarray, **values: np.ndarray) -> dict[str, float | int | None]:
    """Count the chosen tests [T], and average values [T] over them."""
    total = weights[chosen].sum()
    means = {name: float(weights[chosen] @ each[chosen] / total) if total else None for name, each in values.items()}
    return {"number": int(chosen.sum()), **means}
