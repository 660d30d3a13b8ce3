"""The exit status of a command, and what it tells of a mistake."""

import logging
import re
import sys

import pytest

from mri3d.cli.status import exit_status, invocation
from mri3d.errors import UserError, option


def fail(error, *causes: Exception):
    """Raise an error that was caused by another, and so on."""
    if not causes:
        raise error
    try:
        fail(*causes)
    except Exception as cause:
        raise error from cause


def test_exit_status_of_a_job_that_ends_well_is_its_own(capsys):
    assert exit_status(lambda: 1, debug=False) == 1
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("wrappers", [[], [RuntimeError("instantiate")], [KeyError("a"), OSError("b")]])
def test_users_mistake_is_one_line_whatever_wraps_it(capsys, wrappers):
    assert exit_status(lambda: fail(*wrappers, UserError("column 'dx' is missing.")), debug=False) == 2
    assert capsys.readouterr() == ("", "error: column 'dx' is missing.\n")


def test_debug_shows_the_traceback(capsys, caplog):
    with caplog.at_level(logging.ERROR):
        assert exit_status(lambda: fail(RuntimeError("wrapper"), UserError("no")), debug=True) == 2
    assert "Traceback" in caplog.text
    assert "RuntimeError: wrapper" in caplog.text
    assert capsys.readouterr().err == "error: no\n"


def test_other_errors_are_not_the_users():
    with pytest.raises(ZeroDivisionError):
        exit_status(lambda: 1 // 0, debug=False)
    with pytest.raises(KeyError):
        exit_status(lambda: fail(KeyError("a"), ValueError("b")), debug=False)


def test_message_names_the_whole_path_of_an_option(capsys):
    mistake = UserError(f"no column 'dx'. Set {option('data.label')} or {option('data.skip_bad', True)}.")
    assert exit_status(lambda: fail(RuntimeError("wrapper"), mistake), debug=False) == 2
    assert capsys.readouterr().err == "error: no column 'dx'. Set data.label or data.skip_bad=true.\n"


@pytest.mark.parametrize(
    ("program", "typed"),
    [
        ("/clone/train.py", "python train.py"),
        ("/venv/bin/mri3d", "mri3d train"),
        ("/venv/lib/mri3d/__main__.py", "python -m mri3d train"),
        ("", "mri3d train"),
    ],
)
def test_commands_are_named_as_they_were_typed(monkeypatch, program, typed):
    monkeypatch.setattr(sys, "argv", [program])
    assert invocation("train") == typed


def test_a_lack_of_memory_is_told_whatever_was_made_of_it(capsys):
    lack = RuntimeError("can't start new thread")

    def import_fails():
        raise UserError("model cannot be imported: x.so.") from ImportError("x.so: failed to map segment from shared")

    def damage():
        raise UserError("m does not fit this version. Copy it again.") from lack

    def told_well():
        raise UserError("m does not fit into memory. Use a machine with more of it.") from MemoryError()

    def raises():
        raise lack

    for job, told in (
        (import_fails, r"error: out of memory \(x\.so: failed to map segment from shared\)\. Close other programs"),
        (damage, r"error: out of memory \(can't start new thread\)\. Close other programs"),
        (told_well, r"error: m does not fit into memory\. Use"),
        (raises, r"error: out of memory \(can't start new thread\)\. Close other programs"),
    ):
        assert exit_status(job, debug=False) == 2
        said = capsys.readouterr().err
        assert re.match(told, said)
        assert said.count("\n") == 1
