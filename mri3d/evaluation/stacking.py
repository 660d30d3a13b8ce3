"""One prediction from several: weights for models, learnt from rows that none of them had learnt from (Wolpert 1992).

Weights are 0 or more (Breiman 1996), so that a model that is worse than chance on few rows is left out and not turned
over; and predictions are taken in units that they have in common, log odds or the spread of the measure, so that one
that hardly differs between rows cannot be blown up. Beyond what was seen of a model its predictions are cut off.
"""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize, nnls
from scipy.special import logsumexp, softmax

PENALTY = 1.0
"""On the squares of the weights, in the unit of the loss of one row."""

LEAST_PROBABILITY = 1e-6
"""Probabilities count as this at least, where their logarithms are taken."""


def stacked(learnt: Sequence[np.ndarray], targets: np.ndarray, tested: Sequence[np.ndarray]) -> np.ndarray:
    """Weigh predictions of models, and join those of further rows.

    Args:
        learnt: Of each model, of N rows that it has not learnt from: probabilities [N, K], or values [N].
        targets: Truth of the rows [N].
        tested: Of each model, of M further rows.

    Returns:
        [M, K] or [M].
    """
    if learnt[0].ndim == 2:
        logs, further = (np.stack([_logs(each) for each in side]) for side in (learnt, tested))
        return _classes(logs, further, targets)
    return _values(np.stack(learnt), np.stack(tested), targets)


def _classes(learnt: np.ndarray, tested: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Fit weights [models] >= 0 and an offset for each class to log odds [models, N, K]; return [M, K]."""
    number, _, num_classes = learnt.shape
    wanted = np.eye(num_classes)[targets]

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        weights, offsets = parameters[:number], parameters[number:]
        logits = np.tensordot(weights, learnt, axes=1) + offsets
        residual = softmax(logits, axis=1) - wanted
        value = logsumexp(logits, axis=1).sum() - (logits * wanted).sum() + PENALTY / 2 * weights @ weights
        slope = np.einsum("mnk,nk->m", learnt, residual) + PENALTY * weights
        return float(value + 1e-6 * offsets @ offsets), np.concatenate([slope, residual.sum(axis=0) + 2e-6 * offsets])

    start = np.concatenate([np.full(number, 1 / number), np.zeros(num_classes)])
    bounds = [(0, None)] * number + [(None, None)] * num_classes
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    low, high = learnt.min(axis=1, keepdims=True), learnt.max(axis=1, keepdims=True)
    logits = np.tensordot(found[:number], np.clip(tested, low, high), axes=1) + found[number:]
    return np.asarray(softmax(logits, axis=1))


def _values(learnt: np.ndarray, tested: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Fit weights >= 0 and an offset to values [models, N] by least squares; return [M]."""
    scale = targets.std() or 1.0
    means, mean = learnt.mean(axis=1), targets.mean()
    matrix = np.vstack([(learnt.T - means) / scale, np.sqrt(PENALTY) * np.eye(len(learnt))])
    weights, _ = nnls(matrix, np.concatenate([(targets - mean) / scale, np.zeros(len(learnt))]))
    low, high = learnt.min(axis=1, keepdims=True), learnt.max(axis=1, keepdims=True)
    return np.asarray(mean + weights @ (np.clip(tested, low, high) - means[:, None]))


def _logs(probabilities: np.ndarray) -> np.ndarray:
    """Return the logarithms of probabilities [N, K], of mean 0 over the classes."""
    logs = np.log(np.maximum(probabilities, LEAST_PROBABILITY))
    return np.asarray(logs - logs.mean(axis=1, keepdims=True))
