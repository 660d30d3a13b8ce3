"""Choose the settings of a classical model inside its training rows: inner folds, a grid, and what was chosen.

One eigendecomposition per inner fold serves every point of the grid.
"""

import contextlib
import itertools
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import joblib
import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from threadpoolctl import threadpool_limits

from mri3d.errors import UserError, option
from mri3d.models.classical.decisions import Decision
from mri3d.models.model import Search, Setting
from mri3d.outcome import Outcome
from mri3d.progress import progress
from mri3d.voxels.pca import GramPCA, NumComponents

log = logging.getLogger(__name__)

InnerFold = tuple[np.ndarray, np.ndarray]
"""Positions among the training rows that are learnt from, and that are held out."""


class FitDecisions(Protocol):
    """Fits decisions to columns [N, D] by scores [N, P], one for each setting."""

    def __call__(
        self, scores: np.ndarray, columns: np.ndarray, settings: list[Setting], *, memberships: bool
    ) -> Sequence[Decision]:
        """Fit them; `memberships` says what the columns are, see `Outcome.memberships`."""


@dataclass(frozen=True)
class ParameterGrid:
    """Every number of components with every setting of the decision, in the order in which ties are decided.

    Attributes:
        num_components: Values to try.
        settings: Values to try for the decision.
    """

    num_components: tuple[NumComponents, ...]
    settings: tuple[Setting, ...]

    @property
    def points(self) -> list[Setting]:
        """All combinations; the settings run fastest."""
        return [{"num_components": count, **setting} for count in self.num_components for setting in self.settings]

    def within(self, num_rows: int, rows_needed: Callable[[Setting], int]) -> "ParameterGrid":
        """Leave out values that so many rows are too few for; where none is left all stay, to be refused by name.

        Args:
            num_rows: How many there are.
            rows_needed: How many a setting of the decision needs.

        >>> ParameterGrid.of([0.9, 5], k=[3, 9]).within(5, lambda setting: setting["k"])
        ParameterGrid(num_components=(0.9,), settings=({'k': 3},))
        """
        counts = [n for n in self.num_components if not (isinstance(n, int) and n >= num_rows)]
        settings = [setting for setting in self.settings if rows_needed(setting) <= num_rows]
        return ParameterGrid(tuple(counts) or self.num_components, tuple(settings) or self.settings)

    def values_beyond(self, other: "ParameterGrid") -> dict[str, list[Any]]:
        """List for each parameter the values that are here and not in another grid; only parameters that have some.

        >>> ParameterGrid.of([0.9, 5], k=[3, 9]).values_beyond(ParameterGrid.of([0.9, 5], k=[3]))
        {'k': [9]}
        """
        beyond: dict[str, list[Any]] = {}
        theirs = other.points
        for name in self.points[0]:
            kept = [point[name] for point in theirs]
            missing = dict.fromkeys(point[name] for point in self.points if point[name] not in kept)
            beyond |= {name: list(missing)} if missing else {}
        return beyond

    @classmethod
    def of(cls, num_components: object, **parameters: object) -> "ParameterGrid":
        """Span a grid from one value or a list of values for each parameter.

        Raises:
            UserError: A list is empty.

        >>> ParameterGrid.of([5, None], C=[0.1, 1.0]).points[1]
        {'num_components': 5, 'C': 1.0}
        """
        lists = {name: as_list(name, value) for name, value in parameters.items()}
        settings = [dict(zip(lists, values, strict=True)) for values in itertools.product(*lists.values())]
        return cls(tuple(as_list("num_components", num_components)), tuple(settings))


def inner_folds(
    outcome: Outcome, targets: np.ndarray, groups: np.ndarray, *, num_folds: int, seed: int
) -> list[InnerFold]:
    """Cut training rows into stratified folds that keep groups whole.

    Args:
        outcome: What is predicted.
        targets: Truth of each training row, [N].
        groups: Who belongs together, [N].
        num_folds: How many.
        seed: Of the shuffle.

    Returns:
        Positions learnt from and positions held out, for each fold.

    Raises:
        UserError: There are fewer than 2 folds, a class has fewer groups than folds, or a fold lacks a class.
    """
    lower = f"Lower {option('model.inner_folds')}" if num_folds > 2 else ""
    if num_folds < 2:
        raise UserError(f"{option('model.inner_folds', num_folds)} is too few. Give 2 or more.")
    reason = f"inner folds need of the {len(targets)} training rows"
    strata = outcome.strata(targets, groups, needed=num_folds, reason=reason, remedy=lower and f"{lower}. ")
    alone = len(np.unique(groups)) == len(groups)
    if alone:
        folds = list(StratifiedKFold(num_folds, shuffle=True, random_state=seed).split(strata, strata))
    else:
        splitter = StratifiedGroupKFold(num_folds, shuffle=True, random_state=seed)
        folds = list(splitter.split(strata, strata, groups))
    for number, (train, held_out) in enumerate(folds):
        for done, part in (("learns from", train), ("holds out", held_out)):
            if lacking := outcome.lacking(targets[part]):
                why = "too few rows differ" if alone else "groups stay whole"
                raise UserError(
                    f"inner fold {number} {done} {lacking}, because {why}. "
                    f"{f'{lower}, or change' if lower else 'Change'} {option('seed')}."
                )
    return folds


