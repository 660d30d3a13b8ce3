"""Rows of a table that describe new scans, found by the scans' names."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from mri3d.cohort.missing import is_missing
from mri3d.cohort.table import names_participants
from mri3d.cohort.text_table import TextTable, as_shown, read_text_table
from mri3d.errors import UserError, did_you_mean, option
from mri3d.files import expanded
from mri3d.scans.scan import scan_name
from mri3d.texts import as_list, list_text

MOST_FOLDERS = 3
"""How many folders up a scan's own may be: `sub-01/ses-1/anat`."""

_SESSION = frozenset({"session", "sessionid", "ses", "visit", "visitid", "timepoint"})


@dataclass(frozen=True)
class ScanRows:
    """What a table says of scans.

    A row is that of a scan whose file is called as the row, or begins so before a letter or digit no longer goes on, or
    lies in a folder of that name: `IXI012` is the row of `IXI012_T1.nii.gz`, and `01` or `sub-01` that of
    `sub-01_T1w.nii.gz` and of `sub-01/anat/T1w.nii.gz`. The longest name that fits is taken.

    Attributes:
        name: Of the table.
        columns: Cells of each column, by the name of the row.
    """

    name: str
    columns: Mapping[str, Mapping[str, str]]

    @classmethod
    def read(cls, table: Any, names: Sequence[str], *, id: object = None) -> Self:  # noqa: ANN401 (a path or a table)
        """Read the columns that a model asks for.

        Args:
            table: A CSV or TSV file, or a table in memory: a DataFrame, or a dictionary of columns.
            names: Of the columns.
            id: Column that names the rows, or several whose cells are joined by `_`. Without: `scan`, else the column
                of participants, and that of their sessions, else the first.

        Raises:
            UserError: There is no such table or column, or two rows have one name and say different things.
        """
        read = (
            _in_memory(table)
            if not isinstance(table, str | Path)
            else read_text_table(Path(expanded(table)), asked="table")
        )
        if missing := [name for name in names if as_shown(name) not in read.columns]:
            told = list_text(list(map(repr, missing)), ", ")
            has = list_text([column for column in read.columns if column], ", ", most=30)
            raise UserError(
                f"{option('table', read.path.name)} has no column {told}, which the model was trained with (it has "
                f"{has}).{did_you_mean(missing[0], read.columns)} Add it."
            )
        keys = [str(one) for one in as_list(id)] if id is not None else _keys(read)
        if id is None and keys[0] in map(as_shown, names):
            raise UserError(
                f"{option('table', read.path.name)} has no column that names the scans or the participants (it has "
                f"{list_text(list(read.columns), ', ', most=30)}). Add one, or say which it is by {option('id')}."
            )
        cells = [[as_shown(cell) for cell in read.column(key, option("id"))] for key in keys]
        rows = ["_".join(filter(None, parts)) for parts in zip(*cells, strict=True)]
        kept: dict[str, dict[str, str]] = {}
        for name in names:
            kept[name] = {}
            shown = map(as_shown, read.column(name, option("table")))
            for row, text in zip(rows, ["" if is_missing(cell) else cell for cell in shown], strict=True):
                if kept[name].setdefault(row, text) != text:
                    raise UserError(
                        f"{option('table', read.path.name)} has several rows {row!r} with different values of "
                        f"{name!r}. Name the rows apart by {option('id')}."
                    )
        return cls(read.path.name, kept)

    def of(self, path: Path) -> dict[str, str] | None:
        """Return the cells of a scan by column; None where no row is that of the scan."""
        name, *folders = scan_name(path), *reversed(path.absolute().parts[1:-1])
        ends = [end for end in range(len(name), 0, -1) if end == len(name) or not name[end].isalnum()]
        for start in [*(name[:end] for end in ends), *folders[:MOST_FOLDERS]]:
            if (row := self._starts.get(start)) is not None:
                return {column: cells[row] for column, cells in self.columns.items()}
        return None

    @property
    def names(self) -> list[str]:
        """Names of the rows."""
        return [row for row in next(iter(self.columns.values()), {}) if row]

    @cached_property
    def _starts(self) -> dict[str, str]:
        """How the name of a scan's file, or of its folder, begins, to the row that it is of."""
        found: dict[str, str] = {}
        for row in self.names:
            for start in (row, scan_name(Path(row)), f"sub-{row}"):
                found[start] = max(found.get(start, ""), row, key=len)
        return found


def _keys(table: TextTable) -> list[str]:
    """Choose the columns that name the rows."""
    if "scan" in table.columns:
        return ["scan"]
    people = [column for column in table.columns if names_participants(column) or column.casefold() == "id"]
    sessions = [column for column in table.columns if re.sub(r"[\W_]", "", column.casefold()) in _SESSION]
    return [people[0], *sessions[:1]] if people else [table.columns[0]]


def _in_memory(table: Any) -> TextTable:  # noqa: ANN401
    """Take a DataFrame or a dictionary of columns as a table of text."""
    columns = {str(name): [_text(cell) for cell in table[name]] for name in table}
    if not columns or len({len(cells) for cells in columns.values()}) > 1:
        raise UserError("table has no columns of equal length. Give a file, a DataFrame, or a dictionary of columns.")
    rows = tuple(zip(*columns.values(), strict=True))
    return TextTable(Path("table"), tuple(map(as_shown, columns)), rows, tuple(range(1, len(rows) + 1)))


def _text(cell: Any) -> str:  # noqa: ANN401 (any cell)
    return "" if cell is None or bool(cell != cell) else str(cell)
