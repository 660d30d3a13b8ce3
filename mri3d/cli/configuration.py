"""The configuration of a run: its keys, the one place of each value, and what is built from it."""

import logging
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mri3d
from mri3d.cli.kept_columns import keep_columns
from mri3d.cli.names import check_offered_names
from mri3d.cli.places import PLACES, check_targets, is_dotted, moved
from mri3d.cli.signatures import read_signature
from mri3d.errors import UserError, did_you_mean, option
from mri3d.plan import build, complete

if TYPE_CHECKING:
    from mri3d.cohort.cohort import CohortSource
    from mri3d.evaluation.splitting import Splits
    from mri3d.models.model import Model
    from mri3d.report.options import ReportOptions
    from mri3d.study import Study
    from mri3d.volumes.recipes import AnyRecipe

log = logging.getLogger(__name__)

GROUPS = ("data", "preprocess", "model", "trainer", "evaluation", "report")
LATER: Mapping[str, Any] = {"report": {"_target_": "mri3d.report.options.ReportOptions"}}
"""Groups that runs of earlier versions do not have, to what is meant then."""

ALIASES = {"preprocess.resolution": "resolution", "model.trainer": "trainer"}
"""Arguments of constructors whose value stands at the top of a configuration, and is typed there or by this path."""

GIVEN = tuple(f"{path}.{name}" for path, place in PLACES.items() for name in place.given)
"""Arguments that stand nowhere: mri3d gives them when it fits."""


@dataclass
class Schema:
    """The keys at the top of a configuration; anything else is refused."""

    data: Any = None
    preprocess: Any = None
    model: Any = None
    trainer: Any = None
    evaluation: Any = None
    report: Any = None
    task: Any = "classification"
    resolution: Any = 50
    seed: Any = 0
    name: str = "${hydra:runtime.choices.data}-${hydra:runtime.choices.model}-${resolution}"
    resume: str | None = None
    trust: Any = None
    debug: bool = False


KEYS = tuple(key for key in Schema.__dataclass_fields__ if key not in GROUPS)


@dataclass(frozen=True)
class StudyParts:
    """What a study is read from, by every command.

    Attributes:
        source: Where the cohort comes from.
        recipe: How a scan becomes a volume.
        task: What kind of outcome is predicted.
        kept_for: Column of the table that is kept because an option names it, to that option.
    """

    source: "CohortSource"
    recipe: "AnyRecipe"
    task: str
    kept_for: Mapping[str, str] = field(default_factory=dict)

    def read(self) -> "Study":
        """Read and audit the study."""
        from mri3d.study import Study

        try:
            return Study.read(self.source, self.recipe, task=self.task)
        except UserError as error:
            for name, asked in self.kept_for.items():
                if error.text.startswith(f"column {name!r} is not in"):
                    raise UserError(error.text.replace(option("data.covariates"), option(asked))) from error
            raise


@dataclass(frozen=True)
class Parts:
    """What a configuration means.

    Attributes:
        configuration: Complete, each value in one place: what `config.yaml` keeps.
        study: What the study is read from.
        model: What fits and predicts.
        splits: Who trains and who is tested.
        report: How the page is made.
    """

    configuration: dict[str, Any]
    study: StudyParts
    model: "Model"
    splits: "Splits"
    report: "ReportOptions"

    @property
    def model_name(self) -> str:
        """Class of the network, or of the model where it has none."""
        model = self.configuration["model"]
        return str(model.get("network", model)["_target_"]).rpartition(".")[2]


def conf_folder() -> Path:
    """Return the folder of the options: in the package where it was installed, beside it in a clone.

    Raises:
        UserError: It is not there.
    """
    package = Path(mri3d.__file__).parent
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "train.yaml").is_file():
            return folder
    raise UserError(f"the configurations of mri3d are not in {package / 'conf'}. Install mri3d again.")


def default_options() -> dict[str, str]:
    """Return the option of each group that is taken where none is chosen."""
    import yaml

    written = yaml.safe_load((conf_folder() / "train.yaml").read_text(encoding="utf-8"))["defaults"]
    pairs = [pair for entry in written if isinstance(entry, dict) for pair in entry.items()]
    return {group: option for group, option in pairs if group in GROUPS}


def make_parts(configuration: Mapping[str, Any], *, trusted: Collection[str] = (), source: str = "") -> Parts:
    """Check a configuration and build what it says.

    Args:
        configuration: All groups, resolved; plain keys that have a default may be missing.
        trusted: Dotted names that may be imported though mri3d does not offer them.
        source: The file that it was read from, for messages; none where the user has just typed it.

    Raises:
        UserError: A key, an option or a value that does not exist or fit.
    """
    checked = check(configuration, GROUPS, trusted=trusted, source=source)
    elsewhere = {"model.trainer": build(checked["trainer"], "trainer")}
    kept_for = keep_columns(checked)
    study = replace(study_parts(checked), kept_for=kept_for)
    groups = ("model", "evaluation", "report")
    model, splits, report = (build(checked[group], group, elsewhere=elsewhere) for group in groups)
    return Parts(checked, study, model, splits, report)


def study_parts(checked: Mapping[str, Any]) -> StudyParts:
    """Build what a study is read from.

    Args:
        checked: What `check` returned, with `data` and `preprocess`.

    Raises:
        UserError: A constructor refuses its arguments.
    """
    elsewhere = {"preprocess.resolution": checked["resolution"]}
    source, recipe = (build(checked[group], group, elsewhere=elsewhere) for group in ("data", "preprocess"))
    return StudyParts(source, recipe, checked["task"])


