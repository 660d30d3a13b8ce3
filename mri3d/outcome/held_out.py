"""What a model predicted of rows that it had not learnt from, beside their truth: by these it is read on new scans."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

DIGITS = 9
MAX_ROWS = 1_000_000


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Truth and predictions of M rows, in an order that tells nothing, of 9 digits.

    Attributes:
        targets: [M], see `mri3d.outcome.outcome`.
        predictions: [M, K] or [M].
    """

    targets: np.ndarray
    predictions: np.ndarray

    @classmethod
    def of(cls, targets: np.ndarray, predictions: np.ndarray) -> Self:
        """Keep what was predicted [M, K] or [M] of targets [M]; sorted, as the order would tell of the cohort's."""
        kept = nine_digits(predictions)
        order = np.lexsort([*np.atleast_2d(kept.T), targets])
        return cls(targets[order], kept[order])

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read what `to_json` returned.

        Raises:
            KeyError: A part is missing.
            ValueError: A part is no array of numbers, or they are of different lengths, or too long.
        """
        if max(len(value["targets"]), len(value["predictions"])) > MAX_ROWS:
            raise ValueError(f"held_out has more than {MAX_ROWS:,} rows")
        targets, predictions = (np.array(value[name]) for name in ("targets", "predictions"))
        kinds = {array.dtype.kind for array in (targets, predictions)}
        if not kinds <= set("if") or targets.ndim != 1 or len(predictions) != len(targets):
            raise ValueError("held_out has no targets with a prediction each")
        return cls(targets, predictions.astype(np.float64))

    def to_json(self) -> dict[str, list[Any]]:
        """Return the arrays as lists by name."""
        return {"targets": self.targets.tolist(), "predictions": self.predictions.tolist()}


def nine_digits(values: np.ndarray) -> np.ndarray:
    """Round numbers as tables and model folders write them, so that equal ones are equal to every reader.

    >>> nine_digits(np.array([[1 / 3, 12345678.987654321]])).tolist()
    [[0.333333333, 12345679.0]]
    """
    rounded = [float(f"{value:.{DIGITS}g}") for value in values.ravel().tolist()]
    return np.array(rounded, dtype=np.float64).reshape(values.shape)
