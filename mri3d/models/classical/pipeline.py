"""What the classical models share: PCA, then a decision, tuned and calibrated inside the training rows.

Scores are divided by the root mean square distance of the training volumes from their mean, so `C`, `gamma` and
`alpha` mean the same at every resolution. Each parameter is a value, or a list of which the inner folds choose one.
A linear model collapses into one map of weights over the voxels; the others keep the components that they use.
"""

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from mri3d.errors import UserError, option
from mri3d.explain.attribution import weighed_difference
from mri3d.model_folder import Card, Contents, write_model
from mri3d.models.classical.decisions import Decision, LinearDecision
from mri3d.models.classical.search import InnerFold, ParameterGrid, inner_folds, outside, search, truncated
from mri3d.models.model import Search, Setting, TrainingSet
from mri3d.outcome import Line, Outcome
from mri3d.volumes.sequence import VolumeSequence
from mri3d.volumes.smoothing import smooth
from mri3d.voxels.gram import row_products
from mri3d.voxels.pca import GramPCA, NumComponents, check_num_components
from mri3d.voxels.projection import Projection

log = logging.getLogger(__name__)

COMPONENTS: tuple[NumComponents, ...] = (0.3, 0.5, 0.7, 0.9, 0.99, None)
"""Fractions of variance, because they suit a cohort of any size."""


