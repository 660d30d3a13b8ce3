"""Questions about volumes, and what is usual, in short."""

import numpy as np

from mri3d.explain.evidence import Method, Question
from mri3d.volumes.reference import Reference


def ask(volume: np.ndarray, name: str = "integrated_gradients", *, target: int = 0, layer=None, regions=None):
    """Ask where in a volume [C, X, Y, Z] the evidence for a target lies."""
    return Question(volume, target, Method(name, layer), regions=regions)


def usual(mean: np.ndarray) -> Reference:
    """Compare with one volume [C, X, Y, Z]."""
    return Reference(mean, -1.0, 1.0)
