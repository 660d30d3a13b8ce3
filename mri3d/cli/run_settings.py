"""The settings of a run that lies on disk: read as what somebody else may have written there."""

import unicodedata
from pathlib import Path
from typing import Any

import yaml

from mri3d.errors import UserError
from mri3d.texts import list_text

PLACES = ("root", "table", "scan", "mask")
"""Options of `data` that say where something lies: what lies there is known by itself when a run is gone on with."""

MAX_BYTES = 1 << 18
"""A hundred times what the longest settings take."""

_MAX_VALUES, _MAX_DEPTH, _MAX_LETTERS = 20_000, 50, 10_000
_RECIPE = "mri3d.volumes.recipe.Recipe"
_FAILURES = (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)
"""What PyYAML raises for texts that are no YAML, and for values that are not of the kind they say."""


class _Loader(yaml.SafeLoader):
    """Reads plain values; `<<`, by which few lines become any number of values, is refused."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Check a mapping that is about to be read; PyYAML's own would merge others into it."""
        if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
            raise yaml.constructor.ConstructorError(None, None, "it merges values by <<", node.start_mark)


def read_configuration(folder: Path) -> dict[str, Any]:
    """Read the `config.yaml` of a run.

    Raises:
        UserError: There is none, it is damaged, or it holds what the settings of no run do.
    """
    path = folder / "config.yaml"
    try:
        if path.exists() and not path.is_file():
            raise UserError(f"{path} is no file. Start a new run.")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        beneath = [str(found.parent) for found in sorted(folder.glob("*/config.yaml"))]
        hint = f"Did you mean {list_text(beneath, ' or ', most=3)}?" if beneath else "Give the folder of a run."
        raise UserError(f"{folder} is no run that began: {error.strerror}. {hint}") from error
    try:
        if len(data) > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_BYTES >> 10} KiB")
        configuration: Any = yaml.load(data.decode(), _Loader)
        _check_content(configuration)
    except _FAILURES as error:
        raise UserError(f"{path} is damaged: {' '.join(str(error).split())}. Start a new run.") from error
    missing = {"trainer", "seed"} - set(configuration if isinstance(configuration, dict) else {})
    if missing:
        raise UserError(f"{path} is damaged: it has no {', '.join(sorted(missing))}. Start a new run.")
    recipe = configuration.get("preprocess")
    if isinstance(recipe, dict) and recipe.get("_target_") == _RECIPE:
        recipe.setdefault("version", 1)  # runs of mri3d up to 0.2 knew no other
    return dict(configuration)


def _check_content(node: object, depth: int = 0, num_values: int = 0) -> int:
    """Refuse what no run writes; aliases are followed, so that what is short in the file may be too much.

    Args:
        node: Any value.
        depth: In how many others it lies.
        num_values: Counted before it.

    Returns:
        How many values were counted with it.

    Raises:
        ValueError: It is of another kind, too large, or nested too deeply.
    """
    num_values += 1
    if depth > _MAX_DEPTH:
        raise ValueError("a part of it holds itself, or is nested too deeply")
    if num_values > _MAX_VALUES:
        raise ValueError(f"it has more than {_MAX_VALUES} values")
    if isinstance(node, dict | list):
        for key in node if isinstance(node, dict) else ():
            _check_plain(str(key))
        for item in node.values() if isinstance(node, dict) else node:
            num_values = _check_content(item, depth + 1, num_values)
    elif node is not None and not isinstance(node, str | int | float):
        raise ValueError(f"it has a value of type {type(node).__name__}")
    else:
        _check_plain(node)
    return num_values


def _check_plain(value: str | int | float | None) -> None:
    """Refuse texts and numbers that no option takes."""
    if isinstance(value, str):
        if len(value) > _MAX_LETTERS:
            raise ValueError(f"it has a text of {len(value)} letters")
        if any(unicodedata.category(letter) == "Cc" and letter not in "\t\r\n" for letter in value):
            raise ValueError(f"{value[:100]!r} holds a control character")
    elif isinstance(value, int) and abs(value) >= 1 << 63:
        raise ValueError("it has a whole number of more than 64 bits")
