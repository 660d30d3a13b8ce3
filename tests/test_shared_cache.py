"""A cache that several people share, or that can only be read, serves all of them."""

import contextlib
import gc
import os
import stat
import tempfile
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from mri3d import files, temporaries
from mri3d.cohort.demo import DemoStudy
from mri3d.errors import UserError
from mri3d.files import cache_folder, make_folder, write_bytes
from mri3d.scans.scan import read_scan
from mri3d.volumes.cache import Volumes
from mri3d.volumes.recipe import Recipe
from tests.scans.phantom import values, write_scan

RECIPE = Recipe(resolution=8, crop="none")
ANNA, BERT, LAB = 12345, 12346, 12347
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else for a while")


@pytest.fixture
def cache(monkeypatch):
    """Make a cache folder that everybody can reach."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        place = Path(folder) / "cache"
        monkeypatch.setenv("MRI3D_CACHE", str(place))
        temporaries.sweep_once.cache_clear()
        yield place


def make(cache, mode, group=0):
    cache.mkdir()
    os.chown(cache, -1, group)
    cache.chmod(mode)


def by(user, work, *, umask=0o022, groups=()):
    """Do something as somebody else, in a process of its own."""
    child = os.fork()
    if not child:
        try:
            gc.disable()  # what the parent has thrown away, such as loaders with their processes, is not for us to end
            os.umask(umask)
            os.setgroups(list(groups))
            os.setgid(user)
            os.setuid(user)
            temporaries.sweep_once.cache_clear()
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


def volumes_of(folder, number=2):
    scans = [write_scan(folder / f"{n}.nii", np.roll(values(), n)) for n in range(number)]
    return Volumes(scans, [read_scan(path).digest for path in scans], RECIPE)


@as_root
def test_a_folder_that_many_make_at_once_is_never_without_its_rights(cache):
    make(cache, 0o777)

    def write_at_once():
        together = threading.Barrier(8, timeout=60)

        def write(number):
            for part in range(20):
                together.wait()
                write_bytes(cache / "volumes" / str(part) / str(number), b"1")

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(write, range(8)))

    by(ANNA, write_at_once, umask=0o077)
    files_made = [path for path in (cache / "volumes").rglob("*") if path.is_file()]
    assert len(files_made) == 160
    assert {mode_of(path) for path in files_made} == {0o644}


@as_root
@pytest.mark.parametrize(
    ("mode", "group"), [(0o777, 0), (0o1777, 0), (0o2775, LAB), (0o775, LAB)], ids=["all", "sticky", "setgid", "group"]
)
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_what_one_person_made_another_can_use(cache, tmp_path_factory, mode, group, umask):
    make(cache, mode, group)
    scans = cache.parent / "scans"
    scans.mkdir()
    volumes = volumes_of(scans)
    scans.chmod(0o755)
    groups = [LAB] if group else []
    by(ANNA, volumes.fill, umask=umask, groups=groups)
    for path in (cache / "volumes").iterdir():
        assert path.stat().st_uid == ANNA
        assert mode_of(path) & 0o044 == 0o044 & mode
    assert mode_of(cache / "volumes") == mode
    assert (cache / "volumes").stat().st_gid == (group or ANNA)

    def use():
        before = {path: path.stat().st_ino for path in (cache / "volumes").iterdir()}
        volumes.fill()
        for row in range(2):
            np.testing.assert_array_equal(volumes[row], RECIPE.volume(read_scan(volumes.scans[row])))
        assert {path: path.stat().st_ino for path in (cache / "volumes").iterdir()} == before
        write_bytes(cache / "volumes" / "another.npy", b"1")
        write_bytes(cache / "audit" / "scans.json", b"1")

    by(BERT, use, umask=umask, groups=groups)
    assert mode_of(cache / "audit") == mode
    by(ANNA, lambda: write_bytes(cache / "audit" / "another.json", b"2"), umask=umask, groups=groups)


@as_root
def test_a_damaged_entry_that_is_somebody_else_s_is_no_error(cache, caplog):
    make(cache, 0o1777)
    scans = cache.parent / "scans"
    scans.mkdir()
    volumes = volumes_of(scans)
    scans.chmod(0o755)
    by(ANNA, volumes.fill)
    damaged = volumes._path(0)
    data = damaged.read_bytes()
    damaged.write_bytes(data[:-8] + b"\0" * 8)

    def use():
        right = RECIPE.volume(read_scan(volumes.scans[0]))
        for _ in range(3):
            np.testing.assert_array_equal(volumes[0], right)
            np.testing.assert_array_equal(volumes.block([0], slice(500, 512))[0], right.reshape(-1)[500:512])
        assert not list(damaged.parent.glob(".writing-*"))

    by(BERT, use)
    assert damaged.read_bytes() != data
    by(ANNA, use)
    assert damaged.read_bytes() == data


@as_root
def test_somebody_s_own_cache_is_no_more_open_than_their_umask_says(cache):
    make(cache, 0o755)
    os.chown(cache, ANNA, ANNA)
    by(ANNA, lambda: write_bytes(cache / "volumes" / "a.npy", b"1"), umask=0o077)
    assert mode_of(cache / "volumes") == 0o700
    assert mode_of(cache / "volumes" / "a.npy") == 0o600


@as_root
def test_the_group_of_a_folder_of_others_gets_no_more_than_everybody(cache):
    make(cache, 0o2770, LAB)
    cache.chmod(0o2775)
    os.chown(cache, ANNA, LAB)  # who is not of the group herself
    by(ANNA, lambda: write_bytes(cache / "volumes" / "a.npy", b"1"), umask=0o077)
    assert (cache / "volumes").stat().st_gid in (ANNA, LAB)
    if (cache / "volumes").stat().st_gid == ANNA:
        assert mode_of(cache / "volumes") & 0o777 == 0o755


def test_only_what_mri3d_makes_in_the_cache_is_shared(cache):
    make(cache, 0o777)
    before = os.umask(0o077)
    try:
        for name in ("volumes/x/y", "runs/x"):
            make_folder(cache / name)
            write_bytes(cache / name / "a", b"1")
    finally:
        os.umask(before)
    assert [mode_of(path) for path in (cache / "volumes", cache / "volumes/x/y", cache / "volumes/x/y/a")] == [
        *(0o777, 0o777, 0o644)
    ]
    assert [mode_of(path) for path in (cache / "runs", cache / "runs/x", cache / "runs/x/a")] == [0o700, 0o700, 0o600]


@pytest.fixture
def read_only(cache, monkeypatch):
    """Return a function that makes the cache read-only, for root too."""

    def lock():
        def refuse(path, mode=0):
            raise PermissionError(13, "Permission denied", str(path))

        for path in (cache, *cache.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        if os.geteuid() == 0:
            access = os.access
            monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK and access(path, mode))
            monkeypatch.setattr(files, "locked_file", refuse)
            monkeypatch.setattr(files, "locked_folder", refuse)

    yield lock
    for path in (cache, *cache.rglob("*")):
        with contextlib.suppress(OSError):
            path.chmod(0o755)


def test_a_complete_cache_that_can_only_be_read_is_used(cache, read_only, tmp_path):
    study = DemoStudy(num_subjects=2, seed=77).build()
    volumes = volumes_of(tmp_path)
    volumes.fill()
    before = [volumes[row] for row in range(2)]
    read_only()
    assert cache_folder() == cache
    assert DemoStudy(num_subjects=2, seed=77).build() == study
    again = volumes_of(tmp_path)
    again.fill()
    np.testing.assert_array_equal([again[row] for row in range(2)], before)


def test_what_is_missing_in_a_cache_that_can_only_be_read_is_told(cache, read_only, tmp_path):
    volumes_of(tmp_path).fill()
    read_only()
    with pytest.raises(UserError, match=r"cannot write to .*/volumes: Permission denied.*folder by MRI3D_CACHE"):
        volumes_of(tmp_path, 3).fill()
    with pytest.raises(UserError, match=r"cannot write the demo cohort to .*/demo: Permission denied"):
        DemoStudy(num_subjects=2, seed=78).build()


def test_a_user_without_a_home_is_told(monkeypatch):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("MRI3D_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(UserError, match=r"^the cache folder cannot be used: Could not .*Set MRI3D_CACHE to a folder"):
        cache_folder()
    with tempfile.TemporaryDirectory() as folder:
        write_bytes(Path(folder) / "a", b"1")
        assert [path.name for path in Path(folder).iterdir()] == ["a"]
