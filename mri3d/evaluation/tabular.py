"""Models of a few columns of the table, which say what can be predicted without any image."""

from collections.abc import Callable

import numpy as np
from sklearn import config_context
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge

from mri3d.outcome import Outcome

Predict = Callable[[np.ndarray], np.ndarray]
"""Columns [M, Q] to predictions [M, K] or [M]."""

Fit = Callable[[Outcome, np.ndarray, np.ndarray], Predict]
"""Outcome, columns [N, Q] in standard units, and targets [N], to what predicts."""

PENALTY = 1.0
"""On the weights of a linear model; of columns in standard units it is a weak one."""

BOOSTING = {"n_estimators": 30, "learning_rate": 0.15, "max_depth": 2, "min_samples_leaf": 8, "subsample": 0.7}
"""Small trees and few of them: cohorts have a hundred sessions or so, and a handful of columns. (Boosting by histograms
is faster on a thousand rows, but its threads wait for each other where processes share the cores.)"""


def fit_linear(outcome: Outcome, columns: np.ndarray, targets: np.ndarray) -> Predict:
    """Fit a logistic regression of classes, or a ridge regression of a measure."""
    if outcome.memberships:
        return _classifier(LogisticRegression(C=1 / PENALTY, max_iter=1000).fit(columns, targets))
    return Ridge(alpha=PENALTY).fit(columns, targets).predict  # type: ignore[no-any-return]


def fit_boosted(outcome: Outcome, columns: np.ndarray, targets: np.ndarray) -> Predict:
    """Fit gradient boosted trees (Friedman 2001), which see bends, steps and what columns say together."""
    with config_context(skip_parameter_validation=True):  # of each tree anew: a quarter of the time
        if outcome.memberships:
            return _classifier(GradientBoostingClassifier(**BOOSTING, random_state=0).fit(columns, targets))
        return GradientBoostingRegressor(**BOOSTING, random_state=0).fit(columns, targets).predict  # type: ignore[no-any-return]


def _classifier(model: LogisticRegression | GradientBoostingClassifier) -> Predict:
    """Return the probabilities of a classifier that has seen every class."""
    return model.predict_proba  # type: ignore[no-any-return]
