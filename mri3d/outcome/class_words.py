"""What the report of a run says about classes: the result in a sentence, cautions, and how to read the scores."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mri3d.outcome.class_scores import confusion_matrix

FEW_TESTS = 30
"""Tests of a class; with fewer, the standard error of a proportion of 0.8 is above 0.07."""

_SENTENCES = {
    "auc": "is the area under the ROC curve (AUC)",
    "balanced_accuracy": "is the balanced accuracy, the mean over the classes of the proportion classified correctly",
    "accuracy": "is the accuracy, the proportion of tests classified correctly",
}


def result_sentence(names: Sequence[str], metrics: Mapping[str, Any], targets: np.ndarray) -> tuple[str, str]:
    """Write the first defined one of AUC, balanced accuracy and accuracy, and what it means.

    Args:
        names: Of the K classes.
        metrics: The content of metrics.json.
        targets: Index of the true class of each test [T].

    Returns:
        The number, and the sentence that goes on after it.
    """
    name = next(name for name in _SENTENCES if metrics["test"][name]["value"] is not None)
    score, num_folds = metrics["test"][name], len(metrics["folds"])
    interval = "" if score["low"] is None else f", 95 % interval {score['low']:.3f} to {score['high']:.3f}"
    tests = f"{len(targets)} tests" + (f" in {num_folds} folds" if num_folds > 1 else "")
    sentence = f"{_SENTENCES[name]}{interval}, on {tests}. No model was tested on a scan that it was trained on."
    if name == "auc" and len(names) == 2:
        rank = f"{100 * score['value']:.1f}".removesuffix(".0")
        sentence += (
            f" Given one scan of class {names[0]} and one of class {names[1]}, it ranks the two correctly {rank} times "
            "in 100; guessing does so 50 times."
        )
    elif name == "auc":
        sentence += f" It is the mean over {len(names)} classes, each against all others; guessing gives 0.50."
    return f"{score['value']:.3f}", sentence


def cautions(counts: Mapping[str, int], metrics: Mapping[str, Any], targets: np.ndarray) -> list[str]:
    """Write what a reader must know before using the number.

    Args:
        counts: Number of tests of each class.
        metrics: The content of metrics.json.
        targets: Index of the true class of each test [T].
    """
    texts = []
    few = [f"{count} of class {name}" for name, count in counts.items() if count < FEW_TESTS]
    if few:
        texts.append(
            f"Few tests: only {' and '.join(few)}. With other subjects, the result could differ by 0.1 or more"
            + ("; evaluation=kfold tests every subject." if len(metrics["folds"]) == 1 else ".")
        )
    error = metrics["test"]["expected_calibration_error"]["value"]
    if error > 0.15 and len(targets) >= 50:  # fewer tests raise it by chance alone
        texts.append(
            f"The predicted probabilities differ from the observed frequencies by {error:.2f} on average: use them to "
            "rank scans, not as probabilities."
        )
    return texts


def reading(names: Sequence[str]) -> list[str]:
    """Write how the scores are to be read, and what they do not say."""
    positive = f" {names[1]} is the positive class." if len(names) == 2 else ""
    return [
        "AUC does not depend on a threshold. Accuracy, balanced accuracy and F1 count the most probable class as the "
        f"prediction.{positive}",
        "Balanced accuracy is the mean over the classes of the proportion classified correctly: guessing gives "
        f"{1 / len(names):.2f}, however unequal the classes are. Accuracy can be high by always predicting the largest "
        "class.",
        "Log loss, Brier score and calibration error measure how good the probabilities themselves are: lower is "
        "better.",
        "The result holds for subjects and scanners like these. If the classes also differ in scanner, age, head size "
        "or anything else, the model may have learnt that instead: compare the classes in these first.",
    ]


def value_titles(names: Sequence[str]) -> tuple[str, ...]:
    """Return the titles of the columns of probabilities in the report of predictions."""
    return tuple(f"Probability of {name}" for name in names)


def prediction_reading() -> list[str]:
    """Write how predictions on new scans are to be read."""
    return [
        "The prediction is the class with the highest probability. If the probabilities are nearly equal, treat the "
        "scan as undecided.",
        "The probabilities hold for scans like those the model was trained on. On another scanner, sequence, age group "
        "or illness they can be wrong without any sign of it here: test the model on labelled scans of your own first.",
    ]


def confusion_table(names: Sequence[str], targets: np.ndarray, predictions: np.ndarray) -> str:
    """Write the confusion matrix in Markdown, a row for each true class.

    Args:
        names: Of the K classes.
        targets: Index of the true class [N].
        predictions: Index of the predicted class [N].
    """
    counts = confusion_matrix(targets, predictions, len(names))
    head = "| label \\ prediction | " + " | ".join(names) + " |\n|" + " --- |" * (len(names) + 1)
    rows = [f"| **{name}** | " + " | ".join(map(str, row)) + " |" for name, row in zip(names, counts, strict=True)]
    return "\n".join([head, *rows])
