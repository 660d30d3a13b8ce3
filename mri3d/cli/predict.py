"""`mri3d predict`: predictions and heatmaps of new scans."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mri3d.cli.app import run_command
from mri3d.cli.configuration import LATER, import_from_here, trusted_names
from mri3d.cli.limits import named_limits
from mri3d.cli.status import exit_status
from mri3d.errors import UserError
from mri3d.files import check_folder
from mri3d.plan import build, complete

if TYPE_CHECKING:
    from mri3d.report.options import ReportOptions

_QUOTED_KEY = re.compile(r"""([{,]\s*)(['"])(.*?)\2(?=\s*:)""")
_SPECIAL = re.compile(r"[\\()\[\]{}:=, \t]")


@dataclass
class Schema:
    """The keys of a prediction; anything else is refused."""

    model: str = "???"
    scans: Any = "???"
    out: str = "results"
    heatmap: str = "integrated_gradients"
    layer: Any = None
    space: Any = "scan"
    prevalence: Any = None
    threshold: Any = None
    coverage: Any = None
    table: Any = None
    id: Any = None
    mask: Any = None
    force: Any = False
    report: Any = None
    trust: Any = None
    debug: bool = False


def main(arguments: list[str]) -> int:
    """Run the command line; return its exit status."""
    plain = [with_plain_keys(argument) for argument in arguments]
    return exit_status(
        lambda: run_command(predict, plain, name="predict", schema=Schema, groups=["report"]),
        debug="debug=true" in arguments,
    )


def predict(options: dict[str, Any]) -> int:
    """Predict with the options of `Schema`; return the exit status."""
    scans, trust = options["scans"], trusted_names(options["trust"])
    if not all(isinstance(scan, str) for scan in (scans if isinstance(scans, list) else [scans])):
        raise UserError(f"scans={scans} is no path. Give a file, a glob, a folder, a BIDS root, or a list of these.")
    if isinstance(scans, list) and os.path.exists(literal := f"[{','.join(scans)}]"):  # noqa: PTH110 (of any length)
        scans = literal  # a folder of such a name, which Hydra reads as a list
    if not options["out"].strip():
        raise UserError("out is empty. Give the folder for the results.")
    out = Path(options["out"])
    check_folder(out, "out")
    from mri3d import inference  # here: it imports all there is, and a mistake need not wait for that

    if trust:
        import_from_here()
    advice = "Close other programs, or use a machine with more; what was predicted so far is kept."  # one scan is held
    asked = {name: options.get(name) for name in ("prevalence", "threshold", "coverage", "table", "id", "mask")}
    if asked["table"] is not None and not isinstance(asked["table"], str):
        raise UserError(f"table={asked['table']} is no path. Give a CSV or TSV file.")
    force = options.get("force", False)
    if not isinstance(force, bool):
        raise UserError(f"force={force} is neither true nor false.")
    with named_limits(less_memory=advice):
        status = inference.predict_scans(
            Path(options["model"]),
            scans,
            out,
            heatmap=options["heatmap"],
            layer=options.get("layer"),
            space=options.get("space", "scan"),
            force=force,
            options=_report_options(options.get("report")),
            trust=trust,
            **asked,
        )
    print(f"predictions {out / 'predictions.csv'}", f"report      {out / 'report.html'}", sep="\n", flush=True)
    return status


def with_plain_keys(argument: str) -> str:
    r"""Take the quotes off names in braces, which Hydra reads without them only, and mark what is special to it.

    >>> print(with_plain_keys('prevalence={"very old": 0.1, "a,b": 0.2, c: 0.7}'))
    prevalence={very\ old: 0.1, a\,b: 0.2, c: 0.7}
    """
    if not argument.startswith(("prevalence={", "threshold={")):
        return argument
    return _QUOTED_KEY.sub(lambda key: key[1] + _SPECIAL.sub(r"\\\g<0>", key[3]), argument)


def _report_options(given: object) -> "ReportOptions":
    """Build what was set of `report`.

    Raises:
        UserError: There is no such option, or no such value.
    """
    if given is not None and not isinstance(given, dict):
        raise UserError(f"report={given} is no option. Set one of its own, such as report.faces=true.")
    options = given or {}
    made: ReportOptions = build(complete(LATER["report"] | options, "report"), "report")
    return made