def inner_folds_that_fit(
    outcome: Outcome, targets: np.ndarray, groups: np.ndarray, *, num_folds: int, seed: int
) -> list[InnerFold]:
    """Cut training rows as `inner_folds` does, into fewer folds where so many cannot be; arguments as there.

    Raises:
        UserError: Not even 2 folds can be.
    """
    for fewer in range(min(num_folds, len(targets)), 2, -1):
        with contextlib.suppress(UserError):
            return inner_folds(outcome, targets, groups, num_folds=fewer, seed=seed)
    return inner_folds(outcome, targets, groups, num_folds=min(num_folds, 2), seed=seed)


def search(
    products: Sequence[np.ndarray],
    columns: np.ndarray,
    outcome: Outcome,
    folds: Sequence[InnerFold],
    grid: ParameterGrid,
    fit_decisions: FitDecisions,
) -> tuple[Search, np.ndarray]:
    """Try every point of a grid on every inner fold; folds run on all cores, or on joblib's chosen backend.

    Args:
        products: For each fold the products of all training rows with each other, [N, N].
        columns: What is fitted, of each training row, [N, D].
        outcome: What is predicted; it judges the decisions.
        folds: Positions learnt from and positions held out.
        grid: What to try.
        fit_decisions: How to fit.

    Returns:
        What was found, and the decisions of every row when it was held out, [points, N, D].
    """
    num_jobs = min(joblib.effective_n_jobs(-1), len(folds))
    parallel = joblib.Parallel(n_jobs=num_jobs, prefer="threads", return_as="generator")
    tasks = (
        joblib.delayed(_try_fold)(matrix, columns, outcome, fold, grid, fit_decisions)
        for matrix, fold in zip(products, folds, strict=True)
    )
    with threadpool_limits(1 if num_jobs > 1 else None):
        tried = list(progress(parallel(tasks), total=len(folds), title="inner folds"))
    decisions = np.empty((len(grid.points), *columns.shape))
    for (_, held_out), (_, _, fold_decisions) in zip(folds, tried, strict=True):
        decisions[:, held_out] = fold_decisions
    train_scores, validation_scores = (np.stack([fold[i] for fold in tried], axis=1) for i in (0, 1))
    return Search(grid.points, train_scores, validation_scores, outcome.criterion), decisions


def truncated(pca: GramPCA, num_components: NumComponents) -> tuple[int, float]:
    """Resolve how many components to keep, and what to divide scores by so that settings suit any resolution.

    The divisor is the root mean square distance of the training rows from their mean, over all components.
    """
    num_rows = len(pca.means)
    return pca.spectrum.count(num_components), float(np.sqrt(pca.spectrum.total_variance * (num_rows - 1) / num_rows))


def as_list(name: str, value: object) -> list[Any]:
    """Read an option that is one value or a list of values to choose from.

    Raises:
        UserError: The list is empty.
    """
    values = list(value) if isinstance(value, list | tuple) else [value]
    if not values:
        raise UserError(
            f"{option(f'model.{name}')} is an empty list: there is nothing to try. Give a value or a list of values."
        )
    return values


def _try_fold(
    products: np.ndarray,
    columns: np.ndarray,
    outcome: Outcome,
    fold: InnerFold,
    grid: ParameterGrid,
    fit_decisions: FitDecisions,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute scores on rows learnt from and held out, [points] each, and decisions for the latter [points, M, D]."""
    train, held_out = fold
    pca = GramPCA.fit(products[np.ix_(train, train)])
    cross = products[np.ix_(held_out, train)]
    train_scores, scores = pca.training_scores, pca.scores(cross)
    squares = pca.squares(cross, products.diagonal()[held_out])
    learnt, judged, decisions = [], [], []
    for num_components in grid.num_components:
        count, scale = truncated(pca, num_components)
        mine, others = train_scores[:, :count] / scale, scores[:, :count] / scale
        beyond = outside(others, squares / scale**2, num_components)
        fitted = fit_decisions(mine, columns[train], list(grid.settings), memberships=outcome.memberships)
        for decision in fitted:
            learnt.append(outcome.judge(decision.decide(mine, np.zeros(len(mine))), columns[train]))
            decisions.append(decision.decide(others, beyond))
            judged.append(outcome.judge(decisions[-1], columns[held_out]))
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
