"""Delimited text as spreadsheets write it: encoding, delimiter and rows; or what is wrong, and on which lines."""

import codecs
import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mri3d.errors import UserError
from mri3d.texts import list_text

_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
_ANNOUNCEMENT = re.compile(r'"?sep=([\t !#-/:-@[-`{-~])"?\1*', re.IGNORECASE)  # Excel's own; other columns empty
_NO_TEXT = {
    b"PK\x03\x04": "it is a workbook or another zip file",
    b"\xd0\xcf\x11\xe0": "it is a workbook of an old Excel",
    b"\x1f\x8b": "it is compressed",
    b"%PDF": "it is a PDF",
}


@dataclass(frozen=True)
class Rows:
    """Cells by row.

    Attributes:
        cells: Of each row that is not empty, column names first; trimmed, and as many in each.
        lines: Line of the file on which each ends.
        short: Lines of the rows that had fewer cells than there are column names.
    """

    cells: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]
    short: tuple[int, ...]


@dataclass(frozen=True)
class _Reading:
    """The rows of a file under one delimiter, up to the error if there is one."""

    delimiter: str
    rows: tuple[tuple[str, ...], ...]
    spans: tuple[tuple[int, int], ...]  # first and last line of each
    error: str

    @property
    def names(self) -> int:
        """How many columns have names, those without one between them included."""
        header = self.rows[0] if self.rows else ()
        return max((number for number, name in enumerate(header, start=1) if name), default=0)

    @property
    def width(self) -> int:
        return len(self.rows[0]) if self.rows else 0

    def fits(self) -> tuple[float, int]:
        """Weigh the number of columns, two or more, by the share of rows that have all of them."""
        alike = sum(self.names <= len(row) <= self.width for row in self.rows[1:])
        return (self.names * alike / max(len(self.rows) - 1, 1) if self.width > 1 else 0.0), self.names


def read_rows(path: Path) -> Rows:
    """Read a file of text: by the delimiter under which its rows agree, or that its first line announces (`sep=;`).

    Raises:
        UserError: It is no text, has no rows, or rows cannot be told apart; the lines are named.
    """
    lines = io.StringIO(_text(path), newline="").readlines()
    reading = _read(path, lines)
    if reading.error:
        raise UserError(f"table {path} cannot be read at {reading.error}. Mend the quotes.")
    if len(reading.rows) < 2:
        raise UserError(f"table {path} has no rows: it needs a line of column names and a line for each session.")
    _check_quotes(path, lines, reading)
    _check_widths(path, reading)
    width, ends = reading.width, tuple(last for _, last in reading.spans)
    short = tuple(line for row, line in zip(reading.rows, ends, strict=True) if len(row) < reading.names)
    return Rows(tuple((row + ("",) * width)[:width] for row in reading.rows), ends, short)


