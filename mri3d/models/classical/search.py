"""Try every setting of a classical model on the inner folds of its training rows, and fit the chosen one.

One eigendecomposition per inner fold serves every point of the grid.
"""

import contextlib
import logging
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, Self

import joblib
import numpy as np
from sklearn.exceptions import ConvergenceWarning

from mri3d.errors import UserError, option
from mri3d.models.classical.decisions import Decision
from mri3d.models.classical.grid import ParameterGrid
from mri3d.models.classical.inner_folds import InnerFold
from mri3d.models.model import Search, Setting
from mri3d.outcome import Outcome
from mri3d.parallel import one_thread_each
from mri3d.progress import progress
from mri3d.voxels.pca import GramPCA, NumComponents

log = logging.getLogger(__name__)


class FitDecisions(Protocol):
    """Fits decisions to columns [N, D] by scores [N, P], one for each setting."""

    def __call__(
        self,
        scores: np.ndarray,
        columns: np.ndarray,
        settings: list[Setting],
        *,
        memberships: bool,
        num_beside: int = 0,
    ) -> Sequence[Decision]:
        """Fit them; NaN without a solution.

        Args:
            scores: Of volumes, then covariates.
            columns: What is fitted.
            settings: Of the decision.
            memberships: What the columns are, see `Outcome.memberships`.
            num_beside: How many of the last scores are covariates: those of volumes are orthogonal, these need not be.
        """


def search(
    products: Sequence[np.ndarray],
    columns: np.ndarray,
    outcome: Outcome,
    folds: Sequence[InnerFold],
    grid: ParameterGrid,
    fit_decisions: FitDecisions,
    beside: Sequence[np.ndarray | None],
) -> tuple[Search, np.ndarray]:
    """Try every point of a grid on every inner fold; folds run on all cores, or on joblib's chosen backend.

    Args:
        products: For each fold the products of all training rows with each other, [N, N].
        columns: What is fitted, of each training row, [N, D].
        outcome: What is predicted; it judges the decisions.
        folds: Positions learnt from and positions held out.
        grid: What to try.
        fit_decisions: How to fit.
        beside: For each fold the covariates of all training rows as columns [N, Q]; None where there are none.

    Returns:
        What was found, and the decisions of every row when it was held out, [points, N, D]; points without a solution
        in some fold are left out, with a warning.

    Raises:
        UserError: No point has a solution.
    """
    num_jobs = min(joblib.effective_n_jobs(-1), len(folds))
    parallel = joblib.Parallel(n_jobs=num_jobs, prefer="threads", return_as="generator")
    tasks = (
        joblib.delayed(_try_fold)(matrix, known, columns, outcome, fold, grid, fit_decisions)
        for matrix, fold, known in zip(products, folds, beside, strict=True)
    )
    with one_thread_each(num_jobs), without_warnings():
        tried = list(progress(parallel(tasks), total=len(folds), title="inner folds"))
    decisions = np.empty((len(grid.points), *columns.shape))
    for (_, held_out), (_, _, fold_decisions) in zip(folds, tried, strict=True):
        decisions[:, held_out] = fold_decisions
    train_scores, validation_scores = (np.stack([fold[i] for fold in tried], axis=1) for i in (0, 1))
    solved = [number for number, point in enumerate(decisions) if np.isfinite(point).all()]
    if not solved:
        raise _no_solution(grid.settings[0])
    if len(solved) < len(decisions):
        unsolved = ", ".join(str(point) for number, point in enumerate(grid.points) if number not in solved)
        told = "%d of %d settings left out, without a solution on these rows: %s"
        log.warning(told, len(decisions) - len(solved), len(decisions), unsolved)
    points = [grid.points[number] for number in solved]
    return Search(points, train_scores[solved], validation_scores[solved], outcome.criterion), decisions[solved]


def told_what(
    fit_decisions: FitDecisions, outcome: Outcome, *, num_beside: int
) -> Callable[[np.ndarray, np.ndarray, list[Setting]], Sequence[Decision]]:
    """Bind what is fitted: models of a user's own need not know of covariates as long as there are none."""
    if not num_beside:
        return partial(fit_decisions, memberships=outcome.memberships)
    return partial(fit_decisions, memberships=outcome.memberships, num_beside=num_beside)


def fit_decision(
    fit_decisions: FitDecisions,
    scores: np.ndarray,
    columns: np.ndarray,
    setting: Setting,
    outcome: Outcome,
    *,
    num_beside: int,
) -> Decision:
    """Fit the decision of one setting.

    Raises:
        UserError: It has no solution.
    """
    with without_warnings():
        (decision,) = told_what(fit_decisions, outcome, num_beside=num_beside)(scores, columns, [setting])
    if not np.isfinite(decision.decide(scores, np.zeros(len(scores)))).all():
        raise _no_solution(setting)
    return decision


