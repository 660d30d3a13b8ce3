"""Coverage of a measure, which has neither prevalence nor threshold."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mri3d.errors import UserError, option
from mri3d.outcome.conformal import interval
from mri3d.outcome.held_out import HeldOut
from mri3d.outcome.measure_words import value_text
from mri3d.outcome.prediction_options import PredictionOptions, Region
from mri3d.outcome.thresholds import Threshold

_LARGEST = 1e150  # squares of what lies beyond overflow


@dataclass(frozen=True)
class MeasureOptions(PredictionOptions):
    """What may be asked of predicted values.

    Attributes:
        name: Of the measure.
    """

    name: str

    def shares(self, targets: np.ndarray) -> None:
        """Return None: there are no classes."""

    def check_shares(self, shares: Sequence[float] | None) -> None:
        """Refuse shares."""
        if shares is not None:
            raise ValueError("shares are of classes, and a measure has none")

    def check_held_out(self, held_out: HeldOut) -> None:
        """Refuse what are no values."""
        values = np.concatenate([held_out.targets, held_out.predictions.ravel()])
        if held_out.predictions.ndim != 1 or not (np.abs(values) <= _LARGEST).all():
            raise ValueError("held_out has targets or predictions that are no values of a measure")

    def prevalence(self, given: object) -> Mapping[str, float]:
        """Refuse a prevalence."""
        raise self._of_classes("prevalence", given)

    def threshold(
        self, given: object, *, shares: Callable[[], np.ndarray], steered: Callable[[], HeldOut]
    ) -> Threshold:
        """Refuse a threshold."""
        raise self._of_classes("threshold", given)

    def num_rows(self, targets: np.ndarray) -> Mapping[str, int]:
        """Count the rows."""
        return {"": len(targets)}

    def region(self, predictions: np.ndarray, folds: Sequence[HeldOut], coverage: float) -> tuple[float, ...]:
        """Return the two ends of the interval, in the unit of the measure."""
        low, high = interval(predictions, folds, coverage)
        return float(low), float(high)

    def region_method(self, num_folds: int) -> str:
        """Name the method."""
        return "split conformal prediction" if num_folds == 1 else f"CV+ over {num_folds} folds"

    def region_columns(self, region: Region | None) -> dict[str, Any]:
        """Return each end in a cell of its own."""
        low, high = region or (None, None)
        return {"low": low, "high": high}

    def region_text(self, region: Region) -> str:
        """Write the two ends."""
        low, high = map(float, region)
        return f"{value_text(low)} to {value_text(high)}"

    def region_title(self, coverage: float) -> str:
        """Return the title of a column of intervals."""
        return f"{100 * coverage:g} % interval"

    def region_reading(self, coverage: float) -> str:
        """Write how an interval is to be read."""
        return (
            f"The interval holds the true {self.name} of about {100 * coverage:g} % of the scans, if they are like "
            "those that the model was tested on (conformal prediction). That is so on average over all of them: of "
            f"those with a {self.name} far from the mean it can hold fewer."
        )

    def _of_classes(self, name: str, given: object) -> UserError:
        told = f"{option(name, given)} is for classes, and the model predicts a value: {self.name}. Leave it out."
        return UserError(told)
