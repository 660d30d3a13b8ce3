"""The ground: files that are written whole or not at all, CSV, digests, and where the cache lies."""

import csv
import errno
import hashlib
import io
import json
import math
import os
import re
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from mri3d.errors import UserError, option
from mri3d.temporaries import locked_file, locked_folder, sweep_once

CACHE_PARTS = ("audit", "demo", "gram", "volumes")
"""What mri3d makes in the cache folder."""

# What spreadsheets take for a formula at the beginning of a cell, or after what parts cells in some of them; no number.
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_BLANK = "(?:[^\\S\t\r\n]|[\0\ufeff\u200b])*"
_FORMULA = f"{_BLANK}[=+@\uff1d\uff0b\uff0d\uff20-]"
_AT_BEGIN = rf"\A(?!'*{_BLANK}{_NUMBER}{_BLANK}\Z)(?='*(?:[\t\r\n]|{_FORMULA}))"
_WITHIN = rf"(?<=[;\t\r\n])(?!'*{_BLANK}{_NUMBER}{_BLANK}(?:[;\t\r\n]|\Z))(?='*{_FORMULA})"
_RUN = re.compile(f"{_AT_BEGIN}|{_WITHIN}")
_HARMLESS = re.compile(f"(?:{_AT_BEGIN}|{_WITHIN})'")


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
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for made in reversed(missing):
        if _is_in_cache(made):
            _share(made, made.parent, 0o7777)


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

    A text that a spreadsheet would run, such as `=cmd`, is written after a `'`; `csv_cells` takes that away again.

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
    header = _csv_line([_harmless(name) for name in names])
    return header + "".join(_csv_line([_cell(row.get(name), digits) for name in names]) for row in rows)


def csv_cells(text: str) -> Iterator[dict[str, str]]:
    """Read the rows of what `csv_text` wrote: column to text.

    Raises:
        ValueError: A row has more or fewer cells than there are columns.

    >>> list(csv_cells(csv_text([{"note": "=1+1", "dx": -1}])))
    [{'note': '=1+1', 'dx': '-1'}]
    """
    rows = ([_HARMLESS.sub("", cell) for cell in row] for row in csv.reader(io.StringIO(text, newline="")) if row)
    names = next(rows, [])
    return (dict(zip(names, row, strict=True)) for row in rows)


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
    return "" if value is None else str(value) if isinstance(value, Integral) else _harmless(str(value))


def _harmless(text: str) -> str:
    """Put a `'` before what a spreadsheet would run, and one more where some are: so the text can be had back."""
    return _RUN.sub("'", text)


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


def check_folder(folder: Path, name: str) -> None:
    """Refuse a folder that cannot be written to, before any work is done for it; leave it as it was.

    Only trying tells: what a system says of permissions does not hold for root, for `/proc` or for a full disk.

    Args:
        folder: Where files are to be written; made later if need be.
        name: Of the argument that says so.

    Raises:
        UserError: It cannot be made, or no file can be made in it.
    """
    missing: list[Path] = []
    try:
        missing = [one for one in (folder, *folder.parents) if not one.exists()]
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
