"""How good the probabilities of classes are, as numbers."""

import logging
from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata

log = logging.getLogger(__name__)


def class_scores(targets: np.ndarray, proba: np.ndarray, classes: Sequence[str]) -> dict[str, float | None]:
    """Score probabilities against the truth.

    Args:
        targets: Index of the true class of each tested session [N], N >= 1.
        proba: Probability of each class [N, K]; rows sum to 1.
        classes: Names of the K classes; of two, the second is the positive one.

    Returns:
        In this order, each in [0, 1] unless said otherwise; None where the sessions do not define it:
        `auc` (two classes: of the positive one; more: mean of one-vs-rest), `accuracy`, `balanced_accuracy` (mean
        recall), `f1` (two classes: of the positive one; more: mean over classes), for two classes `sensitivity` and
        `specificity`, `log_loss` (nats, >= 0), `brier` (mean squared error of the positive probability; with more
        classes summed over them, up to 2), `expected_calibration_error` (see there).

    Raises:
        ValueError: The shapes do not fit, or the probabilities are not finite or do not sum to 1.

    >>> class_scores(np.array([0, 0, 1]), np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]]), ("control", "patient"))["auc"]
    1.0
    """
    proba = np.asarray(proba, dtype=np.float64)
    _check(targets, proba, classes)
    confusion = confusion_matrix(targets, proba.argmax(axis=1), len(classes))
    hits, num_true, num_predicted = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    recall = [_ratio(hit, true) for hit, true in zip(hits, num_true, strict=True)]
    f1 = [_ratio(2 * hit, total) for hit, total in zip(hits, num_true + num_predicted, strict=True)]
    binary = len(classes) == 2
    truth = np.eye(len(classes))[targets]
    squared = np.square(proba - truth).sum(axis=1)
    result: dict[str, float | None] = {
        "auc": _auc(targets, proba, classes),
        "accuracy": float(hits.sum() / len(targets)),
        "balanced_accuracy": _mean(recall),
        "f1": f1[1] if binary else _mean(f1),
    }
    if binary:
        result |= {"sensitivity": recall[1], "specificity": recall[0]}
    smallest = np.finfo(np.float64).eps  # a certain and wrong answer costs 36 nats, not infinity
    of_truth = proba[np.arange(len(targets)), targets]
    return result | {
        "log_loss": float(-np.log(of_truth.clip(smallest, 1.0)).mean()),
        "brier": float(squared.mean() / (2 if binary else 1)),
        "expected_calibration_error": expected_calibration_error(targets, proba),
    }


def count_classes(targets: np.ndarray, classes: Sequence[str]) -> dict[str, int]:
    """Count the rows [N] of each class.

    >>> count_classes(np.array([0, 1, 1]), ("a", "b", "c"))
    {'a': 1, 'b': 2, 'c': 0}
    """
    return {name: int((targets == k).sum()) for k, name in enumerate(classes)}


def confusion_matrix(targets: np.ndarray, predictions: np.ndarray, num_classes: int) -> np.ndarray:
    """Count sessions by true class (rows) and predicted class (columns) [K, K].

    >>> confusion_matrix(np.array([0, 1, 1]), np.array([0, 0, 1]), 2)
    array([[1, 0],
           [1, 1]])
    """
    return np.bincount(targets * num_classes + predictions, minlength=num_classes**2).reshape(num_classes, num_classes)


def expected_calibration_error(targets: np.ndarray, proba: np.ndarray, *, num_bins: int = 10) -> float:
    """Compare the probability of the predicted class with how often it is right.

    Sessions are put into bins of equal width by that probability; the result is the mean over sessions of their bin's
    |share right - mean probability| (Guo et al. 2017, On calibration of modern neural networks).

    Args:
        targets: Index of the true class [N].
        proba: Probability of each class [N, K].
        num_bins: Bins between 0 and 1.
    """
    confidence = proba.max(axis=1)
    gap = (proba.argmax(axis=1) == targets) - confidence  # [N]
    bins = np.minimum((confidence * num_bins).astype(np.int64), num_bins - 1)
    return float(np.abs(np.bincount(bins, weights=gap, minlength=num_bins)).sum() / len(targets))


def auc(decisions: np.ndarray, columns: np.ndarray) -> float:
    """Compute the area under the ROC curve: right pairs among all pairs, ties by half (Mann and Whitney 1947).

    Args:
        decisions: What speaks for each of D classes, [N, D].
        columns: Whether each row belongs to the class, bool [N, D]; every column holds both.

    Returns:
        The mean over the columns, 0 to 1.

    >>> auc(np.array([[0.1], [0.4], [0.4], [0.8]]), np.array([[False], [True], [False], [True]]))
    0.875
    """
    num_in, num_out = columns.sum(axis=0), (~columns).sum(axis=0)
    rank_sums = (rankdata(decisions, axis=0) * columns).sum(axis=0)
    return float(np.mean((rank_sums - num_in * (num_in + 1) / 2) / (num_in * num_out)))


def membership(targets: np.ndarray, num_classes: int) -> np.ndarray:
    """Return for each row whether it is of the second of two classes, bool [N, 1], or of each of several, [N, K].

    >>> membership(np.array([0, 1, 2]), 3).astype(int)
    array([[1, 0, 0],
           [0, 1, 0],
           [0, 0, 1]])
    """
    columns: np.ndarray = targets[:, None] == np.arange(num_classes)
    return columns[:, 1:] if num_classes == 2 else columns


def _auc(targets: np.ndarray, proba: np.ndarray, classes: Sequence[str]) -> float | None:
    missing = [name for name, count in count_classes(targets, classes).items() if not count]
    if missing:
        log.warning(
            "no AUC for these %d test sessions: none is of class %s", len(targets), ", ".join(map(repr, missing))
        )
        return None
    return auc(proba[:, 1:] if len(classes) == 2 else proba, membership(targets, len(classes)))


def _ratio(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None


def _mean(values: Sequence[float | None]) -> float | None:
    """Average, undefined when one of the values is."""
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if len(defined) == len(values) else None


def _check(targets: np.ndarray, proba: np.ndarray, classes: Sequence[str]) -> None:
    if proba.shape != (len(targets), len(classes)) or not len(targets):
        raise ValueError(f"probabilities {proba.shape} do not fit {len(targets)} sessions and {len(classes)} classes")
    wrong = np.flatnonzero(~(np.abs(proba.sum(axis=1) - 1) < 1e-3) | (proba < 0).any(axis=1))
    if len(wrong):
        raise ValueError(
            f"{len(wrong)} of {len(proba)} rows are no probabilities; the first, row {wrong[0]}, is {proba[wrong[0]]}"
        )
