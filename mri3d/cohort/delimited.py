"""Delimited text as spreadsheets write it: encoding, delimiter and rows; or what is wrong, and on which lines."""

import codecs
import csv
import io
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from mri3d.errors import UserError
from mri3d.texts import list_text

_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
_ANNOUNCEMENT = re.compile(r'"?sep=([\t !#-/:-@[-`{-~])"?\1*', re.IGNORECASE)  # Excel's own; other columns empty
_FORMULA = re.compile('^="([^"]*)"$')  # a text as Excel keeps its zeros in front
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
    raw: tuple[list[str], ...]  # their cells, not trimmed
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
    _check_parted(path, lines, reading)
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
    untrimmed: list[list[str]] = []
    spans: list[tuple[int, int]] = []
    first, error = 1, ""
    try:
        for raw in reader:
            cells = tuple("" if is_tsv and cell.strip() == "n/a" else _FORMULA.sub(r"\1", cell.strip()) for cell in raw)
            if any(cells):
                rows.append(cells if not rows else _without_tail(cells, len(rows[0])))
                untrimmed.append(raw)
                spans.append((first, reader.line_num))
            first = reader.line_num + 1
    except csv.Error as told:
        begins = "" if first == reader.line_num else f"; the row begins on line {first}"
        error = f"line {reader.line_num}: {told}{begins}"
    return _Reading(delimiter, tuple(rows), tuple(untrimmed), tuple(spans), error)


def _without_tail(cells: tuple[str, ...], width: int) -> tuple[str, ...]:
    """Leave out empty cells beyond the last column."""
    while len(cells) > width and not cells[-1]:
        cells = cells[:-1]
    return cells


def _check_quotes(path: Path, lines: Sequence[str], reading: _Reading) -> None:
    """Refuse rows that quotes make of what would be rows without them: a lone quote swallows all up to the next one."""
    rows = list(zip(reading.spans, reading.rows, reading.raw, strict=True))
    sound = {reading.width, *(len(row) for (first, last), row, _ in rows if first == last)} - {1}
    quoted = all(lines[first - 1].lstrip().startswith('"') for first, _ in reading.spans)
    swallowed = []
    for (first, last), row, raw in rows:
        if len([line for line in lines[first - 1 : last] if line.strip()]) == 1:
            if _joins(lines[last - 1], row, reading):
                swallowed.append(f"line {last}")
        elif any(_swallows(raw, column, sound, reading, quoted=quoted) for column in range(len(raw))):
            swallowed.append(f"lines {first} to {last}")
    if swallowed:
        raise UserError(
            f"{list_text(swallowed, ', ')} of {path}: a quote makes one cell of all up to the next quote, but without "
            "quotes each line is a row like the others. Remove lone quotes; in a cell that begins and ends with a "
            'quote, write one within as two: "12"" screen".'
        )


def _joins(line: str, row: Sequence[str], reading: _Reading) -> bool:
    """Return whether a row lacks cells since quotes make one of several: it would lack none, or a quote is left."""
    joined = [reading.delimiter in cell for cell in row]
    odd = any(cell.count('"') % 2 and not one for cell, one in zip(row, joined, strict=True))
    return _length(line, reading) == reading.width != len(row) or (len(row) < reading.names and any(joined) and odd)


def _swallows(row: Sequence[str], column: int, sound: Collection[int], reading: _Reading, *, quoted: bool) -> bool:
    """Return whether a cell is of rows rather than of lines.

    A cell in quotes may have several lines. But where the first and the last of them, and half of those between, have
    with the cells before and after them as many cells as other rows do, nobody can know. Where all rows begin with a
    quote, a line without one is no row.
    """
    first, *between = re.split("\r\n?|\n", row[column])
    if not between:
        return False
    before, after = reading.delimiter * column, reading.delimiter * (len(row) - 1 - column)

    def is_row(line: str) -> bool:
        return _length(line, reading) in sound and (line.startswith('"') or not quoted)

    last = between.pop() + after
    like = [is_row(line) for line in between if line.strip()]
    return _length(before + first, reading) in sound and is_row(last) and 2 * sum(like) >= len(like)


def _length(line: str, reading: _Reading) -> int:
    """Count the cells of a line by itself, quotes taken for letters."""
    return len(_without_tail(tuple(cell.strip() for cell in line.split(reading.delimiter)), reading.width))


def _check_parted(path: Path, lines: Sequence[str], reading: _Reading) -> None:
    """Refuse a table whose first line is a comment, or whose lines are parted by another mark than is known."""
    first, *others = [line.strip() for line in lines if line.strip()] or [""]
    if first.startswith("#") and 2 * sum(len(row) > reading.width for row in reading.rows) > len(reading.rows):
        raise UserError(f"{path} begins with a comment, {first!r}. Remove such lines: the first has the column names.")
    if reading.width > 1 or not others:
        return
    marks = {" ": "blanks", ":": "a colon", "~": "a tilde"}
    if all(line[0] == line[-1] == '"' for line in (first, *others)):
        marks |= {mark: f"a {name} within quotes around the whole line" for mark, name in _DELIMITERS.items()}
    for mark, name in marks.items():
        by = mark.strip(" ") or None  # any number of blanks
        count = len(first.split(by))
        if count > 1 and all(count <= len(line.split(by)) <= count + 1 for line in others):
            raise UserError(
                f"the cells of {path} seem to be parted by {name}: {first!r}. Part them by a comma, a semicolon or a "
                "tab, without quotes around a line."
            )


def _check_widths(path: Path, reading: _Reading) -> None:
    """Refuse rows of more cells than the header has, and a header that another delimiter parts than the rows."""
    width, mark = reading.width, _DELIMITERS.get(reading.delimiter, reading.delimiter)
    ends = [last for _, last in reading.spans]
    if wide := [(line, len(row)) for line, row in zip(ends, reading.rows, strict=True) if len(row) > width]:
        (line, count), *others = wide
        numbers = [row[0] for row in reading.rows[1:]]
        if len(others) + 1 == len(numbers) and numbers in [[str(n + k) for n in range(len(numbers))] for k in (0, 1)]:
            raise UserError(
                f"each row of {path} has one cell more than there are column names, and the first is the row's number. "
                "Name that column too, or leave it out (in R: row.names=FALSE)."
            )
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
