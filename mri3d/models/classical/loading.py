"""The arrays of a classical model's folder: their shapes must go together before anything is computed with them."""

import numpy as np

from mri3d.arguments import fits
from mri3d.model_folder import Contents
from mri3d.models.classical.decisions import Decision

_AXES = {
    "LinearDecision": {"weights": "DP", "intercepts": "D"},
    "RBFDecision": {"centres": "MP", "weights": "DM", "intercepts": "D", "gamma": "1"},
    "NeighboursDecision": {"neighbours": "MP", "columns": "MD", "k": "1"},
    "": {"projection.directions": "PV", "projection.mean": "V", "projection.scale": "V", "unit": "1", "scaling": "D2"},
}
"""Kind of decision to the axes of its arrays: D decisions, M rows, P components, V voxels; "" for all models."""


def check_arrays(contents: Contents, decision: Decision) -> None:
    """Hold the shapes of a model's arrays against each other, and against the average training volume.

    numpy would stretch an axis of one entry, and take a part of an axis that is too long, without a word.

    Args:
        contents: Of the model folder.
        decision: As it was built from them.

    Raises:
        ValueError: Shapes do not go together, an array is not of numbers, or volumes are smoothed beyond measure.
    """
    shape = contents.card.reference.mean.shape
    if contents.arguments["volume_shape"] != list(shape):
        raise ValueError("the model is for volumes of another shape than the average training volume's")
    smoothing = contents.arguments.get("smoothing", 0.0)
    if not fits(smoothing, float) or not 0 <= smoothing < 1:
        raise ValueError("smoothing is no share of a volume's edge")
    sizes = {"1": 1, "2": 2, "D": contents.card.outcome.num_outputs, "V": int(np.prod(shape))}
    arrays = {name: contents.tensors[name] for name in _AXES[""] if name in contents.tensors}
    axes = _AXES[""] | _AXES[type(decision).__name__]
    for name, array in {**arrays, **vars(decision)}.items():
        if array.ndim != len(axes[name]) or array.dtype.kind not in "biuf":
            raise ValueError(f"{name} is no array of numbers with {len(axes[name])} axes")
        for axis, size in zip(axes[name], array.shape, strict=True):
            if sizes.setdefault(axis, size) != size:
                raise ValueError(f"{name} has {size} where {sizes[axis]} are needed")
        if name == "k" and not 1 <= array.item() <= sizes["M"]:
            raise ValueError(f"k is no number of neighbours among {sizes['M']}")
