"""Arguments held against their annotations: what fits, how it is described, what a library refuses."""

import dataclasses
import functools
import inspect
import itertools
import numbers
import os
import types
import typing
from collections.abc import Callable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar

from mri3d.errors import UserError, option

UNIONS = (typing.Union, types.UnionType)
SEQUENCES = (list, tuple, Sequence)
P = ParamSpec("P")
R = TypeVar("R")


def check_fields(instance: Any, place: str) -> None:  # noqa: ANN401 (any dataclass)
    """Check the fields of a dataclass against their annotations, to be called by its `__post_init__`.

    Fields get plain values, see `plain`: a model folder keeps no numpy number, and a list of the user's may change.

    Args:
        instance: The dataclass, frozen or not.
        place: Where its arguments stand in a configuration, such as `model`.

    Raises:
        UserError: A value is not of its field's type; the message names the argument and its default.
    """
    hints = typing.get_type_hints(type(instance))
    for field in dataclasses.fields(instance):
        made = field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
        value = _taken(getattr(instance, field.name), hints[field.name], f"{place}.{field.name}", default=made)
        if isinstance(value, functools.partial):
            value = _checked_call(value, f"{place}.{field.name}")
        object.__setattr__(instance, field.name, value)


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Check the arguments of each call of a function against its annotations, and pass scalars of numpy as plain.

    Raises:
        UserError: A value is not of its argument's type; the message names the argument.
    """
    signature, hints = inspect.signature(function), hints_of(function)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        bound = signature.bind(*args, **kwargs)
        for name, given in bound.arguments.items():
            parameter, hint = signature.parameters[name], hints.get(name, Any)
            if parameter.kind is parameter.VAR_POSITIONAL:
                for each in given:
                    _taken(each, hint, name, default=parameter.empty)
                continue
            value = _taken(given, hint, name, default=parameter.default)
            bound.arguments[name] = value if isinstance(value, int | float | str) else given
        return function(*bound.args, **bound.kwargs)

    return call


def plain(value: Any) -> Any:  # noqa: ANN401 (any value)
    """Return what an array, a series, a tensor or a set holds, as Python's numbers and lists; all else as it is.

    >>> import numpy as np
    >>> plain(np.float64(0.5)), plain({"k": np.arange(3)}), plain([np.int64(1), "a"]), plain(range(2))
    (0.5, {'k': [0, 1, 2]}, [1, 'a'], [0, 1])
    """
    if callable(value):
        return value
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        value = value.item()
    elif hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, numbers.Real) and not isinstance(value, int | float):
        return int(value) if isinstance(value, numbers.Integral) else float(value)
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, Set):
        return [plain(item) for item in sorted(value, key=repr)]
    if isinstance(value, list | tuple | range):
        items = [plain(item) for item in value]
        return tuple(items) if isinstance(value, tuple) else items
    return value


def hints_of(target: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotations of a class's or function's arguments; none where they cannot be read."""
    if isinstance(target, functools.partial):
        target = target.func
    try:
        return typing.get_type_hints(target.__init__ if isinstance(target, type) else target)  # type: ignore[misc]
    except (NameError, TypeError):  # a library's annotation that only its type checker can read
        return {}


