"""The seam between what is predicted and everything else: the protocol that `Classes` and `Measure` follow.

Targets are what a fit learns: of classes their index, int64 [N]; of a measure its value, float64 [N]. Outputs are what
a network or a linear model computes, [N, D]. Predictions are what users see: of classes a probability each, float64
[N, K]; of a measure its value, float64 [N].
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import numpy as np

from mri3d.outcome.prediction_options import PredictionOptions
from mri3d.outcome.score import SCORE_TITLES, Score, Scores, interval_text, score_text
from mri3d.outcome.thresholds import Threshold
from mri3d.outcome.words import Words

if TYPE_CHECKING:
    from mri3d.outcome.decision_curve import DecisionCurve
    from mri3d.outcome.estimates import Calibration
    from mri3d.outcome.objectives import Objective
    from mri3d.outcome.predicted_classes import PredictedClass
    from mri3d.outcome.resampling import Resampling
    from mri3d.outcome.temperature import Temperature


@dataclass(frozen=True)
class Example:
    """A tested session that shows what a model goes by.

    Attributes:
        position: Among the tested sessions.
        target: Index of what is to be explained, see `Outcome.contrast`.
        caption: What is true of the session, and what was predicted.
        evidence: What the colours of its heatmap show.
    """

    position: int
    target: int
    caption: str
    evidence: str


class Outcome(Protocol):
    """What is predicted.

    Attributes:
        task: The key of a configuration that asks for this kind of outcome.
        noun: What such an outcome is, in a sentence: "classes".
        continuous: Whether `cells` are numbers that a scale shows, or names that are listed one by one.
        in_every_part: Whether every part of a split must hold every stratum.
        memberships: Whether `columns` say which class a row belongs to, bool, so that a model tells classes apart; if
            not, they are float64 values, which a model approximates.
        calibrates: Whether decisions become predictions only by calibration on rows that were held out.
        shrinks: Whether predictions shrink towards the mean, and a line can correct them, see `mri3d.outcome.line`.
        patience: How many epochs a network's validation loss may fail to improve, unless told; None for all there are.
        smoothing: How much linear and kernel models smooth volumes of scans unless told, as a share of the longest
            edge. Heads that are not registered match to a few mm only: smoothing takes a year off the error of age on
            IXI.
        criterion: The score by which options are chosen; larger is better.
        compared: The scores that runs are compared by, the first of which orders them.
        ascending: Whether less of the first of `compared` is better.
        mean_error: A score that is the mean of what each test went wrong by.
        evidence: The score whose interval says whether predictions are better than guessing.
        charts: The charts of a report's score section, by the names that the report has for them.
        cohort_map: The map that shows how volumes differ with the outcome, by the name that cohort maps have for it.
    """

    task: ClassVar[str]
    noun: ClassVar[str]
    continuous: ClassVar[bool]
    in_every_part: ClassVar[bool]
    memberships: ClassVar[bool]
    calibrates: ClassVar[bool]
    shrinks: ClassVar[bool]
    patience: ClassVar[int | None]
    smoothing: ClassVar[float]
    criterion: ClassVar[str]
    compared: ClassVar[tuple[str, ...]]
    ascending: ClassVar[bool]
    mean_error: ClassVar[str]
    evidence: ClassVar[str]
    charts: ClassVar[tuple[str, ...]]
    cohort_map: ClassVar[str]

    @property
    def name(self) -> str:
        """The column of the table that it stands in."""

    @property
    def words(self) -> Words:
        """What people are told of it and of its results."""

    @property
    def options(self) -> PredictionOptions:
        """What may be asked of its predictions on new scans."""

    def deciding(self, threshold: Threshold) -> Self:
        """Return the outcome with another way from probabilities to the predicted class."""

    # ---- cells of a table, and how to split sessions

    def encode(self, labels: Sequence[str]) -> np.ndarray:
        """Return the targets [N] of label cells that were checked."""

    def cells(self, targets: np.ndarray) -> list[Any]:
        """Return targets [N] as a table shows them: names of classes, or numbers."""

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

    def scaling(self, targets: np.ndarray) -> np.ndarray | None:
        """Return what leads from outputs to the unit of the targets that are learnt from, for `activate`."""

    def columns(self, targets: np.ndarray, scaling: np.ndarray | None) -> np.ndarray:
        """Return what the D decisions of a linear model are fitted to, [N, D]; see `memberships` for what they are."""

    def judge(self, decisions: np.ndarray, columns: np.ndarray) -> float:
        """Compute the score `criterion` of decisions [N, D] against `columns` [N, D]."""

    def calibrate(self, decisions: np.ndarray, columns: np.ndarray, scaling: np.ndarray | None) -> np.ndarray | None:
        """Return the scaling that turns decisions into predictions, fitted on held-out decisions [N, D]."""

    def tempered(self, outputs: np.ndarray, targets: np.ndarray, *, learnt: np.ndarray) -> "Temperature | None":
        """Return what turns a network's outputs into honest log odds; None where outputs need none.

        Args:
            outputs: Of rows that were held out [M, D].
            targets: Their truth [M].
            learnt: Truth of the rows that were learnt from, which say how frequent each class is.
        """

    def is_usable(self, scaling: np.ndarray | None) -> bool:
        """Return whether decisions that differ become predictions that differ by a scaling that was fitted."""

    def objective(self, targets: np.ndarray, scaling: np.ndarray | None) -> "Objective":
        """Build the loss and the live scores of a network that learns from these targets [N]."""

    # ---- predictions

    def activate(self, outputs: np.ndarray, scaling: np.ndarray | None) -> np.ndarray:
        """Turn outputs [N, D] into predictions: probabilities [N, K] or values [N]."""

    def prediction_columns(self, predictions: np.ndarray) -> dict[str, list[Any]]:
        """Return predictions as columns of a table: `prediction`, and `p_<class>` of classes."""

    def test_columns(
        self, targets: np.ndarray, predictions: np.ndarray, raw: np.ndarray | None
    ) -> dict[str, list[Any]]:
        """Return what stands beside the predictions of tested sessions, whose truth is known."""

    def misses(self, targets: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """Return by how much each prediction missed the truth, float64 [N]; the larger, the more wrong."""

    def hits(self, targets: np.ndarray, predictions: np.ndarray) -> np.ndarray | None:
        """Return which predictions are right, bool [N]; None where none is either right or wrong."""

    def spread(self, predictions: np.ndarray) -> float:
        """Return how far the predictions of M models for one scan, [M, K] or [M], differ."""

    # ---- explanations

    def contrast(self, target: int, scaling: np.ndarray | None) -> np.ndarray:
        """Return the weight of each of the D outputs in the evidence for a target, float64 [D]."""

    def target_named(self, name: str | int | None, prediction: np.ndarray) -> int:
        """Return the index of a target by its name, for `contrast`; that of the prediction where none is named."""

    def examples(self, targets: np.ndarray, predictions: np.ndarray) -> list[Example]:
        """Choose tested sessions to picture."""

    # ---- scores, and what is said of them

    @property
    def chance(self) -> Mapping[str, float]:
        """What guessing gives, by the name of the score, where that is known."""

    def scores(self, targets: np.ndarray, predictions: np.ndarray, raw: np.ndarray | None = None) -> Scores:
        """Score predictions against the truth, and those before correction where there was one."""

    def resampling(self, targets: np.ndarray, predictions: np.ndarray, raw: np.ndarray | None = None) -> "Resampling":
        """Return tests to be scored with many weightings at once, for intervals and comparisons."""

    def calibration(
        self, targets: np.ndarray, predictions: np.ndarray, *, weights: np.ndarray, learnt: Sequence[np.ndarray]
    ) -> "Calibration":
        """Compare predictions with how often, or how far, they come true.

        Args:
            targets: Truth of each test.
            predictions: Of each test.
            weights: How much each test counts.
            learnt: Truth of the rows that each fold learnt from.
        """

    def levelled(self, predictions: np.ndarray, *, learnt: np.ndarray) -> np.ndarray | None:
        """Return predictions as they were if all strata that were learnt from were as frequent; None of a measure.

        Args:
            predictions: As of `activate`.
            learnt: Truth of the rows that were learnt from.
        """

    # ---- people whom a model never saw

    def check_labels(self, labels: Mapping[str, str], *, source: str) -> None:
        """Refuse labels that the outcome has no place for.

        Args:
            labels: Id of each labelled session to its cell.
            source: Where the cells stand, to begin a message.

        Raises:
            UserError: It names them.
        """

    def decision_curve(self, targets: np.ndarray, predictions: np.ndarray) -> "DecisionCurve | None":
        """Return what acting on predictions is worth, see `mri3d.outcome.decision_curve`; None but of two classes."""

    def predicted_classes(
        self, targets: np.ndarray, predictions: np.ndarray, *, prevalence: Mapping[str, float] | None
    ) -> "tuple[PredictedClass, ...]":
        """Return how the predictions of each class come true; nothing of a measure.

        Args:
            targets: Truth of each test.
            predictions: Of each test.
            prevalence: How frequent each class is said to be; None for as frequent as among the tests.
        """

    def above_chance(self, scores: Mapping[str, Score]) -> bool | None:
        """Return whether an interval lies above what guessing gives; None where the tests say nothing of it."""

    def headline(self, scores: Mapping[str, Score]) -> str:
        """Write in one line the scores of `compared` that are defined, each with its interval."""
        return ", ".join(
            f"{SCORE_TITLES[name]} {score_text(value)}{interval_text(scores[name])}"
            for name in self.compared
            if (value := scores[name].value) is not None
        )

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` builds it from, and its task."""

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Build it from what `to_json` returned.

        Raises:
            KeyError: Something is missing.
            ValueError: Something is of another kind.
        """
