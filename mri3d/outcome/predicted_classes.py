"""Whom a class is predicted of, and of how many of them that is right, at any prevalence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mri3d.outcome.resampling import Proportion


@dataclass(frozen=True, eq=False)
class PredictedClass:
    """How the prediction of one class comes true. T counts tests.

    Attributes:
        name: Of the class.
        rate: What the proportion of its members of whom it is predicted is called: "sensitivity", "specificity" for the
            first of two classes, "recall" of more.
        value: What the proportion of right predictions is called: "ppv", "npv" for the first of two, "predictive_value"
            of more.
        prevalence: How frequent the class is.
        stated: Whether that was said; if not, it is as frequent as among the tests.
        own: Its members, of whom it is predicted or not.
        others: The members of each other class likewise, weighed by how frequent that is among the others.
        right: Those of whom it is predicted, who are its members or not.
    """

    name: str
    rate: str
    value: str
    prevalence: float
    stated: bool
    own: Proportion
    others: tuple[Proportion, ...]
    right: Proportion


def predicted_classes(
    names: Sequence[str], targets: np.ndarray, predicted: np.ndarray, prevalence: Mapping[str, float] | None
) -> tuple[PredictedClass, ...]:
    """Sort tests by true and by predicted class; of two classes the second comes first.

    Args:
        names: Of the K classes.
        targets: Index of the true class of each test [T].
        predicted: Index of the predicted class [T].
        prevalence: How frequent each class is said to be, by its name, together 1; None for as frequent as here.
    """
    if prevalence is None:
        shares = np.bincount(targets, minlength=len(names)) / len(targets)
    else:
        shares = np.array([prevalence[name] for name in names])
    titles = [("specificity", "npv"), ("sensitivity", "ppv")] if len(names) == 2 else [("recall", "predictive_value")]
    found = []
    for k, name in enumerate(names):
        rest = [other for other in range(len(names)) if other != k]
        left = shares[rest].sum() or 1.0
        others = tuple(Proportion(predicted == k, targets == other, float(shares[other] / left)) for other in rest)
        found.append(
            PredictedClass(
                name,
                *titles[k % len(titles)],
                float(shares[k]),
                prevalence is not None,
                Proportion(predicted == k, targets == k),
                others,
                Proportion(targets == k, predicted == k),
            )
        )
    return tuple(reversed(found)) if len(names) == 2 else tuple(found)
