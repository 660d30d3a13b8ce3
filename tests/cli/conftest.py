"""What the tests of the command line share."""

import pytest

from tests.commands import restored, run_as_main


@pytest.fixture
def shows(monkeypatch, tmp_path, capfd):
    """Run a command in this process, in an empty folder: its imports take most of the time of a mistake."""

    def main(script, *arguments: str):
        monkeypatch.chdir(tmp_path)
        capfd.readouterr()
        return run_as_main(script, *arguments), *capfd.readouterr()

    with restored():
        yield main


@pytest.fixture
def here(shows):
    """Run a command as `shows` does; give its status and what it says on standard error."""

    def main(script, *arguments: str):
        status, _, said = shows(script, *arguments)
        return status, said

    return main
