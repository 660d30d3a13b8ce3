"""What the classical models share: PCA, then a decision, tuned and calibrated inside the training rows.

Scores are divided by the root mean square distance of the training volumes from their mean, so `C`, `gamma` and
`alpha` mean the same at every resolution. Each parameter is a value, or a list of which the inner folds choose one.
A linear model collapses into one map of weights over the voxels; the others keep the components that they use.
"""

import inspect
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np

from mri3d.arguments import check_fields
from mri3d.cohort.encoding import Encoder
from mri3d.errors import UserError, option
from mri3d.models.classical.beside import encoded
from mri3d.models.classical.calibration import calibrate, inner_line
from mri3d.models.classical.decisions import Decision, LinearDecision
from mri3d.models.classical.fitted import FittedPipeline
from mri3d.models.classical.grid import ParameterGrid, values_to_try
from mri3d.models.classical.patterns import with_pattern
from mri3d.models.classical.permuted import Refit
from mri3d.models.classical.planning import Plan, make_plan
from mri3d.models.classical.search import FoldScores, fit_decision, search, truncated
from mri3d.models.classical.tasks import check_task
from mri3d.models.model import Setting, TrainingSet
from mri3d.models.model_texts import fitted_by, options_text
from mri3d.outcome import TASKS, check_debias
from mri3d.texts import as_list, number_text
from mri3d.volumes.sequence import VolumeSequence
from mri3d.voxels.gram import row_products
from mri3d.voxels.pca import GramPCA, NumComponents
from mri3d.voxels.projection import Projection

log = logging.getLogger(__name__)

COMPONENTS: tuple[NumComponents, ...] = (0.3, 0.5, 0.7, 0.9, 0.99, None)
"""Fractions of variance, because they suit a cohort of any size."""


