"""Functions from the scores of volumes to decisions: plain arrays, fitted by scikit-learn, applied without it.

They are fitted to columns [N, D], see `mri3d.outcome.Outcome.columns`. What these are, `memberships` says: True for
classes to tell from the rest, False for values to approximate. Scores are [N, P]; `beyond` [N] is the squared distance
of a volume from the space that the scores span, 0 where the model is to look at the scores alone. A decision without a
solution decides NaN. All but the logistic regression fit each column as they would fit it alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from sklearn.linear_model import LogisticRegression

from mri3d.models.classical.machines import fit_machines

MAX_ITERATIONS = 6_000_000
"""Of libsvm, which has no limit of its own; far more than usual settings need."""

MAX_STEPS = 10_000
"""Of the logistic regression's optimizer, L-BFGS."""


@dataclass(frozen=True, eq=False)
class LinearDecision:
    """Weighted sums of the scores.

    Attributes:
        weights: [D, P].
        intercepts: [D].
    """

    weights: np.ndarray
    intercepts: np.ndarray

    def decide(self, scores: np.ndarray, beyond: np.ndarray) -> np.ndarray:
        """Compute decisions [N, D]."""
        decisions: np.ndarray = scores @ self.weights.T + self.intercepts
        return decisions


@dataclass(frozen=True, eq=False)
class RBFDecision:
    """Sums of Gaussian bumps around training rows.

    Attributes:
        centres: Scores of the rows that are support vectors of any class, [M, P].
        weights: [D, M].
        intercepts: [D].
        gamma: How fast the bumps fall with squared distance, [1].
    """

    centres: np.ndarray
    weights: np.ndarray
    intercepts: np.ndarray
    gamma: np.ndarray

    def decide(self, scores: np.ndarray, beyond: np.ndarray) -> np.ndarray:
        """Compute decisions [N, D]."""
        kernel = np.exp(-self.gamma * (squared_distances(scores, self.centres) + beyond[:, None]))
        decisions: np.ndarray = kernel @ self.weights.T + self.intercepts
        return decisions


@dataclass(frozen=True, eq=False)
class NeighboursDecision:
    """The mean of the nearest training rows: shares of their classes, or of their values.

    Attributes:
        neighbours: Scores of the training rows, [M, P].
        columns: What was fitted, of each of them, [M, D]; 0 or 1 where they are classes.
        k: How many are averaged, [1].
    """

    neighbours: np.ndarray
    columns: np.ndarray
    k: np.ndarray

    def decide(self, scores: np.ndarray, beyond: np.ndarray) -> np.ndarray:
        """Average over the nearest neighbours, [N, D]; `beyond` is the same for all of them."""
        distances = squared_distances(scores, self.neighbours)
        nearest = np.argpartition(distances, self.k.item() - 1, axis=1)[:, : self.k.item()]
        shares: np.ndarray = self.columns[nearest].mean(axis=1)  # [N, k, D] -> [N, D]
        return shares


Decision = LinearDecision | RBFDecision | NeighboursDecision
"""A fitted function."""

_EARLIER_NAMES = {"decision.members": "decision.columns"}
"""Of tensors in model folders that earlier versions wrote."""


def decision_tensors(decision: Decision) -> dict[str, np.ndarray]:
    """Return the arrays of a decision by their names in a model folder."""
    return {f"decision.{name}": array for name, array in vars(decision).items()}


def decision_from_tensors(kind: type[Decision], tensors: Mapping[str, np.ndarray]) -> Decision:
    """Build a decision from what `decision_tensors` returned, in this version or an earlier one."""
    named = {_EARLIER_NAMES.get(name, name): tensor for name, tensor in tensors.items()}
    return kind(**{field.name: named[f"decision.{field.name}"] for field in fields(kind)})


def fit_linear_svms(
    scores: np.ndarray, columns: np.ndarray, Cs: list[float], *, memberships: bool
) -> list[LinearDecision]:
    """Fit a linear support vector machine for each C and column, by its kernel: N x N whatever P is.

    Args:
        scores: [N, P].
        columns: What is fitted, [N, D].
        Cs: Penalties of errors.
        memberships: Whether classes are told apart, or values approximated.

    Returns:
        The decision for each C; NaN for columns of which it found no end.
    """
    kernel = scores @ scores.T
    fits = [fit_machines(kernel, columns, C, memberships=memberships, max_iterations=MAX_ITERATIONS) for C in Cs]
    return [LinearDecision(weights @ scores, intercepts) for weights, intercepts in fits]


