"""What users type: one grammar for all commands, Hydra's, without its quoting tricks."""

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from mri3d.cli.hydra_options import COMPLETION, with_values
from mri3d.errors import UserError, did_you_mean

_OVERRIDE = re.compile(r"(?P<mark>\+\+|\+|~)?(?P<key>[\w./@:-]+)=(?P<value>.*)", re.DOTALL)
_PLAIN = re.compile(r"[\w/+.$%*@?|:-]*", re.ASCII)
_QUOTED = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\"""", re.DOTALL)
_FUNCTION = re.compile(
    r"(choice|range|interval|glob|shuffle|sort|tag|extend_list|int|float|str|bool|json_str)\(.*\)", re.DOTALL
)


def hydra_overrides(
    arguments: Sequence[str], *, groups: Iterable[str], keys: Iterable[str], aliases: Mapping[str, str] | None = None
) -> list[str]:
    r"""Turn what users type into what Hydra's grammar takes.

    An option of a group may be set whether or not its file names it (`++`; the constructor's signature is checked
    later). Text that Hydra would not take as it stands is quoted: blanks, braces, brackets, quotes, accents, as paths
    and globs have them. A comma separates values in a list and under `-m`; elsewhere it is part of the text.

    Args:
        arguments: The command line without the program's name.
        groups: Config groups: `group=option` chooses, `group.key=value` sets.
        keys: Plain keys.
        aliases: Another path to the path that a value has.

    Raises:
        UserError: A key that is neither, named with the closest one that exists; several options of a group, without
            `-m`; a value given twice, in different words, by its path and by an alias.

    >>> hydra_overrides(["trainer.devices=2", "data.scan=T1/{id}.nii", "-m"], groups=["trainer", "data"], keys=[])
    ['-m', '++trainer.devices=2', "++data.scan='T1/{id}.nii'"]
    """
    if COMPLETION & {*arguments}:
        return list(arguments)
    groups, known, arguments = list(groups), [*groups, *keys], with_values(arguments)
    sweep = "-m" in arguments or "--multirun" in arguments
    overrides = []
    for argument in without_aliases(arguments, aliases or {}):
        match = _OVERRIDE.fullmatch(argument)
        if argument.startswith("-") or (match and match["key"].startswith("hydra")):
            overrides.append(argument)
            continue
        if not match and not argument.startswith("~"):
            raise UserError(f"{argument!r} is not of the form key=value (keys: {', '.join(known)}).")
        if not match:
            overrides.append(argument)
            continue
        first, dot, _ = match["key"].partition(".")
        if first not in known or (dot and first not in groups):
            name = match["key"] if first in known else first
            raise UserError(f"there is no key {name!r}.{did_you_mean(name, known)} The keys: {', '.join(known)}.")
        if match["key"] in groups and match["value"] in ("", "null"):
            raise UserError(f"{argument} chooses nothing. Give {first}=<option>, see --help.")
        values = elements(match["value"]) if sweep else [match["value"]]
        if not sweep and match["key"] in groups and "," in match["value"]:
            raise UserError(f"{argument} names several options. Add -m to run each of them.")
        mark = "++" if dot and match["mark"] != "~" else match["mark"] or ""
        overrides.append(f"{mark}{match['key']}={','.join(map(_quoted, values))}")
    return sorted(overrides, key=lambda override: not override.startswith("-"))  # argparse wants options together


def without_aliases(arguments: Sequence[str], aliases: Mapping[str, str]) -> list[str]:
    """Replace other paths of a value by the path that it has: each value stands in one place.

    Args:
        arguments: The command line.
        aliases: Another path to the path.

    Raises:
        UserError: Both are given, and contradict each other.

    >>> without_aliases(["model.trainer.devices=2", "seed=1"], {"model.trainer": "trainer"})
    ['trainer.devices=2', 'seed=1']
    """
    replaced: list[str] = []
    typed: dict[str, str] = {}
    for argument in arguments:
        match = _OVERRIDE.fullmatch(argument)
        if not match or match["mark"] == "~":
            replaced.append(argument)
            continue
        key = _true_path(match["key"], aliases)
        said = f"{match['key']}={match['value']}"
        earlier = typed.setdefault(key, said)
        if earlier.partition("=")[0] != match["key"] and earlier.partition("=")[2] != match["value"]:
            raise UserError(f"{earlier} and {said} contradict each other: they are one value. Give one of them.")
        replaced.append(argument if key == match["key"] else f"{key}={match['value']}")
    return replaced


def typed_values(arguments: Sequence[str], *, keys: Sequence[str], groups: Sequence[str] = ()) -> dict[str, Any]:
    """Read `key=value` arguments by Hydra's grammar, where there is no configuration to compose.

    Args:
        arguments: The command line.
        keys: Plain keys.
        groups: Those of which options may be set.

    Returns:
        Path of each value to the value.

    Raises:
        UserError: An argument of another form, or of a key that does not exist.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser

    overrides = hydra_overrides(arguments, groups=groups, keys=keys)
    if options := [override for override in overrides if override.startswith(("-", "hydra", "~"))]:
        raise UserError(f"{options[0]!r} is not of the form key=value (keys: {', '.join(keys)}).")
    return {found.key_or_group: _plain(found.value()) for found in OverridesParser.create().parse_overrides(overrides)}


