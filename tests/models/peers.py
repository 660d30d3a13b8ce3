"""What the classical models are held against: pipelines of scikit-learn on flattened volumes."""

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import Normalizer, StandardScaler


class Unit(TransformerMixin, BaseEstimator):
    """Divide by the root mean square distance from the mean, as the classical models define their unit."""

    def fit(self, X, y=None):
        """Measure it."""
        self.unit_ = np.sqrt(((X - X.mean(axis=0)) ** 2).sum(axis=1).mean())
        return self

    def transform(self, X):
        """Divide."""
        return X / self.unit_


def pipeline(decision, num_components, *, standardize=False, normalize=False) -> Pipeline:
    pca = "passthrough" if num_components is None else PCA(num_components, svd_solver="full")
    steps = [
        ("normalize", Normalizer() if normalize else "passthrough"),
        ("standardize", StandardScaler() if standardize else "passthrough"),
        ("unit", Unit()),
        ("pca", pca),
        ("decision", decision),
    ]
    return Pipeline(steps)
