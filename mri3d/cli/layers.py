"""`mri3d layers`: what layers of a network compute of scans, and the kernels that meet voxels first."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mri3d.cli.app import run_command
from mri3d.cli.configuration import import_from_here, trusted_names
from mri3d.cli.explain import check_options, listed
from mri3d.cli.limits import named_limits
from mri3d.cli.status import exit_status
from mri3d.errors import UserError, option
from mri3d.files import check_folder
from mri3d.texts import as_list

HELP = """\
View the layers of a network: what they compute of scans, and the kernels of its first convolution.

  model=runs/x/y      a run, its model folder, or one fold's folder; of several folds the first one's model is viewed
  scans='/new/*.nii'  a file, a glob, a folder (searched through), a BIDS root, or a list '[a.nii,b.nii]'; without
                      scans the layers are listed, and with out= the kernels are written
  out=layers          where to write <layer>/<scan>_features.nii.gz with a .json that names its channels,
                      kernels.nii.gz, report.html
  layers=blocks.0,blocks.3
                      which (default: the first convolution, the last layer whose map is fine enough, and one between)
  channels=8          how many of each layer: those that vary most over the first scan, the same for all scans; or
                      which, counted from 0: channels=[0,5]
  space, table, id, mask, force, trust, debug
                      as for predict

A map lies on the grid of the layer's own cells, in the world of the scan (space=mni: of MNI152): viewers lay it over
the scan by that.

Examples:
  {program} model=runs/x/y
  {program} model=runs/x/y scans='/new/*.nii.gz' layers=blocks.0,blocks.3
"""


@dataclass
class Schema:
    """The keys of a view of layers; anything else is refused."""

    model: str = "???"
    scans: Any = None
    out: Any = None
    layers: Any = None
    channels: Any = None
    space: Any = "scan"
    table: Any = None
    id: Any = None
    mask: Any = None
    force: Any = False
    trust: Any = None
    debug: bool = False


def main(arguments: list[str]) -> int:
    """Run the command line; return its exit status."""
    return exit_status(
        lambda: run_command(layers, arguments, name="layers", schema=Schema), debug="debug=true" in arguments
    )


def layers(options: dict[str, Any]) -> int:
    """View layers with the options of `Schema`, or list them; return the exit status.

    Raises:
        UserError: Something that the user can mend.
    """
    trust = trusted_names(options["trust"])
    scans = [] if options["scans"] is None else [str(scan) for scan in as_list(options["scans"])]
    check_options(options, texts=("out", "space", "mask", "table"))
    channels = _channels(options["channels"])
    out = Path(options["out"] or "layers")
    check_folder(out, "out")
    from mri3d import viewed_layers  # here: it imports all there is, and a mistake need not wait for that
    from mri3d.layer_views import NUM_CHANNELS

    if trust:
        import_from_here()
    if options["scans"] is None and options["out"] is None:
        viewed = viewed_layers.viewed_model(Path(options["model"]), trust=trust)
        print(viewed_layers.layer_table(viewed), flush=True)
        return 0
    with named_limits(less_memory="Use a machine with more memory, or view fewer layers at a time."):
        status = viewed_layers.view_layers(
            Path(options["model"]),
            scans,
            out,
            layers=listed(options["layers"]),
            channels=NUM_CHANNELS if channels is None else channels,
            space=options["space"],
            table=options["table"],
            id=options["id"],
            mask=options["mask"],
            force=options["force"],
            trust=trust,
        )
    print(f"maps   {out}", f"report {out / 'report.html'}", sep="\n", flush=True)
    return status


def _channels(value: object) -> int | list[int] | None:
    """Return how many channels are asked for, or which: a list, or a text with commas.

    >>> _channels(8), _channels([0, 5]), _channels("0, 5"), _channels(None)
    (8, [0, 5], [0, 5], None)
    """
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    found = [str(each).strip() for each in (value.split(",") if isinstance(value, str) else as_list(value))]
    if not found or not all(each.isdecimal() for each in found):
        raise UserError(f"{option('channels', value)} is neither a number of channels nor a list of them.")
    return [int(each) for each in found]
