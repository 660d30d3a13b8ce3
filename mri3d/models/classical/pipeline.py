"""What the classical models share: PCA, then a head, tuned and calibrated inside the training rows.

Scores are divided by the root mean square distance of the training volumes from their mean, so `C`, `gamma` and
`alpha` mean the same at every resolution. Each parameter is a value, or a list of which the inner folds choose one.
A linear model collapses into one map of weights over the voxels; the others keep the components that they use.
"""

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from mri3d.errors import UserError
from mri3d.model_folder import Card, Model, write_model
from mri3d.models.classical.decisions import Head, LinearHead
from mri3d.models.classical.search import Grid, InnerFold, inner_folds, outside, search, truncated
from mri3d.models.model import Search, Setting, Task
from mri3d.outcome.platt import fit_sigmoids, sigmoid_proba, softmax_proba
from mri3d.volumes.cache import Volumes
from mri3d.volumes.sequence import VolumeSequence
from mri3d.voxels.gram import row_products
from mri3d.voxels.pca import GramPCA, NumComponents, check_num_components
from mri3d.voxels.projection import Projection

log = logging.getLogger(__name__)

COMPONENTS: tuple[NumComponents, ...] = (0.3, 0.5, 0.7, 0.9, 0.99, None)
"""Fractions of variance, because they suit a cohort of any size."""


