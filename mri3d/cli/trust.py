"""`mri3d trust`: whether the maps of a finished run can be trusted, by all ways and on all scans that it tested."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mri3d.cli.configuration import make_parts, trusted_names
from mri3d.cli.explain import listed
from mri3d.cli.limits import named_limits
from mri3d.cli.overrides import typed_values
from mri3d.cli.run_settings import PLACES, read_configuration
from mri3d.cli.status import exit_status
from mri3d.errors import UserError, option
from mri3d.files import check_folder
from mri3d.plan import not_set

KEYS = ("run", "method", "layer", "scans", "out", "trust", "debug")

HELP = """\
Find out whether the heatmaps of a finished run can be trusted: the long form of what every report of a network says.
Each scan is explained by the model that was tested on it. What a map calls evidence is taken out of the scan, and put
into the average one: the prediction must change sooner than in random order, and than by the map of the network with
shuffled weights. Weights are shuffled layer by layer: the map must change. Models of different folds are compared.

  run=runs/x/y        a finished run, whose scans are still there
  method=smoothgrad,gradcam
                      ways to explain (default: all that the model has, but for region_occlusion; occlusion is slow)
  layer=blocks.2      of a network, whose map gradcam and hirescam weigh
  scans=50            how many of the tested scans, spread evenly over the folds (default: all)
  out=folder          where to write trust.json, trust.csv (a row for each scan and way) and report.html
                      (default: runs/x/y/trust)
  data.root=/new      where the data lie now; also data.table, data.scan, data.mask
  trust=my_module.MyNet
                      a network of your own that the run was trained with: loading it runs its code
  debug=false         show the traceback of an error

Examples:
  {program} run=runs/demo-sfcn-50/2030-01-31_12-00-00
  {program} run=runs/x/y method=integrated_gradients,smoothgrad scans=50
"""


def main(arguments: list[str]) -> int:
    """Run the command line; return its exit status."""
    return exit_status(lambda: _run(arguments), debug="debug=true" in arguments)


def trust(options: dict[str, Any]) -> list[str]:
    """Examine the maps of a run.

    Args:
        options: Those of `KEYS` that are given, and `data.root` and others of `PLACES`.

    Returns:
        Lines for the user: whether each way is trusted, and where the table and the report lie.

    Raises:
        UserError: Something that the user can mend.
    """
    if (given := options.get("run")) in (None, ""):
        raise not_set(["run"])
    if not isinstance(given, str):
        raise UserError(f"{option('run', given)} is no path. Give a run.")
    layer, scans, trusted = options.get("layer"), options.get("scans"), trusted_names(options.get("trust"))
    if layer is not None and not isinstance(layer, str):
        raise UserError(f"{option('layer', layer)} is no text.")
    if scans is not None and (not isinstance(scans, int) or isinstance(scans, bool)):
        raise UserError(f"{option('scans', scans)} is no number of scans. Give one, or leave it out for all.")
    folder = Path(given)
    out = options.get("out", str(folder / "trust"))
    if not isinstance(out, str) or not out.strip():
        shown = f"{option('out')} is empty" if out == "" else f"{option('out', out)} is no folder"
        raise UserError(f"{shown}. Give the folder for the results.")
    check_folder(Path(out), "out")
    from mri3d import examinations  # here: it imports all there is, and a mistake need not wait for that
    from mri3d.evaluation.recorded_files import check_run
    from mri3d.examined_runs import ExaminedRun
    from mri3d.model_places import check_own
    from mri3d.models.loading import load

    check_run(folder)
    check_own(Path(out), examinations.RESULTS)
    configuration = read_configuration(folder)
    if isinstance(configuration.get("data"), dict):
        moved = {name: options[f"data.{name}"] for name in PLACES if f"data.{name}" in options}
        configuration["data"] = configuration["data"] | moved
    parts = make_parts(configuration, trusted=trusted, source=str(folder / "config.yaml"))
    methods = listed(options.get("method"))
    run = ExaminedRun.of(folder, load(folder, trust=trusted), methods=methods, layer=layer, scans=scans)
    found = run.examine(parts.study.read(), Path(out))
    table, report = Path(out) / examinations.TABLE, Path(out) / examinations.REPORT
    return [*found.lines(), f"table  {table}", f"report {report}"]


def _run(arguments: Sequence[str]) -> int:
    """Read the command line, examine, and print what that gives."""
    options = typed_values(arguments, groups=["data"], keys=KEYS)
    places = [f"data.{name}" for name in PLACES]
    if others := [key for key in options if key not in (*KEYS, *places)]:
        told = f"a run has its own data, but for where they lie ({', '.join(places)})"
        raise UserError(f"{told}. Leave {others[0]} out.")
    logging.basicConfig(level="INFO", stream=sys.stderr, format="%(message)s")
    with named_limits(less_memory="Use a machine with more memory."):
        lines = trust(options)
    print(*lines, sep="\n", flush=True)
    return 0
