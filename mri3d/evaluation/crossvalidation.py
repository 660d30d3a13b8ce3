"""Fit and test a classifier on every fold, whatever it is made of."""

import copy
import csv
import io
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mri3d.evaluation.nested import Candidates
from mri3d.evaluation.splits import Fold
from mri3d.files import write_text
from mri3d.models.model import Classifier, Search, Setting, Task
from mri3d.outcome.class_scores import Scores, scores
from mri3d.volumes.cache import Volumes

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class FoldResult:
    """What one fold gave.

    Attributes:
        fold: Who trained and who was tested.
        proba: Probabilities of the test rows [len(fold.test_rows), K].
        scores: Scores of the test rows.
        history: The fit epoch by epoch, as the classifier tells it; empty where there are no epochs.
        seconds: Time that fitting took.
        searches: How parameters were chosen, outermost first; empty where none were.
    """

    fold: Fold
    proba: np.ndarray
    scores: Scores
    history: list[dict[str, float]]
    seconds: float
    searches: tuple[Search, ...] = ()

    @property
    def chosen(self) -> Setting:
        """The chosen value of each parameter."""
        return {name: value for search in self.searches for name, value in search.chosen.items()}


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What all folds gave. T counts tests: a subject is there once for each time it was tested.

    Attributes:
        classes: Names of the K classes.
        targets: Index of the class of every subject of the cohort [N].
        folds: The folds in order.
    """

    classes: tuple[str, ...]
    targets: np.ndarray
    folds: tuple[FoldResult, ...]

    @property
    def rows(self) -> np.ndarray:
        """Tested rows of the cohort [T], fold by fold."""
        return np.concatenate([result.fold.test_rows for result in self.folds])

    @property
    def fold_numbers(self) -> np.ndarray:
        """Fold of each test [T]."""
        return np.concatenate([np.full(len(result.fold.test_rows), result.fold.number) for result in self.folds])

    @property
    def proba(self) -> np.ndarray:
        """Probabilities of each test [T, K]."""
        return np.concatenate([result.proba for result in self.folds])

    @cached_property
    def scores(self) -> Scores:
        """Scores of all tests together."""
        return scores(self.targets[self.rows], self.proba, self.classes)

    @property
    def chosen_counts(self) -> dict[str, dict[str, int]]:
        """How many folds chose each value, as text, of each parameter; most frequent first."""
        names = dict.fromkeys(name for result in self.folds for name in result.chosen)
        return {
            name: dict(Counter(_text(result.chosen[name]) for result in self.folds).most_common()) for name in names
        }

    def search_rows(self) -> list[dict[str, Any]]:
        """Give what the inner folds told as rows, one for each point and inner fold.

        Returns:
            `fold`, `search` (0, or 1 for the model's own within a grid), the parameters, `inner_fold`, `train_auc`,
            `validation_auc`.
        """
        return [
            {"fold": result.fold.number, "search": number, **row}
            for result in self.folds
            for number, search in enumerate(result.searches)
            for row in search.table()
        ]

    def metrics_json(
        self,
        *,
        num_subjects: Mapping[str, int],
        seconds: Mapping[str, float],
        peak_memory_mb: float | None = None,
    ) -> dict[str, Any]:
        """Give the content of metrics.json.

        Args:
            num_subjects: Counts of the cohort, for example tested, unlabelled, left out.
            seconds: Time of each step of the run.
            peak_memory_mb: Largest memory of the run.

        Returns:
            `test` (each score with its interval, null until it is computed), `folds` (each with `fold`, `repeat`,
            `num_train`, `num_validation`, `num_test`, `epochs`, `seconds`, what was `chosen` and its `scores`),
            `chosen` (parameter to value, as text, to how many folds chose it), `classes` and the arguments.
        """
        return {
            "test": {name: {"value": value, "low": None, "high": None} for name, value in self.scores.items()},
            "folds": [
                {
                    "fold": result.fold.number,
                    "repeat": result.fold.repeat,
                    "num_train": len(result.fold.train_rows),
                    "num_validation": len(result.fold.validation_rows),
                    "num_test": len(result.fold.test_rows),
                    "epochs": len(result.history),
                    "seconds": round(result.seconds, 3),
                    "chosen": result.chosen,
                    "scores": result.scores,
                }
                for result in self.folds
            ],
            "chosen": self.chosen_counts,
            "classes": list(self.classes),
            "num_subjects": dict(num_subjects),
            "seconds": dict(seconds),
            "peak_memory_mb": peak_memory_mb,
        }

    def write_predictions(self, path: Path, ids: Sequence[str]) -> None:
        """Write predictions.csv: subject, fold, split, label, prediction, p_<class> ..., one row for each test.

        Args:
            path: The file.
            ids: Identifier of every subject of the cohort [N].
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["subject", "fold", "split", "label", "prediction", *(f"p_{name}" for name in self.classes)])
        for row, number, proba in zip(self.rows, self.fold_numbers, self.proba, strict=True):
            label, prediction = self.classes[self.targets[row]], self.classes[proba.argmax()]
            writer.writerow([ids[row], number, "test", label, prediction, *(f"{p:.9g}" for p in proba)])
        write_text(path, text.getvalue())


