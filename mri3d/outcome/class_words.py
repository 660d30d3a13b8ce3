"""What people are told of classes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mri3d.outcome.class_scores import confusion_matrix, count_classes
from mri3d.outcome.score import ends_text
from mri3d.outcome.thresholds import Threshold
from mri3d.outcome.words import Words, num_repeats
from mri3d.texts import list_text, number_text

FEW_TESTS = 30
"""Tests of a class; with fewer, the standard error of a proportion of 0.8 is above 0.07."""

_SENTENCES = {
    "auc": "is the area under the ROC curve (AUC)",
    "balanced_accuracy": "is the balanced accuracy, the mean over the classes of the proportion classified correctly",
    "accuracy": "is the accuracy, the proportion of tests classified correctly",
}


@dataclass(frozen=True)
class ClassWords(Words):
    """The texts of classes.

    Attributes:
        names: Of the K classes, in the order of the probabilities.
        threshold: What class is predicted by them; the most probable one where there is none.
    """

    names: tuple[str, ...]
    threshold: Threshold | None = None

    def describe(self, targets: np.ndarray) -> str:
        """Count the rows of each class in a line: "F 68, M 63"."""
        counts = count_classes(targets, self.names)
        return list_text([f"{name} {count}" for name, count in counts.items()], ", ", most=20)

    def cohort_rows(self, targets: np.ndarray) -> list[tuple[str, str]]:
        """Count the rows of each class for a table."""
        return [(f"class {name}", str(count)) for name, count in count_classes(targets, self.names).items()]

    def decision(self, name: str) -> str:
        """Name the decision for a class."""
        return f"the decision for {name}"

    def evidence(self, target: int) -> tuple[str, str]:
        """Name evidence for a class, and against it."""
        return f"for {self.names[target]}", f"against {self.names[target]}"

    def evidence_unit(self, target: int) -> str:
        """Name log odds, or the margin over the mean of all classes where there are more than two."""
        name = self.names[target]
        if len(self.names) == 2:
            return f"log odds of {name}"
        return f"log odds of {name}, less the mean of all classes"

    def heatmap_reading(self) -> str:
        """Write that what speaks for and against a class is shown."""
        return (
            "A heatmap shows where the model found evidence: warm colours speak for the class and cool colours against "
            "it, relative to the strongest place in the same scan."
        )

    def validation_table(self, targets: np.ndarray, predictions: np.ndarray) -> str:
        """Write the confusion matrix, a row for each true class."""
        counts = confusion_matrix(targets, predictions.argmax(axis=1), len(self.names))
        lines = ["| label \\ prediction | " + " | ".join(self.names) + " |", "|" + " --- |" * (len(self.names) + 1)]
        for name, row in zip(self.names, counts, strict=True):
            lines.append(f"| **{name}** | " + " | ".join(map(str, row)) + " |")
        return "\n".join(lines)

    def prediction(self, prediction: np.ndarray) -> str:
        """Name the predicted class."""
        return self.names[self._decided(prediction)]

    def verdict(self, prediction: np.ndarray) -> str:
        """Write the predicted class and its probability."""
        return f"{self.prediction(prediction)} {prediction[self._decided(prediction)]:.3f}"

    def summary(self, predictions: Sequence[np.ndarray]) -> str:
        """Count how many scans were classified, and as what."""
        counts = Counter(map(self.prediction, predictions))
        said = ", ".join(f"{counts[name]} as {name}" for name in self.names if counts[name])
        return f"{'scan' if len(predictions) == 1 else 'scans'} classified" + (f": {said}." if said else ".")

    def value_titles(self) -> tuple[str, ...]:
        """Return the titles of the probabilities."""
        return tuple(f"Probability of {name}" for name in self.names)

    def miss_title(self) -> str:
        """Return what the probability of the true class lacks to 1."""
        return "Probability of other classes"

    def prediction_reading(self) -> list[str]:
        """Write how predicted classes are to be read."""
        most = "The prediction is the class with the highest probability. If the probabilities are nearly equal, treat "
        return [
            f"{most}the scan as undecided." if self.threshold is None else f"The prediction is {self.threshold.text}.",
            "The probabilities hold for scans like those the model was trained on. On another scanner, sequence, age "
            "group or illness they can be wrong without any sign of it here: test the model on labelled scans of your "
            "own first.",
        ]

    def spread_of(self) -> str:
        """Name the probability."""
        return "the predicted class's probability"

    def result_sentence(self, metrics: Mapping[str, Any], targets: np.ndarray) -> tuple[str, str]:
        """Write the first defined one of AUC, balanced accuracy and accuracy, and what it means."""
        name = next(name for name in _SENTENCES if metrics["test"][name]["value"] is not None)
        score = metrics["test"][name]
        ends = ends_text(score["low"], score["high"], "{:.3f}".format)
        interval = f", 95 % interval {ends}" if ends else ""
        sentence = f"{_SENTENCES[name]}{interval}, {self.tested_on(metrics, targets)}"
        if name == "auc" and len(self.names) == 2:
            rank = f"{100 * score['value']:.1f}".removesuffix(".0")
            sentence += (
                f" Given one scan of class {self.names[0]} and one of class {self.names[1]}, it ranks the two "
                f"correctly {rank} times in 100; guessing does so 50 times."
            )
        elif name == "auc":
            sentence += f" It is the mean over {len(self.names)} classes, each against all others; guessing gives 0.50."
        return f"{score['value']:.3f}", sentence

    def cautions(self, metrics: Mapping[str, Any], targets: np.ndarray) -> list[str]:
        """Warn of few tests, and of probabilities that are none."""
        texts = []
        repeats = num_repeats(metrics)
        counts = {name: count // repeats for name, count in count_classes(targets, self.names).items()}
        few = [f"{count} of class {name}" for name, count in counts.items() if count < FEW_TESTS]
        if few:
            texts.append(
                f"Few tests: only {' and '.join(few)}. With other subjects, the result could differ by 0.1 or more"
                + ("; evaluation=kfold tests every subject." if len(metrics["folds"]) == 1 else ".")
            )
        error = metrics["test"]["expected_calibration_error"]["value"]
        if error > 0.15 and len(targets) // repeats >= 50:  # fewer tests raise it by chance alone
            texts.append(
                f"The predicted probabilities differ from the observed frequencies by {error:.2f} on average: use them "
                "to rank scans, not as probabilities."
            )
        return texts

    def calibration(self, content: Mapping[str, Any]) -> list[str]:
        """Write how frequent the classes were, how probabilities were fitted, and how often they are right."""
        shares = ", ".join(f"{100 * share:.0f} % of class {name}" for name, share in content["prevalence"].items())
        predicted = [
            f"Of the {number_text(told['number'], 'test')} predicted as class {name}, with a probability of "
            f"{100 * told['mean_probability']:.0f} % on average, {100 * told['observed']:.0f} % are of class {name}."
            for name, told in content["predicted"].items()
            if told["number"]
        ]
        return [
            f"Training sessions: {shares}. Probabilities hold for people among whom the classes are as frequent; for "
            f"others, give their shares to predict.py (prevalence=).{_fitted(content.get('fits', ()))}",
            " ".join(predicted),
            *[text for name, told in content["estimates"].items() if (text := _verdict(name, told))],
        ]

    def reading(self) -> list[str]:
        """Write how the scores of classes are to be read."""
        positive = f" {self.names[1]} is the positive class." if len(self.names) == 2 else ""
        return [
            "AUC does not depend on a threshold. Accuracy, balanced accuracy and F1 count the most probable class as "
            f"the prediction.{positive}",
            "Balanced accuracy is the mean over the classes of the proportion classified correctly: guessing gives "
            f"{1 / len(self.names):.2f}, however unequal the classes are. Accuracy can be high by always predicting "
            "the largest class.",
            "Log loss, Brier score and calibration error measure how good the probabilities themselves are: lower is "
            "better.",
            "The result holds for subjects and scanners like these. If the classes also differ in scanner, age, head "
            "size or anything else, the model may have learnt that instead: compare the classes in these first.",
        ]

    def _decided(self, prediction: np.ndarray) -> int:
        """Return the index of the predicted class of probabilities [K]."""
        return int(prediction.argmax() if self.threshold is None else self.threshold.decide(prediction[None]).item())


def _fitted(fits: Sequence[Mapping[str, Any]]) -> str:
    """Write how decisions became probabilities; a blank before it, nothing where that is not known."""
    methods = {fit["method"] for fit in fits}
    if methods == {"temperature"}:
        low, high = (end(fit["temperature"] for fit in fits) for end in (min, max))
        temperature = f"{low:.2f}" if f"{low:.2f}" == f"{high:.2f}" else f"{low:.2f} to {high:.2f}"
        return (
            f" The network's outputs were divided by a temperature of {temperature}, fitted to validation sessions "
            "(above 1: the network was surer than it should be), and shifted by how frequent the classes are."
        )
    if methods == {"sigmoids"}:
        return (
            " Probabilities are sigmoids of the model's decisions, fitted to sessions that inner folds held out (Platt "
            "1999)."
        )
    return " Probabilities are those of the model itself: nothing was fitted afterwards." if methods == {"none"} else ""


def _verdict(name: str, estimates: Mapping[str, Mapping[str, Any]]) -> str:
    """Write which way probabilities of a class are wrong; nothing where the intervals leave it open."""
    texts, difference, slope = [], estimates["mean_difference"], estimates["slope"]
    if difference["low"] is not None and (difference["low"] > 0 or difference["high"] < 0):
        way = "high" if difference["low"] > 0 else "low"
        texts.append(f"Probabilities of class {name} are too {way}, by {abs(difference['value']):.2g} on average.")
    if slope["low"] is not None and (slope["high"] < 1 or slope["low"] > 1):
        way = "extreme: those near 0 and 1 promise too much" if slope["high"] < 1 else "cautious: too near the middle"
        texts.append(f"Probabilities of class {name} are too {way} (slope {slope['value']:.2f}).")
    return " ".join(texts)
