"""The five classical models: PCA, then a linear or kernel model; what they share is in `ClassicalModel`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mri3d.errors import UserError, option
from mri3d.models.classical.decisions import (
    Decision,
    NeighboursDecision,
    RBFDecision,
    fit_linear_svms,
    fit_logistic,
    fit_neighbours,
    fit_rbf_svms,
    fit_ridge,
)
from mri3d.models.classical.pipeline import ClassicalModel
from mri3d.models.model import Setting
from mri3d.texts import number_text

__all__ = ["CLASSICAL", "KNN", "RBFSVM", "ClassicalModel", "LinearSVM", "Logistic", "Ridge"]


@dataclass(kw_only=True)
class Logistic(ClassicalModel):
    """Logistic regression on principal components, of classes only; multinomial for more than two classes.

    Args:
        C: Inverse strength of the penalty on the weights.

    >>> Logistic(C=1.0, num_components=[10, 0.9]).decision_parameters()  # chosen by inner folds where there are several
    {'C': 1.0}
    """

    C: float | Sequence[float] = (0.1, 1.0, 10.0, 100.0)

    name = "logistic"
    tasks = ("classification",)
    calibrated = False

    def decision_parameters(self) -> dict[str, object]:
        """Return C."""
        return {"C": self.C}

    def fit_decisions(
        self,
        scores: np.ndarray,
        columns: np.ndarray,
        settings: list[Setting],
        *,
        memberships: bool,
        num_beside: int = 0,
    ) -> Sequence[Decision]:
        """Fit a logistic regression for each C."""
        return fit_logistic(scores, columns, [setting["C"] for setting in settings])


@dataclass(kw_only=True)
class LinearSVM(ClassicalModel):
    """Linear support vector machine on principal components: one class against the rest, or regression of a measure.

    Args:
        C: Penalty of errors.

    >>> LinearSVM(C=[0.1, 1.0]).decision_parameters()
    {'C': [0.1, 1.0]}
    """

    C: float | Sequence[float] = (0.1, 1.0, 10.0, 100.0)

    name = "linear_svm"
    separate = True

    def decision_parameters(self) -> dict[str, object]:
        """Return C."""
        return {"C": self.C}

    def fit_decisions(
        self,
        scores: np.ndarray,
        columns: np.ndarray,
        settings: list[Setting],
        *,
        memberships: bool,
        num_beside: int = 0,
    ) -> Sequence[Decision]:
        """Fit an SVM for each C."""
        return fit_linear_svms(scores, columns, [setting["C"] for setting in settings], memberships=memberships)


@dataclass(kw_only=True)
class Ridge(ClassicalModel):
    """Least squares with a penalty on the weights: to a measure, or to +1 for a class and -1 for the rest.

    Args:
        alpha: Strength of the penalty.

    >>> from mri3d import Study, fit
    >>> random = np.random.default_rng(0)
    >>> ages, volumes = random.uniform(20, 80, 30), random.normal(size=(30, 7, 8, 9))
    >>> volumes[:, 2:5, 2:5, 2:5] += ages[:, None, None, None] / 10
    >>> model = fit(Study.from_arrays(volumes, ages, task="regression"), Ridge())
    >>> float(np.abs(model.predict_arrays(volumes) - ages).mean()) < 3
    True
    """

    alpha: float | Sequence[float] = (0.01, 0.1, 1.0, 10.0)

    name = "ridge"
    separate = True

    def decision_parameters(self) -> dict[str, object]:
        """Return alpha."""
        return {"alpha": self.alpha}

    def fit_decisions(
        self,
        scores: np.ndarray,
        columns: np.ndarray,
        settings: list[Setting],
        *,
        memberships: bool,
        num_beside: int = 0,
    ) -> Sequence[Decision]:
        """Solve for each alpha."""
        alphas = [setting["alpha"] for setting in settings]
        return fit_ridge(scores, columns, alphas, memberships=memberships, num_beside=num_beside)


@dataclass(kw_only=True)
class RBFSVM(ClassicalModel):
    """Support vector machine with a Gaussian kernel on principal components, for classes or a measure.

    Args:
        C: Penalty of errors.
        gamma: How fast the kernel falls; 1 is scikit-learn's `scale` for all components.

    >>> RBFSVM(gamma=0.5).decision_parameters()
    {'C': (1.0, 10.0, 100.0), 'gamma': 0.5}
    """

    C: float | Sequence[float] = (1.0, 10.0, 100.0)
    gamma: float | Sequence[float] = (0.1, 0.3, 1.0)

    name = "rbf_svm"
    decision_type = RBFDecision
    separate = True

    def decision_parameters(self) -> dict[str, object]:
        """Return C and gamma."""
        return {"C": self.C, "gamma": self.gamma}

    def fit_decisions(
        self,
        scores: np.ndarray,
        columns: np.ndarray,
        settings: list[Setting],
        *,
        memberships: bool,
        num_beside: int = 0,
    ) -> Sequence[Decision]:
        """Fit an SVM for each C and gamma."""
        pairs = [(setting["C"], setting["gamma"]) for setting in settings]
        return fit_rbf_svms(scores, columns, pairs, memberships=memberships)


@dataclass(kw_only=True)
class KNN(ClassicalModel):
    """Vote of the nearest training subjects by principal components, or the mean of their measure.

    Args:
        k: How many of them.

    >>> KNN(k=5).decision_parameters()
    {'k': 5}
    """

    k: int | Sequence[int] = (1, 3, 5, 9, 15, 25)

    name = "knn"
    decision_type = NeighboursDecision
    separate = True

    def decision_parameters(self) -> dict[str, object]:
        """Return k."""
        return {"k": self.k}

    def rows_needed(self, setting: Setting) -> int:
        """Return k."""
        return int(setting["k"])

    def check_setting(self, setting: Setting, num_rows: int) -> None:
        """Refuse more neighbours than there are rows."""
        super().check_setting(setting, num_rows)
        if setting["k"] > num_rows:
            where = option("model.k", setting["k"])
            rows = number_text(num_rows, "row")
            raise UserError(f"{where} neighbours cannot be found among {rows}. Give whole numbers up to that.")

    def fit_decisions(
        self,
        scores: np.ndarray,
        columns: np.ndarray,
        settings: list[Setting],
        *,
        memberships: bool,
        num_beside: int = 0,
    ) -> Sequence[Decision]:
        """Keep the neighbours for each k."""
        return fit_neighbours(scores, columns, [setting["k"] for setting in settings])


CLASSICAL: tuple[type[ClassicalModel], ...] = (Ridge, LinearSVM, RBFSVM, KNN, Logistic)
"""All of them."""
