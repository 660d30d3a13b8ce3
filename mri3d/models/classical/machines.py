"""Support vector machines by a kernel that was computed beforehand: one for each of many columns.

What scikit-learn does around libsvm takes ten times as long as libsvm itself for a hundred rows. So the columns after
the first are given to libsvm as scikit-learn gives them. That function of scikit-learn is no public one: the first
column is fitted both ways, and unless they agree to the last bit all columns are fitted the public way.
"""

from typing import Any, NamedTuple

import numpy as np
from sklearn.svm import SVC, SVR

TOLERANCE = 1e-4
"""Of libsvm's optimum: with its own 1e-3 the last bit of a kernel decides the fourth digit of a probability."""

Machine = tuple[np.ndarray, float]
"""Weight of each row [N] and intercept, NaN without an end."""


def fit_machines(
    kernel: np.ndarray, columns: np.ndarray, C: float, *, memberships: bool, max_iterations: int
) -> tuple[np.ndarray, np.ndarray]:
    """Fit one machine for each column.

    Args:
        kernel: Of the rows with each other, [N, N].
        columns: What is fitted, [N, D].
        C: Penalty of errors.
        memberships: Whether classes are told apart, or values approximated.
        max_iterations: After which a fit is given up.

    Returns:
        Weights of the rows [D, N] and intercepts [D]; NaN for a column whose fit found no end.
    """
    first, *others = np.ascontiguousarray(columns.T, dtype=np.float64)
    problem = _Problem(kernel, C, memberships, max_iterations)
    machines = [problem.by_estimator(first)]
    if others:
        fit = problem.by_library if problem.library_agrees(first, machines[0]) else problem.by_estimator
        machines += [fit(column) for column in others]
    weights, intercepts = zip(*machines, strict=True)
    return np.stack(weights), np.array(intercepts)


class _Problem(NamedTuple):
    """Everything but the column; see `fit_machines`."""

    kernel: np.ndarray
    C: float
    memberships: bool
    max_iterations: int

    def by_estimator(self, column: np.ndarray) -> Machine:
        """Fit a machine by scikit-learn's class for it."""
        machine = SVC if self.memberships else SVR
        model = machine(C=self.C, kernel="precomputed", tol=TOLERANCE, max_iter=self.max_iterations)
        model.fit(self.kernel, column)
        return _machine(len(column), model.support_, model.dual_coef_[0], model.intercept_[0], model.fit_status_)

    def by_library(self, column: np.ndarray) -> Machine:
        """Fit a machine by the function that scikit-learn's classes call."""
        from sklearn.svm import _libsvm as libsvm  # here: a version may come that has no such module

        libsvm.set_verbosity_wrap(0)
        kind: dict[str, Any] = {"svm_type": 0, "class_weight": np.ones(2)}
        if not self.memberships:
            kind = {"svm_type": 3, "epsilon": 0.1}
        limits = {"tol": TOLERANCE, "max_iter": self.max_iterations, "cache_size": 200.0}
        support, _, _, weights, intercepts, _, _, status, _ = libsvm.fit(
            self.kernel, column, kernel="precomputed", C=self.C, **kind, **limits
        )
        sign = -1.0 if self.memberships else 1.0  # the library's sums speak for the first class
        return _machine(len(column), support, sign * weights[0], sign * intercepts[0], status)

    def library_agrees(self, column: np.ndarray, machine: Machine) -> bool:
        """Return whether the library's function can be called so, and gives what the estimator gave."""
        try:
            weights, intercept = self.by_library(column)
        except (ImportError, AttributeError, TypeError, ValueError, IndexError):
            return False
        return np.array_equal([*weights, intercept], [*machine[0], machine[1]], equal_nan=True)


def _machine(num_rows: int, support: np.ndarray, weights: np.ndarray, intercept: float, status: int) -> Machine:
    """Put the weights of the support vectors in the places of their rows, if the fit came to an end."""
    every = np.full(num_rows, np.nan if status else 0.0)
    if not status:
        every[support] = weights
    return every, np.nan if status else float(intercept)
