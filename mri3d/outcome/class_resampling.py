"""The scores of classes once more, of many weightings of the same tests at once, for intervals and comparisons."""

from dataclasses import dataclass

import numpy as np

from mri3d.outcome.class_scores import membership
from mri3d.outcome.resampling import Proportion, Ranking, Resampling

NUM_BINS = 10
"""As of `mri3d.outcome.class_scores.expected_calibration_error`."""


@dataclass(frozen=True, eq=False)
class ClassResampling(Resampling):
    """Tests of classes. T counts tests.

    Attributes:
        targets: Index of the true class of each test [T].
        proba: Probability of each class [T, K].

    >>> tests = ClassResampling(np.array([0, 1, 1]), np.array([[0.9, 0.1], [0.4, 0.6], [0.8, 0.2]]))
    >>> tests.scores(np.array([[1.0, 1.0, 1.0], [1.0, 1.0, 2.0]]))["accuracy"].round(3)
    array([0.667, 0.5  ])
    """

    targets: np.ndarray
    proba: np.ndarray

    @property
    def bounds(self) -> dict[str, tuple[float, float]]:
        """See `Resampling.bounds`; those of proportions are known."""
        largest = 1.0 if self.proba.shape[1] == 2 else 2.0
        return {"log_loss": (0.0, np.inf), "brier": (0.0, largest), "expected_calibration_error": (0.0, 1.0)}

    @property
    def ranking(self) -> Ranking:
        """The positive one of two classes, or each of more against the others."""
        num_classes = self.proba.shape[1]
        return Ranking(membership(self.targets, num_classes), self.proba[:, 1:] if num_classes == 2 else self.proba)

    @property
    def answers(self) -> Proportion:
        """Those of the most probable class."""
        return Proportion(self.proba.argmax(axis=1) == self.targets, np.ones(len(self.targets), dtype=bool))

    @property
    def proportions(self) -> dict[str, tuple[Proportion, ...]]:
        """Accuracy, recall and F1, see `Resampling.proportions`."""
        num_classes = self.proba.shape[1]
        true, predicted = (
            answers[:, None] == np.arange(num_classes) for answers in (self.targets, self.proba.argmax(axis=1))
        )
        right = true & predicted
        recall = [Proportion(right[:, k], true[:, k], 1 / num_classes) for k in range(num_classes)]
        counted = [1] if num_classes == 2 else list(range(num_classes))
        f1 = [Proportion(right[:, k], true[:, k] | predicted[:, k], 1 / len(counted), doubled=True) for k in counted]
        result = {
            "accuracy": (self.answers,),
            "balanced_accuracy": tuple(recall),
            "f1": tuple(f1),
        }
        if num_classes == 2:
            result |= {
                name: (Proportion(right[:, k], true[:, k]),) for name, k in (("sensitivity", 1), ("specificity", 0))
            }
        return result

    @property
    def distances(self) -> dict[str, np.ndarray]:
        """The calibration error: in bins of confidence, right answers minus confidence."""
        proba = np.asarray(self.proba, dtype=np.float64)
        confidence, right = proba.max(axis=1), proba.argmax(axis=1) == self.targets
        bins = np.minimum((confidence * NUM_BINS).astype(np.int64), NUM_BINS - 1)
        return {"expected_calibration_error": np.eye(NUM_BINS)[bins] * (right - confidence)[:, None]}

    def at_accuracy(self, accuracy: float, weights: np.ndarray) -> dict[str, float]:
        """Score the tests with another truth in part: of a wrong answer what was predicted, of a right one the rest."""
        num_classes, predicted = self.proba.shape[1], self.proba.argmax(axis=1)
        right = predicted == self.targets
        found = float(weights @ right / weights.sum())
        lost, gained = (
            (max(1 - accuracy / found, 0.0) if found else 0.0),
            max(accuracy - found, 0.0) / ((1 - found) or 1),
        )
        targets = np.concatenate([self.targets, *((predicted + step) % num_classes for step in range(num_classes))])
        parts = [np.where(right, 1 - lost, 1 - gained), np.where(right, 0.0, gained)]
        parts += [np.where(right, lost, 0.0) / (num_classes - 1)] * (num_classes - 1)
        tests = ClassResampling(targets, np.tile(self.proba, (num_classes + 1, 1)))
        scores = tests.scores((weights * np.array(parts)).reshape(1, -1))
        return {name: float(scores[name][0]) for name in self.bounds}

    def scores(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Score as `class_scores` does, see `Resampling.scores`."""
        targets, proba = self.targets, np.asarray(self.proba, dtype=np.float64)
        num_classes, predicted, rows = proba.shape[1], proba.argmax(axis=1), np.arange(len(targets))
        true = np.eye(num_classes)[targets]
        cells = np.eye(num_classes**2)[targets * num_classes + predicted]
        log_loss = -np.log(proba[rows, targets].clip(np.finfo(np.float64).eps, 1.0))
        squared = np.square(proba - true).sum(axis=1) / (2 if num_classes == 2 else 1)
        gaps = self.distances["expected_calibration_error"]
        sums = weights @ np.hstack([cells, gaps, log_loss[:, None], squared[:, None]])  # [R, K * K + bins + 2]
        confusion = sums[:, : num_classes**2].reshape(-1, num_classes, num_classes)
        hits, num_true, num_predicted = np.einsum("rkk->rk", confusion), confusion.sum(axis=2), confusion.sum(axis=1)
        total = weights.sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            recall, f1 = hits / num_true, 2 * hits / (num_true + num_predicted)
            result = {
                "accuracy": hits.sum(axis=1) / total,
                "balanced_accuracy": recall.mean(axis=1),
                "f1": f1[:, 1] if num_classes == 2 else f1.mean(axis=1),
            }
            if num_classes == 2:
                result |= {"sensitivity": recall[:, 1], "specificity": recall[:, 0]}
            calibration = np.abs(sums[:, num_classes**2 : num_classes**2 + NUM_BINS]).sum(axis=1)
            return result | {
                "log_loss": sums[:, -2] / total,
                "brier": sums[:, -1] / total,
                "expected_calibration_error": calibration / total,
            }
