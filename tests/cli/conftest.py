"""What the tests of the command line share."""

import logging
import runpy
import signal
import sys
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def shows(monkeypatch, tmp_path, capfd):
    """Run a command in this process, in an empty folder: its imports take most of the time of a mistake."""

    def main(script, *arguments: str):
        monkeypatch.setattr(sys, "argv", [script if script == "mri3d" else f"{script}.py", *arguments])
        monkeypatch.chdir(tmp_path)
        capfd.readouterr()
        path = ROOT / ("mri3d/__main__.py" if script == "mri3d" else f"{script}.py")
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(path), run_name="__main__")
        return end.value.code, *capfd.readouterr()

    handlers_of_signals = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}
    level, handlers, hook = logging.root.level, logging.root.handlers[:], threading.excepthook
    raises, folders = logging.raiseExceptions, sys.path[:]
    yield main
    sys.path[:] = folders
    for number, handler in handlers_of_signals.items():
        signal.signal(number, handler)
    logging.root.setLevel(level)
    logging.root.handlers[:] = handlers  # Hydra put others there
    logging.raiseExceptions, threading.excepthook = raises, hook


@pytest.fixture
def here(shows):
    """Run a command as `shows` does; give its status and what it says on standard error."""

    def main(script, *arguments: str):
        status, _, said = shows(script, *arguments)
        return status, said

    return main