def targets(overrides: Sequence[str]) -> set[str]:
    """Return what the user names as `_target_` in the overrides of one run."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    found: set[str] = set()
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        _gather(override.key_or_group.rpartition(".")[2], _plain(override.value()), found)
    return found


def swept_keys(overrides: Sequence[str]) -> set[str]:
    """Return the keys of which a command line has several values, of which each makes a run.

    >>> sorted(swept_keys(["-m", "model=sfcn,ridge", "++data.covariates=[age,sex]", "resolution=range(2,4)", "seed=1"]))
    ['model', 'resolution']
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parsed = OverridesParser.create().parse_overrides([each for each in overrides if not each.startswith("-")])
    return {each.key_or_group for each in parsed if each.is_sweep_override()}


def _gather(key: str, value: Any, found: set[str]) -> None:  # noqa: ANN401 (any JSON value)
    """Add what stands at `_target_`, at any depth of a value."""
    if key == "_target_" and isinstance(value, str):
        found.add(value)
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for inner, item in items:
        _gather(str(inner), item, found)


def _plain(value: Any) -> Any:  # noqa: ANN401 (any JSON value)
    """Return a parsed value without Hydra's notes of how its texts were quoted."""
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return getattr(value, "text", value)


def _true_path(key: str, aliases: Mapping[str, str]) -> str:
    for alias, path in aliases.items():
        if key == alias or key.startswith(f"{alias}."):
            return path + key.removeprefix(alias)
    return key


def _quoted(value: str) -> str:
    """Quote text so that Hydra reads it as it stands, and leave alone what is of Hydra's own syntax."""
    if any(syntax.fullmatch(value) for syntax in (_PLAIN, _QUOTED, _FUNCTION)):
        return value
    inside, brackets = value[1:-1], value[0] + value[-1]
    if brackets == "[]" and is_balanced(inside):
        return f"[{','.join(_quoted(element.strip()) for element in elements(inside))}]"
    if brackets == "{}" and ":" in inside and is_balanced(inside):
        return value
    return quoted_text(value)


def quoted_text(text: str) -> str:
    r"""Quote text so that it is nothing but text to Hydra.

    >>> print(quoted_text("O'Brien"), quoted_text("true"))
    'O\'Brien' 'true'
    """
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", text)  # a backslash is special before a quote only
    escaped = re.sub(r"(\\+)\Z", r"\1\1", escaped)
    return f"'{escaped}'"


def elements(text: str) -> list[str]:
    """Split at the commas that stand outside brackets and quotes."""
    found, depth = [""], 0
    for part in _parts(text):
        depth += (part in "([{") - (part in ")]}")
        if part == "," and depth == 0:
            found.append("")
        else:
            found[-1] += part
    return found


def is_balanced(text: str) -> bool:
    """Return whether each bracket has its counterpart: that of `[ab]*[cd]` without its ends has not."""
    depths = list(itertools.accumulate((part in "([{") - (part in ")]}") for part in _parts(text)))
    return not depths or (min(depths) >= 0 and depths[-1] == 0)


def _parts(text: str) -> Iterator[str]:
    """Cut into single characters and quoted strings; a quote within a word, as in O'Brien, is a character."""
    position, before, depth = 0, ",", 0
    while position < len(text):
        quoted = _QUOTED.match(text, position) if before in (",([{:=" if depth else ",") else None
        part = quoted.group() if quoted else text[position]
        yield part
        depth += (part in "([{") - (part in ")]}")
        position += len(part)
        before = part if part.strip() else before
