"""Hydra: it composes a configuration from `conf/` and what the user types, or with `-m` several."""

import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mri3d.cli.overrides import hydra_overrides
from mri3d.cli.status import exit_status
from mri3d.errors import UserError
from mri3d.plan import MISSING, not_set

if TYPE_CHECKING:
    from omegaconf import DictConfig

QUIET: Mapping[str, Any] = {
    "run": {"dir": "."},
    "output_subdir": None,
    "job_logging": {
        "formatters": {"simple": {"format": "%(message)s"}},
        "handlers": {"console": {"stream": "ext://sys.stderr"}},
    },
}
"""Hydra's own settings for a command that makes no run directory."""


def run_app(
    job: "Callable[[DictConfig], int]",
    overrides: Sequence[str],
    *,
    name: str,
    schema: type | None = None,
    config: Mapping[str, Any] | None = None,
    folder: Path | None = None,
) -> int:
    """Let Hydra make the configuration, or several, and run the job with each.

    Args:
        job: Takes a configuration, see `resolved`; returns its exit status.
        overrides: In Hydra's grammar.
        name: Of the primary configuration.
        schema: Dataclass of the keys at the top, if the primary configuration does not name them all.
        config: The primary configuration, where it is no file of `folder`.
        folder: Of configuration files.

    Returns:
        The highest exit status of the jobs.

    Raises:
        UserError: The folder of a run cannot be made.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises instead of printing, so that all errors look alike
    import hydra
    from hydra.core.config_store import ConfigStore

    if schema is not None:
        ConfigStore.instance().store("schema", schema)
    if config is not None:
        ConfigStore.instance().store(name, dict(config))
    statuses = [0]
    at_work = False

    @hydra.main(version_base="1.3", config_path=folder and str(folder), config_name=name)  # type: ignore[untyped-decorator]
    def app(configuration: "DictConfig") -> None:
        nonlocal at_work
        at_work = True
        statuses.append(exit_status(lambda: job(configuration), debug=configuration.debug))
        at_work = False

    sys.argv[1:] = overrides
    try:
        app()
    except ValueError as error:
        if at_work or type(error) is not ValueError:
            raise
        raise UserError(f"{' '.join(str(error).split())}. See --hydra-help.") from error  # options of Hydra's own
    except OSError as error:
        if at_work or error.errno is None:  # Hydra's own errors, as of an option that does not exist
            raise
        place = f"{error.filename} cannot be written to"  # Hydra makes the folder of a run before the job begins
        way_out = "Give another name, or start in a folder where that can be done."
        raise UserError(f"{place}: {error.strerror}. {way_out}") from error
    return max(statuses)


def run_command(
    command: Callable[[dict[str, Any]], int],
    arguments: Sequence[str],
    *,
    name: str,
    schema: type,
    groups: Collection[str] = (),
) -> int:
    """Run a command whose keys are the fields of a dataclass, with what the user typed.

    It has no files of options: in `conf/`, `model` is a group.

    Args:
        command: Takes the keys; returns its exit status.
        arguments: As they were typed.
        name: Of the command.
        schema: The dataclass, with the defaults.
        groups: Keys that have keys of their own, such as `report.faces`.
    """
    config = {
        "defaults": ["schema", {"override hydra/job_logging": "stdout"}, "_self_"],
        "hydra": {**QUIET, "job_logging": {"handlers": QUIET["job_logging"]["handlers"]}},
    }
    keys = [each.name for each in fields(schema) if each.name not in groups]
    overrides = hydra_overrides(arguments, groups=groups, keys=keys)
    return run_app(lambda given: command(resolved(given)), overrides, name=name, schema=schema, config=config)


def resolved(configuration: "DictConfig") -> dict[str, Any]:
    """Return a configuration as plain values.

    Raises:
        UserError: Keys that have no value.
    """
    from omegaconf import OmegaConf

    values = cast(dict[str, Any], OmegaConf.to_container(configuration, resolve=True))
    if missing := [key for key, value in values.items() if value == MISSING]:
        raise not_set(missing)
    return values
