"""A classical model from its folder: shapes of arrays must go together before anything is computed with them."""

from typing import TYPE_CHECKING

import numpy as np

from mri3d.arguments import fits
from mri3d.cohort.encoding import Encoder
from mri3d.explain.linear import Pattern
from mri3d.model_folder import Contents
from mri3d.models.classical.decisions import Decision, decision_from_tensors
from mri3d.outcome import Line
from mri3d.voxels.projection import Projection

if TYPE_CHECKING:
    from mri3d.models.classical.fitted import FittedPipeline

_AXES = {
    "LinearDecision": {"weights": "DS", "intercepts": "D"},
    "RBFDecision": {"centres": "MS", "weights": "DM", "intercepts": "D", "gamma": "1"},
    "NeighboursDecision": {"neighbours": "MS", "columns": "MD", "k": "1"},
    "": {"projection.directions": "PV", "projection.mean": "V", "projection.scale": "V", "unit": "1", "scaling": "D2"}
    | {"pattern.covariances": "DV", "pattern.decisions": "DD"},
}
"""Kind of decision to the axes of its arrays: D decisions, M rows, P components, S scores, which are components and
columns of covariates, V voxels; "" for all models."""


def restore(model: "FittedPipeline", contents: Contents) -> None:
    """Put what a model folder keeps of a fit into a model that is set as it was.

    Raises:
        KeyError, TypeError, ValueError: It is of another kind.
    """
    arguments, tensors, line = contents.arguments, contents.tensors, contents.arguments.get("line")
    model.outcome_, model.volume_shape_ = contents.card.outcome, contents.card.reference.mean.shape
    model.chosen_, model.search_ = arguments["chosen"], None
    model.projection_ = Projection.from_tensors(tensors, normalize=model.normalize)
    model.decision_ = decision_from_tensors(model.decision_type, tensors)
    model.encoder = Encoder.from_json(arguments["encoder"]) if "encoder" in arguments else None
    if model.encoder is not None and not fits(model.chosen_["covariate_weight"], float):
        raise ValueError("the weight of the covariates is no number")
    check_arrays(contents, model.decision_, num_beside=0 if model.encoder is None else model.encoder.width)
    model.unit_, model.scaling_ = tensors["unit"].item(), tensors.get("scaling")
    model.line_ = None if line is None else Line(**line)
    pattern = [tensors[name] for name in ("pattern.covariances", "pattern.decisions") if name in tensors]
    model.pattern_ = Pattern(*pattern) if pattern else None  # TypeError with half of it
    model.smoothing_ = arguments.get("smoothing", 0.0)  # earlier versions did not smooth


def check_arrays(contents: Contents, decision: Decision, *, num_beside: int = 0) -> None:
    """Hold the shapes of a model's arrays against each other, and against the average training volume.

    numpy would stretch an axis of one entry, and take a part of an axis that is too long, without a word.

    Args:
        contents: Of the model folder.
        decision: As it was built from them.
        num_beside: Columns of covariates.

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
    if arrays["projection.directions"].ndim == 2:
        sizes["S"] = len(arrays["projection.directions"]) + num_beside
    for name, array in {**arrays, **vars(decision)}.items():
        if array.ndim != len(axes[name]) or array.dtype.kind not in "biuf":
            raise ValueError(f"{name} is no array of numbers with {len(axes[name])} axes")
        for axis, size in zip(axes[name], array.shape, strict=True):
            if sizes.setdefault(axis, size) != size:
                raise ValueError(f"{name} has {size} where {sizes[axis]} are needed")
        if name == "k" and not 1 <= array.item() <= sizes["M"]:
            raise ValueError(f"k is no number of neighbours among {sizes['M']}")
