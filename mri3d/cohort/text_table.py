"""Tables of text (CSV, TSV), read as they stand: no cell becomes a number, none is guessed to be missing."""

import csv
import io
import logging
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mri3d.cohort.cohort import NO_LABEL, Session, is_missing, means_no_label, unmatched
from mri3d.errors import UserError, did_you_mean, option
from mri3d.texts import as_list, count_text, list_text

log = logging.getLogger(__name__)

# Labels that are taken as they stand, but that somebody may have meant as missing.
_LOOKS_MISSING = frozenset({"missing", "unknown", "?", "."})


@dataclass(frozen=True)
class TextTable:
    """A table of text.

    Attributes:
        path: Where it was read from.
        columns: Names, in order; a name may stand twice.
        rows: Cells of each row, trimmed; in a TSV file, `n/a` is empty.
        lines: Line of the file on which each row ends.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]

    def column(self, name: str, key: str) -> list[str]:
        """Return the cells of one column.

        Args:
            name: The column.
            key: The setting that names it, as `option` has it in a message.

        Raises:
            UserError: There is no such column, or more than one.
        """
        name = str(name)
        if name not in self.columns:
            raise UserError(
                f"column {name!r} is not in {self.path.name} (columns: {list_text(self.columns, ', ', most=30)}). "
                f"Set {key} to one of them.{did_you_mean(name, self.columns)}"
            )
        if self.columns.count(name) > 1:
            raise UserError(f"{self.path} has several columns {name!r} ({key}). Rename or remove all but one.")
        index = self.columns.index(name)
        return [row[index] for row in self.rows]

    def ids(self, names: Sequence[str], *, key: str, advice: str, prefix: str = "") -> list[str]:
        """Name the rows: by one column, or by the cells of several, joined by `_`.

        Args:
            names: The columns.
            key: The setting that names them, as `option` has it in a message.
            advice: What to do about a name that stands twice.
            prefix: What to take off the names that begin with it.

        Raises:
            UserError: No column is named, a cell is empty, or a name stands twice.
        """
        if not names:
            raise UserError(f"{key} names no column. Set it to one of {list_text(self.columns, ', ', most=30)}.")
        columns = [self.column(name, key) for name in names]
        for name, cells in zip(names, columns, strict=True):
            if empty := [
                str(line) for line, cell in zip(self.lines, cells, strict=True) if not cell.removeprefix(prefix)
            ]:
                lines = list_text(empty, ", ")
                raise UserError(f"column {name!r} of {self.path} is empty on line {lines}. Name each row.")
        ids = ["_".join(cells).removeprefix(prefix) for cells in zip(*columns, strict=True)]
        lines_of: dict[str, list[int]] = {}
        for line, id in zip(self.lines, ids, strict=True):
            lines_of.setdefault(id, []).append(line)
        repeated = [f"{id!r} (lines {', '.join(map(str, at))})" for id, at in lines_of.items() if len(at) > 1]
        if repeated:
            where = ("columns " if len(names) > 1 else "column ") + ", ".join(map(repr, names))
            raise UserError(
                f"{len(repeated)} ids stand more than once in {where} of {self.path}: {list_text(repeated)}. {advice}"
            )
        return ids

    def sessions(
        self,
        ids: Sequence[str],
        participants: Sequence[str | None],
        *,
        label: str,
        unlabelled: object,
        group: str | None,
        site: str | None,
        covariates: object,
    ) -> list[Session]:
        """Make one session of each row, still without a scan.

        Args:
            ids: Names of the rows.
            participants: Who was scanned, for each row; None where the row is a participant of its own. Without `group`
                a participant is a group.
            label: Column of labels.
            unlabelled: Label values, or the one, that mean "no label".
            group: Column of those who must stay together.
            site: Column that says where the scan was made.
            covariates: Further columns, or the one, to keep.

        Raises:
            UserError: A column is missing.
        """
        labels = [as_shown(cell) for cell in self.column(label, option("data.label"))]
        groups: Sequence[str | None] = participants
        if group is not None:
            cells = [as_shown(cell) for cell in self.column(group, option("data.group"))]
            groups = [None if is_missing(cell) else cell for cell in cells]  # else they would all be one family
        sites = self.column(site, option("data.site")) if site is not None else [""] * len(ids)
        kept = {str(name): self.column(str(name), option("data.covariates")) for name in as_list(covariates)}
        ignored = [as_shown(value) if isinstance(value, str) else value for value in as_list(unlabelled)]
        self._warn_of_labels(label, labels, ignored)
        sessions = []
        for row, id in enumerate(ids):
            own_label = None if means_no_label(labels[row], ignored) else labels[row]
            sessions.append(
                Session(
                    id=id,
                    scan=None,
                    label=own_label,
                    group=groups[row],
                    site=sites[row] or None,
                    covariates={name: cells[row] for name, cells in kept.items()},
                    participant=participants[row],
                    left_out="" if own_label is not None else NO_LABEL,
                )
            )
        return sessions

    def _warn_of_labels(self, name: str, labels: Sequence[str], ignored: Sequence[object]) -> None:
        """Warn of settings and cells that may not mean what they seem to."""
        for value in unmatched(ignored, labels):
            log.warning("unlabelled names %r, which is not in column %r of %s", value, name, self.path.name)
        if words := Counter(cell for cell in labels if cell and is_missing(cell)):
            log.warning(
                "cells of column %r that mean no label: %s. If this is a class, give it another name in the table",
                name,
                count_text(words),
            )
        for cell in sorted({c for c in labels if c.casefold() in _LOOKS_MISSING and not means_no_label(c, ignored)}):
            log.warning(
                "label %r of column %r is taken as it stands; if it means no label, set unlabelled=['%s']",
                cell,
                name,
                cell,
            )


def as_shown(cell: str) -> str:
    """Make cells equal that look the same: accents composed, nothing that cannot be seen.

    >>> as_shown("e\u0301\u200b") == "\u00e9"
    True
    """
    return "".join(letter for letter in unicodedata.normalize("NFC", cell) if letter.isprintable()).strip()


def read_text_table(path: Path) -> TextTable:
    """Read a CSV or TSV file: comma, semicolon or tab, with or without a byte order mark, any line ends.

    Raises:
        UserError: It is missing, not text in UTF-8, without rows, or ragged.
    """
    if not path.is_file():
        raise UserError(
            f"table {path} does not exist. {contents(path.parent)} Set {option('data.table')} to one of them."
        )
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"table {path} is not text in UTF-8 ({error}). Save it as CSV in UTF-8.") from error
    is_tsv = path.suffix.lower() == ".tsv"
    reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t" if is_tsv else _delimiter(text), strict=True)
    rows: list[tuple[str, ...]] = []
    lines: list[int] = []
    try:
        for cells in reader:
            row = tuple("" if is_tsv and cell.strip() == "n/a" else cell.strip() for cell in cells)
            if any(row):
                rows.append(row)
                lines.append(reader.line_num)
    except csv.Error as error:
        raise UserError(f"table {path} cannot be read at line {reader.line_num}: {error}. Mend the quotes.") from error
    if len(rows) < 2:
        raise UserError(f"table {path} has no rows: it needs a line of column names and a line for each session.")
    width = len(rows[0])
    for line, row in zip(lines, rows, strict=True):
        if any(row[width:]):
            raise UserError(f"line {line} of {path} has {len(row)} cells where the column names are {width}. Mend it.")
    padded = [(row + ("",) * width)[:width] for row in rows]
    return TextTable(path, padded[0], tuple(padded[1:]), tuple(lines[1:]))


def find_root(root: str | Path) -> Path:
    """Return the folder of a study as an absolute path.

    Raises:
        UserError: There is no such folder; the message shows what is there instead.
    """
    path = Path(root).expanduser().absolute()
    if not path.is_dir():
        is_file = " is a file, not a folder." if path.exists() else " does not exist."
        raise UserError(
            f"{option('data.root', str(root))}: {path}{is_file} {contents(path.parent)} "
            f"Set {option('data.root')} to the folder of the study."
        )
    return path


def contents(folder: Path) -> str:
    """Describe in a sentence what lies in a folder, or in the nearest one above it that exists."""
    while not folder.is_dir():
        folder = folder.parent
    try:
        names = sorted(p.name + "/" * p.is_dir() for p in folder.iterdir() if not p.name.startswith("."))
    except OSError as error:
        return f"{folder} cannot be listed ({error.strerror})."
    return f"{folder} holds {list_text(names, ', ', most=8)}." if names else f"{folder} is empty."


def _delimiter(text: str) -> str:
    """Choose what separates cells by counting in the first line, outside quotes."""
    header = re.sub(r'"[^"]*"', "", text.lstrip().partition("\n")[0])
    return max(",;\t", key=header.count)
