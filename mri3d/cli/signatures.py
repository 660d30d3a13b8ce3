"""What a class or function takes, read from its source: importing torch and Lightning would take seconds."""

import ast
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mri3d.cli.sources import Definition, Module, dotted, find, find_expression, is_literal, literal

_ENTRY = re.compile(r"\*{0,2}(\w+)(?: \([^)]*\))?:(?: +(.*))?")
_SECTIONS = ("Args:", "Attributes:")
_WORDS = {"int": "whole number", "float": "number", "str": "text", "bool": "true or false", "None": "null"}
_LISTS = ("Sequence", "list", "List", "Iterable", "Collection", "tuple")
_LONG = 60  # characters


@dataclass(frozen=True)
class Argument:
    """One argument of a class or function.

    Attributes:
        name: Its name.
        default: As one types it; None where it must be given.
        kind: Its type in words; empty where that would be long.
        meaning: Of its docstring.
        by_name: Whether it is given by name only, as the fields of a `kw_only` dataclass are; these come last.
    """

    name: str
    default: str | None
    kind: str = ""
    meaning: str = ""
    by_name: bool = False


@dataclass(frozen=True)
class Signature:
    """What a class or function is for, and its arguments."""

    summary: str
    arguments: tuple[Argument, ...]


def read_signature(target: str) -> Signature | None:
    """Read what a class or function takes.

    Args:
        target: Its dotted name; it may be imported there from elsewhere, and be a `functools.partial` of another.

    Returns:
        None where its source is not to be found.
    """
    found = find(target)
    return _signature(*found) if found else None


def as_typed(value: object) -> str:
    """Write a value as one types it on the command line.

    >>> as_typed([1, None, True, "a"]), as_typed({"a": 0.5})
    ('[1,null,true,a]', '{a: 0.5}')
    """
    if isinstance(value, list | tuple):
        return f"[{','.join(map(as_typed, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {as_typed(item)}" for key, item in value.items()) + "}"
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _signature(node: Definition, module: Module) -> Signature | None:
    if isinstance(node, ast.FunctionDef):
        text = ast.get_docstring(node) or ""
        return Signature(_summary(text), tuple(_of_function(node, module, _meanings(text)).values()))
    if isinstance(node, ast.ClassDef):
        ordered = sorted(_of_class(node, module).values(), key=lambda argument: argument.by_name)
        return Signature(_summary(ast.get_docstring(node) or ""), tuple(ordered))
    base = find_expression(node.args[0], module) if node.args else None
    inner = _signature(*base) if base else None
    if inner is None:
        return None
    bound = {keyword.arg: _default(keyword.value, module) for keyword in node.keywords}
    arguments = (replace(each, default=bound.get(each.name, each.default)) for each in inner.arguments)
    return replace(inner, arguments=tuple(arguments))


def _of_class(node: ast.ClassDef, module: Module) -> dict[str, Argument]:
    """Read the arguments of a class: the fields of a dataclass and of those it inherits from, or its `__init__`."""
    inherited: dict[str, Argument] = {}
    for base in reversed(node.bases):
        if (found := find_expression(base, module)) and isinstance(found[0], ast.ClassDef):
            inherited |= _of_class(found[0], found[1])
    meanings = _meanings(ast.get_docstring(node) or "")
    if decorator := next((each for each in node.decorator_list if _called(each) == "dataclass"), None):
        options = {keyword.arg: keyword.value for keyword in getattr(decorator, "keywords", [])}
        by_name = ast.unparse(options.get("kw_only", ast.Constant(False))) == "True"
        return inherited | _of_fields(node, module, meanings, by_name=by_name)
    for method in node.body:
        if isinstance(method, ast.FunctionDef) and method.name == "__init__":
            return _of_function(method, module, meanings | _meanings(ast.get_docstring(method) or ""))
    return inherited