def fit_rbf_svms(
    scores: np.ndarray, columns: np.ndarray, pairs: list[tuple[float, float]], *, memberships: bool
) -> list[RBFDecision]:
    """Fit a support vector machine with a Gaussian kernel for each pair of C and gamma, and each column.

    Arguments and what is returned as of `fit_linear_svms`.
    """
    distances = squared_distances(scores, scores)
    decisions: list[RBFDecision] = []
    for C, gamma in pairs:
        kernel = np.exp(-gamma * distances)
        weights, intercepts = fit_machines(kernel, columns, C, memberships=memberships, max_iterations=MAX_ITERATIONS)
        support = weights.any(axis=0)
        decisions.append(RBFDecision(scores[support], weights[:, support], intercepts, np.array([gamma])))
    return decisions


def fit_logistic(scores: np.ndarray, columns: np.ndarray, Cs: list[float]) -> list[LinearDecision]:
    """Fit a logistic regression for each C to memberships, bool [N, D], multinomial for more than two classes."""
    targets = columns[:, 0].astype(int) if columns.shape[1] == 1 else columns.argmax(axis=1)
    decisions: list[LinearDecision] = []
    for C in Cs:
        model = LogisticRegression(C=C, tol=1e-6, max_iter=MAX_STEPS).fit(scores, targets)
        solved = 1.0 if model.n_iter_.max() < MAX_STEPS else np.nan
        decisions.append(LinearDecision(solved * model.coef_, solved * model.intercept_))
    return decisions


def fit_ridge(
    scores: np.ndarray, columns: np.ndarray, alphas: list[float], *, memberships: bool, num_beside: int = 0
) -> list[LinearDecision]:
    """Fit least squares with a penalty on the weights for each alpha.

    Classes are fitted as +1 and -1, as `sklearn.linear_model.RidgeClassifier` does.

    Args:
        scores: Principal scores of all rows that the components were fitted on, [N, P]: centred, and orthogonal
            column by column, which makes the solution a division; the last ones may be covariates, centred only.
        columns: What is fitted, [N, D].
        alphas: Penalties of the weights.
        memberships: Whether classes are told apart, or values approximated.
        num_beside: How many of the last columns of scores are covariates, of which there are few.
    """
    wanted, count = np.where(columns, 1.0, -1.0) if memberships else columns, scores.shape[1] - num_beside
    projected, squares = wanted.T @ scores, (scores[:, :count] ** 2).sum(axis=0)
    if not num_beside:
        return [LinearDecision(projected / (squares + alpha), wanted.mean(axis=0)) for alpha in alphas]
    beside = scores[:, count:]
    across, among = scores[:, :count].T @ beside, beside.T @ beside  # [P, Q], [Q, Q]
    decisions = []
    for alpha in alphas:  # the normal equations, solved for the covariates first (Schur complement)
        shrunk = across / (squares + alpha)[:, None]
        left = among + alpha * np.eye(num_beside) - shrunk.T @ across
        weights = np.linalg.solve(left, (projected[:, count:] - projected[:, :count] @ shrunk).T).T
        rest = projected[:, :count] / (squares + alpha) - weights @ shrunk.T
        decisions.append(LinearDecision(np.hstack([rest, weights]), wanted.mean(axis=0)))
    return decisions


def fit_neighbours(scores: np.ndarray, columns: np.ndarray, ks: list[int]) -> list[NeighboursDecision]:
    """Keep the rows and their columns for the mean of the k nearest, for each k."""
    numbers = columns.astype(np.float64)
    return [NeighboursDecision(scores, numbers, np.array([k])) for k in ks]


def squared_distances(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Compute squared Euclidean distances between the rows of [N, P] and [M, P], float64 [N, M]."""
    products = left @ right.T
    distances: np.ndarray = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1) - 2 * products
    distances[distances < 0] = 0.0  # rounding
    return distances
