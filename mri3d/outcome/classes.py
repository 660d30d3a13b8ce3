"""Classes as what is predicted: the probability of each, and which is the most probable."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from mri3d.errors import UserError, did_you_mean, option
from mri3d.outcome.class_calibration import class_calibration
from mri3d.outcome.class_options import ClassOptions
from mri3d.outcome.class_resampling import ClassResampling
from mri3d.outcome.class_scores import auc, class_scores, count_classes, membership
from mri3d.outcome.class_words import ClassWords
from mri3d.outcome.decision_curve import DecisionCurve, class_decision_curve
from mri3d.outcome.estimates import Calibration
from mri3d.outcome.known_labels import check_known_classes
from mri3d.outcome.outcome import Example, Outcome
from mri3d.outcome.platt import fit_sigmoids, sigmoid_proba, softmax_proba
from mri3d.outcome.predicted_classes import PredictedClass, predicted_classes
from mri3d.outcome.score import Score, Scores
from mri3d.outcome.temperature import Temperature, fit_temperature
from mri3d.outcome.thresholds import Threshold
from mri3d.texts import list_text, number_text

if TYPE_CHECKING:
    from mri3d.outcome.objectives import Objective


@dataclass(frozen=True)
class Classes(Outcome):
    """Two or more classes, such as patients and controls.

    Attributes:
        names: The labels as text, sorted; column k of the probabilities belongs to name k, and of two names the second
            is the positive class.
        name: The column of the table that the labels stand in.
        threshold: What class is predicted by the probabilities of a new scan; the most probable one where there is
            none.

    >>> Classes(("F", "M")).encode(["M", "F"])
    array([1, 0])
    """

    names: tuple[str, ...]
    name: str = field(default="label", compare=False)
    threshold: Threshold | None = field(default=None, compare=False, repr=False)

    task: ClassVar[str] = "classification"
    noun: ClassVar[str] = "classes"
    continuous: ClassVar[bool] = False
    memberships: ClassVar[bool] = True
    calibrates: ClassVar[bool] = True
    shrinks: ClassVar[bool] = False
    in_every_part: ClassVar[bool] = True
    patience: ClassVar[int | None] = 20
    smoothing: ClassVar[float] = 0.0
    criterion: ClassVar[str] = "auc"
    compared: ClassVar[tuple[str, ...]] = ("auc", "accuracy", "balanced_accuracy")
    ascending: ClassVar[bool] = False
    mean_error: ClassVar[str] = "brier"
    evidence: ClassVar[str] = "auc"
    charts: ClassVar[tuple[str, ...]] = ("roc", "precision_recall", "confusion", "probability", "calibration")
    cohort_map: ClassVar[str] = "averages"

    def encode(self, labels: Sequence[str]) -> np.ndarray:
        """Return the index of each label's class, int64 [N]."""
        index = {name: k for k, name in enumerate(self.names)}
        return np.array([index[label] for label in labels], dtype=np.int64)

    def cells(self, targets: np.ndarray) -> list[Any]:
        """Return the names of the classes of targets [N]."""
        return [self.names[target] for target in targets]

    def strata(
        self, targets: np.ndarray, groups: np.ndarray, *, needed: int, reason: str, remedy: str = ""
    ) -> np.ndarray:
        """Return the class of each row, int64 [N]; a class in too few groups is a UserError that names it."""
        problems = []
        for target, name in enumerate(self.names):
            mine = targets == target
            num_sessions, num_groups = int(mine.sum()), len(np.unique(groups[mine]))
            if num_groups < needed:
                within = f" in {number_text(num_groups, 'group')}" if num_groups < num_sessions else ""
                problems.append(f"class {name!r} has {number_text(num_sessions, 'session')}{within}")
        if problems:
            raise UserError(
                f"{list_text(problems)}: fewer than the {needed} that {reason}. {remedy}Add subjects, join the class "
                f"with another, or leave it out ({option('data.unlabelled')})."
            )
        return targets

    def lacking(self, targets: np.ndarray) -> str:
        """Name the classes that no row belongs to."""
        missing = [name for name, count in count_classes(targets, self.names).items() if not count]
        return f"no session of class {list_text(list(map(repr, missing)), ', ')}" if missing else ""

    @property
    def decisions(self) -> tuple[str, ...]:
        """The second of two classes, which one output tells apart, or all of more."""
        return self.names[1:] if len(self.names) == 2 else self.names

    def scaling(self, targets: np.ndarray) -> np.ndarray | None:
        """Return None: outputs are log odds."""
        return None

    def columns(self, targets: np.ndarray, scaling: np.ndarray | None) -> np.ndarray:
        """Return whether each row belongs to each class that a decision speaks for, bool [N, D]."""
        return membership(targets, len(self.names))

    def judge(self, decisions: np.ndarray, columns: np.ndarray) -> float:
        """Compute the AUC of decisions [N, D]."""
        return auc(decisions, columns)

    def calibrate(self, decisions: np.ndarray, columns: np.ndarray, scaling: np.ndarray | None) -> np.ndarray | None:
        """Fit Platt's sigmoids to held-out decisions, [D, 2]."""
        return fit_sigmoids(decisions, columns)

    def tempered(self, outputs: np.ndarray, targets: np.ndarray, *, learnt: np.ndarray) -> Temperature:
        """Fit a temperature, and take the classes as frequent as among the rows that were learnt from."""
        return fit_temperature(outputs, targets, np.array(self.options.shares(learnt)))

    def is_usable(self, scaling: np.ndarray | None) -> bool:
        """Return whether every sigmoid rises: one that does not gives everybody the same probability."""
        return scaling is None or bool((scaling[:, 0] > 0).all())

    def objective(self, targets: np.ndarray, scaling: np.ndarray | None) -> "Objective":
        """Build the cross-entropy in which each class counts the same, whatever its number of training rows."""
        from mri3d.outcome.objectives import ClassObjective

        return ClassObjective(np.bincount(targets, minlength=len(self.names)))

    def activate(self, outputs: np.ndarray, scaling: np.ndarray | None) -> np.ndarray:
        """Turn outputs [N, D] into probabilities [N, K]: by sigmoids, or as log odds where there are none."""
        return softmax_proba(outputs) if scaling is None else sigmoid_proba(outputs, scaling)

    def prediction_columns(self, predictions: np.ndarray) -> dict[str, list[Any]]:
        """Return the predicted class, and the probability of each."""
        proba = {f"p_{name}": predictions[:, k].tolist() for k, name in enumerate(self.names)}
        return {"prediction": self.cells(self._decided(predictions)), **proba}

    def test_columns(
        self, targets: np.ndarray, predictions: np.ndarray, raw: np.ndarray | None
    ) -> dict[str, list[Any]]:
        """Return nothing beyond the label and the prediction."""
        return {}

    def misses(self, targets: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """Return what the probability of the true class lacks to 1."""
        return np.asarray(1 - predictions[np.arange(len(targets)), targets])

    def hits(self, targets: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """Return where the predicted class is the true one."""
        return np.asarray(self._decided(predictions) == targets)

    def spread(self, predictions: np.ndarray) -> float:
        """Return the standard deviation of the predicted class's probability over models [M, K]."""
        return float(predictions[:, self._decided(predictions.mean(axis=0, keepdims=True)).item()].std())

    def contrast(self, target: int, scaling: np.ndarray | None) -> np.ndarray:
        """Weigh the outputs so that they are the log odds of a class, or its margin over the mean of all."""
        if len(self.names) == 2:
            weights = np.array([1.0 if target == 1 else -1.0])
        else:
            weights = np.eye(len(self.names))[target] - 1 / len(self.names)
        return np.asarray(weights if scaling is None else weights * scaling[:, 0])

    def target_named(self, name: str | int | None, prediction: np.ndarray) -> int:
        """Return the index of a class by its name; the predicted one where none is named."""
        if name is None:
            return int(self._decided(prediction[None]).item())
        if str(name) not in self.names:
            raise UserError(
                f"target={name!r} is no class of this model.{did_you_mean(str(name), self.names)} Its classes: "
                f"{', '.join(self.names)}."
            )
        return self.names.index(str(name))

    def examples(self, targets: np.ndarray, predictions: np.ndarray) -> list[Example]:
        """Choose for each class the tested session that the model was surest of."""
        chosen = []
        for k, name in enumerate(self.names):
            mine = np.flatnonzero(targets == k)
            if len(mine):
                surest = int(mine[predictions[mine, k].argmax()])
                said = f"of class {name}, predicted with probability {predictions[surest, k]:.2f}"
                chosen.append(Example(surest, k, said, f"evidence for {name}"))
        return chosen

    @property
    def chance(self) -> Mapping[str, float]:
        """What guessing gives."""
        return {"auc": 0.5, "balanced_accuracy": 1 / len(self.names)}

    def scores(self, targets: np.ndarray, predictions: np.ndarray, raw: np.ndarray | None = None) -> Scores:
        """Score probabilities [N, K], see `class_scores`."""
        return class_scores(targets, predictions, self.names)

    def resampling(
        self, targets: np.ndarray, predictions: np.ndarray, raw: np.ndarray | None = None
    ) -> ClassResampling:
        """Return tests to be scored with many weightings."""
        return ClassResampling(targets, predictions)

    def calibration(
        self, targets: np.ndarray, predictions: np.ndarray, *, weights: np.ndarray, learnt: Sequence[np.ndarray]
    ) -> Calibration:
        """Compare probabilities with observed frequencies, see `class_calibration`."""
        return class_calibration(self.names, targets, predictions, weights=weights, learnt=learnt)

    def check_labels(self, labels: Mapping[str, str], *, source: str) -> None:
        """Refuse labels that are none of the classes."""
        check_known_classes(labels, self.names, source)

    def decision_curve(self, targets: np.ndarray, predictions: np.ndarray) -> DecisionCurve | None:
        """Return what acting on the second of two classes is worth."""
        return class_decision_curve(self.names, targets, predictions)

    def predicted_classes(
        self, targets: np.ndarray, predictions: np.ndarray, *, prevalence: Mapping[str, float] | None
    ) -> tuple[PredictedClass, ...]:
        """Sort tests by true and by predicted class."""
        return predicted_classes(self.names, targets, self._decided(predictions), prevalence)

    def above_chance(self, scores: Mapping[str, Score]) -> bool | None:
        """Return whether the interval of the AUC lies above one half."""
        low = scores[self.evidence].low
        return None if low is None else low > self.chance[self.evidence]

    def levelled(self, predictions: np.ndarray, *, learnt: np.ndarray) -> np.ndarray:
        """Divide probabilities [N, K] by how frequent each class was: the largest is most probable for its share."""
        relative = predictions / np.bincount(learnt, minlength=len(self.names))
        return np.asarray(relative / relative.sum(axis=1, keepdims=True))

    @property
    def words(self) -> ClassWords:
        """What people are told of the classes."""
        return ClassWords(self.names, self.threshold)

    @property
    def options(self) -> ClassOptions:
        """What may be asked of predicted classes."""
        return ClassOptions(self.names)

    def deciding(self, threshold: Threshold) -> Self:
        """Return the classes with a threshold."""
        return replace(self, threshold=threshold)

    def to_json(self) -> dict[str, Any]:
        """Return task, column and names."""
        return {"task": self.task, "name": self.name, "classes": list(self.names)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Build them from what `to_json` returned."""
        names, name = value["classes"], value["name"]
        texts = isinstance(names, list) and all(isinstance(one, str) for one in [*names, name])
        if not texts or len(set(names)) != len(names) or len(names) < 2:
            raise ValueError("classes are not two or more different names, or they have no name themselves")
        return cls(tuple(names), name)

    def _decided(self, predictions: np.ndarray) -> np.ndarray:
        """Return the predicted class of each row of probabilities [N, K]."""
        return predictions.argmax(axis=1) if self.threshold is None else self.threshold.decide(predictions)
