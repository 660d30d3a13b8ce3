"""A plan is a checked tree of constructor calls: options checked by signature, defaults filled in, then built.

A call is a dictionary with `_target_`, the dotted name of a class or function, and its arguments; with
`_partial_: true` it becomes a `functools.partial` of them. Only here does a configuration become objects.
"""

import functools
import importlib
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from mri3d.arguments import describe, fits, hints_of
from mri3d.errors import UserError, did_you_mean

MARKS = ("_target_", "_partial_")
MISSING = "???"  # OmegaConf's word for a value that must be given


def complete(node: Any, where: str = "", *, elsewhere: Collection[str] = ()) -> Any:  # noqa: ANN401 (any JSON value)
    """Check a plan and write out the defaults of every constructor of mri3d in it.

    Args:
        node: Dictionaries, lists and plain values; a dictionary with `_target_` is a call of what that names.
        where: Path of the node, for messages.
        elsewhere: Paths of arguments whose values stand in another place of the plan, see `build`.

    Returns:
        A copy with all options that have a plain default.

    Raises:
        UserError: An option that the constructor does not take, that is missing, or whose value is not of its type; a
            call within a `_partial_` that is not `_partial_` itself.
    """
    if isinstance(node, list):
        return [complete(item, f"{where}[{i}]", elsewhere=elsewhere) for i, item in enumerate(node)]
    if not isinstance(node, dict):
        return node
    if "_target_" in node:
        node = _check_call(node, where, elsewhere)
    return {key: complete(value, _join(where, key), elsewhere=elsewhere) for key, value in node.items()}


