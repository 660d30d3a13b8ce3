"""The five classical models: PCA, then a linear or kernel classifier; what they share is in `ClassicalModel`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mri3d.models.classical.decisions import (
    Head,
    NeighboursHead,
    RBFHead,
    fit_linear_svms,
    fit_logistic,
    fit_neighbours,
    fit_rbf_svms,
    fit_ridge,
)
from mri3d.models.classical.pipeline import ClassicalModel
from mri3d.models.model import Setting

__all__ = ["KNN", "RBFSVM", "ClassicalModel", "LinearSVM", "Logistic", "Ridge"]


@dataclass(kw_only=True)
class Logistic(ClassicalModel):
    """Logistic regression on principal components; multinomial for more than two classes.

    Args:
        C: Inverse strength of the penalty on the weights.
    """

    C: float | Sequence[float] = (0.1, 1.0, 10.0, 100.0)

    name = "logistic"
    calibrated = False

    def head_parameters(self) -> dict[str, object]:
        """Give C."""
        return {"C": self.C}

    def fit_heads(self, scores: np.ndarray, targets: np.ndarray, settings: list[Setting]) -> Sequence[Head]:
        """Fit a logistic regression for each C."""
        return fit_logistic(scores, targets, [setting["C"] for setting in settings])


@dataclass(kw_only=True)
class LinearSVM(ClassicalModel):
    """Linear support vector machine on principal components; one class against the rest for more than two.

    Args:
        C: Penalty of errors.
    """

    C: float | Sequence[float] = (0.1, 1.0, 10.0, 100.0)

    name = "linear_svm"

    def head_parameters(self) -> dict[str, object]:
        """Give C."""
        return {"C": self.C}

    def fit_heads(self, scores: np.ndarray, targets: np.ndarray, settings: list[Setting]) -> Sequence[Head]:
        """Fit an SVM for each C."""
        return fit_linear_svms(scores, targets, [setting["C"] for setting in settings])


@dataclass(kw_only=True)
class Ridge(ClassicalModel):
    """Least squares with a penalty on the weights, to +1 for a class and -1 for the rest.

    Args:
        alpha: Strength of the penalty.
    """

    alpha: float | Sequence[float] = (0.01, 0.1, 1.0, 10.0)

    name = "ridge"

    def head_parameters(self) -> dict[str, object]:
        """Give alpha."""
        return {"alpha": self.alpha}

    def fit_heads(self, scores: np.ndarray, targets: np.ndarray, settings: list[Setting]) -> Sequence[Head]:
        """Solve for each alpha."""
        return fit_ridge(scores, targets, [setting["alpha"] for setting in settings])


@dataclass(kw_only=True)
class RBFSVM(ClassicalModel):
    """Support vector machine with a Gaussian kernel on principal components.

    Args:
        C: Penalty of errors.
        gamma: How fast the kernel falls; 1 is scikit-learn's `scale` for all components.
    """

    C: float | Sequence[float] = (1.0, 10.0, 100.0)
    gamma: float | Sequence[float] = (0.1, 0.3, 1.0)

    name = "rbf_svm"
    head_type = RBFHead

    def head_parameters(self) -> dict[str, object]:
        """Give C and gamma."""
        return {"C": self.C, "gamma": self.gamma}

    def fit_heads(self, scores: np.ndarray, targets: np.ndarray, settings: list[Setting]) -> Sequence[Head]:
        """Fit an SVM for each C and gamma."""
        return fit_rbf_svms(scores, targets, [(setting["C"], setting["gamma"]) for setting in settings])


@dataclass(kw_only=True)
class KNN(ClassicalModel):
    """Vote of the nearest training subjects by principal components.

    Args:
        k: How many vote.
    """

    k: int | Sequence[int] = (1, 3, 5, 9, 15, 25)

    name = "knn"
    head_type = NeighboursHead

    def head_parameters(self) -> dict[str, object]:
        """Give k."""
        return {"k": self.k}

    def fit_heads(self, scores: np.ndarray, targets: np.ndarray, settings: list[Setting]) -> Sequence[Head]:
        """Keep the neighbours for each k."""
        return fit_neighbours(scores, targets, [setting["k"] for setting in settings])
