"""Choose the settings of a classical model inside its training rows: inner folds, a grid, and what was chosen.

One eigendecomposition per inner fold serves every point of the grid.
"""

import itertools
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import joblib
import numpy as np
from scipy.stats import rankdata
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from threadpoolctl import threadpool_limits

from mri3d.errors import UserError
from mri3d.models.classical.decisions import Head, membership
from mri3d.models.model import Search, Setting
from mri3d.progress import progress
from mri3d.voxels.pca import GramPCA, NumComponents

log = logging.getLogger(__name__)

InnerFold = tuple[np.ndarray, np.ndarray]
"""Positions among the training rows that are learnt from, and that are held out."""

FitHeads = Callable[[np.ndarray, np.ndarray, list[Setting]], Sequence[Head]]
"""Fits heads on scores [N, P] and targets [N], one for each setting."""


@dataclass(frozen=True)
class Grid:
    """Every number of components with every setting of the head, in the order in which ties are decided.

    Attributes:
        num_components: Values to try.
        settings: Values to try for the head.
    """

    num_components: tuple[NumComponents, ...]
    settings: tuple[Setting, ...]

    @property
    def points(self) -> list[Setting]:
        """All combinations; the settings run fastest."""
        return [{"num_components": count, **setting} for count in self.num_components for setting in self.settings]

    def within(self, num_rows: int) -> "Grid":
        """Leave out values that so many rows are too few for: numbers of components, and of neighbours (`k`).

        Where none is left all stay, to be refused by name.

        >>> Grid.of([0.9, 5], k=[3, 9]).within(5)
        Grid(num_components=(0.9,), settings=({'k': 3},))
        """
        counts = [n for n in self.num_components if not (isinstance(n, int) and n >= num_rows)]
        settings = [one for one in self.settings if not (isinstance(k := one.get("k"), int) and k > num_rows)]
        return Grid(tuple(counts) or self.num_components, tuple(settings) or self.settings)

    def values_beyond(self, other: "Grid") -> dict[str, list[Any]]:
        """List for each parameter the values that are here and not in another grid; only parameters that have some.

        >>> Grid.of([0.9, 5], k=[3, 9]).values_beyond(Grid.of([0.9, 5], k=[3]))
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
    def of(cls, num_components: object, **parameters: object) -> "Grid":
        """Span a grid from one value or a list of values for each parameter.

        Raises:
            UserError: A list is empty.

        >>> Grid.of([5, None], C=[0.1, 1.0]).points[1]
        {'num_components': 5, 'C': 1.0}
        """
        lists = {name: as_list(name, value) for name, value in parameters.items()}
        settings = [dict(zip(lists, values, strict=True)) for values in itertools.product(*lists.values())]
        return cls(tuple(as_list("num_components", num_components)), tuple(settings))


def inner_folds(
    targets: np.ndarray, groups: np.ndarray, classes: Sequence[str], *, num_folds: int, seed: int
) -> list[InnerFold]:
    """Cut training rows into stratified folds that keep groups whole.

    Args:
        targets: Class of each training row, [N].
        groups: Who belongs together, [N].
        classes: Names of the classes, for messages.
        num_folds: How many.
        seed: Of the shuffle.

    Returns:
        Positions learnt from and positions held out, for each fold.

    Raises:
        UserError: There are fewer than 2 folds, a class has fewer groups than folds, or a fold lacks a class.
    """
    if num_folds < 2:
        raise UserError(f"model.inner_folds={num_folds} is too few. Give 2 or more.")
    for target, name in enumerate(classes):
        num_groups = len(np.unique(groups[targets == target]))
        if num_groups < num_folds:
            raise UserError(
                f"class {name!r} has {num_groups} independent subjects among the {len(targets)} training rows, fewer "
                f"than the {num_folds} inner folds. Lower model.inner_folds, or find more subjects."
            )
    if len(np.unique(groups)) == len(groups):
        folds = list(StratifiedKFold(num_folds, shuffle=True, random_state=seed).split(targets, targets))
    else:
        splitter = StratifiedGroupKFold(num_folds, shuffle=True, random_state=seed)
        folds = list(splitter.split(targets, targets, groups))
    for number, (train, held_out) in enumerate(folds):
        for name, part in (("learns from", train), ("holds out", held_out)):
            if missing := sorted(set(range(len(classes))) - set(targets[part].tolist())):
                raise UserError(
                    f"inner fold {number} {name} no subject of class {classes[missing[0]]!r}, because groups stay "
                    "whole. Lower model.inner_folds, or change seed."
                )
    return folds


def search(
    products: Sequence[np.ndarray],
    targets: np.ndarray,
    folds: Sequence[InnerFold],
    grid: Grid,
    fit_heads: FitHeads,
) -> tuple[Search, np.ndarray]:
    """Try every point of a grid on every inner fold; folds run on all cores, or on joblib's chosen backend.

    Args:
        products: For each fold the products of all training rows with each other, [N, N].
        targets: Class of each training row, [N].
        folds: Positions learnt from and positions held out.
        grid: What to try.
        fit_heads: How to fit.

    Returns:
        What was found, and the decisions of every row when it was held out, [points, N, 1 or K].
    """
    num_jobs = min(joblib.effective_n_jobs(-1), len(folds))
    parallel = joblib.Parallel(n_jobs=num_jobs, prefer="threads", return_as="generator")
    tasks = (
        joblib.delayed(_try_fold)(matrix, targets, fold, grid, fit_heads)
        for matrix, fold in zip(products, folds, strict=True)
    )
    with threadpool_limits(1 if num_jobs > 1 else None):
        tried = list(progress(parallel(tasks), total=len(folds), title="inner folds"))
    decisions = np.empty((len(grid.points), len(targets), membership(targets).shape[1]))
    for (_, held_out), (_, _, fold_decisions) in zip(folds, tried, strict=True):
        decisions[:, held_out] = fold_decisions
    train_scores, validation_scores = (np.stack([fold[i] for fold in tried], axis=1) for i in (0, 1))
    return Search(grid.points, train_scores, validation_scores), decisions


def truncated(pca: GramPCA, num_components: NumComponents) -> tuple[int, float]:
    """Tell how many components to keep, and by what to divide scores so that settings mean the same at any resolution.

    The divisor is the root mean square distance of the training rows from their mean, over all components.
    """
    num_rows = len(pca.means)
    return pca.spectrum.count(num_components), float(np.sqrt(pca.spectrum.total_variance * (num_rows - 1) / num_rows))


def auc(decisions: np.ndarray, targets: np.ndarray) -> float:
    """Give the area under the ROC curve; for several classes the mean over one against the rest.

    Args:
        decisions: [N, 1], or [N, K].
        targets: Class of each row, [N]; every class is there.
    """
    members = membership(targets)
    num_in, num_out = members.sum(axis=0), (~members).sum(axis=0)
    rank_sums = (rankdata(decisions, axis=0) * members).sum(axis=0)
    return float(np.mean((rank_sums - num_in * (num_in + 1) / 2) / (num_in * num_out)))


def as_list(name: str, value: object) -> list[Any]:
    """Read an option that is one value or a list of values to choose from.

    Raises:
        UserError: The list is empty.
    """
    values = list(value) if isinstance(value, list | tuple) else [value]
    if not values:
        raise UserError(f"model.{name} is an empty list: there is nothing to try. Give a value or a list of values.")
    return values


def _try_fold(
    products: np.ndarray, targets: np.ndarray, fold: InnerFold, grid: Grid, fit_heads: FitHeads
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give AUC on rows learnt from [points] and held out [points], and decisions for those held out [points, M, K]."""
    train, held_out = fold
    pca = GramPCA.fit(products[np.ix_(train, train)])
    cross = products[np.ix_(held_out, train)]
    train_scores, scores = pca.training_scores, pca.scores(cross)
    squares = pca.squares(cross, products.diagonal()[held_out])
    aucs, held_out_aucs, decisions = [], [], []
    for num_components in grid.num_components:
        count, scale = truncated(pca, num_components)
        mine, others = train_scores[:, :count] / scale, scores[:, :count] / scale
        beyond = outside(others, squares / scale**2, num_components)
        for head in fit_heads(mine, targets[train], list(grid.settings)):
            aucs.append(auc(head.decide(mine, np.zeros(len(mine))), targets[train]))
            decisions.append(head.decide(others, beyond))
            held_out_aucs.append(auc(decisions[-1], targets[held_out]))
    return np.array(aucs), np.array(held_out_aucs), np.stack(decisions)


def outside(scores: np.ndarray, squares: np.ndarray, num_components: NumComponents) -> np.ndarray:
    """Give the squared distance of rows from the space of the components, or 0 where only the scores are to count.

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
