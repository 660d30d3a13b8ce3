"""What the fit of a linear model knows of how voxels go with its decisions."""

from dataclasses import replace

import numpy as np

from mri3d.explain.linear import Pattern
from mri3d.voxels.projection import Projection


def with_pattern(both: Projection, decisions: np.ndarray) -> tuple[Projection, Pattern]:
    """Part weights and covariances that were summed over volumes in one pass.

    Args:
        both: Its directions are D of the decisions, then the covariances of D decisions with the voxels.
        decisions: Covariances of the decisions with each other [D, D].

    Returns:
        The projection to the decisions, of voxels as they are; and the pattern, of voxels as they are too.
    """
    weights, covariances = np.split(both.directions, 2)
    if both.scale is not None:  # they are of standardised voxels
        covariances = covariances * both.scale
    return replace(both, directions=weights).unscaled(), Pattern(covariances, decisions)
