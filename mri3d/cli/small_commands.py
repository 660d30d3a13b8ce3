"""What the small commands do: maps and pictures of a cohort, without training anything."""

import importlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mri3d.cli.overrides import elements, is_balanced
from mri3d.cohort.audit import audit
from mri3d.cohort.cohort import Cohort
from mri3d.cohort_maps import CohortMaps, Section
from mri3d.errors import UserError, did_you_mean
from mri3d.plan import MARKS, complete, with_options
from mri3d.records import read_configuration
from mri3d.report.components import named_counts
from mri3d.report.elements import heading, picture_sections, write_page
from mri3d.volumes.cache import Volumes

CONF = Path(__file__).parents[2] / "conf"
GROUPS = {"data": "demo", "preprocess": "default"}
_NUMBER = re.compile(r"[-+]?(0|[1-9]\d*)(\.\d*)?([eE][-+]?\d+)?")
_WORDS = {"true": True, "false": False, "null": None}
_QUOTED = re.compile(r"'[^'\\]*'|\"[^\"\\]*\"")


@dataclass(frozen=True)
class ComponentMaps:
    """Scree, subjects among the components, a restored scan, eigenbrains in both forms.

    Attributes:
        components: How many of the first components are imaged.
        also: Further ones that are, counted from 1.
        subject: Whose scan is restored from few components; the first one's unless told.
        variance: Fraction of the variance, or number of components, of the transposed form.
    """

    title = "Principal components of a cohort"
    components: int = 10
    also: Sequence[int] = ()
    subject: str | int | None = None
    variance: float = 0.999

    def draw(self, maps: CohortMaps) -> list[Section]:
        """Write the maps and give the pictures.

        Raises:
            UserError: There is no such component or subject, or not so many.
        """
        ids = maps.cohort.ids
        if not (1 <= self.variance <= len(ids) if isinstance(self.variance, int) else 0 < self.variance < 1):
            raise UserError(
                f"variance={self.variance} is impossible: {len(ids)} subjects have {len(ids)} components in the "
                f"transposed form. Give 1 to {len(ids)}, or a fraction of the variance such as 0.999."
            )
        row = 0
        if self.subject is not None:
            if str(self.subject) not in ids:
                raise UserError(
                    f"subject={self.subject} does not take part.{did_you_mean(str(self.subject), ids)} "
                    f"{len(ids)} subjects do: {', '.join(ids[:3])}, ..."
                )
            row = ids.index(str(self.subject))
        if self.components < 0:
            raise UserError(f"components={self.components} is negative. Give 0 or more.")
        sections = maps.components(self.components, self.also, subject=row)
        return [*sections, maps.transposed(self.variance, self.components, self.also)]

    def headline(self, maps: CohortMaps) -> str:
        """Say in a line what was found."""
        ratios = maps.pca.explained_variance_ratio_
        first = named_counts(ratios)[0]
        share = f"the first {first} of {len(ratios)} components hold {100 * ratios[:first].sum():.1f} %"
        return f"principal components of {len(maps.cohort.ids)} subjects: {share} of the variance"


@dataclass(frozen=True)
class AverageMaps:
    """The average of each class, their difference, and a t map of it."""

    title = "Class averages of a cohort"

    def draw(self, maps: CohortMaps) -> list[Section]:
        """Write the maps and give the pictures.

        Raises:
            UserError: A class has one subject only.
        """
        return [maps.averages()]

    def headline(self, maps: CohortMaps) -> str:
        """Say in a line what was made."""
        counts = ", ".join(f"{name} ({count} subjects)" for name, count in maps.cohort.class_counts.items())
        return f"averages of {counts}, differences, t maps"


COMMANDS: dict[str, type[ComponentMaps] | type[AverageMaps]] = {"pca": ComponentMaps, "averages": AverageMaps}


def make_maps(name: str, arguments: Sequence[str]) -> tuple[str, str, str]:
    """Run one command.

    Args:
        name: One of `COMMANDS`.
        arguments: `key=value` each: options of the command, `run` or data options, and `out`.

    Returns:
        What was done, where the maps lie, where the report lies.

    Raises:
        UserError: Something that the user can mend.
    """
    given = _parse(arguments, [*COMMANDS[name].__dataclass_fields__, *GROUPS, "run", "resolution", "out"])
    out = Path(given.get("out", f"maps/{name}"))
    own = {key: _value(text) for key, text in given.items() if key in COMMANDS[name].__dataclass_fields__}
    command = _build(complete({"_target_": f"{__name__}.{COMMANDS[name].__name__}", **own}))
    cohort, volumes = _read(given)
    maps = CohortMaps(volumes, cohort, out)
    sections = command.draw(maps)
    facts = {"cohort": cohort.describe(), "volumes": " x ".join(map(str, volumes.shape[1:])), "maps": str(out)}
    body = [heading(command.title, facts), *picture_sections(sections)]
    write_page(out / "report.html", title=command.title, sections=body)
    return f"made   {command.headline(maps)}", f"maps   {out}", f"report {out / 'report.html'}"


