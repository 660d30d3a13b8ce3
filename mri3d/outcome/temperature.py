"""From outputs of a network that learnt each class as if all were as frequent, to honest log odds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

RANGE = (0.05, 20.0)
"""Of a temperature; beyond it held-out rows say that the network knows all, or nothing."""


@dataclass(frozen=True)
class Temperature:
    """How outputs become log odds: divided by a temperature, then shifted by how frequent the classes are.

    Attributes:
        temperature: Above 1 where the network is surer than it should be (Guo et al. 2017, On calibration of modern
            neural networks).
        log_odds: What is added to each of D outputs: of two classes the log odds of the second, of K the log of each
            share, among the rows that were learnt from.

    Raises:
        ValueError: A value is impossible.

    >>> Temperature(2.0, (1.0,)).apply(np.array([[4.0], [0.0]])).ravel().tolist()
    [3.0, 1.0]
    """

    temperature: float
    log_odds: tuple[float, ...]

    def __post_init__(self) -> None:
        numbers = [self.temperature, *self.log_odds]
        if not all(type(each) is float and np.isfinite(each) for each in numbers) or self.temperature <= 0:
            raise ValueError("a temperature and log odds are finite numbers, and a temperature is above 0")

    @classmethod
    def from_json(cls, value: Mapping[str, Any], *, num_outputs: int) -> Self:
        """Build what a model folder holds as a dictionary of the attributes.

        Raises:
            KeyError: One is missing.
            ValueError: A value is impossible, or they are for another number of outputs.
        """
        if len(value["log_odds"]) != num_outputs:
            raise ValueError(f"log_odds are not {num_outputs} numbers")
        return cls(value["temperature"], tuple(value["log_odds"]))

    def apply(self, outputs: np.ndarray) -> np.ndarray:
        """Turn outputs [N, D] into log odds [N, D]."""
        return np.asarray(outputs / self.temperature + np.array(self.log_odds))


def fit_temperature(outputs: np.ndarray, targets: np.ndarray, shares: np.ndarray) -> Temperature:
    """Fit the temperature to rows that the network did not learn from, by their likelihood.

    Args:
        outputs: Of these rows, [M, 1] for two classes, [M, K] for more.
        targets: Index of the true class of each [M].
        shares: How frequent each class is among the rows that were learnt from [K], none of them 0.

    Returns:
        The temperature, 1 where there is no such row, and the shift by the shares.
    """
    logs = np.log(shares)
    added = logs[1:] - logs[:1] if outputs.shape[1] == 1 else logs
    log_odds = tuple(map(float, added))
    if not len(outputs):
        return Temperature(1.0, log_odds)
    hopes = _hopes(targets, len(shares))

    def cost(log_temperature: float) -> float:
        shifted = Temperature(float(np.exp(log_temperature)), log_odds).apply(outputs)
        logits = np.hstack([np.zeros_like(shifted), shifted]) if shifted.shape[1] == 1 else shifted
        return -float((hopes * log_softmax(logits, axis=1)).sum())

    low, high = np.log(RANGE)
    found = minimize_scalar(cost, bounds=(low, high), method="bounded", options={"xatol": 1e-6})
    return Temperature(float(np.exp(found.x)), log_odds)


def _hopes(targets: np.ndarray, num_classes: int) -> np.ndarray:
    """Soften the truth [M, K] as Platt (1999) does, so that no row asks for more certainty than M rows can show."""
    counts = np.bincount(targets, minlength=num_classes)
    certain = (counts + 1) / (counts + 2)
    hopes = np.repeat(((1 - certain) / (num_classes - 1))[targets][:, None], num_classes, axis=1)
    hopes[np.arange(len(targets)), targets] = certain[targets]
    return hopes
