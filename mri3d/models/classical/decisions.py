"""What turns the scores of volumes into decisions: plain arrays, fitted by scikit-learn, applied without it.

A decision is one number per row for two classes (large speaks for the second), and one per class for more. Scores are
[N, P]; `beyond` [N] is the squared distance of a volume from the space that the scores span, 0 where the model is to
look at the scores alone.
"""

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC


@dataclass(frozen=True, eq=False)
class LinearHead:
    """Weighted sums of the scores.

    Attributes:
        weights: [1 or K, P].
        intercepts: [1 or K].
    """

    weights: np.ndarray
    intercepts: np.ndarray

    def decide(self, scores: np.ndarray, beyond: np.ndarray) -> np.ndarray:
        """Give decisions [N, 1 or K]."""
        decisions: np.ndarray = scores @ self.weights.T + self.intercepts
        return decisions


@dataclass(frozen=True, eq=False)
class RBFHead:
    """Sums of Gaussian bumps around training rows.

    Attributes:
        centres: Scores of the rows that are support vectors of any class, [M, P].
        weights: [1 or K, M].
        intercepts: [1 or K].
        gamma: How fast the bumps fall with squared distance, [1].
    """

    centres: np.ndarray
    weights: np.ndarray
    intercepts: np.ndarray
    gamma: np.ndarray

    def decide(self, scores: np.ndarray, beyond: np.ndarray) -> np.ndarray:
        """Give decisions [N, 1 or K]."""
        kernel = np.exp(-self.gamma * (squared_distances(scores, self.centres) + beyond[:, None]))
        decisions: np.ndarray = kernel @ self.weights.T + self.intercepts
        return decisions


@dataclass(frozen=True, eq=False)
class NeighboursHead:
    """The classes of the nearest training rows.

    Attributes:
        neighbours: Scores of the training rows, [M, P].
        members: Whether each of them is of the second class, [M, 1], or of each class, [M, K]; 0 or 1.
        k: How many vote, [1].
    """

    neighbours: np.ndarray
    members: np.ndarray
    k: np.ndarray

    def decide(self, scores: np.ndarray, beyond: np.ndarray) -> np.ndarray:
        """Give shares of votes [N, 1 or K]; `beyond` is the same for all neighbours."""
        distances = squared_distances(scores, self.neighbours)
        nearest = np.argpartition(distances, self.k.item() - 1, axis=1)[:, : self.k.item()]
        shares: np.ndarray = self.members[nearest].mean(axis=1)  # [N, k, K] -> [N, K]
        return shares


Head = LinearHead | RBFHead | NeighboursHead


def fit_linear_svms(scores: np.ndarray, targets: np.ndarray, Cs: list[float]) -> list[LinearHead]:
    """Fit a linear SVM for each C, one class against the rest, by its kernel: N x N whatever P is.

    Args:
        scores: [N, P].
        targets: Class of each row, [N].
        Cs: Penalties of errors.
    """
    kernel = scores @ scores.T
    fits = [_fit_svms(kernel, targets, C) for C in Cs]
    return [LinearHead(weights @ scores, intercepts) for weights, intercepts in fits]


def fit_rbf_svms(scores: np.ndarray, targets: np.ndarray, pairs: list[tuple[float, float]]) -> list[RBFHead]:
    """Fit an SVM with a Gaussian kernel for each pair of C and gamma, one class against the rest."""
    distances = squared_distances(scores, scores)
    heads = []
    for C, gamma in pairs:
        weights, intercepts = _fit_svms(np.exp(-gamma * distances), targets, C)
        support = weights.any(axis=0)
        heads.append(RBFHead(scores[support], weights[:, support], intercepts, np.array([gamma])))
    return heads


def fit_logistic(scores: np.ndarray, targets: np.ndarray, Cs: list[float]) -> list[LinearHead]:
    """Fit a logistic regression for each C, multinomial for more than two classes."""
    heads = []
    for C in Cs:
        model = LogisticRegression(C=C, tol=1e-6, max_iter=10_000).fit(scores, targets)
        heads.append(LinearHead(model.coef_, model.intercept_))
    return heads


def fit_ridge(scores: np.ndarray, targets: np.ndarray, alphas: list[float]) -> list[LinearHead]:
    """Fit a ridge classifier for each alpha, as `sklearn.linear_model.RidgeClassifier` does.

    Args:
        scores: Principal scores of all rows that the components were fitted on, [N, P]: centred, and orthogonal
            column by column, which makes the solution a division.
        targets: Class of each row, [N].
        alphas: Penalties of the weights.
    """
    signs = np.where(membership(targets), 1.0, -1.0)
    projected, squares = signs.T @ scores, (scores**2).sum(axis=0)
    return [LinearHead(projected / (squares + alpha), signs.mean(axis=0)) for alpha in alphas]


def fit_neighbours(scores: np.ndarray, targets: np.ndarray, ks: list[int]) -> list[NeighboursHead]:
    """Keep the rows for a vote of the k nearest, for each k."""
    members = membership(targets).astype(np.float64)
    return [NeighboursHead(scores, members, np.array([k])) for k in ks]


def membership(targets: np.ndarray) -> np.ndarray:
    """Tell for each row whether it is of the second of two classes, bool [N, 1], or of each of several, [N, K].

    >>> membership(np.array([0, 1, 2])).astype(int)
    array([[1, 0, 0],
           [0, 1, 0],
           [0, 0, 1]])
    """
    num_classes = int(targets.max()) + 1
    members: np.ndarray = targets[:, None] == np.arange(num_classes)
    return members[:, 1:] if num_classes == 2 else members


def squared_distances(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Give squared Euclidean distances between the rows of [N, P] and [M, P], float64 [N, M]."""
    products = left @ right.T
    distances: np.ndarray = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1) - 2 * products
    distances[distances < 0] = 0.0  # rounding
    return distances


def _fit_svms(kernel: np.ndarray, targets: np.ndarray, C: float) -> tuple[np.ndarray, np.ndarray]:
    """Fit one SVM for each column of the membership: weights of the rows [1 or K, N] and intercepts [1 or K]."""
    members = membership(targets)
    weights, intercepts = np.zeros((members.shape[1], len(targets))), np.zeros(members.shape[1])
    for column in range(members.shape[1]):
        model = SVC(C=C, kernel="precomputed").fit(kernel, members[:, column])
        weights[column, model.support_], intercepts[column] = model.dual_coef_[0], model.intercept_[0]
    return weights, intercepts
