"""A configuration is nested constructor calls: check each option by the constructor's signature, fill in defaults."""

import importlib
import inspect
import types
import typing
from collections.abc import Callable, Sequence
from typing import Any, Literal

from mri3d.errors import UserError, did_you_mean

MARKS = ("_target_", "_partial_", "_convert_", "_recursive_", "_args_")


def complete(node: Any, where: str = "") -> Any:  # noqa: ANN401 (any JSON value)
    """Check a configuration and write out the defaults of every constructor of mri3d in it.

    Args:
        node: Dictionaries, lists and plain values; a dictionary with `_target_` is a call of what that names.
        where: Path of the node, for messages.

    Returns:
        A copy with all options that have a plain default.

    Raises:
        UserError: An option that the constructor does not take, or a value that is not of its type.
    """
    if isinstance(node, list):
        return [complete(item, f"{where}[{i}]") for i, item in enumerate(node)]
    if not isinstance(node, dict):
        return node
    if "_target_" in node:
        node = _check_call(node, where)
    return {key: complete(value, f"{where}.{key}".lstrip(".")) for key, value in node.items()}


def _check_call(node: dict[str, Any], where: str) -> dict[str, Any]:
    target = _locate(node["_target_"], where)
    parameters = inspect.signature(target).parameters
    hints = _hints(target)
    any_option = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    options = [name for name, parameter in parameters.items() if parameter.kind in (1, 3) and name != "self"]
    for key, value in node.items():
        if key in MARKS:
            continue
        if key not in options and not any_option:
            raise UserError(
                f"{where}.{key} is no option of {node['_target_'].rpartition('.')[2]} "
                f"(options: {', '.join(options)}).{did_you_mean(key, options)}"
            )
        if not _is_call(value) and not fits(value, hints.get(key, Any)):
            raise UserError(f"{where}.{key}={value!r} is not {_describe(hints[key])}.")
    if not node.get("_partial_"):
        missing = [name for name in options if parameters[name].default is inspect.Parameter.empty and name not in node]
        if missing:
            raise UserError(f"{where}.{missing[0]} is not set. Give {where}.{missing[0]}=...")
    if not node["_target_"].startswith("mri3d."):  # a library's forty defaults are that library's version
        return node
    defaults = {name: parameters[name].default for name in options if name not in node}
    return node | {name: _plain(value) for name, value in defaults.items() if _is_plain(value)}


def fits(value: Any, hint: Any) -> bool:  # noqa: ANN401 (any value, any annotation)
    """Tell whether a JSON value is of an annotated type; types that JSON has no word for fit anything.

    >>> fits(3, float), fits("3", int | None), fits([1, 2], tuple[int, ...]), fits("a", Literal["a", "b"])
    (True, False, True, True)
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, argument) for argument in arguments)
    if origin is Literal:
        return value in arguments
    if hint is None or hint is type(None):
        return value is None
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint in (bool, str):
        return isinstance(value, hint)
    if origin in (list, tuple, Sequence):
        inner = arguments[0] if arguments and (origin is not tuple or arguments[1:] == (...,)) else Any
        return isinstance(value, list | tuple) and all(fits(item, inner) for item in value)
    return True


def _locate(name: str, where: str) -> Callable[..., Any]:
    module, _, attribute = name.rpartition(".")
    try:
        found: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"{where}._target_={name} cannot be imported: {error}.") from error
    return found


def _hints(target: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(target.__init__ if inspect.isclass(target) else target)
    except (NameError, TypeError):  # a library's annotation that only its type checker can read
        return {}


def _is_call(value: object) -> bool:
    return isinstance(value, dict) and "_target_" in value


def _is_plain(value: object) -> bool:
    if isinstance(value, list | tuple):
        return all(_is_plain(item) for item in value)
    return value is None or isinstance(value, bool | int | float | str)


def _plain(value: Any) -> Any:  # noqa: ANN401 (any JSON value)
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _describe(hint: Any) -> str:  # noqa: ANN401 (any annotation)
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) is Literal:
        return "one of " + ", ".join(map(str, arguments))
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return " or ".join("null" if argument is type(None) else _describe(argument) for argument in arguments)
    names = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    return names.get(hint, str(hint))