@dataclass(kw_only=True)
class ClassicalModel(FittedPipeline, ABC):
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
        covariates: Columns of the table, or the one, that the model learns from beside the image, such as `[age, sex]`.
        covariate_weight: What they are multiplied by beside the scores of volumes, whose root mean square distance from
            their mean is 1, as is that of each covariate.

    Raises:
        UserError: `smoothing` is out of range.
    """

    num_components: NumComponents | Sequence[NumComponents] = COMPONENTS
    standardize: bool = False
    normalize: bool = False
    smoothing: float | None = None
    inner_folds: int = 5
    debias: bool = False
    covariates: str | Sequence[str] = field(default=(), metadata={"newer": True})
    covariate_weight: float | Sequence[float] = field(default=(0.3, 1.0, 3.0, 10.0), metadata={"newer": True})

    name: ClassVar[str]
    tasks: ClassVar[tuple[str, ...]] = tuple(TASKS)
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

    def options(self) -> dict[str, Any]:
        """Return how the model is set, to make another like it: JSON types."""
        return asdict(self)

    @abstractmethod
    def decision_parameters(self) -> dict[str, object]:
        """Return the parameters of the decision by name, each a value or a list."""

    @abstractmethod
    def fit_decisions(
        self,
        scores: np.ndarray,
        columns: np.ndarray,
        settings: list[Setting],
        *,
        memberships: bool,
        num_beside: int = 0,
    ) -> Sequence[Decision]:
        """Fit the decision once for each setting, by scores [N, P] to columns [N, D]; arguments as of `FitDecisions`.

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
        if as_list(self.covariates) and "num_beside" not in inspect.signature(self.fit_decisions).parameters:
            raise UserError(
                f"{option('model.covariates', self.covariates)}: {self.name} fits scores of volumes alone. Its "
                "fit_decisions needs the argument num_beside, see ClassicalModel."
            )
        check_debias(self.debias, training.outcome)
        if not all(0 < weight < np.inf for weight in values_to_try("covariate_weight", self.covariate_weight)):
            raise UserError(f"{option('model.covariate_weight', self.covariate_weight)}: give numbers above 0.")
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
        beside, known = encoded(volumes, rows, trainings), volumes.covariates
        self.encoder = None if known is None else Encoder.fit(known, rows)
        if folds:
            found, decisions = search(products[:-1], columns, outcome, folds, grid, self.fit_decisions, beside[:-1])
            if self.calibrated:
                found, scaling = calibrate(found, decisions, columns, outcome, scaling)
                if not outcome.is_usable(scaling) and not training.inner:
                    log.warning(
                        "%s: what the inner folds held out was ranked no better than by chance, so calibration gives "
                        "every session the same prediction",
                        training.name or self.name,
                    )
            self.chosen_, self.search_ = found.chosen, found if len(grid.points) > 1 else None
            held_out = outcome.activate(decisions[found.best], scaling)
            if self.debias and not training.inner:  # a choice is made by what the models predict, uncorrected
                self.line_ = inner_line(outcome, targets, held_out, num_folds=len(folds))
                held_out = self.line_.correct(held_out)
            self.held_out = rows, held_out
        self.scaling_, sigmoids = scaling, scaling if self.calibrated and outcome.calibrates else None
        self.calibration = fitted_by(sigmoids=sigmoids, line=self.line_)
        self._fit_all(volumes, rows, columns, products[-1], beside[-1])
        told = f"{self.name} on {len(rows)} rows in {time.perf_counter() - start:.1f} s: {self.chosen_}"
        log.log(logging.DEBUG if training.inner else logging.INFO, "%s", told)

    def permuted(self, training: TrainingSet, test_rows: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Refit for each permutation of the targets, see `Model.permuted`; nothing of the fitted model changes."""
        rows, grid, folds = self._plan(training)
        volumes, every = training.volumes.smoothed(self._smoothing(training)), np.concatenate([rows, test_rows])
        fits = [*folds, (np.arange(len(rows)), np.arange(len(rows), len(every)))]
        products = row_products(
            volumes, every, trainings=[fit[0] for fit in fits], standardize=self.standardize, normalize=self.normalize
        )
        beside = encoded(volumes, every, [fit[0] for fit in fits])
        *inner, final = (
            FoldScores.of(one, *fit, known) for one, fit, known in zip(products, fits, beside, strict=True)
        )
        refit = Refit(training.outcome, grid, folds, inner, final, self.fit_decisions, self.separate, self.calibrated)
        return refit.predict(targets[:, rows], name=training.name)

    def _fit_all(
        self,
        volumes: VolumeSequence,
        rows: np.ndarray,
        columns: np.ndarray,
        products: np.ndarray,
        beside: np.ndarray | None,
    ) -> None:
        """Fit PCA and decision on all rows and carry them into voxels."""
        pca = GramPCA.fit(products)
        asked = self.chosen_["num_components"]
        count, self.unit_ = truncated(pca, asked)
        if isinstance(asked, int) and count < asked:
            told = "%d rows have %s only, because some volumes are alike: %d asked"
            log.warning(told, len(rows), number_text(count, "component"), asked)
        setting = {parameter: self.chosen_[parameter] for parameter in self.decision_parameters()}
        known = np.empty((len(rows), 0)) if beside is None else self.chosen_["covariate_weight"] * beside
        scores = np.hstack([pca.training_scores[:, :count] / self.unit_, known])
        decision = fit_decision(self.fit_decisions, scores, columns, setting, self.outcome_, num_beside=known.shape[1])
        weights, also, moments = pca.weights[:count] / self.unit_, None, None
        if isinstance(decision, LinearDecision):
            image = scores[:, :count] @ decision.weights[:, :count].T  # what the image decides of each row
            image -= image.mean(axis=0)
            weights, also = decision.weights[:, :count] @ weights, image.T / len(rows)
            moments = image.T @ image / len(rows)
            alone = np.hstack([np.eye(len(decision.weights)), decision.weights[:, count:]])
            decision = LinearDecision(alone, decision.intercepts)
        projection = Projection.sum_volumes(
            volumes, rows, weights, standardize=self.standardize, normalize=self.normalize, also=also
        )
        self.projection_, self.pattern_ = projection, None
        if moments is not None:
            self.projection_, self.pattern_ = with_pattern(projection, moments)
        self.decision_, self.volume_shape_ = decision, volumes.shape

    def _smoothing(self, training: TrainingSet) -> float:
        """Resolve how much to smooth: arrays are taken as they are unless told."""
        default = training.outcome.smoothing if training.volumes.recipe else 0.0
        return default if self.smoothing is None else self.smoothing

    def _grid(self) -> ParameterGrid:
        weight = self.covariate_weight if as_list(self.covariates) else None
        return ParameterGrid.of(self.num_components, covariate_weight=weight, **self.decision_parameters())

    def _plan(self, training: TrainingSet) -> Plan:
        """Resolve which rows are learnt from, what is tried on them, and on which inner folds."""
        needed = self.chooses or self.debias or (self.calibrated and training.outcome.calibrates)
        return make_plan(training, self._grid(), num_folds=self.inner_folds if needed else None, limits=self)
