"""Questions about volumes, in short."""

import numpy as np

from mri3d.explain.evidence import Method, Question


def ask(volume: np.ndarray, name: str = "integrated_gradients", *, target: int = 0, layer=None, regions=None):
    """Ask where in a volume [C, X, Y, Z] the evidence for a target lies."""
    return Question(volume, target, Method(name, layer), regions=regions)
