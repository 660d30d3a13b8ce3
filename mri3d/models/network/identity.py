"""What a checkpoint must have in common with the fit that goes on from it."""

from collections.abc import Callable, Mapping
from typing import Any

from mri3d.files import digest_json
from mri3d.models.model import TrainingSet


def checkpoint_identity(
    arguments: Mapping[str, Any], optimizer: Callable[..., Any], augmentation: object, training: TrainingSet
) -> str:
    """Hash it.

    Args:
        arguments: From which the network is built.
        optimizer: A class, or one with its options bound.
        augmentation: How training volumes are changed.
        training: What is learnt from.
    """
    recipe, call = training.volumes.recipe, getattr(optimizer, "func", optimizer)
    options = sorted(map(str, getattr(optimizer, "keywords", {}).items()))
    named = [getattr(call, "__module__", ""), getattr(call, "__qualname__", ""), options]
    return digest_json([arguments, recipe.arguments() if recipe else None, named, str(augmentation)])


def former_identity(arguments: Mapping[str, Any], training: TrainingSet) -> str:
    """Hash what mri3d 0.1 did, whose volumes came from scans and had one channel; empty for others."""
    recipe = training.volumes.recipe
    if recipe is None or "version" in recipe.arguments() or arguments["num_channels"] > 1:
        return ""
    return digest_json(
        [{name: value for name, value in arguments.items() if name != "num_channels"}, recipe.arguments()]
    )
