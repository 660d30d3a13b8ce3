"""`mri3d train`: compose a configuration, or read that of a run that was cut off, and run it."""

import contextlib
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from mri3d.cli.configuration import (
    ALIASES,
    GROUPS,
    KEYS,
    Schema,
    check_trainer_is_used,
    conf_folder,
    make_parts,
    trusted_names,
)
from mri3d.cli.limits import named_limits
from mri3d.cli.overrides import hydra_overrides, swept_keys, targets, typed_values
from mri3d.cli.places import foreign
from mri3d.cli.repeating import needed_here, repeating_command
from mri3d.cli.run_settings import PLACES, read_configuration
from mri3d.cli.status import RUN, exit_status, invocation
from mri3d.errors import UserError

if TYPE_CHECKING:
    from omegaconf import DictConfig

LESS_MEMORY = (
    "Start a new run with a smaller resolution, model.batch_size or network, or fewer model.num_workers; on a GPU "
    "trainer.precision=16-mixed halves what is needed."
)

TRUST = "MRI3D_TRUST"
"""Environment variable that tells the processes for other devices what the user trusts."""


def main(arguments: list[str]) -> int:
    """Run the command line; return its exit status."""
    if RUN in os.environ:  # a process for another device: the command line is the first one's
        folder, trusted = Path(os.environ[RUN]), os.environ.get(TRUST, "").split()
        return exit_status(lambda: resume(folder, trusted), debug=False)
    resumed = any(argument.startswith("resume=") for argument in arguments)
    return exit_status(lambda: _resume(arguments) if resumed else compose(arguments), debug="debug=true" in arguments)


def execute(
    configuration: dict[str, Any],
    folder: Path,
    *,
    trusted: Sequence[str] = (),
    source: str = "",
    resumed: bool = False,
    moved: bool = False,
) -> int:
    """Run one configuration, or go on with its run; return the exit status."""
    parts = make_parts(configuration, trusted=trusted, source=source)
    from mri3d import runs  # here: it imports all there is, and a mistake need not wait for that
    from mri3d.report.repeat_section import repeat_section

    def way_on() -> str:
        told = f" trust=[{','.join(trusted)}]" if trusted else ""
        began = (folder / "cohort.csv").exists()
        return f"Go on with: {invocation('train')} resume={folder}{told}" if began else "Start again."

    environment = dict(os.environ)
    os.environ[RUN], os.environ[TRUST] = str(folder.resolve()), " ".join(trusted)
    try:
        with named_limits(less_memory=LESS_MEMORY, after_room=way_on):
            end = runs.run(
                parts.study.read,
                parts.model,
                parts.splits,
                seed=parts.configuration["seed"],
                folder=folder,
                title=parts.configuration.get("name", folder.name),
                model_name=parts.model_name,
                configuration=parts.configuration,
                options=parts.report,
                resumed=resumed,
                moved=moved,
                repeat=repeat_section(
                    repeating_command(parts.configuration, invocation("train")),
                    folder=str(Path.cwd()),
                    needed=needed_here(parts.configuration),
                ),
            )
    except KeyboardInterrupt as stop:
        if (folder / "config.yaml").exists():
            stop.add_note(way_on())
        raise
    finally:  # Lightning says in the environment which device this process has: not for the next run of a sweep
        os.environ.clear()
        os.environ.update(environment)
    for line in end.lines:
        print(line, flush=True)
    return 0


def resume(folder: Path, trusted: Sequence[str], places: Mapping[str, Any] = MappingProxyType({})) -> int:
    """Run the configuration that lies in a run: after it was cut off, or beside its first process.

    Args:
        folder: The run.
        trusted: Dotted names that may be imported.
        places: Option of `data` to where something lies now.
    """
    configuration = read_configuration(folder)
    if places and isinstance(configuration.get("data"), dict):
        configuration["data"] = configuration["data"] | places
    level = "WARNING" if RUN in os.environ else "INFO"
    logging.basicConfig(level=level, stream=sys.stderr, format="%(message)s")
    source = str(folder / "config.yaml")
    return execute(configuration, folder, trusted=trusted, source=source, resumed=True, moved=bool(places))


def compose(arguments: Sequence[str]) -> int:
    """Let Hydra make the configuration, or with -m several, and run each."""
    from mri3d.cli.app import resolved, run_app
    from mri3d.cli.sweep import Sweep

    sweep = Sweep()

    def job(config: "DictConfig") -> int:
        from hydra.core.hydra_config import HydraConfig

        hydra = HydraConfig.get()
        folder, sweep.root = Path(os.path.relpath(hydra.runtime.output_dir)), Path(hydra.sweep.dir)
        for empty in (folder, *folder.parents[:2]):  # Hydra made them; the run does, once there is something to run
            with contextlib.suppress(OSError):
                empty.rmdir()
        with sweep.run(hydra.overrides.task, folder):
            configuration = resolved(config)
            if configuration["resume"] is not None:
                raise UserError(
                    "resume takes everything from the run it continues: "
                    f"{invocation('train')} resume={configuration['resume']}"
                )
            check_trainer_is_used(configuration, hydra.overrides.task, swept=swept_keys(overrides))
            trusted = {*targets(hydra.overrides.task), *trusted_names(configuration["trust"])}
            return execute(configuration, folder, trusted=foreign(trusted))

    overrides = hydra_overrides(arguments, groups=GROUPS, keys=KEYS, aliases=ALIASES)
    try:
        return run_app(job, overrides, name="train", schema=Schema, folder=conf_folder())
    finally:
        for line in sweep.finish():
            print(line, flush=True)


def _resume(arguments: Sequence[str]) -> int:
    """Read a command line with `resume=`; it may have `trust=` and `debug=` beside it, and where the data lie now."""
    keys = ("resume", "trust", "debug")
    places = [f"data.{name}" for name in PLACES]
    if others := [each for each in arguments if each.partition("=")[0].lstrip("+") not in (*keys, *places)]:
        raise UserError(
            f"resume=... takes everything from the run it continues, but where its data lie ({', '.join(places)}). "
            f"Leave {others[0]} out."
        )
    given = typed_values(arguments, groups=["data"], keys=keys)
    moved = {name: given[f"data.{name}"] for name in PLACES if f"data.{name}" in given}
    return resume(Path(str(given["resume"])), trusted_names(given.get("trust")), moved)
