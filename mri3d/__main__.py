"""The small commands: `python -m mri3d --help`."""

import logging
import sys

from mri3d.cli.overrides import exit_status, run_script, tell
from mri3d.errors import UserError, did_you_mean

USAGE = """\
Pictures and maps of a cohort, without training anything.

python -m mri3d pca       scree, subjects among the principal components, eigenbrains, a scan from few components
python -m mri3d averages  the average of each class, their difference, a t map

Whose: run=runs/x/y, or data=, data.*=, preprocess=, preprocess.*=, resolution= as for train.py (default: the demo).
Where: out=maps/pca
pca:   components=10 (the first ones), also=[57] (further ones), subject=ID (restored), variance=0.999 (transposed form)

Examples:
  python -m mri3d pca run=runs/x/y components=20
  python -m mri3d averages data=table data.root=/study data.table=subjects.csv data.label=sex resolution=100
"""


def main() -> int:
    """Run the command line; return its exit status."""
    arguments = sys.argv[1:]
    if {"-h", "--help"} & set(arguments):
        print(USAGE, end="")
        return 0
    if not arguments:
        tell(UserError("no command is given. Give pca or averages; see python -m mri3d --help."))
        return 2
    logging.basicConfig(level="INFO", stream=sys.stderr, format="%(message)s")
    debug = "debug=true" in arguments
    options = [argument for argument in arguments[1:] if argument not in ("debug=true", "debug=false")]
    return exit_status(lambda: _run(arguments[0], options), debug=debug)


def _run(name: str, options: list[str]) -> int:
    from mri3d.cli.small_commands import COMMANDS, make_maps  # heavy, and --help need not wait for it

    if name not in COMMANDS:
        raise UserError(f"there is no command {name!r}.{did_you_mean(name, COMMANDS)} Give {' or '.join(COMMANDS)}.")
    for line in make_maps(name, options):
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(run_script(main))