@dataclass(kw_only=True)
class ClassicalModel(ABC):
    """PCA of the training rows, the inner search, calibration and the model folder; a model adds its head.

    Training and validation rows are learnt from together, since the inner folds do what validation rows are for.

    Args:
        num_components: Numbers of components, fractions of variance, or None for no PCA.
        standardize: Whether each voxel is divided by its standard deviation over the training rows.
        normalize: Whether each volume is first divided by its Euclidean norm.
        inner_folds: In how many parts the training rows are cut to choose parameters and to calibrate.

    Attributes:
        chosen_: The value of each parameter.
        search_: What the inner folds told; None where there was nothing to choose.
    """

    num_components: NumComponents | Sequence[NumComponents] = COMPONENTS
    standardize: bool = False
    normalize: bool = False
    inner_folds: int = 5

    name: ClassVar[str]
    head_type: ClassVar[type[Head]] = LinearHead
    calibrated: ClassVar[bool] = True

    @abstractmethod
    def head_parameters(self) -> dict[str, object]:
        """Give the parameters of the head by name, each a value or a list."""

    @abstractmethod
    def fit_heads(self, scores: np.ndarray, targets: np.ndarray, settings: list[Setting]) -> Sequence[Head]:
        """Fit the head once for each setting, on scores [N, P] and targets [N]."""

    def check(self, task: Task) -> None:
        """Refuse a task that cannot be done.

        Raises:
            UserError: The grid is empty or impossible for so many rows, or a class is too small for the inner folds.
        """
        self._plan(task)

    def fit(self, task: Task) -> None:
        """Choose parameters by the inner folds, fit on all training and validation rows, calibrate.

        Raises:
            UserError: As `check`, or all volumes are the same.
        """
        start = time.perf_counter()
        rows, grid, folds = self._plan(task)
        for name, values in self._grid().values_beyond(grid).items():
            log.warning("model.%s: %s left out, too many for so few training rows", name, values)
        targets, trainings = task.targets[rows], [train for train, _ in folds] + [np.arange(len(rows))]
        products = row_products(
            task.volumes, rows, trainings=trainings, standardize=self.standardize, normalize=self.normalize
        )
        self.chosen_, self.search_, self.sigmoids_ = grid.points[0], None, None
        if folds:
            found, decisions = search(products[:-1], targets, folds, grid, self.fit_heads)
            self.chosen_, self.search_ = found.chosen, found if len(grid.points) > 1 else None
            if self.calibrated:
                self.sigmoids_ = fit_sigmoids(decisions[found.best], targets)
        self._fit_all(task.volumes, rows, targets, products[-1])
        told = f"{self.name} on {len(rows)} rows in {time.perf_counter() - start:.1f} s: {self.chosen_}"
        log.log(logging.DEBUG if task.inner else logging.INFO, "%s", told)

    def predict_proba(self, volumes: VolumeSequence, rows: np.ndarray) -> np.ndarray:
        """Give the probability of each class, float64 [len(rows), K]; the volumes are read block by block."""
        scores, squares = self.projection_.scores(volumes, rows)
        beyond = outside(scores, squares / self.unit_**2, self.chosen_["num_components"])
        decisions = self.head_.decide(scores, beyond)
        return softmax_proba(decisions) if self.sigmoids_ is None else sigmoid_proba(decisions, self.sigmoids_)

    def history(self) -> list[dict[str, float]]:
        """Give nothing: there are no epochs."""
        return []

    def last_search(self) -> Search | None:
        """Tell how the last fit chose its parameters; None where it had nothing to choose."""
        return self.search_

    def save(self, folder: Path, card: Card) -> None:
        """Write what prediction needs as a model folder; arrays only, no scikit-learn object."""
        tensors = self.projection_.tensors() | {f"head.{name}": array for name, array in vars(self.head_).items()}
        tensors["unit"] = np.array([self.unit_])
        if self.sigmoids_ is not None:
            tensors["sigmoids"] = self.sigmoids_
        arguments = {"options": asdict(self), "chosen": self.chosen_, "volume_shape": list(self.volume_shape_)}
        write_model(folder, Model(self.name, arguments, tensors, card))

    @classmethod
    def load(cls, model: Model) -> Self:
        """Build the fitted classifier from the contents of a model folder."""
        classifier, tensors = cls(**model.arguments["options"]), model.tensors
        classifier.chosen_, classifier.search_ = model.arguments["chosen"], None
        classifier.volume_shape_ = tuple(model.arguments["volume_shape"])
        classifier.projection_ = Projection.from_tensors(tensors, normalize=classifier.normalize)
        classifier.head_ = cls.head_type(
            **{field.name: tensors[f"head.{field.name}"] for field in fields(cls.head_type)}
        )
        classifier.unit_, classifier.sigmoids_ = tensors["unit"].item(), tensors.get("sigmoids")
        return classifier

    @property
    def is_linear(self) -> bool:
        """Whether the decision is a weighted sum of voxels."""
        return self.head_type is LinearHead

    def weight_map(self) -> np.ndarray:
        """Give what each voxel adds to the decision per unit of intensity, float32 [1 or K, X, Y, Z].

        Raises:
            UserError: The model is not linear.
        """
        if not self.is_linear:
            raise UserError(
                f"model={self.name} is not linear and has no weight map. Use logistic, linear_svm or ridge."
            )
        return self.projection_.directions.reshape(-1, *self.volume_shape_[1:])

    def _fit_all(self, volumes: Volumes, rows: np.ndarray, targets: np.ndarray, products: np.ndarray) -> None:
        """Fit PCA and head on all rows and carry them into voxels."""
        pca = GramPCA.fit(products)
        asked = self.chosen_["num_components"]
        count, self.unit_ = truncated(pca, asked)
        if isinstance(asked, int) and count < asked:
            log.warning(
                "%d rows have %d components only, because some volumes are alike: %d asked", len(rows), count, asked
            )
        setting = {name: value for name, value in self.chosen_.items() if name != "num_components"}
        head = self.fit_heads(pca.training_scores[:, :count] / self.unit_, targets, [setting])[0]
        weights = pca.weights[:count] / self.unit_
        if isinstance(head, LinearHead):
            weights, head = head.weights @ weights, LinearHead(np.eye(len(head.weights)), head.intercepts)
        projection = Projection.sum_volumes(
            volumes, rows, weights, standardize=self.standardize, normalize=self.normalize
        )
        self.projection_ = projection.unscaled() if isinstance(head, LinearHead) else projection
        self.head_, self.volume_shape_ = head, volumes.shape

    def _grid(self) -> Grid:
        return Grid.of(self.num_components, **self.head_parameters())

    def _plan(self, task: Task) -> tuple[np.ndarray, Grid, list[InnerFold]]:
        """Say which rows are learnt from, what is tried on them, and on which inner folds."""
        rows = np.sort(np.concatenate([task.train_rows, task.validation_rows])).astype(np.int64)
        grid = self._grid()
        folds: list[InnerFold] = []
        if self.calibrated or len(grid.points) > 1:
            folds = inner_folds(
                task.targets[rows], task.groups[rows], task.classes, num_folds=self.inner_folds, seed=task.seed
            )
        num_rows = min([len(train) for train, _ in folds], default=len(rows))
        grid = grid.within(num_rows)
        _check_grid(grid, num_rows=num_rows)
        return rows, grid, folds


def _check_grid(grid: Grid, *, num_rows: int) -> None:
    """Refuse what the smallest set of rows that is learnt from cannot do."""
    for num_components in grid.num_components:
        check_num_components(num_components, num_rows)
    for name, value in ((name, value) for setting in grid.settings for name, value in setting.items()):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < np.inf:
            raise UserError(f"model.{name}={value!r} is impossible. Give a number above 0.")
        if name == "k" and (value != int(value) or value > num_rows):
            raise UserError(
                f"model.k={value} neighbours cannot be found among {num_rows} rows. Give whole numbers up to that."
            )
