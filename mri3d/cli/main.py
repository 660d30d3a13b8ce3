"""The command `mri3d`, and what `train.py`, `predict.py` and `python -m mri3d` call."""

import functools
import importlib
import logging
import os
import sys
import threading
from collections.abc import Callable

from mri3d.cli.limits import threads_stop_silently
from mri3d.cli.status import RUN, USER_ERROR, exit_status, invocation, run_script, tell
from mri3d.errors import UserError, did_you_mean
from mri3d.version import __version__

COMMANDS = {
    "train": "train and evaluate a model; with -m several, one after the other",
    "predict": "predict new scans with a trained model, with heatmaps",
    "explain": "where the evidence lies in scans: by several ways, by region, and over all of them",
    "layers": "what layers of a network compute of scans, and the kernels that meet voxels first",
    "trust": "can the heatmaps of a finished run be trusted? by all ways, on all scans that it tested",
    "validate": "how good is a finished model on labelled people whom it never saw?",
    "compare": "is a run better than another? differences with intervals and p values",
    "pca": "principal components of a cohort: scree, eigenbrains, a scan from few components",
    "averages": "how a cohort differs: averages of its classes, or slope along a measure, and t maps",
}


def main(command: str = "") -> int:
    """Run a command with what stands on the command line; return the exit status.

    Args:
        command: One of `COMMANDS`; where none is given, the first argument names it.
    """
    logging.raiseExceptions = False  # a line for a disk that is full, or for a reader that is gone, is let go
    threading.excepthook = threads_stop_silently
    return run_script(lambda: _run(command), tells=RUN not in os.environ)


def _run(command: str) -> int:
    if RUN in os.environ:  # started by Lightning for another device, with a command line that Hydra has rewritten
        return _of("train")(sys.argv[1:])
    if "--version" in sys.argv[1:]:
        print(f"mri3d {__version__}")
        return 0
    if not command:
        command = sys.argv[1] if len(sys.argv) > 1 else ""
        if command in ("-h", "--help"):
            print(_usage(), end="")
            return 0
        if command not in COMMANDS:
            told = f"there is no command {command!r}.{did_you_mean(command, COMMANDS)}" if command else ""
            *others, last = COMMANDS
            tell(UserError(f"{told or 'no command is given.'} Give {', '.join(others)} or {last}; see --help."))
            return USER_ERROR
        del sys.argv[1]
    arguments = sys.argv[1:]
    if {"-h", "--help"} & {*arguments}:
        return _help(command, arguments)
    return _of(command)(arguments)


def _help(command: str, arguments: list[str]) -> int:
    """Print the help of a command, or every argument of what its command line chooses."""
    from mri3d.cli import help

    others = [argument for argument in arguments if argument not in ("-h", "--help")]
    if command == "validate":
        others = [argument for argument in others if not argument.startswith("model=")]  # a run, and no option

    def show() -> int:
        chosen = command not in ("predict", "explain", "layers", "trust", "compare") and help.chosen_groups(others)
        print(help.arguments_of(others) if chosen else help.general(command, invocation(command)), end="")
        return 0

    return exit_status(show, debug="debug=true" in arguments)


def _of(command: str) -> Callable[[list[str]], int]:
    """Import a command: only then, because it is much."""
    if command in ("pca", "averages"):
        maps: Callable[[list[str]], int] = functools.partial(importlib.import_module("mri3d.cli.maps").main, command)
        return maps
    found: Callable[[list[str]], int] = importlib.import_module(f"mri3d.cli.{command}").main
    return found


def _usage() -> str:
    """List the commands."""
    program = invocation("").strip()
    lines = [f"  {program} {name:9s} {meaning}" for name, meaning in COMMANDS.items()]
    title, more = "Deep and classical models of 3D brain scans.", f"{program} train --help and so on tell more."
    return "\n".join([title, "", *lines, "", more, ""])
