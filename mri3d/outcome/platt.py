"""Probabilities from decisions: sigmoids fitted on rows that the deciding model had not seen (Platt 1999)."""

import numpy as np
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression

ROUNDING = 1e-12
"""Decisions whose covariance with the class is less, in their standard deviation, tell nothing of it."""


def fit_sigmoids(decisions: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Fit the probability of a class as a sigmoid of its decision, one for each column.

    A column that ranks the held-out rows backwards tells nothing: its probability becomes the share of the class.

    Args:
        decisions: On held-out rows, [N, 1 or K].
        columns: Whether each row belongs to the column's class, bool [N, 1 or K].

    Returns:
        Slope, never negative, and offset for each column, float64 [1 or K, 2].
    """
    return np.array([_fit(*pair) for pair in zip(decisions.T, columns.T, strict=True)])


def sigmoid_proba(decisions: np.ndarray, sigmoids: np.ndarray) -> np.ndarray:
    """Compute the probability of each class from decisions and their sigmoids.

    Args:
        decisions: [N, 1 or K].
        sigmoids: Slope and offset for each column, [1 or K, 2].

    Returns:
        float64 [N, K], rows sum to 1; for two classes the single column speaks for the second.
    """
    proba = expit(decisions * sigmoids[:, 0] + sigmoids[:, 1])
    if proba.shape[1] == 1:
        return np.hstack([1 - proba, proba])
    totals = proba.sum(axis=1, keepdims=True)
    shares: np.ndarray = np.where(totals > 0, proba, 1) / np.where(totals > 0, totals, proba.shape[1])
    return shares


def softmax_proba(decisions: np.ndarray) -> np.ndarray:
    """Compute the probability of each class where decisions are log odds already, float64 [N, K].

    >>> softmax_proba(np.array([[0.0]]))
    array([[0.5, 0.5]])
    """
    logits = np.hstack([np.zeros_like(decisions), decisions]) if decisions.shape[1] == 1 else decisions
    proba: np.ndarray = softmax(logits, axis=1)
    return proba


def _fit(decisions: np.ndarray, column: np.ndarray) -> tuple[float, float]:
    """Fit p = expit(slope * decision + offset) to Platt's targets, which keep certainty within what N rows can show."""
    num_in, num_out = column.sum(), (~column).sum()
    hopes = np.where(column, (num_in + 1) / (num_in + 2), 1 / (num_out + 2))
    centre, spread = decisions.mean(), decisions.std()
    slope, offset = 0.0, float(np.log(hopes.mean() / (1 - hopes.mean())))
    rising = (decisions - centre) @ hopes > ROUNDING * spread * len(decisions)  # if not, nor is the slope: it is convex
    if spread > 0 and rising:
        inputs = ((decisions - centre) / spread)[:, None]
        labels = np.repeat([True, False], len(decisions))  # every row is both, in proportion to its hope
        model = LogisticRegression(C=np.inf, tol=1e-9, max_iter=1000)
        model.fit(np.vstack([inputs, inputs]), labels, sample_weight=np.concatenate([hopes, 1 - hopes]))
        if (fitted := model.coef_[0, 0] / spread) > 0:
            slope, offset = float(fitted), float(model.intercept_[0] - fitted * centre)
    return slope, offset