def truncated(pca: GramPCA, num_components: NumComponents) -> tuple[int, float]:
    """Resolve how many components to keep, and what to divide scores by so that settings suit any resolution.

    The divisor is the root mean square distance of the training rows from their mean, over all components.
    """
    num_rows = len(pca.means)
    return pca.spectrum.count(num_components), float(np.sqrt(pca.spectrum.total_variance * (num_rows - 1) / num_rows))


@dataclass(frozen=True, eq=False)
class FoldScores:
    """Scores along all components of the rows that a fit learns from; they depend on no target.

    Attributes:
        pca: Of the N rows that are learnt from.
        learnt: Their scores [N, R].
        others: Scores of M other rows [M, R].
        squares: Squared distance of the other rows from the mean of the first [M].
        beside: Covariates of the rows that are learnt from [N, Q] and of the others [M, Q]; Q may be 0.
    """

    pca: GramPCA
    learnt: np.ndarray
    others: np.ndarray
    squares: np.ndarray
    beside: tuple[np.ndarray, np.ndarray]

    @classmethod
    def of(cls, products: np.ndarray, learnt: np.ndarray, others: np.ndarray, known: np.ndarray | None) -> Self:
        """Decompose the products of rows with each other, of which some are learnt from, by their positions.

        Args:
            products: Of all rows with each other.
            learnt: Positions of those that are learnt from.
            others: Positions of others.
            known: Covariates of all rows; None where there are none.
        """
        pca = GramPCA.fit(products[np.ix_(learnt, learnt)])
        cross = products[np.ix_(others, learnt)]
        known = np.empty((len(products), 0)) if known is None else known
        squares = pca.squares(cross, products.diagonal()[others])
        return cls(pca, pca.training_scores, pca.scores(cross), squares, (known[learnt], known[others]))

    @property
    def num_beside(self) -> int:
        """Number Q of columns of covariates."""
        return int(self.beside[0].shape[1])

    def kept(
        self, *, num_components: NumComponents, covariate_weight: float = 0.0
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Keep some components, divide by what makes settings suit any resolution, and put the covariates beside them.

        Args:
            num_components: See `NumComponents`.
            covariate_weight: What the covariates are multiplied by.

        Returns:
            Scores of the rows learnt from [N, P + Q] and of the others [M, P + Q], and how far the others are outside
            the space of the components [M], see `outside`.
        """
        count, scale = truncated(self.pca, num_components)
        mine, others = self.learnt[:, :count] / scale, self.others[:, :count] / scale
        beyond = outside(others, self.squares / scale**2, num_components)
        known, theirs = (covariate_weight * columns for columns in self.beside)
        return np.hstack([mine, known]), np.hstack([others, theirs]), beyond


def _try_fold(
    products: np.ndarray,
    known: np.ndarray | None,
    columns: np.ndarray,
    outcome: Outcome,
    fold: InnerFold,
    grid: ParameterGrid,
    fit_decisions: FitDecisions,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute scores on rows learnt from and held out, [points] each, and decisions for the latter [points, M, D]."""
    train, held_out = fold
    scores = FoldScores.of(products, train, held_out, known)
    fit = told_what(fit_decisions, outcome, num_beside=scores.num_beside)
    learnt, judged, decisions = [], [], []
    for space in grid.spaces:
        mine, others, beyond = scores.kept(**space)
        fitted = fit(mine, columns[train], list(grid.settings))
        for decision in fitted:
            decisions.append(decision.decide(others, beyond))
            solved = np.isfinite(decisions[-1]).all()
            own = decision.decide(mine, np.zeros(len(mine)))
            learnt.append(outcome.judge(own, columns[train]) if solved else np.nan)
            judged.append(outcome.judge(decisions[-1], columns[held_out]) if solved else np.nan)
    return np.array(learnt), np.array(judged), np.stack(decisions)


def outside(scores: np.ndarray, squares: np.ndarray, num_components: NumComponents) -> np.ndarray:
    """Compute the squared distance of rows from the space of the components, or 0 where only the scores are to count.

    Without PCA a model sees the whole volume, also what no training row has.

    Args:
        scores: Of all components, [N, P].
        squares: Squared distance of each row from the mean, [N].
        num_components: None says that there is no PCA.
    """
    if num_components is not None:
        return np.zeros(len(scores))
    beyond: np.ndarray = squares - (scores**2).sum(axis=1)
    beyond[beyond < 0] = 0.0  # rounding
    return beyond


def without_warnings() -> contextlib.AbstractContextManager[object]:
    """Silence what scikit-learn says of a fit without an end: it is no solution. To be entered by one thread."""
    return warnings.catch_warnings(action="ignore", category=ConvergenceWarning)


def _no_solution(setting: Setting) -> UserError:
    options = " ".join(option(f"model.{name}", value) for name, value in setting.items())
    return UserError(f"{options} has no solution on these training rows. Change it; a lower C needs fewer steps.")
