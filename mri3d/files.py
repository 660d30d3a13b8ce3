"""The ground: files that are written whole or not at all, CSV, digests, and where the cache lies."""

import csv
import errno
import hashlib
import io
import json
import math
import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from mri3d.errors import UserError, option


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; when the block ends well, it becomes `path` in one step.

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


def csv_text(rows: Sequence[Mapping[str, object]], columns: Sequence[str] = (), *, digits: int | None = None) -> str:
    r"""Write rows as CSV: a line of column names, then a line for each row, all ended by `\n`.

    Args:
        rows: Column to value; None and NaN are written as an empty cell, as is what a row does not have.
        columns: The columns to write, in order; where none is named, all that any row has, in the order in which they
            first appear.
        digits: Significant digits of floating-point numbers; as many as tell each from its neighbours where not given.

    >>> csv_text([{"subject": "a, b", "age": 0.1 + 0.2}, {"subject": "c", "age": None}], digits=3)
    'subject,age\n"a, b",0.3\nc,\n'
    """
    names = list(columns) or list(dict.fromkeys(name for row in rows for name in row))
    if not names:
        return ""
    return _csv_line(names) + "".join(_csv_line([_cell(row.get(name), digits) for name in names]) for row in rows)


def write_csv(
    path: Path, rows: Sequence[Mapping[str, object]], columns: Sequence[str] = (), *, digits: int | None = None
) -> None:
    """Write rows as a CSV file, atomically; see `csv_text`."""
    write_text(path, csv_text(rows, columns, digits=digits))


def _csv_line(cells: Sequence[str]) -> str:
    """Join the cells of a row; with this line end, the writer quotes carriage returns as well as line feeds."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue().removesuffix("\r\n") + "\n"


def _cell(value: object, digits: int | None) -> str:
    """Write one value; NumPy's numbers are known by `numbers`, where it registers them."""
    if isinstance(value, Real) and not isinstance(value, Integral):
        if math.isnan(value):
            return ""
        return str(value) if digits is None else f"{value:.{digits}g}"
    return "" if value is None else str(value)


def what_is(path: Path) -> str:
    """Describe a path that is no file, to follow its name in a message."""
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


def check_folder(folder: Path, name: str) -> None:
    """Refuse a folder that cannot be written to, before any work is done for it; leave it as it was.

    Only trying tells: what a system says of permissions does not hold for root, for `/proc` or for a full disk.

    Args:
        folder: Where files are to be written; made later if need be.
        name: Of the argument that says so.

    Raises:
        UserError: It cannot be made, or no file can be made in it.
    """
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f"{option(name, str(folder))} cannot be written to: {error.strerror}. Set another {option(name)}."
        ) from error
    finally:
        for made in missing:
            with suppress(OSError):
                made.rmdir()
