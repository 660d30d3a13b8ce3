"""The one seam: what fits on rows and gives probabilities, be it a CNN or a PCA pipeline."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np

from mri3d.model_folder import Card, Model
from mri3d.volumes.cache import Volumes
from mri3d.volumes.sequence import VolumeSequence

Setting = dict[str, Any]
"""One value for each parameter, such as {"C": 1.0}."""


@dataclass(frozen=True, eq=False)
class Task:
    """What one fit learns from; rows index into the volumes.

    Args:
        volumes: All volumes of the cohort, test rows included; a fit reads only its own rows.
        targets: Class of each volume, int64 [N], an index into `classes`.
        groups: Who belongs together (family, repeated visits), [N]; a fit that splits its rows keeps groups whole.
        classes: Label texts; for two, the second is the positive one.
        train_rows: Rows to learn from.
        validation_rows: Rows to choose by (early stopping, calibration); may be empty for fits that choose otherwise.
        seed: Everything random in the fit follows from it.
        folder: The run; a fit may leave checkpoints and logs in it.
        name: Of the fit within the run, such as `fold_3`; empty where there is but one.
        inner: Whether the fit only serves a choice: it is told of at the level DEBUG, and leaves no curves.
    """

    volumes: Volumes
    targets: np.ndarray
    groups: np.ndarray
    classes: tuple[str, ...]
    train_rows: np.ndarray
    validation_rows: np.ndarray
    seed: int
    folder: Path
    name: str = ""
    inner: bool = False

    @property
    def checkpoints(self) -> Path:
        """Where a fit may leave what it needs to go on if it is cut off."""
        return self.folder / "checkpoints" / self.name


@dataclass(frozen=True, eq=False)
class Search:
    """What the inner folds told.

    Attributes:
        points: What was tried: one value for each parameter.
        train_scores: AUC on the rows fitted on, [points, folds].
        validation_scores: AUC on the rows held out, [points, folds].
    """

    points: list[Setting]
    train_scores: np.ndarray
    validation_scores: np.ndarray

    @property
    def best(self) -> int:
        """The point with the best mean score on held-out rows, the first of several."""
        return int(self.validation_scores.mean(axis=1).argmax())

    @property
    def chosen(self) -> Setting:
        """The values of the best point."""
        return self.points[self.best]

    def table(self) -> list[dict[str, Any]]:
        """One row per point and inner fold: parameters, `inner_fold`, `train_auc`, `validation_auc`."""
        return [
            {
                **point,
                "inner_fold": fold,
                "train_auc": float(self.train_scores[number, fold]),
                "validation_auc": float(self.validation_scores[number, fold]),
            }
            for number, point in enumerate(self.points)
            for fold in range(self.validation_scores.shape[1])
        ]


class Classifier(Protocol):
    """Fits on rows, gives probabilities. The constructor only stores; `fit` builds everything afresh."""

    def check(self, task: Task) -> None:
        """Refuse, before any work starts, a task that cannot be done; no volume is read.

        Raises:
            UserError: An option does not suit the volumes' shape, the classes or the number of rows.
        """
        ...

    def fit(self, task: Task) -> None:
        """Learn from the training and validation rows of a task, and from nothing else."""
        ...

    def predict_proba(self, volumes: VolumeSequence, rows: np.ndarray) -> np.ndarray:
        """Give the probability of each class, float64 [len(rows), K]; rows sum to 1. On every rank, all rows."""
        ...

    def history(self) -> list[dict[str, float]]:
        """Tell the last fit epoch by epoch (`epoch`, `train_loss`, ...); empty where there are no epochs."""
        ...

    def last_search(self) -> Search | None:
        """Tell how the last fit chose its parameters; None where it had nothing to choose."""
        ...

    def save(self, folder: Path, card: Card) -> None:
        """Write the fitted classifier as a model folder."""
        ...

    @classmethod
    def load(cls, model: Model) -> Self:
        """Build the fitted classifier from the contents of a model folder."""
        ...