def _text(path: Path) -> str:
    """Read text in UTF-8, or in UTF-16 and UTF-32 as Excel writes "Unicode text"."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"table {path} cannot be read: {error.strerror}.") from error
    what = next((what for start, what in _NO_TEXT.items() if data.startswith(start)), "")
    if not what:
        try:
            return data.decode(_encoding(data))
        except UnicodeDecodeError as error:
            what = f"line {data[: error.start].count(10) + 1}: {error}"
    raise UserError(f"table {path} is not text in UTF-8 ({what}). Save it as CSV in UTF-8.")


def _encoding(data: bytes) -> str:
    """Find out an encoding by the mark at the beginning, or by the empty half of each letter in UTF-16 without one."""
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    start = data[:1000]
    empty = [2 * start[half::2].count(0) > len(start[half::2]) for half in (0, 1)]
    return {(True, False): "utf-16-be", (False, True): "utf-16-le"}.get((empty[0], empty[1]), "utf-8-sig")


def _read(path: Path, lines: list[str]) -> _Reading:
    """Read lines under each delimiter that may be meant, and choose the reading whose rows agree on most columns."""
    is_tsv = path.suffix.lower() == ".tsv"
    if lines and (announced := _ANNOUNCEMENT.fullmatch(lines[0].rstrip("\r\n"))):
        lines[0] = "\n"
        reading = _read_by(lines, announced[1], is_tsv=is_tsv)
        if reading.width > 1:
            return reading
    header = next((line for line in lines if line.strip()), "")
    candidates = [mark for mark in sorted(_DELIMITERS, key=lambda mark: is_tsv and mark != "\t") if mark in header]
    return max((_read_by(lines, mark, is_tsv=is_tsv) for mark in candidates or [","]), key=_Reading.fits)


def _read_by(lines: Sequence[str], delimiter: str, *, is_tsv: bool) -> _Reading:
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    rows: list[tuple[str, ...]] = []
    spans: list[tuple[int, int]] = []
    first, error = 1, ""
    try:
        for raw in reader:
            cells = tuple("" if is_tsv and cell.strip() == "n/a" else cell.strip() for cell in raw)
            if any(cells):
                rows.append(cells if not rows else _without_tail(cells, len(rows[0])))
                spans.append((first, reader.line_num))
            first = reader.line_num + 1
    except csv.Error as told:
        begins = "" if first == reader.line_num else f"; the row begins on line {first}"
        error = f"line {reader.line_num}: {told}{begins}"
    return _Reading(delimiter, tuple(rows), tuple(spans), error)


def _without_tail(cells: tuple[str, ...], width: int) -> tuple[str, ...]:
    """Leave out empty cells beyond the last column."""
    while len(cells) > width and not cells[-1]:
        cells = cells[:-1]
    return cells


def _check_quotes(path: Path, lines: Sequence[str], reading: _Reading) -> None:
    """Refuse rows that quotes make of what would be rows without them: a lone quote swallows all up to the next one.

    A cell in quotes may have several lines. But where each of them has as many cells as other rows do, nobody can know.
    """

    def look(line: str) -> tuple[int, bool]:
        cells = tuple(cell.strip() for cell in line.split(reading.delimiter))
        return len(_without_tail(cells, reading.width)), cells[0].startswith('"')

    looks = [[look(line) for line in lines[first - 1 : last] if line.strip()] for first, last in reading.spans]
    sound = {own[0] for own, row in zip(looks, reading.rows, strict=True) if len(own) == 1 and own[0][0] == len(row)}
    sound.add((reading.width, looks[0][0][1]))
    swallowed = []
    for (first, last), row, own in zip(reading.spans, reading.rows, looks, strict=True):
        if len(own) == 1 and own[0][0] == reading.width != len(row):
            swallowed.append(f"line {last}")
        elif len(own) > 1 and all(count > 1 and (count, quoted) in sound for count, quoted in own):
            swallowed.append(f"lines {first} to {last}")
    if swallowed:
        raise UserError(
            f"{list_text(swallowed, ', ')} of {path}: a quote makes one cell of all up to the next quote, but without "
            "quotes each line is a row like the others. Remove lone quotes; in a cell that begins and ends with a "
            'quote, write one within as two: "12"" screen".'
        )


def _check_widths(path: Path, reading: _Reading) -> None:
    """Refuse rows of more cells than the header has, and a header that another delimiter parts than the rows."""
    width, mark = reading.width, _DELIMITERS.get(reading.delimiter, reading.delimiter)
    ends = [last for _, last in reading.spans]
    if wide := [(line, len(row)) for line, row in zip(ends, reading.rows, strict=True) if len(row) > width]:
        (line, count), *others = wide
        also = f" (and so do {len(others)} more, such as line {others[0][0]})" if others else ""
        raise UserError(
            f"line {line} of {path} has {count} cells where the column names are {width}{also}. Mend it; a cell that "
            f"has a {mark} in it stands in quotes."
        )
    if reading.names > 1 and all(len(row) == 1 for row in reading.rows[1:]):
        raise UserError(
            f"{path}: the column names on line {ends[0]} are parted by a {mark}, and no line below is. Part all "
            "lines alike."
        )
