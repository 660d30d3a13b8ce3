"""What the tables of a BIDS study say of each visit: one for all, and beside the scans one for each participant.

The table for all is `participants.tsv`. It has one row for each participant or, with a column `session_id`, for each of
his or her sessions. `sub-<id>/sub-<id>_sessions.tsv` describes the sessions of one participant, one row each.
"""

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mri3d.cohort.text_table import TextTable, as_shown, read_text_table
from mri3d.errors import UserError
from mri3d.texts import list_text

log = logging.getLogger(__name__)

PARTICIPANT, SESSION = "participant_id", "session_id"
_OF_EACH = "sub-*_sessions.tsv"

Visit = tuple[str, str | None]
"""Participant without `sub-`, and session without `ses-`: None where all sessions are meant, or there is but one."""
_Row = tuple[tuple[str, ...], int]  # cells and line


@dataclass(frozen=True)
class Visits:
    """The rows of all tables, as one table.

    Attributes:
        table: A row for each visit; its name is that of all tables.
        keys: Whose each row is.
        expected: For each row, whether the table of all has it too: such a visit needs a scan, a clinical one does not.
        problems: Participant to what is wrong with the table of his or her sessions, as text of a `UserError`.
        source: Name of the tables that have the column of labels.
    """

    table: TextTable
    keys: tuple[Visit, ...]
    expected: tuple[bool, ...]
    problems: Mapping[str, str]
    source: str


def read_visits(path: Path, folders: Sequence[Path], label: str, others: Sequence[str]) -> Visits:
    """Read the table of all and those of single participants.

    Where both have a column, that of the single participant holds; a session that it does not name has nothing there.

    Args:
        path: The table of all.
        folders: Where `sub-<id>/sub-<id>_sessions.tsv` may lie; the first that has one holds.
        label: The column of labels.
        others: Further columns that are made use of.

    Raises:
        UserError: The table of all is missing, or does not say whose its rows are. What is wrong with the table of one
            participant is a `problem` of his or hers.
    """
    everyone = read_text_table(path)
    keys = _keys(everyone)
    used = {as_shown(name) for name in (label, *others)}
    own: dict[str, TextTable] = {}
    problems: dict[str, str] = {}
    for participant in dict.fromkeys(participant for participant, _ in keys):
        file = Path(f"sub-{participant}", f"sub-{participant}_sessions.tsv")
        found = next((folder / file for folder in folders if (folder / file).is_file()), None)
        if found is not None:
            try:
                own[participant] = _sessions_table(found, used)
            except UserError as error:
                problems[participant] = error.text
    known = {*everyone.columns, *(name for table in own.values() for name in table.columns)}
    if problems and used - known:
        raise UserError(next(iter(problems.values())))
    for name in sorted(used & set(everyone.columns)):
        if any(name in table.columns for table in own.values()):
            log.warning(
                "column %r stands in %s and in %s: what is said of each session holds", name, path.name, _OF_EACH
            )
    tables = [path.name] * (as_shown(label) in everyone.columns)
    tables += [_OF_EACH] * any(as_shown(label) in table.columns for table in own.values())
    table, visits, expected = _joined(everyone, keys, own)
    return Visits(table, visits, expected, problems, " and ".join(tables))


def same_session(session: str | None, among: Collection[str | None]) -> str | None:
    """Find a session among others: by its name or, where none has it, by its number, so that 1 is 01.

    Raises:
        KeyError: It is not among them, or several have its number.

    >>> same_session("1", ["01", "02"]), same_session("1", ["01", "1"])
    ('01', '1')
    """
    if session in among:
        return session
    alike = [other for other in among if number_of(other) == number_of(session)]
    if len(alike) != 1:
        raise KeyError(session)
    return alike[0]


def number_of(value: str | None) -> str | None:
    """Return a value without zeros in front if it is a number, else as it is.

    >>> number_of("01"), number_of("M00"), number_of(None)
    ('1', 'M00', None)
    """
    return value.lstrip("0") or "0" if value is not None and value.isdigit() else value


