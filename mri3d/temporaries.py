"""Temporary files: whoever writes one holds a lock on it, so what killed processes left is known and swept away."""

import errno
import fcntl
import functools
import hashlib
import os
import re
import secrets
import shutil
import socket
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# Versions up to 0.2 wrote random digits where the machine's are now, and the second kind for folders.
_NAME = re.compile(r"\.writing-([0-9a-f]{8})-.+|\.building-[0-9a-f]{32}", re.DOTALL)
_OLD_SECONDS = 24 * 3600

_ATTEMPTS = 1000


@contextmanager
def locked_file(path: Path, mode: int = 0o666) -> Iterator[Path]:
    """Make an empty file beside `path`, to be renamed to it; unless it was, it is removed when the block ends.

    Args:
        path: Its folder is there.
        mode: Of the file, less what the umask takes away.

    Yields:
        A path with the same ending as `path`, for libraries that choose the format by the ending.
    """
    # Not mkstemp, whose files only their owner may read: here the system applies the umask.
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
    temporary, descriptor = _locked(path, lambda new: os.open(new, flags, mode))
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
        os.close(descriptor)


@contextmanager
def locked_folder(path: Path) -> Iterator[Path]:
    """Make an empty folder beside `path`, to be renamed to it; unless it was, it is removed when the block ends."""

    def make(new: Path) -> int:
        new.mkdir()
        return os.open(new, os.O_RDONLY | os.O_DIRECTORY)

    temporary, descriptor = _locked(path, make)
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        os.close(descriptor)


def sweep(folder: Path, *, beneath: bool = False) -> None:
    """Remove the temporary files and folders of processes that are no more.

    Nobody holds a lock on them. On a shared disk the locks of other machines may not be seen: what another one wrote
    goes a day after it was last written to. What cannot be removed stays.

    Args:
        folder: Where to look; need not be there.
        beneath: Whether to look in its folders too; links are not followed.
    """
    for path, machine in _temporaries(folder, beneath):
        with suppress(OSError):
            _remove_if_abandoned(path, is_ours=machine == _machine())


@functools.cache
def sweep_once(folder: Path, *, beneath: bool = False) -> None:
    """Sweep a folder the first time that this process asks for it, see `sweep`."""
    sweep(folder, beneath=beneath)


def _locked(path: Path, make: Callable[[Path], int]) -> tuple[Path, int]:
    """Make what `path` will be, and lock it; once more where a sweep came between the two.

    And once more where somebody put another folder in the place of an empty one between finding it and making
    something in it, as those do who make a cache folder at the same time: the system then says that it is not there.
    """
    for left in reversed(range(_ATTEMPTS)):
        temporary = path.parent / f".writing-{_machine()}-{secrets.token_hex(4)}-{path.name[-50:]}"
        try:
            descriptor = make(temporary)
        except FileNotFoundError:
            if left and path.parent.is_dir():
                continue
            raise
        if _lock(descriptor) is not False and temporary.exists():
            return temporary, descriptor
        os.close(descriptor)
    raise TimeoutError(errno.ETIMEDOUT, "others remove what is made there", str(path.parent))


def _temporaries(folder: Path, beneath: bool) -> Iterator[tuple[Path, str | None]]:
    """Find temporary files and folders, and the digits of the machine that each is of."""
    try:
        with os.scandir(folder) as listed:
            entries = list(listed)
    except OSError:  # it is not there, or not ours to read
        return
    for entry in entries:
        if match := _NAME.fullmatch(entry.name):
            yield Path(entry.path), match[1]
        elif beneath and entry.is_dir(follow_symlinks=False):
            yield from _temporaries(Path(entry.path), beneath)


def _remove_if_abandoned(path: Path, *, is_ours: bool) -> None:
    """Remove a temporary file or folder unless somebody may be at work on it.

    Raises:
        OSError: It cannot be opened or removed.
    """
    found = path.lstat()
    is_folder = stat.S_ISDIR(found.st_mode)
    if not is_folder and not stat.S_ISREG(found.st_mode):
        return
    # A network's disk locks only what is open for writing.
    descriptor = os.open(path, os.O_NOFOLLOW | os.O_NONBLOCK | (os.O_RDONLY if is_folder else os.O_RDWR))
    try:
        free = _lock(descriptor)
        if free is False or not ((free and is_ours) or time.time() - found.st_mtime > _OLD_SECONDS):
            return
        if is_folder:
            shutil.rmtree(path)
        else:
            path.unlink()
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool | None:
    """Lock an open file, until it is closed or the process ends; False where another has, None where nobody can."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return None
    return True


@functools.cache
def _machine() -> str:
    """Return eight digits for the machine since its start: for so long it knows all locks of its own processes."""
    try:
        name = Path("/proc/sys/kernel/random/boot_id").read_bytes()
    except OSError:
        name = socket.gethostname().encode()
    return hashlib.sha256(name).hexdigest()[:8]
