"""Whether it is worth acting on predicted probabilities: the net benefit, by the probability from which on one acts.

Vickers and Elkin (2006, Decision curve analysis: a novel method for evaluating prediction models). Who acts from a
probability t on says that acting on one person in need of it is worth (1 - t) / t times as much as sparing one who is
not. So of n people net benefit is (right actions - wrong actions x t / (1 - t)) / n.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mri3d.outcome.held_out import nine_digits

THRESHOLDS = np.arange(1, 100) / 100


@dataclass(frozen=True, eq=False)
class DecisionCurve:
    """What each test adds to net benefit; the means are the curves. T counts tests, S thresholds.

    Attributes:
        positive: The class that one acts on.
        thresholds: From which probability on one acts [S].
        model: Where one acts by the predicted probabilities [T, S].
        everybody: Where one acts on everybody [T, S]; on nobody it is 0.
    """

    positive: str
    thresholds: np.ndarray
    model: np.ndarray
    everybody: np.ndarray


def class_decision_curve(names: Sequence[str], targets: np.ndarray, proba: np.ndarray) -> DecisionCurve | None:
    """Weigh right actions on the second of two classes against wrong ones; None of more classes.

    Args:
        names: Of the K classes.
        targets: Index of the true class of each test [T].
        proba: Probability of each class [T, K].

    >>> curve = class_decision_curve(("F", "M"), np.array([0, 1]), np.array([[0.7, 0.3], [0.1, 0.9]]))
    >>> curve.model[:, [19, 49]].mean(axis=0)  # from 0.2 on both are acted on, from 0.5 on the right one
    array([0.375, 0.5  ])
    """
    if len(names) != 2:
        return None
    odds = THRESHOLDS / (1 - THRESHOLDS)
    everybody = np.where((targets == 1)[:, None], 1.0, -odds)
    acted = nine_digits(proba[:, 1])[:, None] >= THRESHOLDS
    return DecisionCurve(names[1], THRESHOLDS, np.where(acted, everybody, 0.0), everybody)
