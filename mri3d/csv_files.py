"""CSV as mri3d writes it: nothing in it runs in a spreadsheet, and all of it can be had back."""

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path

from mri3d.files import write_text

# What spreadsheets take for a formula at the beginning of a cell, or after what parts cells in some of them; no number.
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_BLANK = "(?:[^\\S\t\r\n]|[\0\ufeff\u200b])*"
_FORMULA = f"{_BLANK}[=+@\uff1d\uff0b\uff0d\uff20-]"
_AT_BEGIN = rf"\A(?!'*{_BLANK}{_NUMBER}{_BLANK}\Z)(?='*(?:[\t\r\n]|{_FORMULA}))"
_WITHIN = rf"(?<=[;\t\r\n])(?!'*{_BLANK}{_NUMBER}{_BLANK}(?:[;\t\r\n]|\Z))(?='*{_FORMULA})"
_RUN = re.compile(f"{_AT_BEGIN}|{_WITHIN}")
_HARMLESS = re.compile(f"(?:{_AT_BEGIN}|{_WITHIN})'")


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
