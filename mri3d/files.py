"""The ground: files that are written whole or not at all, digests, and where the cache lies."""

import errno
import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mri3d.errors import UserError, option
from mri3d.temporaries import locked_file, locked_folder, sweep_once

CACHE_PARTS = ("audit", "brains", "demo", "gram", "volumes")
"""What mri3d makes in the cache folder."""

NO_ROOM = {
    errno.ENOSPC: "make room there",
    errno.EDQUOT: "make room there, or have the quota raised",
    errno.EFBIG: "lift the limit on the size of files (ulimit -f)",
}
"""What a full disk, a quota and a limit on the size of files say, and what mends it."""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; when the block ends well, it becomes `path` in one step.

    A reader sees the old file or the new one, never half of one, whenever the writer is killed. The temporary file
    lies in the same folder because a rename across disks is a copy. What killed writers left there is swept away.

    Args:
        path: The file to write; its folder is made if need be.

    Yields:
        A path with the same ending as `path`, for libraries that choose the format by the ending.

    Raises:
        OSError: It cannot be written; `path` is named also where the system names none, as when the disk is full.
    """
    path = Path(path)
    try:
        make_folder(path.parent)
        sweep_once(path.parent.absolute())
        with locked_file(path) as temporary:
            if _is_in_cache(path):
                _share(temporary, path.parent, 0o444)
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
    except OSError as error:
        unfinished = Path(str(error.filename)).name.startswith(".writing-")
        error.filename = str(path) if unfinished or not error.filename else error.filename
        raise


@contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """Make an empty folder beside `path`, to be renamed to it; unless it was, it is removed when the block ends.

    Raises:
        OSError: It cannot be made.
    """
    make_folder(path.parent)
    sweep_once(path.parent.absolute())
    with locked_folder(path) as temporary:
        if _is_in_cache(path):
            _share(temporary, path.parent, 0o7777)
        yield temporary


def make_folder(folder: Path) -> None:
    """Make a folder and those above it if need be; in a cache folder that several people share, all can use it.

    Raises:
        OSError: It cannot be made.
    """
    for missing in reversed([one for one in (folder, *folder.parents) if _is_in_cache(one) and not one.exists()]):
        missing.parent.mkdir(parents=True, exist_ok=True)
        with locked_folder(missing) as temporary, suppress(OSError):  # others may be as quick
            _share(temporary, missing.parent, 0o7777)  # before anybody finds it and makes something in it
            temporary.rename(missing)
    folder.mkdir(parents=True, exist_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write bytes atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def as_utf8(text: str) -> bytes:
    r"""Encode text; bytes of a file's name that are no text, which Python holds as surrogates, become `\udc..`.

    >>> as_utf8(b"caf\xe9".decode(errors="surrogateescape"))
    b'caf\\udce9'
    """
    return text.encode(errors="backslashreplace")


def write_text(path: Path, text: str) -> None:
    """Write text atomically, as `as_utf8` encodes it."""
    write_bytes(path, as_utf8(text))


def write_json(path: Path, value: Any) -> None:  # noqa: ANN401 (any JSON value)
    """Write a JSON value atomically, indented; NaN is refused, since JSON has none."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def expanded(path: str | Path) -> str:
    """Put the user's home in the place of `~`; Path's own function fails where `~name` is no user."""
    return os.path.expanduser(path)  # noqa: PTH111


