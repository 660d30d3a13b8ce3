"""What people are told of an outcome and of its results: the protocol that `ClassWords` and `MeasureWords` follow."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from mri3d.texts import number_text


def num_repeats(metrics: Mapping[str, Any]) -> int:
    """Return how often each session was tested, by metrics.json."""
    return 1 + max(int(fold.get("repeat", 0)) for fold in metrics["folds"])


class Words(Protocol):
    """The texts of an outcome; targets and predictions are those of `mri3d.outcome.outcome`."""

    # ---- the cohort

    def describe(self, targets: np.ndarray) -> str:
        """Describe targets [N] in a few words: counts of the classes, or the range of the measure."""

    def cohort_rows(self, targets: np.ndarray) -> list[tuple[str, str]]:
        """Describe targets [N] as rows of a table: what is counted or measured, and the number."""

    # ---- a model

    def decision(self, name: str) -> str:
        """Name what one of the D outputs is, by its name in `Outcome.decisions`: "the decision for F"."""

    def evidence(self, target: int) -> tuple[str, str]:
        """Name what positive and negative values of a heatmap mean."""

    def evidence_unit(self, target: int) -> str:
        """Name the unit of the number whose evidence is shown."""

    def heatmap_reading(self) -> str:
        """Write what a heatmap shows, in a sentence."""

    def validation_table(self, targets: np.ndarray, predictions: np.ndarray) -> str:
        """Write how the validation rows of an epoch came out, in Markdown; empty where curves say it all."""

    # ---- predictions on new scans

    def prediction(self, prediction: np.ndarray) -> str:
        """Write what was predicted, of one prediction [K] or a number: the class, or the value."""

    def verdict(self, prediction: np.ndarray) -> str:
        """Write one prediction, [K] or a number, with what is needed to understand it alone."""

    def summary(self, predictions: Sequence[np.ndarray]) -> str:
        """Write what several predictions come to; goes on after their number."""

    def value_titles(self) -> tuple[str, ...]:
        """Return the titles of the numbers beside each prediction, see `Outcome.prediction_columns`."""

    def prediction_reading(self) -> list[str]:
        """Write how predictions on new scans are to be read."""

    def spread_of(self) -> str:
        """Name the number whose standard deviation between models `Outcome.spread` is."""

    # ---- the test of a run

    def tested_on(self, metrics: Mapping[str, Any], targets: np.ndarray) -> str:
        """Write on how many tests a result is, and on whom; goes on after a comma."""
        num_folds, leaks = len(metrics["folds"]), metrics.get("leaks") or {}
        tests = number_text(len(targets), "test") + (f" in {num_folds} folds" if num_folds > 1 else "")
        if any(pair["folds"] and pair["certain"] for pair in leaks.get("near_copies", ())):
            return f"on {tests}."
        return f"on {tests}. No model was tested on a scan that it was trained on."

    def result_sentence(self, metrics: Mapping[str, Any], targets: np.ndarray) -> tuple[str, str]:
        """Write the number of a report's headline, and the sentence that explains it.

        Args:
            metrics: The content of metrics.json.
            targets: Truth of each test [T].

        Returns:
            The number, and the sentence that goes on after it.
        """

    def miss_title(self) -> str:
        """Return the title of the numbers that `Outcome.misses` returns."""

    def cautions(self, metrics: Mapping[str, Any], targets: np.ndarray) -> list[str]:
        """Write what a reader must know before using the number; arguments as for `result_sentence`."""

    def calibration(self, content: Mapping[str, Any]) -> list[str]:
        """Write what was done so that predictions come true as they say, and whether they do: a text for a paragraph.

        Args:
            content: `calibration` of metrics.json.
        """

    def reading(self) -> list[str]:
        """Write how the scores are to be read, and what they do not say."""
