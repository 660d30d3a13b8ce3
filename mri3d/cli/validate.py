"""`mri3d validate`: a finished model on labelled people whom it never saw."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mri3d.cli.configuration import check, conf_folder, import_from_here, trusted_names
from mri3d.cli.limits import named_limits
from mri3d.cli.overrides import hydra_overrides, targets
from mri3d.cli.places import foreign
from mri3d.cli.predict import with_plain_keys
from mri3d.cli.status import exit_status
from mri3d.errors import UserError, option
from mri3d.files import check_folder
from mri3d.plan import build, not_set
from mri3d.texts import as_list

if TYPE_CHECKING:
    from omegaconf import DictConfig


@dataclass
class Schema:
    """The keys of a validation, beside those of `data`."""

    prevalence: Any = None
    threshold: Any = None
    allow_seen: Any = False
    trust: Any = None
    out: Any = None
    debug: bool = False


KEYS = ("model", *Schema.__dataclass_fields__)

_MODEL = "validated"
_OF_THE_MODEL = ("preprocess", "resolution", "task")


def main(arguments: list[str]) -> int:
    """Run the command line; return its exit status."""
    return exit_status(lambda: _compose(arguments), debug="debug=true" in arguments)


def validate(options: dict[str, Any]) -> list[str]:
    """Validate a model.

    Args:
        options: `model`, `data` and those of `Schema`.

    Returns:
        Lines for the user: the result, and where the table and the report lie.

    Raises:
        UserError: Something that the user can mend.
    """
    began = time.perf_counter()
    given, allowed, trusted = options["model"], options["allow_seen"], trusted_names(options["trust"])
    if not isinstance(given, str):
        raise UserError(f"{option('model', given)} is no path. Give a run, its model folder, or one fold's folder.")
    if not isinstance(allowed, bool):
        raise UserError(f"{option('allow_seen', allowed)} is neither true nor false.")
    data = check({"data": options["data"]}, ["data"], trusted=trusted)["data"]
    out = _out(options["out"])
    check_folder(out, "out")
    from mri3d import external  # here: it imports all there is, and a mistake need not wait for that
    from mri3d.external_people import read_people
    from mri3d.models.loading import load

    external.check_out(out)
    if trusted:
        import_from_here()
    folder = Path(given)
    model = load(folder, trust=trusted)
    if "covariates" in data:
        kept = list(map(str, as_list(data["covariates"])))
        sites = ["site"] if data.get("site") else []  # a model's covariate of that name may be the site
        data["covariates"] = [*kept, *(name for name in model.covariates if name not in (*kept, *sites))]
    source = build(data, "data")
    asked = {name: options[name] for name in ("prevalence", "threshold")}
    external.resolve(model, **asked)  # told before the scans are read
    people = read_people(model, source)
    validation = external.validate_model(model, people, **asked, allow_seen=allowed, folder=folder)
    external.write_validation(validation, out, model=given, began=began)
    table, report = out / external.TABLE, out / external.REPORT
    return [f"test   {validation.headline()}", f"table  {table}", f"report {report}"]


def _compose(arguments: Sequence[str]) -> int:
    """Let Hydra read the options, and validate."""
    from mri3d.cli.app import QUIET, resolved, run_app

    for argument in arguments:
        key = argument.lstrip("+~").partition("=")[0].partition(".")[0]
        if key in _OF_THE_MODEL:
            raise UserError(f"{argument}: the model has its own {key}, with which it was trained. Leave it out.")
    arguments = [with_plain_keys(argument) for argument in arguments]
    overrides = hydra_overrides(arguments, groups=["data"], keys=KEYS)
    if not any(argument.startswith("data=") for argument in overrides):
        raise UserError("data is not set: who the people are. Give data=table or data=bids, see --help.")
    # Of `model=` Hydra would take the value for an option of the group in conf/.
    overrides = [f"{_MODEL}{each.removeprefix('model')}" if each.startswith("model=") else each for each in overrides]

    def job(config: "DictConfig") -> int:
        from hydra.core.hydra_config import HydraConfig

        options = resolved(config)
        typed = foreign(targets(HydraConfig.get().overrides.task))
        options |= {"model": options.pop(_MODEL), "trust": [*trusted_names(options["trust"]), *typed]}
        if options["model"] is None:
            raise not_set(["model"])
        with named_limits(less_memory="Close other programs, or use a machine with more."):
            lines = validate(options)
        print(*lines, sep="\n", flush=True)
        return 0

    config = {
        "defaults": [{"data": "table"}, {"override hydra/job_logging": "stdout"}, "_self_"],
        "hydra": QUIET,
        "data": {},
        _MODEL: None,
        **asdict(Schema()),
    }
    return run_app(job, overrides, name="validate", config=config, folder=conf_folder())


def _out(given: object) -> Path:
    """Return the folder for the results, one of its own where none is given."""
    if given is None:
        return Path(f"runs/{datetime.now():%Y-%m-%d_%H-%M-%S-%f}-validation")
    if not isinstance(given, str) or not given.strip():
        shown = f"{option('out')} is empty" if given == "" else f"{option('out', given)} is no folder"
        raise UserError(f"{shown}. Give the folder for the results.")
    return Path(given)