def fits(value: Any, hint: Any) -> bool:  # noqa: ANN401 (any value, any annotation)
    """Return whether a plain value is of an annotated type; types that JSON has no word for fit anything.

    >>> fits(3, float), fits("3", int | None), fits([1, 2], tuple[int, ...]), fits("a", Literal["a", "b"])
    (True, False, True, True)
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in UNIONS:
        return any(fits(value, argument) for argument in arguments)
    if origin is Literal:
        return value in arguments
    if hint is None or hint is type(None):
        return value is None
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint in (bool, str) or dataclasses.is_dataclass(hint):
        return isinstance(value, hint)
    if hint is Path:
        return isinstance(value, os.PathLike)
    if origin is Callable:
        return callable(value)
    if origin is Mapping:
        return isinstance(value, Mapping) and all(fits(key, arguments[0]) for key in value)
    if origin in SEQUENCES and not isinstance(value, list | tuple):
        return False
    if origin is tuple and arguments[1:] != (...,):
        return len(value) == len(arguments) and all(map(fits, value, arguments))
    if origin in SEQUENCES:
        return all(fits(item, arguments[0]) for item in value)
    return True


def describe(hint: Any, *, in_python: bool = False) -> str:  # noqa: ANN401 (any annotation)
    """Describe an annotated type in words.

    Args:
        hint: The annotation.
        in_python: Whether None, True and False are called so, or as a configuration spells them.

    >>> describe(int | None), describe(Literal["a", "b"]), describe(bool | None, in_python=True)
    ('a whole number or null', 'one of a, b', 'True or False or None')
    """
    words = functools.partial(describe, in_python=in_python)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return "one of " + ", ".join(map(str, arguments))
    if origin in UNIONS:
        return " or ".join(words(argument) for argument in arguments if not (argument is int and float in arguments))
    if origin is tuple and arguments[1:] != (...,):
        return f"[{', '.join(map(words, arguments))}]"
    if origin in SEQUENCES:
        return "a list" if arguments == (object,) else f"a list, each item {words(arguments[0])}"
    if origin is Callable:
        return "a class or a function"
    if origin is Mapping:
        return f"a dictionary, each key {words(arguments[0])}"
    if hint is bool:
        return "True or False" if in_python else "true or false"
    if hint is type(None):
        return "None" if in_python else "null"
    names = {int: "a whole number", float: "a number", str: "text", Path: "a path"}
    if dataclasses.is_dataclass(hint):
        return f"an instance of {getattr(hint, '__name__', hint)}"
    return names.get(hint, getattr(hint, "__name__", str(hint)))


def _taken(given: Any, hint: Any, path: str, *, default: object = dataclasses.MISSING) -> Any:  # noqa: ANN401
    """Return the plain value of an argument; raise a UserError where its annotation has another type."""
    value = plain(given)
    if isinstance(value, os.PathLike) and fits("", hint):
        value = os.fspath(value)
    if not fits(value, hint):
        told = "" if default in (dataclasses.MISSING, inspect.Parameter.empty) else f" The default is {default!r}."
        shown = told if len(told) <= 60 and not callable(default) else ""
        raise UserError(f"{option(path, given)} is not {describe(hint, in_python=True)}.{shown}")
    return value


def _checked_call(call: functools.partial[Any], path: str) -> functools.partial[Any]:
    """Check the options that are bound for a call to come, and make them plain."""
    hints = hints_of(call.func)
    options = {key: _taken(value, hints.get(key, Any), f"{path}.{key}") for key, value in call.keywords.items()}
    return functools.partial(call.func, *call.args, **options)


def refused_option(
    make: Callable[..., Any], attempt: Callable[[Callable[..., Any]], object], failures: tuple[type[Exception], ...]
) -> str | None:
    """Find out which of the options that are bound for a call a library refuses.

    It is the one that is refused alone with the same words, else the one without which nothing is refused.

    Args:
        make: What is called, with its options bound.
        attempt: Makes the call, and whatever else shows whether the options can be used.
        failures: What it raises where they cannot.

    Returns:
        The option's name; None where no single one is to blame.

    >>> refused_option(functools.partial(int, "12", base=1), lambda make: make(), (ValueError,))
    'base'
    """
    given = getattr(make, "keywords", {})

    def refusal(options: Mapping[str, Any]) -> str | None:
        try:
            attempt(functools.partial(getattr(make, "func", make), *getattr(make, "args", ()), **options))
        except failures as error:
            return str(error)
        return None

    reason = refusal(given)
    if reason is None or refusal({}) == reason:
        return None
    alone = (name for name in given if refusal({name: given[name]}) == reason)
    needless = (name for name in given if refusal({other: given[other] for other in given if other != name}) is None)
    return next(itertools.chain(alone, needless), None)
