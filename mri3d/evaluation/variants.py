"""Variants of a model: copies of it with options set anew, by their dotted paths."""

import functools
from collections.abc import Sequence
from dataclasses import is_dataclass, replace
from inspect import signature
from typing import Any

from mri3d.errors import option
from mri3d.models.model import Setting
from mri3d.plan import no_option


def variant(model: Any, setting: Setting) -> Any:  # noqa: ANN401 (any model, and one of the same type)
    """Copy a model with some options set anew; whoever has the options checks their values when it is copied.

    Args:
        model: A dataclass; options within options are dataclasses, classes, or partial calls.
        setting: Dotted path of each option to its value.

    Raises:
        UserError: There is no such option, or the value is not one of its type.

    >>> from mri3d.models import CNN
    >>> variant(CNN(), {"augmentation.noise": 0.1}).augmentation.noise
    0.1
    """
    for path, value in setting.items():
        model = _replaced(model, path.split("."), value, "model")
    return model


def _replaced(owner: Any, path: Sequence[str], value: Any, where: str) -> Any:  # noqa: ANN401
    """Copy what owns an option with the option, or one within it, set anew."""
    (first, *rest), made = path, is_dataclass(owner) and not isinstance(owner, type)
    call = type(owner) if made else getattr(owner, "func", owner)
    names = [name for name in signature(call).parameters if name != "self"] if callable(call) else []
    path_here = f"{where}.{first}"
    if first not in names:
        raise no_option(option(path_here), first, getattr(call, "__name__", type(call).__name__), names)
    if rest:
        bound = getattr(owner, first) if made else getattr(owner, "keywords", {}).get(first)
        value = _replaced(bound, rest, value, path_here)
    return replace(owner, **{first: value}) if made else functools.partial(owner, **{first: value})
