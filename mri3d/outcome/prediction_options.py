"""What may be asked of predictions on new scans: the protocol that `ClassOptions` and `MeasureOptions` follow.

Targets and predictions are those of `mri3d.outcome.outcome`. Predictions of one scan by M models are [M, K] or [M].
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from mri3d.outcome.held_out import HeldOut
from mri3d.outcome.thresholds import Threshold

Region = tuple[str, ...] | tuple[float, ...]
"""Where the truth lies as often as was asked for: the names of some classes, or the two ends of an interval."""


class PredictionOptions(Protocol):
    """Prevalence, threshold and coverage, as an outcome understands them."""

    # ---- what a model folder keeps for them

    def shares(self, targets: np.ndarray) -> tuple[float, ...] | None:
        """Return how frequent each class is among targets [N]; None of a measure."""

    def check_shares(self, shares: Sequence[float] | None) -> None:
        """Refuse what `shares` cannot have returned.

        Raises:
            ValueError: It is something else.
        """

    def check_held_out(self, held_out: HeldOut) -> None:
        """Refuse what are no targets and predictions of the outcome.

        Raises:
            ValueError: They are something else.
        """

    # ---- how predictions become classes

    def prevalence(self, given: object) -> Mapping[str, float]:
        """Resolve how frequent a user says that each class is, by its name, in the order of the classes.

        Raises:
            UserError: It says something else, or there are no classes.
        """

    def threshold(
        self, given: object, *, shares: Callable[[], np.ndarray], steered: Callable[[], HeldOut]
    ) -> Threshold:
        """Resolve from which probability on a user wants which class, see `mri3d.outcome.thresholds.threshold_of`.

        Raises:
            UserError: It says something else, or there are no classes.
        """

    # ---- where the truth lies

    def num_rows(self, targets: np.ndarray) -> Mapping[str, int]:
        """Count the targets [N] that a region is made from: of each class by its name, or all of them."""

    def region(self, predictions: np.ndarray, folds: Sequence[HeldOut], coverage: float) -> Region:
        """Find where the truth of one scan lies, see `mri3d.outcome.conformal`.

        Args:
            predictions: Of F models.
            folds: What each of them was tested on.
            coverage: How often the truth is to lie there.
        """

    def region_method(self, num_folds: int) -> str:
        """Name the method by which tests of so many folds lead to regions."""

    def region_columns(self, region: Region | None) -> dict[str, Any]:
        """Return a region as cells of a table by column; empty cells where there is none."""

    def region_text(self, region: Region) -> str:
        """Write a region for people."""

    def region_title(self, coverage: float) -> str:
        """Return the title of a column of regions."""

    def region_reading(self, coverage: float) -> str:
        """Write how a region is to be read."""
