"""The seam between what is predicted and everything else: the protocol that `Classes` and `Measure` follow.

Targets are what a fit learns: of classes their index, int64 [N]; of a measure its value, float64 [N]. Outputs are what
a network or a linear model computes, [N, D]. Predictions are what users see: of classes a probability each, float64
[N, K]; of a measure its value, float64 [N].
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from mri3d.outcome.line import Line

if TYPE_CHECKING:
    from mri3d.outcome.objectives import Objective

Scores = dict[str, float | None]
"""Name of a score to its value; None where the tested subjects do not define it."""

SCORE_TITLES = {
    "auc": "AUC",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "f1": "F1",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "log_loss": "log loss",
    "brier": "Brier score",
    "expected_calibration_error": "calibration error",
    "mae": "MAE",
    "rmse": "RMSE",
    "r2": "R²",
    "pearson_r": "Pearson r",
    "spearman_r": "Spearman r",
    "error_slope": "error slope",
    "gap_correlation": "gap correlation",
}
"""Name of a score in metrics.json, to its title."""
SCORE_TITLES |= {
    f"{name}_raw": f"{SCORE_TITLES[name]}, uncorrected"
    for name in ("mae", "rmse", "r2", "pearson_r", "spearman_r", "error_slope", "gap_correlation")
}


@dataclass(frozen=True)
class Example:
    """A tested subject that shows what a model goes by.

    Attributes:
        position: Among the tested subjects.
        target: Index of what is to be explained, see `Outcome.contrast`.
        caption: What is true of the subject, and what was predicted.
        evidence: What the colours of its heatmap show.
    """

    position: int
    target: int
    caption: str
    evidence: str


class Outcome(Protocol):
    """What is predicted."""

    @property
    def task(self) -> Literal["classification", "regression"]:
        """The key of a configuration that asks for this kind of outcome."""

    @property
    def name(self) -> str:
        """The column of the table that it stands in."""

    # ---- cells of a table, and how to split subjects

    def encode(self, labels: Sequence[str]) -> np.ndarray:
        """Return the targets [N] of label cells that were checked."""

    def cells(self, targets: np.ndarray) -> list[Any]:
        """Return targets [N] as a table shows them: names of classes, or numbers."""

    def describe(self, targets: np.ndarray) -> str:
        """Describe targets [N] in a few words: counts of the classes, or the range of the measure."""

    def cohort_rows(self, targets: np.ndarray) -> list[tuple[str, str]]:
        """Describe targets [N] as rows of a table: what is counted or measured, and the number."""

    def strata(
        self, targets: np.ndarray, groups: np.ndarray, *, needed: int, reason: str, remedy: str = ""
    ) -> np.ndarray:
        """Sort rows into strata that every part of a split should hold alike.

        Args:
            targets: [N].
            groups: Who must stay together [N].
            needed: How many groups a stratum must have to be in every part.
            reason: Who needs so many, for the message: "a hold-out needs".
            remedy: What else could be done, a sentence for the message.

        Returns:
            The stratum of each row, int64 [N], numbered from 0.

        Raises:
            UserError: There are too few groups.
        """

    @property
    def in_every_part(self) -> bool:
        """Whether every part of a split must hold every stratum."""

    def lacking(self, targets: np.ndarray) -> str:
        """Name what a set of rows lacks to be learnt from or scored in full, or return nothing."""

    # ---- fitting

    @property
    def num_outputs(self) -> int:
        """Number D of outputs of a network, and of decisions of a linear model."""
        return len(self.decisions)

    @property
    def decisions(self) -> tuple[str, ...]:
        """What each of the D outputs speaks for when it is large."""

    @property
    def calibrates(self) -> bool:
        """Whether decisions become predictions only by calibration on rows that were held out."""

    def decision_words(self, number: int) -> str:
        """Name what one of the D outputs is, to end a sentence: "the decision for F"."""

    @property
    def patience(self) -> int | None:
        """How many epochs a network's validation loss may fail to improve, unless told; None for all there are."""

    @property
    def smoothing(self) -> float:
        """How much linear and kernel models smooth volumes of scans unless told, as a share of the longest edge.

        Heads that are not registered match to a few mm only: smoothing takes a year off the error of age on IXI.
        """

    def scaling(self, targets: np.ndarray) -> np.ndarray | None:
        """Return what leads from outputs to the unit of the targets that are learnt from, for `activate`."""

    def columns(self, targets: np.ndarray, scaling: np.ndarray | None) -> np.ndarray:
        """Return what the D decisions of a linear model are fitted to, [N, D]: bool memberships or float64 values."""

    def judge(self, decisions: np.ndarray, columns: np.ndarray) -> float:
        """Compute the score `criterion` of decisions [N, D] against `columns` [N, D]."""

    def calibrate(self, decisions: np.ndarray, columns: np.ndarray, scaling: np.ndarray | None) -> np.ndarray | None:
        """Return the scaling that turns decisions into predictions, fitted on held-out decisions [N, D]."""

    def objective(self, targets: np.ndarray, scaling: np.ndarray | None) -> "Objective":
        """Build the loss and the live scores of a network that learns from these targets [N]."""

    def line(self, targets: np.ndarray, predictions: np.ndarray) -> Line:
        """Fit the line by which predictions are corrected, on rows that the model had not learnt from.

        Raises:
            UserError: There is no such line, or it is too flat to correct by.
        """

    def check_debias(self, debias: bool) -> None:
        """Raise a UserError if predictions are to be corrected that cannot be."""

    # ---- predictions

    def activate(self, outputs: np.ndarray, scaling: np.ndarray | None) -> np.ndarray:
        """Turn outputs [N, D] into predictions: probabilities [N, K] or values [N]."""

    def prediction_columns(self, predictions: np.ndarray) -> dict[str, list[Any]]:
        """Return predictions as columns of a table: `prediction`, and `p_<class>` of classes."""

    def test_columns(
        self, targets: np.ndarray, predictions: np.ndarray, raw: np.ndarray | None
    ) -> dict[str, list[Any]]:
        """Return what stands beside the predictions of tested subjects, whose truth is known."""

    def spread(self, predictions: np.ndarray) -> float:
        """Return how far the predictions of M models for one scan, [M, K] or [M], differ."""

    def verdict(self, prediction: np.ndarray) -> str:
        """Write one prediction, [K] or a number, in a few words."""

    def summary(self, predictions: Sequence[np.ndarray]) -> str:
        """Write what several predictions come to."""

    # ---- explanations

    def contrast(self, target: int) -> np.ndarray:
        """Return the weight of each of the D outputs in the evidence for a target, float64 [D]."""

    def target_named(self, name: str | int | None, prediction: np.ndarray) -> int:
        """Return the index of a target by its name, for `contrast`; that of the prediction where none is named."""

    @property
    def signed(self) -> bool:
        """Whether heatmaps show what speaks against the target too."""

    def as_heat(self, evidence: np.ndarray) -> np.ndarray:
        """Scale evidence [X, Y, Z] so that its strongest value is 1; all 0 where there is none."""

    def evidence_words(self, target: int) -> tuple[str, str]:
        """Name what positive and negative values of a heatmap mean."""

    def examples(self, targets: np.ndarray, predictions: np.ndarray) -> list[Example]:
        """Choose tested subjects to picture."""

    # ---- scores, and what is said of them

    @property
    def criterion(self) -> str:
        """The score by which options are chosen; larger is better."""

    @property
    def compared(self) -> tuple[str, ...]:
        """The scores that runs are compared by, the first of which orders them."""

    @property
    def ascending(self) -> bool:
        """Whether less of the first of `compared` is better."""

    @property
    def chance(self) -> Mapping[str, float]:
        """What guessing gives, by the name of the score, where that is known."""

    def scores(self, targets: np.ndarray, predictions: np.ndarray, raw: np.ndarray | None = None) -> Scores:
        """Score predictions against the truth, and those before correction where there was one."""

    def headline(self, scores: Mapping[str, float | None]) -> str:
        """Write in one line the scores of `compared` that are defined."""
        return ", ".join(
            f"{SCORE_TITLES[name]} {value:.3f}" for name in self.compared if (value := scores[name]) is not None
        )

    @property
    def charts(self) -> tuple[str, ...]:
        """The charts of a report's score section, by the names that the report has for them."""

    @property
    def cohort_map(self) -> str:
        """The map that shows how volumes differ with the outcome, by the name that cohort maps have for it."""

    def result_sentence(self, metrics: Mapping[str, Any], targets: np.ndarray) -> tuple[str, str]:
        """Write the number of a report's headline, and the sentence that explains it."""

    def cautions(self, metrics: Mapping[str, Any], targets: np.ndarray) -> list[str]:
        """Write what a reader must know before using the number."""

    def reading(self) -> list[str]:
        """Write how the scores are to be read, and what they do not say."""

    def value_titles(self) -> tuple[str, ...]:
        """Return the titles of the numbers beside each prediction on new scans, see `prediction_columns`."""

    def prediction_reading(self) -> list[str]:
        """Write how predictions on new scans are to be read."""

    def validation_table(self, targets: np.ndarray, predictions: np.ndarray) -> str:
        """Write how the validation rows of an epoch came out, in Markdown; empty where curves say it all."""

    def to_json(self) -> dict[str, Any]:
        """Return what `outcome_from_json` builds it from."""