def make_tasks(
    volumes: Volumes,
    targets: np.ndarray,
    groups: np.ndarray,
    folds: Sequence[Fold],
    *,
    classes: tuple[str, ...],
    folder: Path,
    seed: int,
) -> list[Task]:
    """Say for each fold what its fit learns from.

    Args:
        volumes: All volumes of the cohort [N].
        targets: Index of each subject's class [N].
        groups: Who must stay together [N].
        folds: From `Holdout.split` or `KFold.split`.
        classes: Names of the K classes.
        folder: The run, where a fit may leave files; with several folds each fit is named `fold_<number>` in it.
        seed: Of the first fold; each further fold adds its number.
    """
    return [
        Task(
            volumes=volumes,
            targets=targets,
            groups=groups,
            classes=classes,
            train_rows=fold.train_rows,
            validation_rows=fold.validation_rows,
            seed=seed + fold.number,
            folder=folder,
            name=f"fold_{fold.number}" if len(folds) > 1 else "",
        )
        for fold in folds
    ]


def cross_validate(
    prototype: Classifier | Candidates,
    folds: Sequence[Fold],
    tasks: Sequence[Task],
    *,
    after_fold: Callable[[FoldResult, Classifier, Task], None] = lambda result, classifier, task: None,
) -> Evaluation:
    """Fit a copy of the classifier on every fold and test it there.

    Nothing is written here, and every process of a distributed run may call it and gets the same answer.

    Args:
        prototype: Copied for each fold and never fitted itself, so that no fold inherits from another; or several, of
            which each fold chooses one.
        folds: Who is tested in each.
        tasks: What each fit learns from, see `make_tasks`.
        after_fold: Called with each fold's result, fitted classifier and task, for example to save it.

    Raises:
        ValueError: The classifier gave something else than probabilities.
    """
    results = []
    for fold, task in zip(folds, tasks, strict=True):
        start = time.perf_counter()
        classifier, searches = _fit(prototype, task)
        seconds = time.perf_counter() - start
        proba = classifier.predict_proba(task.volumes, fold.test_rows)
        fold_scores = scores(task.targets[fold.test_rows], proba, task.classes)
        result = FoldResult(fold, proba, fold_scores, classifier.history(), seconds, searches)
        log.info("%s", _summary(result, len(folds)))
        after_fold(result, classifier, task)
        results.append(result)
    return Evaluation(tasks[0].classes, tasks[0].targets, tuple(results))


def _fit(prototype: Classifier | Candidates, task: Task) -> tuple[Classifier, tuple[Search, ...]]:
    """Fit a copy, or the best of several, and tell how its parameters were chosen."""
    if isinstance(prototype, Candidates):
        classifier, outer = prototype.fit(task)
        own = classifier.last_search()
        return classifier, (outer, own) if own else (outer,)
    classifier = copy.deepcopy(prototype)
    classifier.fit(task)
    own = classifier.last_search()
    return classifier, (own,) if own else ()


def _summary(result: FoldResult, num_folds: int) -> str:
    named = [f"{name} {value:.3f}" for name, value in result.scores.items() if value is not None][:3]
    where = f"fold {result.fold.number} ({result.fold.number + 1} of {num_folds})"
    return f"{where}: {', '.join(named)} on {len(result.fold.test_rows)} subjects after {result.seconds:.0f} s"


def _text(value: object) -> str:
    """Write a value of a parameter as a configuration has it."""
    return "null" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
