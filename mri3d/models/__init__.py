"""What fits and predicts: a convolutional network, and the classical models on principal components.

The names below are imported when they are first used.

>>> from mri3d import models
>>> models.Ridge(alpha=0.1).num_components
(0.3, 0.5, 0.7, 0.9, 0.99, None)
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mri3d.models.classical.models import KNN, RBFSVM, LinearSVM, Logistic, Ridge
    from mri3d.models.network.cnn import CNN

_PLACES = {
    "CNN": "mri3d.models.network.cnn",
    "KNN": "mri3d.models.classical.models",
    "LinearSVM": "mri3d.models.classical.models",
    "Logistic": "mri3d.models.classical.models",
    "RBFSVM": "mri3d.models.classical.models",
    "Ridge": "mri3d.models.classical.models",
}

__all__ = ["CNN", "KNN", "RBFSVM", "LinearSVM", "Logistic", "Ridge"]


def __getattr__(name: str) -> object:
    if name in _PLACES:
        return getattr(importlib.import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'mri3d.models' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