def _keys(table: TextTable) -> list[Visit]:
    """Name the rows of the table of all by participant and, where it has a column for that, session."""
    if PARTICIPANT not in table.columns:
        raise UserError(f"{table.path} has no column {PARTICIPANT} (columns: {list_text(table.columns, ', ')}).")
    people = _bare(table, PARTICIPANT, "sub-")
    repeated = len(set(people)) < len(people)
    if SESSION not in table.columns or not repeated:
        advice = f"Give each participant one row, or name the session of each row in a column {SESSION}."
        table.ids([PARTICIPANT], key=PARTICIPANT, advice=advice, prefix="sub-")
    sessions = _bare(table, SESSION, "ses-") if SESSION in table.columns else [""] * len(people)
    if SESSION in table.columns and repeated:
        pairs = replace(table, columns=(PARTICIPANT, SESSION), rows=tuple(zip(people, sessions, strict=True)))
        pairs.ids([PARTICIPANT, SESSION], key=SESSION, advice="Give each session of a participant one row.")
    return [(participant, session or None) for participant, session in zip(people, sessions, strict=True)]


def _bare(table: TextTable, column: str, prefix: str) -> list[str]:
    return [as_shown(cell).removeprefix(prefix) for cell in table.column(column, column)]


def _sessions_table(path: Path, used: set[str]) -> TextTable:
    """Read the table of one participant's sessions; without rows where nothing in it is used.

    Raises:
        UserError: It does not say whose its rows are, or cannot be read.
    """
    table = read_text_table(path)
    if not used & set(table.columns):
        return replace(table, rows=(), lines=())
    if SESSION not in table.columns:
        raise UserError(
            f"{path} has no column {SESSION} (columns: {list_text(table.columns, ', ')}). Name its sessions there."
        )
    for name in sorted(used & set(table.columns)):
        table.column(name, name)  # refused where it stands twice
    table.ids([SESSION], key=SESSION, advice="Give each session one row.", prefix="ses-")
    return table


def _joined(
    everyone: TextTable, keys: Sequence[Visit], own: Mapping[str, TextTable]
) -> tuple[TextTable, tuple[Visit, ...], tuple[bool, ...]]:
    """Join the tables: rows, whose they are, and whether the table of all has them."""
    added = dict.fromkeys(name for table in own.values() for name in table.columns)
    columns = (*everyone.columns, *(name for name in added if name not in everyone.columns))
    rows_of: dict[str, dict[str | None, _Row]] = {}
    for (participant, session), row, line in zip(keys, everyone.rows, everyone.lines, strict=True):
        rows_of.setdefault(participant, {})[session] = (*row, *[""] * (len(columns) - len(row))), line
    joined = [
        (row, line, (participant, session), expected)
        for participant, rows in rows_of.items()
        for session, (row, line), expected in _of_one(rows, own.get(participant), columns)
    ]
    rows, lines, visits, expected = zip(*joined, strict=True)
    name = f"{everyone.path.name} and {_OF_EACH}" if own else everyone.path.name
    return TextTable(everyone.path.with_name(name), columns, rows, lines), visits, expected


def _of_one(
    rows: Mapping[str | None, _Row], own: TextTable | None, columns: Sequence[str]
) -> Iterator[tuple[str | None, _Row, bool]]:
    """Yield session, row, and whether the table of all has it, of one participant."""
    if own is None or not own.rows:
        yield from ((session, row, True) for session, row in rows.items())
        return
    places = [columns.index(name) for name in own.columns]

    def written(row: Sequence[str], cells: Sequence[str]) -> tuple[str, ...]:
        filled = dict(enumerate(row)) | dict(zip(places, cells, strict=True))
        return tuple(filled.values())

    told: set[str | None] = set()
    for session, cells, line in zip(_bare(own, SESSION, "ses-"), own.rows, own.lines, strict=True):
        try:
            same = same_session(session, rows)
        except KeyError:
            same = None
        told.add(same)
        row, _ = rows.get(same, (("",) * len(columns), 0))
        yield session, (written(row, cells), line), same is not None
    for other, (row, line) in rows.items():
        if other is None or other not in told:
            yield other, (written(row, [""] * len(places)), line), True
