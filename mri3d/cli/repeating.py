"""The command that repeats a run, from the settings that the run keeps: what was typed for it need not be known.

Of each group the option is taken that leaves the least to say, and all that differs from it is said.
"""

import contextlib
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from mri3d.cli.configuration import ALIASES, GIVEN, GROUPS, KEYS, Schema, conf_folder, default_options
from mri3d.cli.kept_columns import keep_columns
from mri3d.cli.overrides import quoted_text, typed_values
from mri3d.cli.places import WORDS, foreign
from mri3d.cli.signatures import as_typed, read_signature
from mri3d.files import expanded
from mri3d.plan import MARKS, MISSING, complete

_NOTHING = object()
_Setting = tuple[str, object]  # the path of an option and its value; nothing, where it is to be taken out


def repeating_command(configuration: Mapping[str, Any], program: str) -> str:
    """Write the command line that makes a run once more, for a shell.

    Args:
        configuration: Complete, as `check` returns it and `config.yaml` keeps it.
        program: How the command is typed, see `mri3d.cli.status.invocation`.
    """
    return " ".join([program, *(shlex.quote(each) for each in repeating_arguments(configuration))])


def repeating_arguments(configuration: Mapping[str, Any]) -> list[str]:
    """Return the arguments of that command: options of groups with what differs from them, then plain keys.

    Args:
        configuration: See `repeating_command`.
    """
    options, arguments, defaults = dict[str, str](), list[str](), default_options()
    for group in GROUPS:
        options[group], settings = _option(group, configuration, defaults[group])
        arguments += [f"{group}={options[group]}"] if options[group] != defaults[group] else []
        if group != "trainer" or _has_trainer(configuration):  # they would be refused, where they do nothing
            arguments += [f"~{key}" if value is _NOTHING else f"{key}={typed(value)}" for key, value in settings]
    plain = {key: configuration[key] for key in ("task", "resolution") if configuration[key] != getattr(Schema, key)}
    usual = f"{options['data']}-{options['model']}-{configuration['resolution']}"
    name = configuration.get("name", usual)
    plain |= {"seed": configuration["seed"]} | ({"name": name} if name != usual else {})
    return [*arguments, *(f"{key}={typed(value)}" for key, value in plain.items())]


def needed_here(configuration: Mapping[str, Any]) -> list[str]:
    """Name what a run looks for from the folder that it is started in: relative paths, and modules of the user's.

    Args:
        configuration: See `repeating_command`.
    """
    places = {
        f"{group}.{name}": configuration[group].get(name)
        for group, name in (("data", "root"), ("evaluation", "splits"))
    }
    relative = [path for path, place in places.items() if place is not None and not _is_absolute(str(place))]
    return [*relative, *foreign(set(_targets(configuration)))]


def typed(value: Any) -> str:  # noqa: ANN401 (any JSON value)
    """Write a value so that the command line reads it as it is.

    >>> typed("T1/{id}.nii"), typed("1"), typed([0.5, None, True, "a b"]), typed({"optimizer.lr": [0.001]})
    ('T1/{id}.nii', "'1'", '[0.5,null,true,a b]', '{optimizer.lr: [0.001]}')
    """
    from hydra.errors import HydraException

    text = as_typed(value)
    with contextlib.suppress(HydraException):
        if "${" not in text and typed_values([f"name={text}"], keys=KEYS)["name"] == value:
            return text
    return _inner(value)


def _inner(value: Any) -> str:  # noqa: ANN401 (any JSON value)
    """Write a value with all texts in it quoted, and kept from being interpolations of OmegaConf's."""
    if isinstance(value, str):
        return quoted_text(re.sub(r"(\\*)\$\{", r"\1\1\\${", value))
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_inner, value))}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_inner(item)}" for key, item in value.items()) + "}"
    return as_typed(value)


def _option(group: str, configuration: Mapping[str, Any], default: str) -> tuple[str, list[_Setting]]:
    """Choose the option of a group that leaves the least to say, the default one among equals, and say the rest."""
    node = configuration[group]
    options = {path.stem: _option_values(path) for path in sorted((conf_folder() / group).glob("*.yaml"))}
    alike = [name for name, option in options.items() if option["_target_"] == node["_target_"]] or [default]
    found = {name: list(_differences(group, options[name], node, configuration)) for name in alike}
    name = min(found, key=lambda name: (len(found[name]), name != default))
    return name, found[name]


def _option_values(path: Path) -> dict[str, Any]:
    """Read what the file of an option says, with what it shares with others."""
    from omegaconf import OmegaConf

    own = cast(dict[str, Any], OmegaConf.to_container(OmegaConf.load(path), resolve=False))
    shared = [re.fullmatch(r"/(\w+)@_here_", each) for each in own.pop("defaults", [])]
    parts = [OmegaConf.load(conf_folder() / f"{match[1]}.yaml") for match in shared if match]
    return cast(dict[str, Any], OmegaConf.to_container(OmegaConf.merge(*parts, own), resolve=False))


def _differences(
    path: str, option: Mapping[str, Any], node: Mapping[str, Any], configuration: Mapping[str, Any]
) -> Iterator[_Setting]:
    """Say what of a call is not as an option and the defaults of what is called have it.

    Args:
        path: Of the call.
        option: What an option says of it; empty for nothing.
        node: The call.
        configuration: That it is a part of.
    """
    for mark in MARKS:
        if node.get(mark) != option.get(mark):
            yield f"{path}.{mark}", node.get(mark, _NOTHING)
    call = {"_target_": node["_target_"], "_partial_": True}  # partial: nothing must be given
    usual = complete(call, path, elsewhere=[*ALIASES, *GIVEN]) | option
    if path == "data" and "covariates" in node:
        usual["covariates"] = _kept_anyway(configuration, usual["covariates"])
    for key, value in node.items():
        at, own = f"{path}.{key}", usual.get(key, _NOTHING)
        if key in MARKS:
            continue
        if isinstance(value, Mapping) and "_target_" in value:
            words = {word: target for word, target in WORDS.get(at, {}).items() if target == value["_target_"]}
            inside = list(_differences(at, own if isinstance(own, Mapping) else {}, value, configuration))
            plain = complete({"_target_": value["_target_"]}, at) == value if words else False
            yield from [(at, next(iter(words)))] if plain and inside else inside
        elif own == MISSING or own != value or type(own) is not type(value):
            yield at, value
    yield from ((f"{path}.{key}", _NOTHING) for key in option if key not in node)


def _kept_anyway(configuration: Mapping[str, Any], columns: list[Any]) -> list[Any]:
    """Return the columns that a study keeps, with those that other options name; `keep_columns` adds these."""
    groups = {group: dict(configuration[group]) for group in ("data", "evaluation", "model")}
    groups["data"]["covariates"] = columns
    keep_columns(groups)
    return list(groups["data"]["covariates"])


def _has_trainer(configuration: Mapping[str, Any]) -> bool:
    """Return whether a model is fitted by a trainer; of one that cannot be read it is not known, and so it may be."""
    signature = read_signature(configuration["model"]["_target_"])
    return signature is None or "trainer" in [each.name for each in signature.arguments]


def _targets(node: Any) -> Iterator[str]:  # noqa: ANN401 (any JSON value)
    """Yield the names of all that is called."""
    if isinstance(node, Mapping):
        yield from [str(node["_target_"])] if "_target_" in node else []
        for value in node.values():
            yield from _targets(value)


def _is_absolute(place: str) -> bool:
    return Path(expanded(place)).is_absolute()
