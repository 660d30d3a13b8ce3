"""`mri3d pca` and `mri3d averages`: maps and pictures of a cohort, without training anything."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mri3d.cli.configuration import check, conf_folder, study_parts, trusted_names
from mri3d.cli.limits import named_limits
from mri3d.cli.overrides import hydra_overrides, targets
from mri3d.cli.places import foreign
from mri3d.cli.run_settings import read_configuration
from mri3d.cli.status import exit_status
from mri3d.cohort.people import count_sessions
from mri3d.errors import UserError, did_you_mean, option
from mri3d.files import check_folder, what_is
from mri3d.plan import build, complete
from mri3d.texts import number_text

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from mri3d.cohort_maps import CohortMaps, Drawn

GROUPS = {"data": "demo", "preprocess": "default"}
ALIASES = {"preprocess.resolution": "resolution"}
KEYS = ("task", "resolution", "run", "trust", "out", "debug")


@dataclass(frozen=True)
class ComponentMaps:
    """Scree, subjects among the components, a restored scan, eigenbrains in both forms.

    Attributes:
        components: How many of the first components are imaged.
        also: Further ones that are, counted from 1.
        subject: Whose scan is restored from few components; the first one's unless told.
        variance: Fraction of the variance, or number of components, of the transposed form.
    """

    components: int = 10
    also: Sequence[int] = ()
    subject: str | int | None = None
    variance: float = 0.999

    def draw(self, maps: "CohortMaps") -> "Drawn":
        """Write the maps and return the pictures.

        Raises:
            UserError: There is no such component or subject, or not so many.
        """
        from mri3d.cohort_maps import Drawn
        from mri3d.report.components import named_counts

        ids, everybody = maps.study.ids, count_sessions(maps.study.cohort)
        if not (1 <= self.variance <= len(ids) if isinstance(self.variance, int) else 0 < self.variance < 1):
            raise UserError(
                f"variance={self.variance} is impossible: {everybody} have {len(ids)} components in the "
                f"transposed form. Give 1 to {len(ids)}, or a fraction of the variance such as 0.999."
            )
        row = 0
        if self.subject is not None:
            if str(self.subject) not in ids:
                raise UserError(
                    f"subject={self.subject} does not take part.{did_you_mean(str(self.subject), ids)} "
                    f"{everybody} do: {', '.join(ids[:3])}, ..."
                )
            row = ids.index(str(self.subject))
        if self.components < 0:
            raise UserError(f"components={self.components} is negative. Give 0 or more.")
        sections = maps.components(self.components, self.also, subject=row)
        sections.append(maps.transposed(self.variance, self.components, self.also))
        ratios = maps.pca.explained_variance_ratio_
        first = named_counts(ratios)[0]
        share = f"the first {first} of {len(ratios)} components hold {100 * ratios[:first].sum():.1f} %"
        headline = f"principal components of {everybody}: {share} of the variance"
        return Drawn("Principal components of a cohort", headline, sections)


@dataclass(frozen=True)
class AverageMaps:
    """How volumes differ with the outcome: the averages of the classes, or the slope along a measure, and a t map."""

    def draw(self, maps: "CohortMaps") -> "Drawn":
        """Write the maps and return the pictures.

        Raises:
            UserError: A class has one session only, or the sessions are too few.
        """
        return maps.differences()


COMMANDS: dict[str, type[ComponentMaps] | type[AverageMaps]] = {"pca": ComponentMaps, "averages": AverageMaps}


def main(name: str, arguments: list[str]) -> int:
    """Run a command line; return its exit status.

    Args:
        name: One of `COMMANDS`.
        arguments: Options of the command, `run` or options of the cohort, and `out`.
    """
    return exit_status(lambda: _compose(name, arguments), debug="debug=true" in arguments)


def make_maps(name: str, options: Mapping[str, Any]) -> tuple[str, str, str]:
    """Run one command.

    Args:
        name: One of `COMMANDS`.
        options: Its own, and `data`, `preprocess`, `task`, `resolution`, `run`, `trust`, `out`.

    Returns:
        What was done, where the maps lie, where the report lies.

    Raises:
        UserError: Something that the user can mend.
    """
    own = {key: options[key] for key in COMMANDS[name].__dataclass_fields__}
    command = build(complete({"_target_": f"{__name__}.{COMMANDS[name].__name__}", **own}))
    parts = configuration(options)
    out = Path(options["out"] or f"maps/{name}")
    check_folder(out, "out")
    _check_own(out)
    from mri3d.cohort_maps import CohortMaps  # here: it is much, and a mistake need not wait for it
    from mri3d.report.elements import heading, picture_sections, write_page

    study, earlier = study_parts(parts).read(), _earlier(out)
    facts = {"cohort": study.describe(), "volumes": " x ".join(map(str, study.volumes.shape[1:])), "maps": str(out)}
    drawn = command.draw(CohortMaps(study, out))
    page = [heading(drawn.title, facts), *picture_sections(drawn.sections)]
    write_page(out / "report.html", title=drawn.title, sections=page)
    left = _earlier(out)
    if replaced := [path for path, state in earlier.items() if left.get(path) != state]:
        maps = number_text(sum(path.suffix != ".html" for path in replaced), "map")
        log.info("replaced: %s and %s of an earlier call", out / "report.html", maps)
    return f"made   {drawn.headline}", f"maps   {out}", f"report {out / 'report.html'}"


def configuration(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what says whose maps are made: the groups `data` and `preprocess`, `task` and `resolution`, complete.

    Args:
        options: As for `make_maps`. With `run` they are those of the run, changed by what the others say; None of
            `task` and `resolution` leaves them as they are.

    Raises:
        UserError: The run, an option or a value does not exist or fit, or the run names code that is not trusted.
    """
    given = {key: options[key] for key in (*GROUPS, "task", "resolution") if options.get(key) is not None}
    trusted, source = trusted_names(options.get("trust")), ""
    if options.get("run") is not None:
        folder = Path(str(options["run"]))
        if not (folder / "config.yaml").is_file():
            told = "has no config.yaml" if folder.is_dir() else what_is(folder)
            raise UserError(f"run={folder} is no run: it {told}. Give a folder of runs/.")
        found = read_configuration(folder)
        source = str(folder / "config.yaml")
        given = _merged({key: found[key] for key in (*GROUPS, "task", "resolution") if key in found}, given)
    return check(given, list(GROUPS), trusted=trusted, source=source)