def _of_fields(
    node: ast.ClassDef, module: Module, meanings: Mapping[str, str], *, by_name: bool
) -> dict[str, Argument]:
    """Read the fields of a dataclass of its own."""
    found = {}
    for field in node.body:
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
            continue
        if dotted(getattr(field.annotation, "value", field.annotation)).endswith(("ClassVar", "KW_ONLY")):
            continue
        name, default, set_inside = field.target.id, field.value, False
        if isinstance(default, ast.Call) and _called(default) == "field":
            options = {keyword.arg: keyword.value for keyword in default.keywords}
            set_inside = ast.unparse(options.get("init", ast.Constant(True))) == "False"
            empty = {"dict": ast.Dict([], []), "list": ast.List([])}
            factory = options.get("default_factory")
            default = options.get("default", factory and empty.get(dotted(factory), factory))
        if not set_inside:
            text = None if default is None else _default(default, module)
            found[name] = Argument(name, text, _words(field.annotation, module), meanings.get(name, ""), by_name)
    return found


def _of_function(node: ast.FunctionDef, module: Module, meanings: Mapping[str, str]) -> dict[str, Argument]:
    positional = [*node.args.posonlyargs, *node.args.args]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(node.args.defaults))
    pairs = [*zip(positional, [*defaults, *node.args.defaults], strict=True)]
    pairs += zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
    return {
        argument.arg: Argument(
            argument.arg,
            None if default is None else _default(default, module),
            _words(argument.annotation, module) if argument.annotation else "",
            meanings.get(argument.arg, ""),
        )
        for argument, default in pairs
        if argument.arg != "self"
    }


def _called(node: ast.expr) -> str:
    """Return the last name of what is called, or named: `dataclass` of `@dataclasses.dataclass(frozen=True)`."""
    return dotted(node.func if isinstance(node, ast.Call) else node).rpartition(".")[2]


def _default(node: ast.expr, module: Module) -> str:
    """Write a default as one types it, or as it stands in the source where it is no plain value."""
    value = literal(node, module)
    return as_typed(ast.literal_eval(value)) if is_literal(value) else ast.unparse(node)


def _words(node: ast.expr, module: Module) -> str:
    """Describe an annotation in words; empty where there are none, or too many."""
    match literal(node, module):
        case ast.Constant(value=str(text)):
            return _words(ast.parse(text, mode="eval").body, module)
        case ast.Constant(value=None):
            return "null"
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _either([left, right], module)
        case ast.Subscript(value=value, slice=inner):
            items = inner.elts if isinstance(inner, ast.Tuple) else [inner]
            match dotted(value).rpartition(".")[2]:
                case "Literal":
                    texts = [as_typed(item.value) for item in items if isinstance(item, ast.Constant)]
                    return " or ".join(filter(None, [", ".join(texts[:-1]), texts[-1]]))
                case "Union":
                    return _either(items, module)
                case "Optional":
                    return _either([*items, ast.Constant(None)], module)
                case name if name in _LISTS:
                    inside = _words(items[0], module)
                    plural = {"whole number": "whole numbers", "number": "numbers", "text": "texts"}
                    return f"list of {plural[inside]}" if inside in plural else "list"
    return _WORDS.get(dotted(node), "")


def _either(nodes: Sequence[ast.expr], module: Module) -> str:
    words = [_words(node, module) for node in nodes]
    kinds = " or ".join(words).split(" or ")  # unions are nested
    text = " or ".join(kind for kind in dict.fromkeys(kinds) if kind != "whole number" or "number" not in kinds)
    return text if all(words) and len(text) <= _LONG else ""


def _summary(docstring: str) -> str:
    """Return the first paragraph of a docstring on one line."""
    return _unmarked(docstring.partition("\n\n")[0])


def _meanings(docstring: str) -> dict[str, str]:
    """Read the meaning of each argument from a docstring in Google's style."""
    found: dict[str, str] = {}
    lines = docstring.splitlines()
    for start, header in enumerate(lines):
        if header.strip() not in _SECTIONS:
            continue
        depth = len(header) - len(header.lstrip())
        rest = lines[start + 1 :]
        ends = (i for i, line in enumerate(rest) if line.strip() and len(line) - len(line.lstrip()) <= depth)
        name = ""
        for line in textwrap.dedent("\n".join(rest[: next(ends, len(rest))])).splitlines():
            if match := _ENTRY.fullmatch(line):
                name = match[1]
                found[name] = match[2] or ""
            elif name:
                found[name] += f" {line.strip()}"
    return {name: _unmarked(text) for name, text in found.items()}


def _unmarked(text: str) -> str:
    """Drop the marks of reStructuredText."""
    text = re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"\1", text)
    return " ".join(text.replace("`", "").split())