def build(node: Any, where: str = "", *, elsewhere: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401 (any object)
    """Make the calls of a plan, the inner ones first.

    Args:
        node: A part of a complete plan.
        where: Path of the node.
        elsewhere: Path of an argument to its value, for arguments whose values stand in another place of the plan; a
            constructor that has no such argument goes without.

    Returns:
        What the calls return; plain values, and lists and dictionaries of them, as they are.

    Raises:
        UserError: A constructor refuses its arguments.

    >>> build({"_target_": "fractions.Fraction", "numerator": 1}, elsewhere={"denominator": 3})
    Fraction(1, 3)
    """
    if isinstance(node, list):
        return [build(item, f"{where}[{i}]", elsewhere=elsewhere) for i, item in enumerate(node)]
    if not isinstance(node, dict):
        return node
    options = {
        key: build(value, _join(where, key), elsewhere=elsewhere) for key, value in node.items() if key not in MARKS
    }
    if "_target_" not in node:
        return options
    target = _locate(node["_target_"], where)
    for path, value in (elsewhere or {}).items():
        inside, _, name = path.rpartition(".")
        if inside == where and name in _parameters(target, where):
            options[name] = value
    if node.get("_partial_"):
        return functools.partial(target, **options)
    try:
        return target(**options)
    except UserError:
        raise
    except (TypeError, ValueError, ArithmeticError) as error:
        raise UserError(f"{where or node['_target_']} cannot be used as it is set: {error}") from error


def _check_call(node: dict[str, Any], where: str, elsewhere: Collection[str]) -> dict[str, Any]:
    """Check the options of one call; return it with its defaults."""
    if not isinstance(node["_target_"], str):
        raise UserError(f"{_join(where, '_target_')}={node['_target_']!r} names nothing. Name a class or a function.")
    target = _locate(node["_target_"], where)
    parameters = _parameters(target, where)
    any_option = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    options = [
        name
        for name, parameter in parameters.items()
        if parameter.kind in by_name and name != "self" and _join(where, name) not in elsewhere
    ]
    partial = bool(node.get("_partial_"))
    needed = [name for name in options if parameters[name].default is inspect.Parameter.empty and not partial]
    check_names(node, where, options, needed=needed, any_option=any_option)
    given = {key: value for key, value in node.items() if key not in MARKS}
    _check_values(given, hints_of(target), where, partial=partial)
    if not node["_target_"].startswith("mri3d."):  # a library's forty defaults are that library's version
        return node
    bound = target.keywords if isinstance(target, functools.partial) else options
    defaults = {name: parameters[name].default for name in options if name in bound and name not in node}
    return node | {name: _plain(value) for name, value in defaults.items() if _is_plain(value)}


def check_names(
    node: Mapping[str, Any], where: str, options: Collection[str], *, needed: Collection[str], any_option: bool = False
) -> None:
    """Check the names of the options of one call, whatever they are set to.

    Args:
        node: The call.
        where: Its path, for messages.
        options: What it takes.
        needed: Those that must be given.
        any_option: Whether it takes options of other names too.

    Raises:
        UserError: An option that it does not take, or all that are missing.
    """
    given = [key for key, value in node.items() if key not in MARKS and value != MISSING]
    for key in given:
        if key not in options and not any_option:
            raise no_option(_join(where, key), key, node["_target_"].rpartition(".")[2], options)
    marked = [key for key, value in node.items() if value == MISSING]
    if missing := dict.fromkeys([*marked, *(name for name in needed if name not in given)]):
        raise not_set([_join(where, name) for name in missing])


def no_option(path: str, name: str, whose: str, options: Collection[str]) -> UserError:
    """Return the error that names an option that something does not take, and those that it takes.

    >>> str(no_option("model.alfa", "alfa", "Ridge", ["alpha", "debias"]))
    "model.alfa is no option of Ridge. Did you mean 'alpha'? Its options: alpha, debias."
    """
    theirs = f"Its options: {', '.join(options)}." if options else "It has none."
    return UserError(f"{path} is no option of {whose}.{did_you_mean(name, options)} {theirs}")


def not_set(paths: Sequence[str]) -> UserError:
    """Return the error that names every option that must be given and is not.

    >>> str(not_set(["data.root", "data.table"]))
    'data.root and data.table are not set. Give data.root=... data.table=...'
    """
    *others, last = paths
    named = f"{', '.join(others)} and {last} are" if others else f"{last} is"
    return UserError(f"{named} not set. Give {' '.join(f'{path}=...' for path in paths)}")


def _check_values(given: Mapping[str, Any], hints: Mapping[str, Any], where: str, *, partial: bool) -> None:
    """Check the type of each option, and that nothing in a `_partial_` is made once for all of its calls."""
    for key, value in given.items():
        path = _join(where, key)
        if not _is_call(value) and not fits(value, hints.get(key, Any)):
            quoted = isinstance(value, int | float) and fits(str(value), hints[key])
            raise UserError(
                f"{path}={value!r} is not {describe(hints[key])}."
                + f" Quote it twice to give text: '{path}=\"{value}\"'." * quoted
            )
        if partial and (shared := _built_once(value, path)):
            raise UserError(
                f"{shared} would be built once and shared by all folds, because {where} is built afresh for each. "
                f"Set {shared}._partial_=true, or leave it out."
            )


def _built_once(value: Any, where: str) -> str:  # noqa: ANN401 (any JSON value)
    """Name the first call in a value that would be made at once, or nothing."""
    if _is_call(value):
        return "" if value.get("_partial_") else where
    items: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        items = [(_join(where, key), item) for key, item in value.items()]
    elif isinstance(value, list):
        items = [(f"{where}[{i}]", item) for i, item in enumerate(value)]
    return next((found for path, item in items if (found := _built_once(item, path))), "")


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _locate(name: str, where: str) -> Callable[..., Any]:
    module, _, attribute = name.rpartition(".")
    try:
        found: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"{_join(where, '_target_')}={name} cannot be imported: {error}.") from error
    return found


def _parameters(target: Callable[..., Any], where: str) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(target).parameters
    except (TypeError, ValueError) as error:
        raise UserError(f"{_join(where, '_target_')}: {error}. Name a class or a function.") from error


def _is_call(value: object) -> bool:
    return isinstance(value, dict) and "_target_" in value


def _is_plain(value: object) -> bool:
    if isinstance(value, list | tuple):
        return all(_is_plain(item) for item in value)
    return value is None or isinstance(value, bool | int | float | str)


def _plain(value: Any) -> Any:  # noqa: ANN401 (any JSON value)
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
