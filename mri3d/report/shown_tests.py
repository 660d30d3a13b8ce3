"""The tests that a page shows: what is true, what was predicted, and of whom."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class ShownTests:
    """T tests.

    Attributes:
        targets: The truth of each, see `mri3d.outcome.outcome` [T].
        predictions: Probabilities [T, K], or values [T].
        raw: Predictions before correction [T]; None where nothing was corrected.
        subjects: Who was tested [T], to be read off the charts; empty where that is not known.
    """

    targets: np.ndarray
    predictions: np.ndarray
    raw: np.ndarray | None = None
    subjects: Sequence[str] = ()