@dataclass(kw_only=True)
class ClassicalModel(ABC):
    """PCA of the training rows, the inner search, calibration and the model folder; a model adds its decision.

    Training and validation rows are learnt from together, since the inner folds do what validation rows are for.

    Args:
        num_components: Numbers of components, fractions of variance, or None for no PCA.
        standardize: Whether each voxel is divided by its standard deviation over the training rows.
        normalize: Whether each volume is first divided by its Euclidean norm.
        smoothing: Standard deviation of the Gaussian that volumes are smoothed with before all else, as a share of
            their longest edge; None for what the outcome asks for: 0.02 (about 4 mm, or 9 mm full width at half
            maximum) where a measure is predicted from scans, else 0.
        inner_folds: In how many parts the training rows are cut to choose parameters and to calibrate.
        debias: Whether predictions of a measure are corrected for shrinking towards the mean, by the line that those
            of the inner folds' held-out rows follow (Cole et al. 2018).

    Attributes:
        chosen_: The value of each parameter.
        search_: What the inner folds found; None where there was nothing to choose.
        line_: What corrects the predictions; None without `debias`.
        smoothing_: How much the volumes are smoothed.

    Raises:
        UserError: `smoothing` is out of range.
    """

    num_components: NumComponents | Sequence[NumComponents] = COMPONENTS
    standardize: bool = False
    normalize: bool = False
    smoothing: float | None = None
    inner_folds: int = 5
    debias: bool = False

    name: ClassVar[str]
    tasks: ClassVar[tuple[str, ...]] = ("classification", "regression")
    decision_type: ClassVar[type[Decision]] = LinearDecision
    calibrated: ClassVar[bool] = True
    uses_components: ClassVar[bool] = True

    def __post_init__(self) -> None:
        share = self.smoothing
        if share is not None and (isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share < 1):
            raise UserError(
                f"{option('model.smoothing', share)} is no share of a volume's edge. Give 0 for none, a number such as "
                "0.02, or null to leave it to the outcome."
            )

    @abstractmethod
    def decision_parameters(self) -> dict[str, object]:
        """Return the parameters of the decision by name, each a value or a list."""

    @abstractmethod
    def fit_decisions(self, scores: np.ndarray, columns: np.ndarray, settings: list[Setting]) -> Sequence[Decision]:
        """Fit the decision once for each setting, by scores [N, P] to columns [N, D]."""

    def check(self, training: TrainingSet) -> None:
        """Refuse what cannot be learnt from.

        Raises:
            UserError: The model does not predict such an outcome, the grid is empty or impossible for so many rows, or
                a class is too small for the inner folds.
        """
        if training.outcome.task not in self.tasks:
            raise UserError(
                f"{option('model', self.name)} predicts classes only, and {option('task', training.outcome.task)} asks "
                "for a measure. Use ridge, linear_svm, rbf_svm, knn, or a network."
            )
        training.outcome.check_debias(self.debias)
        self._plan(training)

    def fit(self, training: TrainingSet) -> None:
        """Choose parameters by the inner folds, fit on all training and validation rows, calibrate.

        Raises:
            UserError: As `check`, or all volumes are the same.
        """
        start = time.perf_counter()
        rows, grid, folds = self._plan(training)
        for name, values in self._grid().values_beyond(grid).items():
            log.warning("%s: %s left out, too many for so few training rows", name, values)
        outcome, targets = training.outcome, training.targets[rows]
        scaling = outcome.scaling(targets)
        columns = outcome.columns(targets, scaling)
        trainings = [train for train, _ in folds] + [np.arange(len(rows))]
        default = outcome.smoothing if training.volumes.recipe else 0.0  # arrays are taken as they are
        self.smoothing_ = default if self.smoothing is None else self.smoothing
        volumes = training.volumes.smoothed(self.smoothing_)
        products = row_products(
            volumes, rows, trainings=trainings, standardize=self.standardize, normalize=self.normalize
        )
        self.outcome_, self.chosen_, self.search_, self.line_ = outcome, grid.points[0], None, None
        if folds:
            found, decisions = search(products[:-1], columns, outcome, folds, grid, self.fit_decisions)
            if self.calibrated:
                found, scaling = _calibrate(found, decisions, columns, outcome, scaling)
            self.chosen_, self.search_ = found.chosen, found if len(grid.points) > 1 else None
            if self.debias and not training.inner:  # a choice is made by what the models predict, uncorrected
                self.line_ = outcome.line(targets, outcome.activate(decisions[found.best], scaling))
        self.scaling_ = scaling
        self._fit_all(volumes, rows, columns, products[-1])
        told = f"{self.name} on {len(rows)} rows in {time.perf_counter() - start:.1f} s: {self.chosen_}"
        log.log(logging.DEBUG if training.inner else logging.INFO, "%s", told)

    def predict(self, volumes: VolumeSequence, rows: np.ndarray) -> np.ndarray:
        """Predict rows, see `Model.predict`; the volumes are read block by block."""
        scores, squares = self.projection_.scores(volumes.smoothed(self.smoothing_), rows)
        beyond = outside(scores, squares / self.unit_**2, self.chosen_["num_components"])
        predictions = self.outcome_.activate(self.decision_.decide(scores, beyond), self.scaling_)
        return predictions if self.line_ is None else self.line_.correct(predictions)

    @property
    def heatmaps(self) -> tuple[str, ...]:
        """Integrated gradients, which for a linear model are weight times difference; none for the others."""
        return ("integrated_gradients",) if self.decision_type is LinearDecision else ()

    def explain(self, volume: np.ndarray, *, baseline: np.ndarray, target: int, method: str) -> np.ndarray:
        """Map the evidence in a volume, see `Model.explain`."""
        assert method in self.heatmaps, f"{self.name} has no {method}"
        slopes = np.ones(1) if self.scaling_ is None else self.scaling_[:, 0]
        contrast = self.outcome_.contrast(target) * slopes / (1.0 if self.line_ is None else self.line_.slope)
        return weighed_difference(
            self._weights(),
            smooth(volume, self.smoothing_),
            baseline=smooth(baseline, self.smoothing_),
            contrast=contrast,
            normalize=self.normalize,
        )

    def maps(self) -> np.ndarray | None:
        """Return what each voxel adds to each decision per unit of intensity, [D, X, Y, Z]; None if not linear."""
        return smooth(self._weights(), self.smoothing_).sum(axis=1) if self.heatmaps else None

    @property
    def line(self) -> Line | None:
        """What corrects the predictions."""
        return self.line_

    def history(self) -> list[dict[str, float]]:
        """Return nothing: there are no epochs."""
        return []

    def last_search(self) -> tuple[Search, ...]:
        """Return how the last fit chose its parameters; nothing where it had nothing to choose."""
        return () if self.search_ is None else (self.search_,)

    def save(self, folder: Path, card: Card) -> None:
        """Write what prediction needs as a model folder; arrays only, no scikit-learn object."""
        tensors = self.projection_.tensors() | {
            f"decision.{name}": array for name, array in vars(self.decision_).items()
        }
        tensors["unit"] = np.array([self.unit_])
        if self.scaling_ is not None:
            tensors["scaling"] = self.scaling_
        arguments = {
            "options": asdict(self),
            "chosen": self.chosen_,
            "volume_shape": list(self.volume_shape_),
            "line": None if self.line_ is None else asdict(self.line_),
            "smoothing": self.smoothing_,
        }
        write_model(folder, Contents(self.name, arguments, tensors, card))

    @classmethod
    def load(cls, contents: Contents, *, trust: Sequence[str] = ()) -> Self:
        """Build the fitted model from the contents of a model folder."""
        arguments, tensors = contents.arguments, contents.tensors
        model, line = cls(**arguments["options"]), arguments.get("line")
        model.outcome_, model.chosen_, model.search_ = contents.card.outcome, arguments["chosen"], None
        model.volume_shape_ = tuple(arguments["volume_shape"])
        model.projection_ = Projection.from_tensors(tensors, normalize=model.normalize)
        model.decision_ = cls.decision_type(
            **{field.name: tensors[f"decision.{field.name}"] for field in fields(cls.decision_type)}
        )
        model.unit_, model.scaling_ = tensors["unit"].item(), tensors.get("scaling")
        model.line_ = None if line is None else Line(**line)
        model.smoothing_ = arguments.get("smoothing", 0.0)  # earlier versions did not smooth
        return model

    def _weights(self) -> np.ndarray:
        """Return the weights of a linear model for smoothed voxels, float32 [D, C, X, Y, Z]."""
        return self.projection_.directions.reshape(-1, *self.volume_shape_)

    def _fit_all(self, volumes: VolumeSequence, rows: np.ndarray, columns: np.ndarray, products: np.ndarray) -> None:
        """Fit PCA and decision on all rows and carry them into voxels."""
        pca = GramPCA.fit(products)
        asked = self.chosen_["num_components"]
        count, self.unit_ = truncated(pca, asked)
        if isinstance(asked, int) and count < asked:
            log.warning(
                "%d rows have %d components only, because some volumes are alike: %d asked", len(rows), count, asked
            )
        setting = {name: value for name, value in self.chosen_.items() if name != "num_components"}
        decision = self.fit_decisions(pca.training_scores[:, :count] / self.unit_, columns, [setting])[0]
        weights = pca.weights[:count] / self.unit_
        if isinstance(decision, LinearDecision):
            weights = decision.weights @ weights
            decision = LinearDecision(np.eye(len(decision.weights)), decision.intercepts)
        projection = Projection.sum_volumes(
            volumes, rows, weights, standardize=self.standardize, normalize=self.normalize
        )
        self.projection_ = projection.unscaled() if isinstance(decision, LinearDecision) else projection
        self.decision_, self.volume_shape_ = decision, volumes.shape

    def _grid(self) -> ParameterGrid:
        return ParameterGrid.of(self.num_components, **self.decision_parameters())

    def _plan(self, training: TrainingSet) -> tuple[np.ndarray, ParameterGrid, list[InnerFold]]:
        """Resolve which rows are learnt from, what is tried on them, and on which inner folds."""
        rows, grid, folds = training.rows, self._grid(), list[InnerFold]()
        outcome = training.outcome
        if len(grid.points) > 1 or self.debias or (self.calibrated and outcome.calibrates):
            folds = inner_folds(
                outcome,
                training.targets[rows],
                training.groups[rows],
                num_folds=self.inner_folds,
                seed=training.seed,
            )
        num_rows = min([len(train) for train, _ in folds], default=len(rows))
        grid = grid.within(num_rows)
        _check_grid(grid, num_rows=num_rows)
        return rows, grid, folds


