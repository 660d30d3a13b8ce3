"""Nested evaluation: whatever is chosen is chosen inside the training rows, fold by fold."""

import copy
import itertools
import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mri3d.errors import UserError
from mri3d.evaluation.splits import KFold
from mri3d.files import write_json
from mri3d.models.model import Classifier, Search, Setting, Task
from mri3d.outcome.class_scores import scores

log = logging.getLogger(__name__)

INNER_FOLDS = 3


@dataclass(frozen=True)
class Nested(KFold):
    """K-fold, with the model's options chosen in each fold by folds of its own training rows.

    The classical models have a grid of their own and choose from it wherever they are fitted, in one go for all points
    of the grid; `grid` is for every other option of any model, at the price of a fit for each point and inner fold.

    Attributes:
        grid: Option of the model to the values to choose from: `{optimizer.lr: [1e-3, 3e-3]}`; empty for none.
        inner_folds: In how many parts the training rows are cut to choose from `grid`; 3 unless told.

    Raises:
        UserError: `inner_folds` is given and there is no grid: the classical models have inner folds of their own.
    """

    grid: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    inner_folds: int | None = None

    def __post_init__(self) -> None:
        if self.inner_folds is not None and not self.grid:
            raise UserError(
                f"evaluation.inner_folds={self.inner_folds} is for evaluation.grid, and there is none. Give a grid, or "
                "set model.inner_folds: the classical models choose by folds of their own."
            )

    @property
    def settings(self) -> list[Setting]:
        """All points of the grid; one empty point where there is no grid.

        Raises:
            UserError: An option has no list of values, or an empty one.

        >>> Nested(grid={"a": [1, 2], "b": ["x"]}).settings
        [{'a': 1, 'b': 'x'}, {'a': 2, 'b': 'x'}]
        """
        for name, values in self.grid.items():
            if not isinstance(values, list | tuple) or not values:
                raise UserError(f"evaluation.grid: {name} has {values!r} and no list of values. Give one: [...].")
        return [dict(zip(self.grid, point, strict=True)) for point in itertools.product(*self.grid.values())]


@dataclass(frozen=True)
class Candidates:
    """Classifiers of which each fold chooses one by the AUC on inner folds of its training rows.

    Attributes:
        settings: What sets each apart from the others.
        classifiers: One for each setting; copied for each fit.
        inner_folds: In how many parts the training rows are cut.
        validation: Share of each inner fold's training rows that only steer training.
    """

    settings: Sequence[Setting]
    classifiers: Sequence[Classifier]
    inner_folds: int
    validation: float

    def check(self, task: Task) -> None:
        """Refuse a task that a candidate cannot do, on the whole of it or on an inner fold.

        Raises:
            UserError: As the candidates' `check`, or a class is too small for the inner folds.
        """
        tasks = [task, *(inner for inner, _ in self._inner(task))]
        for classifier, each in itertools.product(self.classifiers, tasks):
            classifier.check(each)

    def fit(self, task: Task) -> tuple[Classifier, Search]:
        """Choose on the inner folds, and fit what was chosen on the whole task.

        What the inner fits leave to go on with is deleted once all are done; the choice is kept beside it, so that a
        run that is cut off later need not choose again.

        Args:
            task: What to learn from; inner fits are named beneath its name.

        Returns:
            The fitted classifier, and how it was chosen.
        """
        name = f"{task.name or 'fold_0'}_inner"
        left = replace(task, name=name).checkpoints
        kept = left.with_suffix(".json")
        search = self._read(kept)
        if search is None:
            search = self._search(task, name=name)
            self._write(kept, search)
        shutil.rmtree(left, ignore_errors=True)
        log.info("chosen: %s", search.chosen)
        classifier = copy.deepcopy(self.classifiers[search.best])
        classifier.fit(task)
        return classifier, search

    def _search(self, task: Task, *, name: str) -> Search:
        """Fit each candidate on each inner fold, and score it there."""
        inner = self._inner(task)
        train_scores, validation_scores = np.zeros((2, len(self.settings), len(inner)))
        for number, prototype in enumerate(self.classifiers):
            for fold, (inner_task, held_out) in enumerate(inner):
                classifier = copy.deepcopy(prototype)
                classifier.fit(replace(inner_task, name=f"{name}/point_{number}_fold_{fold}"))
                train_scores[number, fold] = _auc(classifier, task, inner_task.train_rows)
                validation_scores[number, fold] = _auc(classifier, task, held_out)
            told = f"{validation_scores[number].mean():.3f} (training {train_scores[number].mean():.3f})"
            log.info("inner folds: AUC %s with %s", told, self.settings[number])
        return Search(list(self.settings), train_scores, validation_scores)

    def _write(self, path: Path, search: Search) -> None:
        scores = {"train": search.train_scores.tolist(), "validation": search.validation_scores.tolist()}
        write_json(path, {"settings": [str(setting) for setting in self.settings], **scores})

    def _read(self, path: Path) -> Search | None:
        """Read what an earlier start of the run found; None if that was not to choose from the same settings."""
        try:
            found = json.loads(path.read_bytes())
        except (FileNotFoundError, ValueError):
            return None
        if found["settings"] != [str(setting) for setting in self.settings]:
            return None
        return Search(list(self.settings), np.array(found["train"]), np.array(found["validation"]))

    def _inner(self, task: Task) -> list[tuple[Task, np.ndarray]]:
        """Give the task and the held-out rows of each inner fold."""
        rows = np.sort(np.concatenate([task.train_rows, task.validation_rows]))
        splitter = KFold(folds=self.inner_folds, validation=self.validation)
        folds = splitter.split(task.targets[rows], task.groups[rows], classes=task.classes, seed=task.seed)
        return [
            (
                replace(task, train_rows=rows[fold.train_rows], validation_rows=rows[fold.validation_rows], inner=True),
                rows[fold.test_rows],
            )
            for fold in folds
        ]


def _auc(classifier: Classifier, task: Task, rows: np.ndarray) -> float:
    found = scores(task.targets[rows], classifier.predict_proba(task.volumes, rows), task.classes)["auc"]
    assert found is not None, "the inner folds have every class on both sides"
    return found
