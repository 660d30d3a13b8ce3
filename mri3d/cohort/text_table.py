"""Tables of text (CSV, TSV), read as they stand: no cell becomes a number, none is guessed to be missing."""

import logging
import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mri3d.cohort.cohort import NO_LABEL, Session, means_no_label
from mri3d.cohort.delimited import read_rows
from mri3d.cohort.labels import warn_of_labels
from mri3d.cohort.missing import is_missing
from mri3d.cohort.noticed import is_usual
from mri3d.cohort.participants import warn_of_groups, warn_of_people
from mri3d.errors import UserError, did_you_mean, option
from mri3d.files import expanded, what_is
from mri3d.texts import as_list, list_text, number_text, visible

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TextTable:
    """A table of text.

    Attributes:
        path: Where it was read from.
        columns: Names as they are shown, in order; a name may stand twice.
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
        name = as_shown(str(name))
        if name not in self.columns:
            named = [column for column in self.columns if column]
            raise UserError(
                f"column {name!r} is not in {self.path.name} (columns: {list_text(named, ', ', most=30)}). "
                f"Set {key} to one of them.{did_you_mean(name, self.columns)}"
            )
        if self.columns.count(name) > 1:
            raise UserError(f"{self.path} has several columns {name!r} ({key}). Rename or remove all but one.")
        index = self.columns.index(name)
        return [row[index] for row in self.rows]

    def ids(self, names: Sequence[str], *, key: str, advice: str, prefix: str = "") -> list[str]:
        """Name the rows: by one column, or by the cells of several, joined by `_`, without what cannot be seen.

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
        columns = [[visible(cell).strip() for cell in self.column(name, key)] for name in names]
        for name, cells in zip(names, columns, strict=True):
            if empty := [
                str(line) for line, cell in zip(self.lines, cells, strict=True) if not cell.removeprefix(prefix)
            ]:
                lines = list_text(empty, ", ")
                raise UserError(f"column {name!r} of {self.path} is empty on line {lines}. Name each row.")
            self._warn_of_invisible(name, cells, self.column(name, key))
        ids = ["_".join(cells).removeprefix(prefix) for cells in zip(*columns, strict=True)]
        lines_of: dict[str, list[int]] = {}
        for line, id in zip(self.lines, ids, strict=True):
            lines_of.setdefault(as_shown(id), []).append(line)
        repeated = [f"{id!r} (lines {', '.join(map(str, at))})" for id, at in lines_of.items() if len(at) > 1]
        if repeated:
            where = ("columns " if len(names) > 1 else "column ") + ", ".join(map(repr, names))
            told = f"{number_text(len(repeated), 'id', 'stands', 'stand')} more than once in {where} of {self.path}"
            raise UserError(f"{told}: {list_text(repeated)}. {advice}")
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
        labels = self._shown(label, "data.label")
        warn_of_people(participants, [as_shown(id) for id in ids])
        groups: Sequence[str | None] = participants
        if group is not None:
            cells = self._shown(group, "data.group")
            groups = [None if is_missing(cell) else cell for cell in cells]  # else they would all be one family
            warn_of_groups(cells, f"column {group!r}")
        sites = self._shown(site, "data.site") if site is not None else [""] * len(ids)
        kept = {str(name): self._shown(str(name), "data.covariates") for name in as_list(covariates)}
        usual = self._usual(leaving=[label, group, site, *kept])
        ignored = [as_shown(value) if isinstance(value, str) else value for value in as_list(unlabelled)]
        warn_of_labels(labels, ignored, column=label, table=self.path.name)
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
                    usual={name: cells[row] for name, cells in usual.items()},
                    participant=participants[row],
                    left_out="" if own_label is not None else NO_LABEL,
                )
            )
        return sessions

    def _usual(self, *, leaving: Sequence[str | None]) -> dict[str, list[str]]:
        """Return columns that studies usually have, but for those that are taken for something."""
        taken = {as_shown(name) for name in leaving if name is not None}
        names = [name for name in dict.fromkeys(self.columns) if is_usual(name) and name not in taken]
        return {name: self._shown(name, "data.covariates") for name in names if self.columns.count(name) == 1}

    def _shown(self, name: str, key: str) -> list[str]:
        return [as_shown(cell) for cell in self.column(name, option(key))]

    def _warn_of_invisible(self, name: str, cells: Sequence[str], raw: Sequence[str]) -> None:
        """Warn of ids with characters that cannot be seen, or only as blanks: they are not what the table says."""
        changed = [str(line) for line, one, other in zip(self.lines, cells, raw, strict=True) if one != other]
        if changed:
            log.warning(
                "column %r of %s has characters that cannot be seen on line %s; they are left out, and odd blanks are "
                "taken for ordinary ones",
                name,
                self.path.name,
                list_text(changed, ", "),
            )


def as_shown(text: str) -> str:
    """Make texts equal that look the same: as `visible` has them, trimmed, accents composed.

    >>> as_shown("e\u0301\u200b") == "\u00e9"
    True
    """
    return unicodedata.normalize("NFC", visible(text).strip())


def read_text_table(path: Path, *, asked: str = "data.table") -> TextTable:
    """Read a CSV or TSV file: comma, semicolon, tab or vertical bar, UTF-8 or UTF-16, any line ends.

    Args:
        path: The file.
        asked: The option that names it, for the message.

    Raises:
        UserError: It is missing, no text, without rows, or its rows cannot be told apart.
    """
    if not os.path.isfile(path):  # noqa: PTH113
        raise UserError(f"table {path} {what_is(path)}. {contents(path.parent)} Set {option(asked)} to one of them.")
    rows = read_rows(path)
    names, *cells = rows.cells
    table = TextTable(path, tuple(map(as_shown, names)), tuple(cells), rows.lines[1:])
    if rows.short:
        log.warning(
            "%s of %s %s fewer cells than the %d column names (line %s); those that lack are taken as empty",
            number_text(len(rows.short), "row"),
            path.name,
            "has" if len(rows.short) == 1 else "have",
            sum(map(bool, names)),
            list_text([str(line) for line in rows.short], ", "),
        )
    return table


def find_root(root: str | Path) -> Path:
    """Return the folder of a study as an absolute path.

    Raises:
        UserError: There is no such folder; the message shows what is there instead.
    """
    path = Path(expanded(root)).absolute()
    if not path.is_dir():
        what = f"{what_is(path)}, not a folder" if path.is_file() else what_is(path)
        raise UserError(
            f"{option('data.root', str(root))}: {path} {what}. {contents(path.parent)} "
            f"Set {option('data.root')} to the folder of the study."
        )
    return path


def contents(folder: Path) -> str:
    """Describe in a sentence what lies in a folder, or in the nearest one above it that exists."""
    while not os.path.isdir(folder):  # noqa: PTH112 (Path's own raises where a name is too long)
        folder = folder.parent
    try:
        names = sorted(p.name + "/" * p.is_dir() for p in folder.iterdir() if not p.name.startswith("."))
    except OSError as error:
        return f"{folder} cannot be listed ({error.strerror})."
    return f"{folder} holds {list_text(names, ', ', most=8)}." if names else f"{folder} is empty."
