"""The ground: whole files or none, CSV, digests, the cache folder."""

import csv
import hashlib
import io
import itertools
import json
import math
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mri3d.errors import UserError
from mri3d.files import (
    atomic_path,
    cache_folder,
    csv_cells,
    csv_text,
    digest,
    digest_json,
    write_bytes,
    write_csv,
    write_json,
    write_text,
)


@pytest.fixture
def umask():
    """Let a test choose the umask."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def test_killed_writer_leaves_the_old_file(tmp_path):
    path = tmp_path / "weights.bin"
    write_bytes(path, b"old")
    script = (
        "import os, signal, sys\n"
        "from mri3d.files import atomic_path\n"
        "with atomic_path(sys.argv[1]) as temporary:\n"
        "    temporary.write_bytes(b'half of the n')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script, str(path)], check=False, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"
    write_bytes(path, b"new")  # what the killed writer left is in nobody's way
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("old", [None, b"old"])
def test_error_while_writing_changes_nothing(tmp_path, old):
    path = tmp_path / "scores.json"
    if old is not None:
        path.write_bytes(old)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(RuntimeError, match="disk full"), atomic_path(path) as temporary:  # noqa: PT012
        temporary.write_bytes(b"half")
        raise RuntimeError("disk full")
    assert sorted(tmp_path.iterdir()) == before
    assert old is None or path.read_bytes() == old


def test_readers_see_the_old_file_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "volume.npy"
    contents = {bytes([letter]) * 200_000 for letter in b"abc"}
    write_bytes(path, min(contents))
    seen = set()
    with atomic_path(path) as temporary:
        for content in sorted(contents):
            temporary.write_bytes(content[:100_000])
            seen.add(path.read_bytes())
            temporary.write_bytes(content)
    assert seen == {min(contents)}
    assert path.read_bytes() == max(contents)


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002, 0o027])
def test_permissions_follow_the_umask(tmp_path, umask, mask):
    umask(mask)
    write_bytes(tmp_path / "new.csv", b"1")
    assert stat.S_IMODE((tmp_path / "new.csv").stat().st_mode) == 0o666 & ~mask


def test_umask_is_not_touched(tmp_path, monkeypatch):
    def umask(mask):
        raise AssertionError("the umask belongs to all threads: another could write meanwhile, or set it back wrongly")

    monkeypatch.setattr(os, "umask", umask)
    write_bytes(tmp_path / "new.csv", b"1")


@pytest.mark.parametrize("name", ["map.nii.gz", "volume.npy", "é" * 120 + ".nii.gz", "x" * 249 + ".nii"])
def test_temporary_file_has_the_ending_and_the_folder(tmp_path, name):
    path = tmp_path / "new" / "folders" / name
    with atomic_path(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.name.endswith("".join(Path(name).suffixes))
        assert temporary.name.startswith(".")  # searching a folder for scans passes it by
        temporary.write_bytes(b"1")
    assert [file.name for file in path.parent.iterdir()] == [name]


def test_text_is_utf8_whatever_the_locale(tmp_path):
    write_text(tmp_path / "a.txt", "Zürich\n")
    assert (tmp_path / "a.txt").read_bytes() == "Zürich\n".encode()


def test_json_is_read_back_and_has_no_nan(tmp_path):
    value = {"auc": 0.1 + 0.2, "names": ["Zoë", None], "n": {"a": 1}}
    write_json(tmp_path / "a.json", value)
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == value
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "b.json", {"auc": float("nan")})
    assert not (tmp_path / "b.json").exists()


def test_csv_has_a_column_for_each_name_in_the_order_of_appearance():
    rows = [{"a": 1, "b": "x"}, {"c": True, "a": 2}]
    assert csv_text(rows) == "a,b,c\n1,x,\n2,,True\n"
    assert csv_text(rows, ("c", "a", "new")) == "c,a,new\n,1,\nTrue,2,\n"
    assert csv_text([], ("a", "b")) == "a,b\n"
    assert csv_text([]) == ""


def test_csv_is_read_back_whatever_is_in_its_cells():
    cells = ['say "so"', "a, b", "two\nlines", "ends in a return\r", " space ", "", "Zürich", "nan"]
    text = csv_text([{"cell, number 1": cell, "n": n} for n, cell in enumerate(cells)])
    read = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["cell, number 1"] for row in read] == cells
    assert [row["n"] for row in read] == [str(n) for n in range(len(cells))]


@pytest.mark.parametrize(
    ("cell", "safe"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("@SUM(1+1)*cmd", "'@SUM(1+1)*cmd"),
        ("+1+cmd|x", "'+1+cmd|x"),
        ("-2+3", "'-2+3"),
        ("-", "'-"),
        ("\t=1", "'\t'=1"),
        ("\rx", "'\rx"),
        ("\nx", "'\nx"),
        ("  =1", "'  =1"),
        ("\ufeff=1", "'\ufeff=1"),
        ("\uff1d1+1", "'\uff1d1+1"),
        ("a;=1", "a;'=1"),  # a cell of its own where semicolons part cells
        ("a\n@x", "a\n'@x"),
        ("'=1", "''=1"),
        ("-1;2", "'-1;2"),
        *(
            (text, text)
            for text in ("-1", "+1.5e3", "-.5", "1e-9", "a=b", "a-b", "sub-1", "x;-1", "'quoted'", "", "'-1")
        ),
    ],
)
def test_csv_runs_nothing_in_a_spreadsheet_and_is_read_back(cell, safe):
    text = csv_text([{"note": cell, cell: "x"}])
    header, row = csv.reader(io.StringIO(text, newline=""))
    assert (header, row) == (["note", safe], [safe, "x"])
    assert list(csv_cells(text)) == [{"note": cell, cell: "x"}]


@settings(deadline=None)
@given(st.lists(st.tuples(st.text("'=+-@1.e;\t\r\n ax,\"\uff1d"), st.text()), min_size=1, max_size=4))
def test_csv_cells_are_read_back_exactly_and_begin_with_nothing_that_runs(pairs):
    rows = [{"one": one, "two": two} for one, two in pairs]
    text = csv_text(rows)
    assert list(csv_cells(text)) == rows
    for cell in itertools.chain.from_iterable(csv.reader(io.StringIO(text, newline=""))):
        assert not cell.startswith(("=", "@", "\t", "\r", "\n"))
        assert not cell.startswith(("+", "-")) or math.isfinite(float(cell))


def test_csv_numbers_are_never_touched():
    numbers = [-1, -1.5, np.int8(-3), np.float32(-0.5), float("-inf"), True]
    assert csv_text([{"x": x} for x in numbers], digits=3) == "x\n-1\n-1.5\n-3\n-0.5\n-inf\nTrue\n"


def test_csv_with_ragged_rows_is_not_read_back():
    with pytest.raises(ValueError, match="zip"):
        list(csv_cells("a,b\n1\n"))


@pytest.mark.parametrize("nothing", [None, math.nan, np.nan, np.float32("nan"), np.float64("nan")])
@pytest.mark.parametrize("digits", [None, 9])
def test_csv_leaves_the_cell_of_what_is_not_there_empty(nothing, digits):
    assert csv_text([{"x": nothing, "y": 1}], digits=digits) == "x,y\n,1\n"


@pytest.mark.parametrize("kind", [float, np.float32, np.float64])
def test_csv_numbers_are_exact_or_of_the_digits_asked_for(kind):
    numbers = [kind(x) for x in (0.1, 1 / 3, 1e-17, 123456789.125, -2.0)]
    assert [kind(cell) for cell in csv_text([{"x": x} for x in numbers]).split()[1:]] == numbers
    assert csv_text([{"x": x} for x in numbers], digits=3) == "x\n0.1\n0.333\n1e-17\n1.23e+08\n-2\n"
    assert csv_text([{"x": kind("inf")}], digits=3) == "x\ninf\n"


@pytest.mark.parametrize("number", [1234567, np.int64(1234567), np.uint8(200)])
def test_csv_digits_are_of_floating_point_numbers_only(number):
    assert csv_text([{"n": number, "text": "0.123456"}], digits=2) == f"n,text\n{number},0.123456\n"


def test_csv_files_are_utf8_and_may_name_what_is_no_text(tmp_path):
    write_csv(tmp_path / "t.csv", [{"scan": b"caf\xe9".decode(errors="surrogateescape"), "p": 0.12345}], digits=2)
    assert (tmp_path / "t.csv").read_bytes() == b"scan,p\ncaf\\udce9,0.12\n"
    write_csv(tmp_path / "t.csv", [], ["Zürich"])
    assert (tmp_path / "t.csv").read_bytes() == "Zürich\n".encode()


def test_digest_is_sha256_of_the_parts_joined():
    assert digest(b"scan", memoryview(b"voxels")) == hashlib.sha256(b"scanvoxels").hexdigest()
    assert digest() == hashlib.sha256().hexdigest()


def test_json_digest_knows_values_not_the_order_of_keys():
    assert digest_json({"a": 1, "b": [1, 2]}) == digest_json({"b": [1, 2], "a": 1})
    values = [{"a": 1}, {"a": "1"}, {"a": 2}, {"b": 1}, [1, 2], [2, 1], None, "", 0, False]
    assert len({digest_json(value) for value in values}) == len(values)


def test_cache_folder_can_be_chosen(tmp_path, monkeypatch):
    monkeypatch.setenv("MRI3D_CACHE", str(tmp_path / "chosen"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "chosen"
    monkeypatch.delenv("MRI3D_CACHE")
    assert cache_folder() == tmp_path / "xdg" / "mri3d"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "mri3d"


def test_cache_folder_is_made(tmp_path, monkeypatch):
    monkeypatch.setenv("MRI3D_CACHE", str(tmp_path / "not" / "yet"))
    assert cache_folder().is_dir()


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("file", "a file is in its place"),
        ("file/within", "Not a directory"),
        ("link", "a file is in its place"),
        ("locked", "Permission denied"),
        ("locked/within", "Permission denied"),
    ],
)
def test_cache_folder_that_cannot_be_used_is_named(tmp_path, monkeypatch, place, reason):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere" / "at all")
    (tmp_path / "locked").mkdir()
    (tmp_path / "locked").chmod(0o555)
    if os.geteuid() == 0 and place.startswith("locked"):  # whom no mode stops
        monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setenv("MRI3D_CACHE", str(tmp_path / place))
    with pytest.raises(UserError, match=rf"MRI3D_CACHE={tmp_path}/{place} cannot be used: {reason}\. Set MRI3D_CACHE"):
        cache_folder()
    monkeypatch.delenv("MRI3D_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(
        UserError, match=rf"the cache folder {tmp_path}/file/mri3d cannot .*Set MRI3D_CACHE to a folder"
    ):
        cache_folder()
