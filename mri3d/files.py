"""The ground: files that are written whole or not at all, digests, and where the cache lies."""

import errno
import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mri3d.errors import UserError


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path in the folder of `path`; when the block ends well, it becomes `path` in one step.

    A reader sees the old file or the new one, never half of one, whenever the writer is killed. The temporary file
    lies in the same folder because a rename across disks is a copy.

    Args:
        path: The file to write; its folder is made if need be.

    Yields:
        A path with the same ending as `path`, for libraries that choose the format by the ending.

    Raises:
        OSError: It cannot be written; `path` is named also where the system names none, as when the disk is full.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".writing-{secrets.token_hex(4)}-{path.name[-50:]}"
    # Not mkstemp, whose files only their owner may read: here the system applies the umask.
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


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


def what_is(path: Path) -> str:
    """Say what a path that is no file is, to follow its name in a message."""
    if path.is_symlink() and not path.exists():
        return f"is a link to {path.readlink()}, which does not exist"
    if path.is_dir():
        return "is a folder"
    return "is neither a file nor a folder" if path.exists() else "does not exist"


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

    Raises:
        UserError: It is not there and cannot be made, or nothing can be written to it.
    """
    chosen = os.environ.get("MRI3D_CACHE")
    folder = Path(chosen or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mri3d")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        reason = "a file is in its place" if isinstance(error, FileExistsError) else error.strerror
        name = f"MRI3D_CACHE={folder}" if chosen else f"the cache folder {folder}"
        raise UserError(
            f"{name} cannot be used: {reason}. Set MRI3D_CACHE to a folder that can be written to."
        ) from error
    return folder