def check(
    configuration: Mapping[str, Any], groups: Collection[str], *, trusted: Collection[str] = (), source: str = ""
) -> dict[str, Any]:
    """Check a configuration before anything that it names runs, and write out the defaults of what it names.

    Args:
        configuration: Groups and plain keys.
        groups: Those that must be there.
        trusted: See `make_parts`.
        source: See `make_parts`.

    Returns:
        The groups and the plain keys, complete, each value in one place.

    Raises:
        UserError: As `make_parts`.
    """
    whose, known = f"{source}: " if source else "", list(Schema.__dataclass_fields__)
    if unknown := [key for key in configuration if key not in known]:
        raise UserError(
            f"{whose}there is no key {unknown[0]!r}.{did_you_mean(str(unknown[0]), known)} "
            f"The keys: {', '.join(known)}."
        )
    values = moved({group: LATER[group] for group in groups if group in LATER} | dict(configuration))
    for group in groups:
        node = values.get(group)
        if not isinstance(node, dict) or "_target_" not in node:
            raise UserError(f"{whose}{group}={node} is no option of {group}. See --help.")
    values = _each_once({"task": Schema.task, "resolution": Schema.resolution, "seed": Schema.seed} | values, whose)
    check_targets(values, trusted, source=source)
    if trusted:
        import_from_here()
    kept = {key: values[key] for key in (*groups, "task", "resolution", "seed", "name") if key in values}
    _check_plain(kept, whose)
    check_offered_names(kept, elsewhere=[*ALIASES, *GIVEN])
    checked: dict[str, Any] = complete(kept, elsewhere=[*ALIASES, *GIVEN])
    return checked


def check_trainer_is_used(configuration: Mapping[str, Any], typed: Sequence[str], *, swept: Collection[str]) -> None:
    """Refuse options of the trainer that the user has typed for a model that is fitted without one.

    In a sweep over models they may be meant for others of them, and are told to do nothing for this one.

    Args:
        configuration: What Hydra made of the command line.
        typed: What the command line sets for this run, `key=value`, or `~key` where it takes a key out.
        swept: Keys of which a sweep has several values.

    Raises:
        UserError: They would do nothing.
    """
    options = [text for text in (each.lstrip("+~") for each in typed) if text.startswith("trainer.")]
    model = configuration["model"]
    target = model.get("_target_") if isinstance(model, dict) else None
    signature = read_signature(target) if target in PLACES["model"].targets else None
    if not options or signature is None or "trainer" in [each.name for each in signature.arguments]:
        return
    told = f"{options[0]} does nothing for {str(target).rpartition('.')[2]}, which is fitted without a trainer."
    if "model" not in swept:
        raise UserError(f"{told} Leave it out, or choose a network.")
    log.info("%s", told)


def trusted_names(value: object) -> tuple[str, ...]:
    """Read what stands at `trust`: the dotted name of a class, or a list of such.

    Raises:
        UserError: It is no name.
    """
    names = value if isinstance(value, list) else [] if value is None else [value]
    for name in names:
        if not isinstance(name, str) or not is_dotted(name):
            raise UserError(f"trust={name} is no dotted name of a class. Give one as in trust=my_module.MyNet")
    return tuple(names)


def import_from_here() -> None:
    """Let modules of the current folder be imported, as for a script of the user's that lies there."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)  # last: it must not replace what is installed


def _each_once(values: dict[str, Any], whose: str) -> dict[str, Any]:
    """Drop values that stand in a second place, as in runs of earlier versions, where both places say the same."""
    for alias, path in ALIASES.items():
        group, _, key = alias.partition(".")
        if not isinstance(values.get(group), dict) or key not in values[group]:
            continue
        if different := _difference(values[group][key], values[path]):
            inside, one, other = different
            raise UserError(
                f"{whose}{alias}{inside}={one} and {path}{inside}={other} contradict each other: they are one value. "
                f"Remove {alias}{inside}, or make them the same."
            )
        values = values | {group: {name: value for name, value in values[group].items() if name != key}}
    return values


def _difference(one: Any, other: Any) -> tuple[str, Any, Any] | None:  # noqa: ANN401 (any JSON value)
    """Find where two values differ: the path within them, and what stands there; None where they are the same."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in [*one, *other]:
            if found := _difference(one.get(key), other.get(key)):
                return f".{key}{found[0]}", found[1], found[2]
        return None
    return None if one == other else ("", one, other)


def _check_plain(values: Mapping[str, Any], whose: str) -> None:
    """Check the plain keys, which no constructor does."""
    seed, name = values["seed"], values.get("name", "")
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise UserError(f"{whose}seed={seed!r} is not a whole number.")
    if not 0 <= seed < 2**31:
        raise UserError(f"{whose}seed={seed} is out of range. Give 0 to {2**31 - 1}.")
    if not isinstance(name, str):
        raise UserError(f"{whose}name={name!r} is not text.")
    if not name.isprintable():
        raise UserError(f"{whose}name={name!r} holds a line break or another control character. Give a plain name.")
    if ".." in Path(name).parts or Path(name).is_absolute():
        raise UserError(f"{whose}name={name} leads out of runs/. Give a plain name.")
