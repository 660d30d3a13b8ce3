"""`mri3d explain`: where the evidence lies in scans, by one or several ways, by region and over all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mri3d.cli.app import run_command
from mri3d.cli.configuration import import_from_here, trusted_names
from mri3d.cli.limits import named_limits
from mri3d.cli.status import exit_status
from mri3d.errors import UserError, option
from mri3d.files import check_folder
from mri3d.texts import as_list


@dataclass
class Schema:
    """The keys of an explanation; anything else is refused."""

    model: str = "???"
    scans: Any = "???"
    out: str = "explained"
    method: Any = None
    layer: Any = None
    target: Any = None
    regions: Any = None
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
        lambda: run_command(explain, arguments, name="explain", schema=Schema), debug="debug=true" in arguments
    )


def explain(options: dict[str, Any]) -> int:
    """Explain with the options of `Schema`; return the exit status.

    Raises:
        UserError: Something that the user can mend.
    """
    trust = trusted_names(options["trust"])
    scans = [str(scan) for scan in as_list(options["scans"])]
    check_options(options, texts=("layer", "regions", "space", "mask", "table"))
    out = Path(options["out"])
    check_folder(out, "out")
    from mri3d import explained_scans  # here: it imports all there is, and a mistake need not wait for that

    if trust:
        import_from_here()
    with named_limits(less_memory="Use a machine with more memory, or explain fewer scans at a time."):
        status = explained_scans.explain_scans(
            Path(options["model"]),
            scans,
            out,
            methods=listed(options["method"]),
            layer=options["layer"],
            target=options["target"],
            regions=options["regions"],
            space=options["space"],
            table=options["table"],
            id=options["id"],
            mask=options["mask"],
            force=options["force"],
            trust=trust,
        )
    print(f"maps   {out}", f"report {out / 'report.html'}", sep="\n", flush=True)
    return status


def check_options(options: Mapping[str, Any], *, texts: Sequence[str]) -> None:
    """Refuse options that are of another kind.

    Args:
        options: By name, `force` among them.
        texts: Those that are texts, where they are given.

    Raises:
        UserError: One is not.
    """
    for name in texts:
        if options[name] is not None and not isinstance(options[name], str):
            raise UserError(f"{option(name, options[name])} is no text.")
    if not isinstance(options["force"], bool):
        raise UserError(f"{option('force', options['force'])} is neither true nor false.")


def listed(names: object) -> list[str]:
    """Return names that are a list, or a text with commas.

    >>> listed("smoothgrad, gradcam"), listed(["smoothgrad"]), listed(None)
    (['smoothgrad', 'gradcam'], ['smoothgrad'], [])
    """
    if isinstance(names, str):
        return [name.strip() for name in names.split(",")]
    return [str(name) for name in as_list(names)] if names else []
