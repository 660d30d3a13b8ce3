"""Progress: a bar on a terminal, lines in batch logs, silence for short work."""

import logging
import sys

import pytest

from mri3d import progress


@pytest.mark.parametrize("terminal", [True, False])
def test_passes_every_step_on(monkeypatch, terminal):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    assert list(progress.progress(iter("abc"), total=3, title="reading")) == ["a", "b", "c"]


def test_short_work_is_silent(caplog, capsys):
    with caplog.at_level(logging.INFO):
        list(progress.progress(range(5), total=5, title="reading"))
    assert caplog.text == ""
    assert capsys.readouterr().err == ""


def test_long_work_tells_lines_where_there_is_no_terminal(caplog, monkeypatch):
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    with caplog.at_level(logging.INFO):
        list(progress.progress(range(2), total=2, title="reading"))
    assert [record.message for record in caplog.records] == ["reading: 1 of 2, 0 s left", "reading: 2 of 2, 0 s left"]


def test_long_work_draws_a_bar_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(progress, "BAR_AFTER_S", 0.0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    list(progress.progress(range(2), total=2, title="reading"))
    assert "reading" in capsys.readouterr().err