def configuration(given: Mapping[str, str]) -> dict[str, Any]:
    """Give the constructor calls of `data` and `preprocess`, complete.

    Args:
        given: `run`, or `data` and `preprocess` by the names of their options in `conf/`, as `train.py` has them; and
            any of `resolution`, `data.<option>`, `preprocess.<option>`.

    Raises:
        UserError: The run, an option or a value does not exist or fit.
    """
    if "run" in given:
        nodes = _of_run(given)
    else:
        nodes = {group: _of_file(group, given.get(group, option)) for group, option in GROUPS.items()}
    settings = {key: _value(text) for key, text in given.items() if "." in key}
    if "resolution" in given or "run" not in given:
        settings["preprocess.resolution"] = _value(given.get("resolution", "50"))
    nodes = with_options(nodes, settings, where="")
    completed: dict[str, Any] = complete(nodes)
    return completed


def _parse(arguments: Sequence[str], known: Sequence[str]) -> dict[str, str]:
    given = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals:
            raise UserError(f"{argument!r} is not of the form key=value (keys: {', '.join(known)}).")
        first, dot, _ = key.partition(".")
        if first not in known or (dot and first not in GROUPS):
            raise UserError(f"there is no key {key!r}.{did_you_mean(key, known)} The keys: {', '.join(known)}.")
        given[key] = value
    return given


def _value(text: str) -> Any:  # noqa: ANN401 (any JSON value)
    """Read a value as `train.py` does: a number, a word of JSON, a list of such, what is quoted; else plain text.

    >>> [_value(text) for text in ("1e-3", "7", "007", "[0, F]", "{id}.nii", "'1'", "no")]
    [0.001, 7, '007', [0, 'F'], '{id}.nii', '1', 'no']
    """
    if match := _NUMBER.fullmatch(text):
        return float(text) if match[2] or match[3] else int(text)
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _QUOTED.fullmatch(text):
        return text[1:-1]
    inside = text[1:-1]
    if f"[{inside}]" == text and is_balanced(inside):  # not so the glob [ab]*[cd]
        return [_value(item.strip()) for item in elements(inside)] if inside.strip() else []
    return text


def _of_run(given: Mapping[str, str]) -> dict[str, Any]:
    chosen = [f"{group}={given[group]}" for group in GROUPS if group in given]
    if chosen:
        raise UserError(f"run={given['run']} has its own {chosen[0].partition('=')[0]}. Leave {chosen[0]} or run= out.")
    folder = Path(given["run"])
    if not (folder / "config.yaml").is_file():
        raise UserError(f"run={folder} is no run: it has no config.yaml. Give a folder of runs/.")
    found = read_configuration(folder)
    for group in GROUPS:
        if not isinstance(found.get(group), dict):
            raise UserError(f"{folder / 'config.yaml'} is damaged: it has no {group}. Give another run.")
    return {group: found[group] for group in GROUPS}


def _of_file(group: str, option: str) -> dict[str, Any]:
    """Read an option of a group as `train.py` does."""
    options = sorted(path.stem for path in (CONF / group).glob("*.yaml"))
    if not options:
        raise UserError(f"{CONF} is not there: mri3d was installed without its configurations. Give run=... instead.")
    if option not in options:
        raise UserError(
            f"{group}={option}: there is no such option.{did_you_mean(option, options)} The options: "
            f"{', '.join(options)}."
        )
    node: dict[str, Any] = yaml.safe_load((CONF / group / f"{option}.yaml").read_text(encoding="utf-8"))
    return node


def _build(node: Any) -> Any:  # noqa: ANN401 (what a configuration says)
    """Make the calls of a complete configuration."""
    if isinstance(node, list):
        return [_build(item) for item in node]
    if not isinstance(node, dict):
        return node
    if "_target_" not in node:
        return {key: _build(value) for key, value in node.items()}
    values = {key: _build(value) for key, value in node.items() if key not in MARKS}
    module, _, name = node["_target_"].rpartition(".")
    return getattr(importlib.import_module(module), name)(**values)


def _read(given: Mapping[str, str]) -> tuple[Cohort, Volumes]:
    """Read the cohort and make its volumes."""
    parts = configuration(given)
    data, recipe = _build(parts["data"]), _build(parts["preprocess"])
    cohort = audit(data.read(), oriented=recipe.orientation == "ras", skip_bad=data.skip_bad)
    volumes = Volumes(cohort.scans, cohort.digests, recipe.for_cohort(cohort.scans), ids=cohort.ids)
    volumes.fill()
    return cohort, volumes
