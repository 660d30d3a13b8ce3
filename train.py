"""Train and judge a classifier: `python train.py --help`."""

import contextlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mri3d.cli.overrides import exit_status, hydra_overrides, run_script, tell
from mri3d.errors import UserError

if TYPE_CHECKING:
    from omegaconf import DictConfig

GROUPS = ("data", "preprocess", "model", "trainer", "evaluation")
RUN = "MRI3D_RUN"  # tells the processes that Lightning starts for the other devices which run they belong to


@dataclass
class Schema:
    """The keys at the top of a configuration; anything else is refused."""

    data: Any = None
    preprocess: Any = None
    model: Any = None
    trainer: Any = None
    evaluation: Any = None
    resolution: Any = 50
    seed: int = 0
    name: str = "${hydra:runtime.choices.data}-${hydra:runtime.choices.model}-${resolution}"
    resume: str | None = None
    debug: bool = False


def execute(configuration: dict[str, Any], folder: Path, *, resumed: bool = False) -> int:
    """Run one configuration, or go on with its run; return the exit status."""
    from hydra.utils import instantiate

    from mri3d import runs as experiment
    from mri3d.plan import complete

    for group in GROUPS:
        if not isinstance(configuration.get(group), dict) or "_target_" not in configuration[group]:
            raise UserError(f"{group}={configuration.get(group)} is no option of {group}. See python train.py --help.")
    configuration = complete({"trainer": configuration["trainer"], **configuration})  # it is in the model too
    data, recipe, evaluation = (
        instantiate(configuration[group], _convert_="all") for group in ("data", "preprocess", "evaluation")
    )
    environment = dict(os.environ)
    os.environ[RUN] = str(folder.resolve())
    try:
        outcome = experiment.run(
            data=data,
            recipe=recipe,
            classifier=_model(configuration["model"], evaluation),
            evaluation=evaluation,
            seed=configuration["seed"],
            folder=folder,
            configuration=configuration,
            resumed=resumed,
        )
    except KeyboardInterrupt as stop:
        if (folder / "config.yaml").exists():
            stop.add_note(f"Go on with: python train.py resume={folder}")
        raise
    finally:  # Lightning says in the environment which device this process has: not for the next run of a sweep
        os.environ.clear()
        os.environ.update(environment)
    for line in outcome.lines:
        print(line, flush=True)
    return 0


def _model(model: dict[str, Any], evaluation: Any) -> Any:  # noqa: ANN401 (what Hydra builds)
    """Build the classifier, or with a grid of its options all those that it spans."""
    from hydra.utils import instantiate

    from mri3d.evaluation.nested import INNER_FOLDS, Candidates, Nested
    from mri3d.plan import complete, with_options

    if not isinstance(evaluation, Nested) or not evaluation.grid:
        return instantiate(model, _convert_="all")
    settings = evaluation.settings
    variants = [complete(with_options(model, setting, where="model"), "model") for setting in settings]
    classifiers = [instantiate(variant, _convert_="all") for variant in variants]
    return Candidates(settings, classifiers, evaluation.inner_folds or INNER_FOLDS, evaluation.validation)


def resume(folder: Path) -> int:
    """Run the configuration that lies in a run: after it was cut off, or beside its first process."""
    import logging

    from mri3d.records import read_configuration

    configuration = read_configuration(folder)
    level = "WARNING" if RUN in os.environ else "INFO"
    logging.basicConfig(level=level, stream=sys.stderr, format="%(message)s")
    return execute(configuration, folder, resumed=True)


def compose(arguments: list[str]) -> int:
    """Let Hydra make the configuration, or with -m several, and run each."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises instead of printing, so that all errors look alike
    import hydra
    from hydra.core.config_store import ConfigStore
    from hydra.core.hydra_config import HydraConfig

    from mri3d.cli.sweep import Sweep

    ConfigStore.instance().store("schema", Schema)
    statuses, sweep = [0], Sweep()

    @hydra.main(version_base="1.3", config_path="conf", config_name="train")  # type: ignore[untyped-decorator]
    def job(config: "DictConfig") -> None:
        hydra_config = HydraConfig.get()
        folder, sweep.root = Path(os.path.relpath(hydra_config.runtime.output_dir)), Path(hydra_config.sweep.dir)
        for empty in (folder, *folder.parents[:2]):  # Hydra made them; the run does, once there is something to run
            with contextlib.suppress(OSError):
                empty.rmdir()

        def checked() -> int:
            with sweep.run(hydra_config.overrides.task, folder):
                return execute(_checked(config), folder)

        statuses.append(exit_status(checked, debug=config.debug))

    keys = [key for key in Schema.__dataclass_fields__ if key not in GROUPS]
    sys.argv[1:] = hydra_overrides(arguments, groups=GROUPS, keys=keys)
    try:
        job()
    finally:
        for line in sweep.finish():
            print(line, flush=True)
    return max(statuses)


def _checked(config: "DictConfig") -> dict[str, Any]:
    """Give the configuration of a run that may begin, resolved."""
    from omegaconf import OmegaConf

    if config.resume is not None:
        raise UserError("resume takes everything from the run it continues: python train.py resume=runs/x/y")
    if not 0 <= config.seed < 2**31:
        raise UserError(f"seed={config.seed} is out of range. Give 0 to {2**31 - 1}.")
    if ".." in Path(config.name).parts or Path(config.name).is_absolute():
        raise UserError(f"name={config.name} leads out of runs/. Give a plain name.")
    return cast(dict[str, Any], OmegaConf.to_container(config, resolve=True))


def main() -> int:
    """Run the command line; return its exit status."""
    arguments = sys.argv[1:]
    if RUN in os.environ:  # a process for another device: the command line is the first one's
        return exit_status(lambda: resume(Path(os.environ[RUN])), debug=False)
    run = next((argument.removeprefix("resume=") for argument in arguments if argument.startswith("resume=")), "")
    if run and len(arguments) > 1:
        tell(UserError("resume=... takes everything from the run it continues. Leave the other options out."))
        return 2
    return exit_status(lambda: resume(Path(run)) if run else compose(arguments), debug="debug=true" in arguments)


if __name__ == "__main__":
    sys.exit(run_script(main, tells=RUN not in os.environ))
