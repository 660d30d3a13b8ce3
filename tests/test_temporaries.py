"""What killed processes leave is swept away; what somebody may be at work on is not."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mri3d import temporaries
from mri3d.files import cache_folder, temporary_folder, write_bytes
from mri3d.temporaries import locked_file, locked_folder, sweep, sweep_once

WRITER = """
import sys, time
from pathlib import Path
from mri3d.files import atomic_path, temporary_folder
if sys.argv[2] == "file":
    block = atomic_path(Path(sys.argv[1]))
else:
    block = temporary_folder(Path(sys.argv[1]))
with block as temporary:
    (temporary if sys.argv[2] == "file" else temporary / "within").write_bytes(b"half of the n")
    print("written", flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def each_time_anew():
    sweep_once.cache_clear()


@pytest.fixture
def writer(tmp_path):
    """Start a process that writes a file or a folder and does not end."""
    started = []

    def start(path: Path, kind: str = "file") -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), kind], stdout=subprocess.PIPE, text=True, cwd=tmp_path
        )
        started.append(process)
        assert process.stdout
        assert process.stdout.readline() == "written\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def names(folder):
    return sorted(path.name for path in folder.rglob("*"))


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_killed_process_left_goes_at_the_next_write_beside_it(tmp_path, writer, kind):
    process = writer(tmp_path / "out" / "weights.bin", kind)
    (left,) = (tmp_path / "out").iterdir()
    assert left.name.startswith(".writing-")
    write_bytes(tmp_path / "out" / "other.bin", b"1")
    assert left.exists(), "its process is at work"
    kill(process)
    sweep_once.cache_clear()  # as in another process
    write_bytes(tmp_path / "out" / "other.bin", b"2")
    assert names(tmp_path / "out") == ["other.bin"]


def test_what_killed_processes_left_in_the_cache_goes_when_it_is_used(tmp_path, writer, monkeypatch):
    monkeypatch.setenv("MRI3D_CACHE", str(tmp_path))
    places = [tmp_path / "volumes" / "a.npy", tmp_path / "demo" / "x" / "brain_nii" / "b.nii", tmp_path / "gram" / "c"]
    processes = [writer(tmp_path / "audit", "folder"), *map(writer, places)]
    mine = tmp_path / ".writing-mine"
    mine.touch()
    for process in processes[:3]:
        kill(process)
    assert cache_folder() == tmp_path
    left = [path for path in names(tmp_path) if path.startswith(".writing-")]
    assert len(left) == 2
    assert ".writing-mine" in left
    assert left[0].endswith("-c") or left[1].endswith("-c")


def test_each_name_is_of_this_machine_and_of_one_writer_only(tmp_path):
    with locked_file(tmp_path / "a.nii.gz") as one, locked_file(tmp_path / "a.nii.gz") as other:
        assert one != other
        assert one.name[:17] == other.name[:17] == f".writing-{temporaries._machine()}"
        sweep(tmp_path)
        assert one.exists()
        assert other.exists()
    with locked_folder(tmp_path / "a") as folder:
        sweep(tmp_path)
        assert folder.is_dir()
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("machine", "age", "locks", "stays"),
    [
        (None, 0, True, False),
        ("0123abcd", 0, True, True),
        ("0123abcd", 23 * 3600, True, True),
        ("0123abcd", 25 * 3600, True, False),
        (None, 0, False, True),
        (None, 25 * 3600, False, False),
    ],
    ids=["ours", "another-s", "another-s-of-today", "another-s-old", "no-locks", "no-locks-old"],
)
def test_another_machine_s_file_on_a_shared_disk_has_a_day(tmp_path, monkeypatch, machine, age, locks, stays):
    def without_locks(descriptor, operation):
        raise OSError("no locks available")

    if not locks:
        monkeypatch.setattr(fcntl, "flock", without_locks)
    left = tmp_path / f".writing-{machine or temporaries._machine()}-00000000-a.npy"
    left.touch()
    os.utime(left, (time.time() - age,) * 2)
    sweep(tmp_path)
    assert left.exists() == stays


def test_nothing_but_temporary_files_and_folders_is_touched_and_no_link_is_followed(tmp_path):
    stranger, old = tmp_path / "stranger", 0
    stranger.mkdir()
    kept = [stranger / ".writing-00000000-00000000-a", tmp_path / ".writing-notes.txt", tmp_path / "writing-00000000-a"]
    for path in kept:
        path.touch()
    (tmp_path / "swept").mkdir()
    (tmp_path / "swept" / "link").symlink_to(stranger)
    (tmp_path / ".writing-00000000-11111111-link").symlink_to(stranger / ".writing-00000000-00000000-a")
    os.mkfifo(tmp_path / ".writing-00000000-22222222-pipe")
    for path in (*kept, tmp_path / ".writing-00000000-22222222-pipe"):
        os.utime(path, (old, old))
    sweep(tmp_path / "swept", beneath=True)
    sweep(tmp_path)
    assert all(path.exists() for path in kept)
    assert (tmp_path / ".writing-00000000-22222222-pipe").exists()
    sweep(tmp_path / "nowhere", beneath=True)


def test_a_sweep_between_making_and_locking_costs_another_try(tmp_path, monkeypatch):
    tries = []

    def first_lost(descriptor):
        tries.append(descriptor)
        if len(tries) == 1:
            next(tmp_path.iterdir()).unlink()
        return True

    monkeypatch.setattr(temporaries, "_lock", first_lost)
    with locked_file(tmp_path / "a") as temporary:
        assert temporary.exists()
    assert len(tries) == 2


def test_a_temporary_folder_becomes_the_folder_or_goes(tmp_path):
    with temporary_folder(tmp_path / "new" / "study") as building:
        (building / "a.nii").touch()
        building.rename(tmp_path / "new" / "study")
    assert names(tmp_path / "new") == ["a.nii", "study"]
    with pytest.raises(RuntimeError, match="stopped"), temporary_folder(tmp_path / "new" / "other") as building:  # noqa: PT012
        (building / "a.nii").touch()
        raise RuntimeError("stopped")
    assert names(tmp_path / "new") == ["a.nii", "study"]


def test_a_folder_that_is_replaced_while_something_is_made_in_it_is_tried_again(tmp_path, monkeypatch):
    made, opened = os.open, []

    def replaced_once(path, *more: int):
        opened.append(path)
        if len(opened) == 1:  # as the system says where another empty folder has just taken this one's place
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return made(path, *more)

    monkeypatch.setattr(temporaries.os, "open", replaced_once)
    with locked_file(tmp_path / "a.txt") as temporary:
        assert temporary.parent == tmp_path
    assert len(set(opened)) == 2
    with pytest.raises(FileNotFoundError), locked_file(tmp_path / "missing" / "a.txt"):
        pass