def _compose(name: str, arguments: Sequence[str]) -> int:
    """Let Hydra read the options, and make the maps."""
    from mri3d.cli.app import QUIET, resolved, run_app

    fields = asdict(COMMANDS[name]())
    overrides = hydra_overrides(arguments, groups=GROUPS, keys=[*fields, *KEYS], aliases=ALIASES)
    of_run = any(argument.startswith("run=") for argument in arguments)
    if of_run and (chosen := [each for each in arguments if each.partition("=")[0] in GROUPS]):
        raise UserError(f"a run has its own {chosen[0].partition('=')[0]}. Leave {chosen[0]} or run= out.")

    def job(config: "DictConfig") -> int:
        from hydra.core.hydra_config import HydraConfig

        options = resolved(config)
        typed = foreign(targets(HydraConfig.get().overrides.task))
        with named_limits(less_memory="Set a smaller resolution."):
            lines = make_maps(name, options | {"trust": [*trusted_names(options["trust"]), *typed]})
        print(*lines, sep="\n", flush=True)
        return 0

    config = {
        "defaults": [
            *([] if of_run else [{group: option} for group, option in GROUPS.items()]),
            {"override hydra/job_logging": "stdout"},
            "_self_",
        ],
        "hydra": QUIET,
        **{group: {} for group in GROUPS},
        **dict.fromkeys(KEYS),
        **fields,
        "debug": False,
    }
    return run_app(job, overrides, name=name, config=config, folder=conf_folder())


def _merged(one: Any, other: Any) -> Any:  # noqa: ANN401 (any JSON value)
    """Return a value changed by another, as Hydra does: dictionaries key by key, all else replaced."""
    if not isinstance(one, dict) or not isinstance(other, dict):
        return other
    return one | {key: _merged(one.get(key), value) for key, value in other.items()}


def _earlier(out: Path) -> dict[Path, tuple[int, int]]:
    """Find the page and the maps that lie in a folder, each with what differs once it is written again."""
    from mri3d.explain.cohort_space import is_cohort_map

    page, maps = out / "report.html", filter(is_cohort_map, out.glob("*.nii.gz"))
    found = {path: path.stat() for path in [*([page] if page.exists() else []), *maps]}
    return {path: (state.st_ino, state.st_mtime_ns) for path, state in found.items()}


def _check_own(out: Path) -> None:
    """Refuse a folder whose page is not of an earlier call: maps look after their own files."""
    from mri3d.explain.cohort_space import is_cohort_map
    from mri3d.model_places import check_replaceable

    check_replaceable(out)
    if (out / "report.html").exists() and not any(map(is_cohort_map, out.glob("*.nii.gz"))):
        raise UserError(
            f"{option('out', str(out))} holds a report.html that is of no earlier call, and would be replaced. "
            "Set another out."
        )
