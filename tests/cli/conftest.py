"""What the tests of the command line share."""

import logging
import runpy
import signal
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def here(monkeypatch, tmp_path, capfd):
    """Run a command in this process, in an empty folder: its imports take most of the time of a mistake."""

    def main(script, *arguments: str):
        monkeypatch.setattr(sys, "argv", [script if script == "mri3d" else f"{script}.py", *arguments])
        monkeypatch.chdir(tmp_path)
        capfd.readouterr()
        path = ROOT / ("mri3d/__main__.py" if script == "mri3d" else f"{script}.py")
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(path), run_name="__main__")
        return end.value.code, capfd.readouterr().err

    handler, level, handlers = signal.getsignal(signal.SIGTERM), logging.root.level, logging.root.handlers[:]
    folders = sys.path[:]
    yield main
    sys.path[:] = folders
    signal.signal(signal.SIGTERM, handler)
    logging.root.setLevel(level)
    logging.root.handlers[:] = handlers  # Hydra put others there
