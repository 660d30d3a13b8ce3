"""Where the definition of a dotted name stands, found without importing anything."""

import ast
import functools
import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

Definition = ast.ClassDef | ast.FunctionDef | ast.Call  # the call is that of functools.partial


@dataclass(frozen=True, eq=False)
class Module:
    """The source of a module.

    Attributes:
        name: Its dotted name.
        path: Its file.
        names: What its top binds, to the statement that does.
    """

    name: str
    path: Path
    names: Mapping[str, ast.stmt]

    @property
    def package(self) -> str:
        """The package that its relative imports start from."""
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]


def find(target: str) -> tuple[Definition, Module] | None:
    """Find the definition of a dotted name, following imports from module to module.

    >>> definition, module = find("mri3d.cli.sources.find")
    >>> type(definition).__name__, module.name
    ('FunctionDef', 'mri3d.cli.sources')
    """
    name, _, attribute = target.rpartition(".")
    module = read_module(name) if name else None
    return _find_in(attribute, module) if module else None


def find_expression(node: ast.expr, module: Module) -> tuple[Definition, Module] | None:
    """Find the definition of what an expression such as `pl.Trainer` names in a module."""
    first, dot, rest = dotted(node).partition(".")
    if not dot:
        return _find_in(first, module)
    match module.names.get(first):
        case ast.Import(names=names):
            true = next(alias.name for alias in names if first in (alias.asname, alias.name.partition(".")[0]))
            return find(f"{true}.{rest}")
        case ast.ImportFrom() as statement:
            return find(f"{_imported(first, statement, module)}.{rest}")
    return None


def constant(target: str) -> object:
    """Return the value of a literal at the top of a module; None where there is none."""
    name, _, attribute = target.rpartition(".")
    module = read_module(name)
    found = literal(ast.Name(attribute), module) if module else None
    return ast.literal_eval(found) if found and is_literal(found) else None


def literal(node: ast.expr, module: Module) -> ast.expr:
    """Follow a name to the literal, or the annotation such as `Literal[...]`, that it stands for in a module."""
    if isinstance(node, ast.Tuple):
        return ast.Tuple([literal(item, module) for item in node.elts])
    if not isinstance(node, ast.Name):
        return node
    match module.names.get(node.id):
        case ast.Assign(value=value) | ast.AnnAssign(value=ast.expr() as value):
            return value if is_literal(value) or isinstance(value, ast.Subscript | ast.BinOp) else node
        case ast.ImportFrom() as statement:
            source, _, name = _imported(node.id, statement, module).rpartition(".")
            other = read_module(source)
            return literal(ast.Name(name), other) if other else node
    return node


def is_literal(node: ast.expr) -> bool:
    """Return whether an expression is a plain value: a number, text, or lists and the like of them."""
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError):
        return False
    return True


def dotted(node: ast.expr) -> str:
    """Return an expression of names and dots as text; empty for any other.

    >>> dotted(ast.parse("torch.optim.Adam", mode="eval").body)
    'torch.optim.Adam'
    """
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


@functools.cache
def read_module(name: str) -> Module | None:
    """Read the source of a module, but not that of the packages around it; None where it has none."""
    top, *inner = name.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin)
    if inner:
        path = path.parent.joinpath(*inner)
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None
    names: dict[str, ast.stmt] = {}
    for statement in _statements(tree.body):
        names |= dict.fromkeys(_bound(statement), statement)
    return Module(name, path, names)


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Walk over the statements of a module, those under `if` and `try` too."""
    for statement in body:
        yield statement
        if isinstance(statement, ast.If | ast.Try):
            yield from _statements([*statement.body, *statement.orelse])


def _bound(statement: ast.stmt) -> list[str]:
    """Name what a statement of a module binds."""
    match statement:
        case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
        case ast.Import(names=names):
            return [alias.asname or alias.name.partition(".")[0] for alias in names]
        case ast.ImportFrom(names=names):
            return [alias.asname or alias.name for alias in names]
    return []


def _find_in(name: str, module: Module) -> tuple[Definition, Module] | None:
    """Find the definition of a name of a module."""
    match module.names.get(name):
        case ast.ClassDef() | ast.FunctionDef() as found:
            return found, module
        case ast.Assign(value=ast.Call() as call) | ast.AnnAssign(value=ast.Call() as call):
            return (call, module) if dotted(call.func).rpartition(".")[2] == "partial" else None
        case ast.Assign(value=ast.Name(id=other)):
            return _find_in(other, module) if other != name else None
        case ast.ImportFrom() as statement:
            return find(_imported(name, statement, module))
    return None


def _imported(name: str, statement: ast.ImportFrom, module: Module) -> str:
    """Return the dotted name that an import brings in as `name`."""
    true = next(alias.name for alias in statement.names if name == (alias.asname or alias.name))
    source = statement.module or ""
    if statement.level:
        parts = module.package.split(".")
        source = ".".join([*parts[: len(parts) - statement.level + 1], *([source] if source else [])])
    return f"{source}.{true}"