def what_is(path: Path) -> str:
    """Describe a path that is not what was looked for, to follow its name in a message."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if error.errno == errno.ELOOP:
            link = next((place for place in reversed(path.parents) if _leads_round(place)), None)
            return f"lies in {link}, a link that leads in a circle" if link else "is a link that leads in a circle"
        if os.path.islink(path):  # noqa: PTH114 (it never raises)
            return f"is a link to {path.readlink()}, which does not exist"
        return "does not exist"
    except ValueError:  # a null byte
        return "does not exist"
    if stat.S_ISREG(mode):
        return "is a file"
    return "is a folder" if stat.S_ISDIR(mode) else "is neither a file nor a folder"


def _leads_round(path: Path) -> bool:
    """Return whether a path is a link that leads in a circle."""
    try:
        path.stat()
    except OSError as error:
        return error.errno == errno.ELOOP
    return False


def digest(*parts: bytes | memoryview) -> str:
    """Hash bytes with SHA-256.

    >>> digest(b"mri", b"3d") == digest(b"mri3d")
    True
    """
    state = hashlib.sha256()
    for part in parts:
        state.update(part)
    return state.hexdigest()


def digest_json(value: Any) -> str:  # noqa: ANN401 (any JSON value)
    """Hash a JSON value, whatever the order of its keys."""
    return digest(json.dumps(value, sort_keys=True, allow_nan=False).encode())


def cache_folder() -> Path:
    """Return the folder for what can be made again: `$MRI3D_CACHE`, else `mri3d` in the user's cache folder.

    It need not be one that can be written to, where something lies in it already: perhaps nothing is to be added.

    Raises:
        UserError: It is not there and cannot be made, or cannot be used.
    """
    name = "MRI3D_CACHE" if os.environ.get("MRI3D_CACHE") else "the cache folder"
    try:
        folder = _cache_root()
        name += f"{'=' if name == 'MRI3D_CACHE' else ' '}{folder}"
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.R_OK | os.X_OK) or not (os.access(folder, os.W_OK) or any(folder.iterdir())):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        reason = "a file is in its place" if isinstance(error, FileExistsError) else reason
        raise UserError(
            f"{name} cannot be used: {reason}. Set MRI3D_CACHE to a folder that can be written to."
        ) from error
    sweep_once(folder.absolute())
    for part in CACHE_PARTS:
        sweep_once((folder / part).absolute(), beneath=True)
    return folder


def _cache_root() -> Path:
    """Return where the cache folder is to be.

    Raises:
        RuntimeError: The user has no home.
    """
    if chosen := os.environ.get("MRI3D_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mri3d"


def _is_in_cache(path: Path) -> bool:
    """Return whether a path lies in what mri3d makes in the cache folder."""
    with suppress(RuntimeError, ValueError):
        return path.relative_to(_cache_root()).parts[:1] in [(part,) for part in CACHE_PARTS]
    return False


def _share(made: Path, folder: Path, bits: int) -> None:
    """Let those who may write to a folder use what was made in it, whatever the umask.

    Args:
        made: File or folder.
        folder: That it lies in.
        bits: Of the folder's mode that count.
    """
    above, found = folder.stat(), made.stat()
    if not above.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return  # its owner's alone
    granted = above.st_mode & bits
    with suppress(OSError):
        try:
            os.chown(made, -1, above.st_gid)
        except PermissionError:  # the group has no more rights than everybody, as it is not the folder's
            granted = (granted & ~stat.S_IRWXG) | ((granted & stat.S_IRWXO) << 3)
        made.chmod(stat.S_IMODE(found.st_mode) | granted)


@contextmanager
def provisional_folder(folder: Path) -> Iterator[None]:
    """Make a folder and those above it if need be; those of them that hold nothing when the block ends are removed.

    Raises:
        OSError: It cannot be made.
    """
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    finally:
        for made in missing:
            with suppress(OSError):
                made.rmdir()


def check_folder(folder: Path, name: str) -> None:
    """Refuse a folder that cannot be written to, before any work is done for it; leave it as it was.

    Only trying tells: what a system says of permissions does not hold for root, for `/proc` or for a full disk.

    Args:
        folder: Where files are to be written; made later if need be.
        name: Of the argument that says so.

    Raises:
        UserError: It cannot be made, or no file can be made in it.
    """
    try:
        with provisional_folder(folder), tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f"{option(name, str(folder))} cannot be written to: {error.strerror}. Set another {option(name)}."
        ) from error
