"""The ground: whole files or none, digests, the cache folder."""

import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mri3d.errors import UserError
from mri3d.files import (
    atomic_path,
    cache_folder,
    digest,
    digest_json,
    what_is,
    write_bytes,
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


def test_what_stands_in_place_of_a_file_is_described(tmp_path):
    for name, to in (("a", "b"), ("b", "a"), ("self", "self"), ("gone", "nowhere")):
        (tmp_path / name).symlink_to(to)
    (tmp_path / "file").touch()
    assert {name: what_is(tmp_path / name) for name in ("a", "self", "gone", "file", "none", ".")} == {
        "a": "is a link that leads in a circle",
        "self": "is a link that leads in a circle",
        "gone": "is a link to nowhere, which does not exist",
        "file": "is a file",
        "none": "does not exist",
        ".": "is a folder",
    }
    assert what_is(tmp_path / "a/x/y.nii") == f"lies in {tmp_path}/a, a link that leads in a circle"
    assert what_is(tmp_path / ("x" * 300)) == "does not exist"
