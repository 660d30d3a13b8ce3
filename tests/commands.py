"""Commands of the command line in this process: importing torch takes longer than so small a run."""

import contextlib
import copy
import io
import logging
import os
import runpy
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from mri3d.report.embedded_volume import embed

ROOT = Path(__file__).parents[1]


def run_as_main(script: str, *arguments: str) -> int:
    """Run `train`, `predict` or `mri3d` with arguments as Python runs a script; return its exit status."""
    path = ROOT / ("mri3d/__main__.py" if script == "mri3d" else f"{script}.py")
    before = sys.argv
    sys.argv = [script if script == "mri3d" else f"{script}.py", *arguments]
    try:
        with composed_once():
            runpy.run_path(str(path), run_name="__main__")
    except SystemExit as end:
        return end.code
    finally:
        sys.argv = before
    raise AssertionError("it ended without a status")


def run_here(script: str, *arguments: str, cwd: Path, status: int = 0) -> "subprocess.CompletedProcess[str]":
    """Run a command from a folder, on one core; return what it said, as `subprocess.run` does."""
    import torch

    out, said, threads = io.StringIO(), io.StringIO(), torch.get_num_threads()
    torch.set_num_threads(1)
    told = (contextlib.redirect_stdout(out), contextlib.redirect_stderr(said))
    with contextlib.chdir(cwd), told[0], told[1], restored(), warnings.catch_warnings():
        warnings.simplefilter("default")  # those of libraries are errors in tests alone
        ended = run_as_main(script, *arguments)
    torch.set_num_threads(threads)
    assert ended == status, said.getvalue()
    return subprocess.CompletedProcess([script, *arguments], ended, out.getvalue(), said.getvalue())


@contextlib.contextmanager
def undrawn() -> Iterator[None]:
    """Make the pictures of reports but render none, and their volumes no larger than 24 voxels along an edge.

    Both take most of the time of a small run. It is a decorator too.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("matplotlib.figure.Figure.savefig", lambda figure, file, **options: None)
        patch.setitem(embed.__kwdefaults__, "max_edge", 24)
        yield


_read: dict[tuple[str, str, str], object] = {}


@contextlib.contextmanager
def composed_once() -> Iterator[None]:
    """Keep Hydra from what takes most of the time of so short a command, and changes nothing of what it composes.

    It composes twice, first to see whether `hydra.mode` is set; it copies its store of configurations, and again what
    it takes from there; and it parses the files of its own package each time.
    """
    from hydra._internal.core_plugins.importlib_resources_config_source import ImportlibResourcesConfigSource as Source
    from hydra._internal.hydra import Hydra
    from hydra.core.config_store import ConfigStore

    get_mode, load = Hydra.get_mode, Source.load_config

    def mode(hydra: Hydra, config_name: str | None, overrides: list[str]) -> object:
        return get_mode(hydra, config_name, overrides) if "hydra" in " ".join(overrides) else None

    def parsed_once(source: Source, config_path: str) -> object:
        key = source.provider, source.path, config_path
        if key not in _read:
            _read[key] = load(source, config_path)
        return copy.deepcopy(_read[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Hydra, "get_mode", mode)
        patch.setattr(ConfigStore, "__deepcopy__", lambda store, _: store, raising=False)
        patch.setattr(Source, "load_config", parsed_once)
        yield


@contextlib.contextmanager
def restored() -> Iterator[None]:
    """Leave this process as it was: a command changes how it logs, and what it does when it is signalled."""
    handlers_of_signals = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}
    level, handlers, hook = logging.root.level, logging.root.handlers[:], threading.excepthook
    raises, folders, variables = logging.raiseExceptions, sys.path[:], dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(variables)
        sys.path[:] = folders
        for number, handler in handlers_of_signals.items():
            signal.signal(number, handler)
        logging.root.setLevel(level)
        logging.root.handlers[:] = handlers  # Hydra put others there
        logging.raiseExceptions, threading.excepthook = raises, hook
