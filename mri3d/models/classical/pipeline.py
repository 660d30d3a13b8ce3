"""What the classical models share: PCA, then a decision, tuned and calibrated inside the training rows.

Scores are divided by the root mean square distance of the training volumes from their mean, so `C`, `gamma` and
`alpha` mean the same at every resolution. Each parameter is a value, or a list of which the inner folds choose one.
A linear model collapses into one map of weights over the voxels; the others keep the components that they use.
"""

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar, Self

import numpy as np

from mri3d.arguments import check_fields
from mri3d.errors import UserError, option
from mri3d.explain.attribution import weighed_difference
from mri3d.model_folder import Card, Contents
from mri3d.models.classical.calibration import calibrate, inner_line
from mri3d.models.classical.decisions import Decision, LinearDecision, decision_from_tensors, decision_tensors
from mri3d.models.classical.grid import ParameterGrid
from mri3d.models.classical.loading import check_arrays
from mri3d.models.classical.permuted import Refit
from mri3d.models.classical.planning import Plan, make_plan
from mri3d.models.classical.search import FoldScores, fit_decision, outside, search, truncated
from mri3d.models.classical.tasks import check_task
from mri3d.models.model import Search, Setting, TrainingSet, fitted_by, options_text
from mri3d.outcome import TASKS, Line, check_debias
from mri3d.texts import number_text
from mri3d.volumes.sequence import VolumeSequence
from mri3d.volumes.smoothing import smooth
from mri3d.voxels.gram import row_products
from mri3d.voxels.pca import GramPCA, NumComponents
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
        inner_folds: In how many parts the training rows are cut to choose parameters and to calibrate; fewer, with a
            warning, where a class is too small for so many.
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
    tasks: ClassVar[tuple[str, ...]] = tuple(TASKS)
    decision_type: ClassVar[type[Decision]] = LinearDecision
    calibrated: ClassVar[bool] = True
    separate: ClassVar[bool] = False  # whether `fit_decisions` fits each column as it would fit it alone
    uses_components: ClassVar[bool] = True
    permutes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_fields(self, "model")
        if self.smoothing is not None and not 0 <= self.smoothing < 1:
            raise UserError(
                f"{option('model.smoothing', self.smoothing)} is no share of a volume's edge. Give 0 for none, a "
                "number such as 0.02, or leave it out: then the outcome decides."
            )

    @property
    def chooses(self) -> bool:
        """Whether a parameter has several values."""
        return len(self._grid().points) > 1

    def identity(self, *, length: bool = True) -> str:
        """Write all options: each decides what is learnt, and none for how long."""
        return options_text(self)

    @abstractmethod
    def decision_parameters(self) -> dict[str, object]:
        """Return the parameters of the decision by name, each a value or a list."""

    @abstractmethod
    def fit_decisions(
        self, scores: np.ndarray, columns: np.ndarray, settings: list[Setting], *, memberships: bool
    ) -> Sequence[Decision]:
        """Fit the decision once for each setting, by scores [N, P] to columns [N, D], see `Outcome.memberships`.

        Returns:
            The decisions; with NaN where a setting has no solution, which leaves it out of the choice.
        """

    def rows_needed(self, setting: Setting) -> int:
        """Return how many rows a setting of the decision must learn from; a list loses those for which they are few."""
        return 1

    def check_setting(self, setting: Setting, num_rows: int) -> None:
        """Refuse values that parameters of the decision cannot have on so many rows: all but numbers above 0.

        Raises:
            UserError: A value is impossible.
        """
        for name, value in setting.items():
            if not 0 < value < np.inf:
                raise UserError(f"{option(f'model.{name}', value)} is impossible. Give a number above 0.")

    def check(self, training: TrainingSet) -> None:
        """Refuse what cannot be learnt from.

        Raises:
            UserError: The model does not predict such an outcome, the grid is empty or impossible for so many rows, or
                a class is too small for the inner folds.
        """
        check_task(self.name, self.tasks, training.outcome)
        check_debias(self.debias, training.outcome)
        self._plan(training)

    def fit(self, training: TrainingSet) -> None:
        """Choose parameters by the inner folds, fit on all training and validation rows, calibrate.

        Raises:
            UserError: As `check`, or all volumes are the same, or no setting has a solution.
        """
        start = time.perf_counter()
        rows, grid, folds = self._plan(training).warned(self.name, self._grid(), self.inner_folds)
        outcome, targets = training.outcome, training.targets[rows]
        scaling = outcome.scaling(targets)
        columns = outcome.columns(targets, scaling)
        trainings, self.smoothing_ = [*(train for train, _ in folds), np.arange(len(rows))], self._smoothing(training)
        volumes = training.volumes.smoothed(self.smoothing_)
        products = row_products(
            volumes, rows, trainings=trainings, standardize=self.standardize, normalize=self.normalize
        )
        self.outcome_, self.chosen_, self.search_, self.line_ = outcome, grid.points[0], None, None
        self.held_out: tuple[np.ndarray, np.ndarray] | None = None
        if folds:
            found, decisions = search(products[:-1], columns, outcome, folds, grid, self.fit_decisions)
            if self.calibrated:
                found, scaling = calibrate(found, decisions, columns, outcome, scaling)
            self.chosen_, self.search_ = found.chosen, found if len(grid.points) > 1 else None
            held_out = outcome.activate(decisions[found.best], scaling)
            if self.debias and not training.inner:  # a choice is made by what the models predict, uncorrected
                self.line_ = inner_line(outcome, targets, held_out, num_folds=len(folds))
                held_out = self.line_.correct(held_out)
            self.held_out = rows, held_out
        self.scaling_, sigmoids = scaling, scaling if self.calibrated and outcome.calibrates else None
        self.calibration = fitted_by(sigmoids=sigmoids, line=self.line_)
        self._fit_all(volumes, rows, columns, products[-1])
        told = f"{self.name} on {len(rows)} rows in {time.perf_counter() - start:.1f} s: {self.chosen_}"
        log.log(logging.DEBUG if training.inner else logging.INFO, "%s", told)

    def predict(self, volumes: VolumeSequence, rows: np.ndarray) -> np.ndarray:
        """Predict rows, see `Model.predict`; the volumes are read block by block."""
        scores, squares = self.projection_.scores(volumes.smoothed(self.smoothing_), rows)
        beyond = outside(scores, squares / self.unit_**2, self.chosen_["num_components"])
        predictions = self.outcome_.activate(self.decision_.decide(scores, beyond), self.scaling_)
        return predictions if self.line_ is None else self.line_.correct(predictions)

    def permuted(self, training: TrainingSet, test_rows: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Refit for each permutation of the targets, see `Model.permuted`; nothing of the fitted model changes."""
        rows, grid, folds = self._plan(training)
        volumes, every = training.volumes.smoothed(self._smoothing(training)), np.concatenate([rows, test_rows])
        fits = [*folds, (np.arange(len(rows)), np.arange(len(rows), len(every)))]
        products = row_products(
            volumes, every, trainings=[fit[0] for fit in fits], standardize=self.standardize, normalize=self.normalize
        )
        *inner, final = (FoldScores.of(each, *fit) for each, fit in zip(products, fits, strict=True))
        refit = Refit(training.outcome, grid, folds, inner, final, self.fit_decisions, self.separate, self.calibrated)
        return refit.predict(targets[:, rows], name=training.name)

    @property
    def heatmaps(self) -> tuple[str, ...]:
        """Integrated gradients, which for a linear model are weight times difference; none for the others."""
        return ("integrated_gradients",) if self.decision_type is LinearDecision else ()

    def explain(self, volume: np.ndarray, *, baseline: np.ndarray, target: int, method: str) -> np.ndarray:
        """Map the evidence in a volume, see `Model.explain`."""
        assert method in self.heatmaps, f"{self.name} has no {method}"
        contrast = self.outcome_.contrast(target, self.scaling_) / (1.0 if self.line_ is None else self.line_.slope)
        return weighed_difference(
            self._weights(),
            smooth(volume, self.smoothing_),
            baseline=smooth(baseline, self.smoothing_),
            contrast=contrast,
            normalize=self.normalize,
        )

    def maps(self) -> np.ndarray | None:
        """Return what each voxel adds to each decision per unit of intensity, [D, X, Y, Z]; None if not linear."""
        if not self.heatmaps:
            return None
        slope = 1.0 if self.line_ is None else self.line_.slope
        weights: np.ndarray = smooth(self._weights(), self.smoothing_).sum(axis=1) / np.float32(slope)
        return weights

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

    def contents(self, card: Card) -> Contents:
        """Return what prediction needs; arrays only, no scikit-learn object."""
        tensors = self.projection_.tensors() | decision_tensors(self.decision_)
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
        return Contents(self.name, arguments, tensors, card)

    @classmethod
    def load(cls, contents: Contents, *, trust: Sequence[str] = ()) -> Self:
        """Build the fitted model from the contents of a model folder."""
        arguments, tensors = contents.arguments, contents.tensors
        model, line = cls(**arguments["options"]), arguments.get("line")
        model.outcome_, model.volume_shape_ = contents.card.outcome, contents.card.reference.mean.shape
        model.chosen_, model.search_ = arguments["chosen"], None
        model.projection_ = Projection.from_tensors(tensors, normalize=model.normalize)
        model.decision_ = decision_from_tensors(cls.decision_type, tensors)
        check_arrays(contents, model.decision_)
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
            told = "%d rows have %s only, because some volumes are alike: %d asked"
            log.warning(told, len(rows), number_text(count, "component"), asked)
        setting = {name: value for name, value in self.chosen_.items() if name != "num_components"}
        scores, memberships = pca.training_scores[:, :count] / self.unit_, self.outcome_.memberships
        decision = fit_decision(self.fit_decisions, scores, columns, setting, memberships=memberships)
        weights = pca.weights[:count] / self.unit_
        if isinstance(decision, LinearDecision):
            weights = decision.weights @ weights
            decision = LinearDecision(np.eye(len(decision.weights)), decision.intercepts)
        projection = Projection.sum_volumes(
            volumes, rows, weights, standardize=self.standardize, normalize=self.normalize
        )
        self.projection_ = projection.unscaled() if isinstance(decision, LinearDecision) else projection
        self.decision_, self.volume_shape_ = decision, volumes.shape

    def _smoothing(self, training: TrainingSet) -> float:
        """Resolve how much to smooth: arrays are taken as they are unless told."""
        default = training.outcome.smoothing if training.volumes.recipe else 0.0
        return default if self.smoothing is None else self.smoothing

    def _grid(self) -> ParameterGrid:
        return ParameterGrid.of(self.num_components, **self.decision_parameters())

    def _plan(self, training: TrainingSet) -> Plan:
        """Resolve which rows are learnt from, what is tried on them, and on which inner folds."""
        needed = self.chooses or self.debias or (self.calibrated and training.outcome.calibrates)
        return make_plan(training, self._grid(), num_folds=self.inner_folds if needed else None, limits=self)