def _calibrate(
    found: Search, decisions: np.ndarray, columns: np.ndarray, outcome: Outcome, scaling: np.ndarray | None
) -> tuple[Search, np.ndarray | None]:
    """Turn decisions into predictions, by the first of equally good points whose held-out decisions allow it.

    Of few rows and a strong penalty each inner fold's model follows the class that it saw most of, against the rows
    that it holds out: together their decisions rank backwards, however well each fold's own are ranked, and the
    probabilities would be the same for everybody.

    Args:
        found: What the inner folds found.
        decisions: Of each row when it was held out, [points, N, D].
        columns: What they should be, [N, D].
        outcome: What is predicted.
        scaling: What leads to the unit of the targets.

    Returns:
        The search with the point that is taken, and the scaling; the first point's where no other is better.
    """
    for point in found.ties:
        calibrated = outcome.calibrate(decisions[point], columns, scaling)
        if calibrated is None or (calibrated[:, 0] > 0).all():
            return replace(found, taken=point), calibrated
    return found, outcome.calibrate(decisions[found.best], columns, scaling)


def _check_grid(grid: ParameterGrid, *, num_rows: int) -> None:
    """Refuse what the smallest set of rows that is learnt from cannot do."""
    for num_components in grid.num_components:
        check_num_components(num_components, num_rows)
    for name, value in ((name, value) for setting in grid.settings for name, value in setting.items()):
        where = option(f"model.{name}", value)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < np.inf:
            raise UserError(f"{where} is impossible. Give a number above 0.")
        if name == "k" and (value != int(value) or value > num_rows):
            raise UserError(f"{where} neighbours cannot be found among {num_rows} rows. Give whole numbers up to that.")
