"""Prevalence, threshold and coverage of classes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mri3d.outcome.class_scores import count_classes
from mri3d.outcome.conformal import class_p_values, conforming
from mri3d.outcome.held_out import HeldOut
from mri3d.outcome.prediction_options import PredictionOptions, Region
from mri3d.outcome.thresholds import Threshold, prevalence_of, threshold_of

_ROUNDING = 1e-6  # of probabilities that add up to 1


@dataclass(frozen=True)
class ClassOptions(PredictionOptions):
    """What may be asked of predicted classes.

    Attributes:
        names: Of the K classes, in the order of the probabilities.
    """

    names: tuple[str, ...]

    def shares(self, targets: np.ndarray) -> tuple[float, ...]:
        """Return how frequent each class is."""
        counts = np.bincount(targets, minlength=len(self.names))
        return tuple((counts / len(targets)).tolist())

    def check_shares(self, shares: Sequence[float] | None) -> None:
        """Refuse what are no K shares, each above 0, that add up to 1."""
        numbers = shares is not None and all(type(share) is float and 0 < share < 1 for share in shares)
        if not numbers or len(shares or ()) != len(self.names) or abs(sum(shares or ()) - 1) > _ROUNDING:
            raise ValueError("shares do not say how frequent each class is")

    def check_held_out(self, held_out: HeldOut) -> None:
        """Refuse what are no classes and their probabilities."""
        targets, predictions = held_out.targets, held_out.predictions
        if not len(targets):
            return
        if targets.dtype.kind != "i" or targets.min() < 0 or targets.max() >= len(self.names):
            raise ValueError("held_out has targets that are no classes")
        proba = predictions.shape == (len(targets), len(self.names)) and predictions.min() >= 0
        if not proba or not np.allclose(predictions.sum(axis=1), 1, rtol=0, atol=_ROUNDING):
            raise ValueError("held_out has predictions that are no probabilities of the classes")

    def prevalence(self, given: object) -> Mapping[str, float]:
        """Resolve a share of each class."""
        return prevalence_of(given, self.names)

    def threshold(
        self, given: object, *, shares: Callable[[], np.ndarray], steered: Callable[[], HeldOut]
    ) -> Threshold:
        """Resolve a threshold."""
        return threshold_of(given, self.names, shares=shares, steered=steered)

    def num_rows(self, targets: np.ndarray) -> Mapping[str, int]:
        """Count the rows of each class."""
        return count_classes(targets, self.names)

    def region(self, predictions: np.ndarray, folds: Sequence[HeldOut], coverage: float) -> tuple[str, ...]:
        """Return the classes for which the scan is not too strange; none, where it is for all."""
        kept = conforming(class_p_values(predictions, folds), coverage)
        return tuple(name for name, keep in zip(self.names, kept, strict=True) if keep)

    def region_method(self, num_folds: int) -> str:
        """Name the method."""
        return "split conformal prediction" if num_folds == 1 else f"cross-conformal prediction over {num_folds} folds"

    def region_columns(self, region: Region | None) -> dict[str, Any]:
        """Return the names of the set's classes in one cell."""
        return {"set": None if region is None else "; ".join(map(str, region))}

    def region_text(self, region: Region) -> str:
        """Name the classes, or say that there is none."""
        return "; ".join(map(str, region)) or "none"

    def region_title(self, coverage: float) -> str:
        """Return the title of a column of sets."""
        return f"Set at {100 * coverage:g} %"

    def region_reading(self, coverage: float) -> str:
        """Write how a set is to be read."""
        return (
            f"The set holds the true class of about {100 * coverage:g} % of the scans of each class, if they are like "
            "those that the model was tested on (conformal prediction; it does not depend on how frequent the classes "
            "are). A set of several classes says that the scan is undecided; none, that it is like no class."
        )
