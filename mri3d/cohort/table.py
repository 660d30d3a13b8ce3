"""Cohorts from a table (CSV or TSV) and a pattern that finds the scan of each row."""

import logging
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mri3d.arguments import check_fields
from mri3d.cohort.cohort import Cohort, Session
from mri3d.cohort.missing import is_missing
from mri3d.cohort.participants import participants_of
from mri3d.cohort.scan_finder import ScanFinder
from mri3d.cohort.text_table import TextTable, as_shown, contents, find_root, read_text_table
from mri3d.errors import UserError, option
from mri3d.files import expanded
from mri3d.scans.patterns import as_path
from mri3d.texts import as_list, list_text, number_text

log = logging.getLogger(__name__)

_ABOUT_REPEATED_IDS = (
    f"Remove the copies; for repeated visits, set {option('data.id')} to several columns, first the one that names the "
    f"participant, or to one that differs from row to row, and then {option('data.group')} to the participant's."
)
_MOST_DIGITS = 9  # of a number whose zeros in front may be lost
_PARTICIPANT = frozenset({"participant", "subject", "patient", "person", "sub", "subj", "ptid", "rid"})  # or with "id"


@dataclass(frozen=True)
class Table:
    """Sessions in a table, one row each, and their scans in a folder.

    Attributes:
        root: Folder of the study.
        table: CSV or TSV file (comma, semicolon or tab), relative to `root`. Cells are taken as text, as they stand.
        id: Column that names the session, or several whose cells, joined by `_`, do; of several, the first names the
            participant, all of whose sessions stay together. So do those of ids such as `sub-01_ses-1`, `01_visit2` or
            `002_S_0001_m06`.
        label: Column of what is predicted: classes or a measure.
        scan: Glob that finds a session's scan, relative to `root`; `{id}` and any `{column}` are filled in. A wildcard
            next to them does not go on with letters or digits: `{id}*` of sub-1 does not find sub-10.
        mask: Glob that finds a mask of the brain in each scan, likewise, for `preprocess=brain`: it is taken in place
            of what is extracted, which it is only held against. 0 around the brain, on the scan's own grid.
        unlabelled: Label values that mean "no label", or the one. An empty cell always does, and so do NA, N/A, NaN,
            null and None in any case: a class of that name needs another in the table.
        group: Column of those who must stay together (family, participant); who has none there stands alone. A
            participant's sessions stay together even where their groups differ.
        site: Column that says where the scan was made.
        covariates: Further columns, or the one, to keep.
        skip_bad: Leave out scans that cannot be used instead of ending the run.
        classes: Take numbers as names of classes, however many there are.
    """

    root: str
    table: str
    id: str | Sequence[str] = "subject"
    label: str = "label"
    scan: str = "{id}.nii*"
    mask: str | None = None
    unlabelled: str | float | bool | Sequence[object] = ()
    group: str | None = None
    site: str | None = None
    covariates: str | Sequence[str] = ()
    skip_bad: bool = False
    classes: bool = False

    def __post_init__(self) -> None:
        check_fields(self, "data")

    @property
    def suffix(self) -> None:
        """Kind of scan, which is none: `scan` chooses."""
        return None

    def read(self) -> Cohort:
        """Read the table and look for the scans, without opening them.

        Raises:
            UserError: The folder, the table or a column is missing; ids repeat; no scan at all is found. A session
                whose own scan is missing or ambiguous gets a `problem` instead.
        """
        root = find_root(self.root)
        table = read_text_table(root / expanded(self.table))
        columns, key = [str(name) for name in as_list(self.id)], option("data.id")
        ids = table.ids(columns, key=key, advice=_ABOUT_REPEATED_IDS)
        sessions = table.sessions(
            ids,
            _participants(table, columns, ids, grouped=self.group is not None),
            label=self.label,
            unlabelled=self.unlabelled,
            group=self.group,
            site=self.site,
            covariates=self.covariates,
        )
        finder = ScanFinder(root, self.scan, table)
        patterns = [finder.fill(row, id) for row, id in enumerate(ids)]
        found = [finder.find(pattern) for pattern in patterns]
        if not any(found):
            tried, why = Path(as_path(patterns[0])), finder.near_miss(patterns[0]) or _near_id(finder, 0, ids[0])
            rows = f"any of the {len(ids)} rows" if len(ids) > 1 else "any row"
            raise UserError(
                f"{option('data.scan', self.scan)} finds no scan for {rows} of {table.path.name}; "
                f"looked for {tried}{why}. {contents(tried.parent)} Set {option('data.scan')} to fit."
            )
        placed = [
            replace(session, scan=scans[0])
            if len(scans) == 1
            else replace(
                session, problem=finder.problem(pattern, scans) + (_near_id(finder, row, id) if not scans else "")
            )
            for row, (id, session, pattern, scans) in enumerate(zip(ids, sessions, patterns, found, strict=True))
        ]
        if self.mask is not None:
            placed = _masked(placed, ScanFinder(root, self.mask, table, key="data.mask", what="mask"), ids)
        return Cohort(tuple(_without_shared(placed)), source=f"column {self.label!r} of {table.path.name}")


def _masked(sessions: Sequence[Session], finder: ScanFinder, ids: Sequence[str]) -> list[Session]:
    """Give each session that has a scan the mask of its brain; without one, or with several, it is not to be read.

    Raises:
        UserError: There is none for any session.
    """
    patterns = [finder.fill(row, id) for row, id in enumerate(ids)]
    found = [finder.find(pattern) for pattern in patterns]
    if not any(found):
        raise UserError(
            f"{option('data.mask')} finds no mask for any row; {finder.problem(patterns[0], [])}. Set "
            f"{option('data.mask')} to fit."
        )
    masked = []
    for session, pattern, masks in zip(sessions, patterns, found, strict=True):
        if not session.scan or session.problem:
            masked.append(session)
        elif len(masks) == 1:
            masked.append(replace(session, mask=masks[0]))
        else:
            masked.append(replace(session, scan=None, problem=finder.problem(pattern, masks)))
    return masked


def _near_id(finder: ScanFinder, row: int, id: str) -> str:
    """Name the id under which a row's scan would be found where a spreadsheet took the row's own for a number."""
    if not (number := re.fullmatch(r"(\D*)(\d+)(?:\.0+)?", id)):
        return ""
    for start in [number[1]] if number[1] else ["", "sub-"]:
        for width in range(_MOST_DIGITS):
            other = start + number[2].zfill(width)
            if other != id and (scans := finder.find(finder.fill(row, other))):
                return f": for {other!r} there is {scans[0].name}. A spreadsheet may have taken ids for numbers"
    return ""


def _participants(table: TextTable, columns: Sequence[str], ids: Sequence[str], *, grouped: bool) -> list[str | None]:
    """Find out who was scanned: by the first of several columns, or by what ids say of visits.

    Args:
        table: The table.
        columns: Those of the ids.
        ids: Name of each row.
        grouped: Whether the user has said who stays together.

    Returns:
        A participant for each row, or None for all where nobody has several.

    Raises:
        UserError: The columns are in the wrong order.
    """
    key = option("data.id")
    if len(columns) > 1:
        named = [column for column in columns if names_participants(column)]
        if named and columns[0] != named[0]:
            order = [named[0], *(column for column in columns if column != named[0])]
            raise UserError(
                f"{option('data.id', list(columns))}: the first column names the participant, whose sessions stay "
                f"together, and that is {named[0]!r}, not {columns[0]!r}. Set {option('data.id', order)}."
            )
        return [as_shown(cell) for cell in table.column(columns[0], key)]
    if (found := participants_of([as_shown(id) for id in ids])) is not None:
        return found
    for column in dict.fromkeys(table.columns):
        if grouped or column == as_shown(columns[0]) or not names_participants(column):
            continue
        if table.columns.count(column) == 1 and (repeated := _repeated(table.column(column, key))):
            log.warning(
                "column %r of %s has %s in several rows: sessions of one participant may be both learnt from and "
                "tested. Set %s to keep them together",
                column,
                table.path.name,
                number_text(repeated, "value", "that stands", "that stand"),
                UserError(option("data.group", column)),
            )
    return [None] * len(ids)


def names_participants(column: str) -> bool:
    """Return whether a column is called as those are that name participants: subject, participant_id, PTID ..."""
    name = re.sub(r"[\W_]", "", column.casefold())
    return name in _PARTICIPANT or name.removesuffix("id") in _PARTICIPANT


def _repeated(names: Sequence[str]) -> int:
    """Count those that stand more than once."""
    return sum(count > 1 for name, count in Counter(names).items() if name and not is_missing(name))


def _without_shared(sessions: Sequence[Session]) -> list[Session]:
    """Give up scans that several sessions have found: no more than one can be right, and nobody knows which."""
    files = [os.path.realpath(session.scan) if session.scan else None for session in sessions]
    claims: dict[str | None, list[str]] = {}
    for session, file in zip(sessions, files, strict=True):
        claims.setdefault(file, []).append(session.id)
    kept = []
    for session, file in zip(sessions, files, strict=True):
        others = [id for id in claims[file] if id != session.id] if file else []
        problem = (
            f"{session.scan} is found for {list_text(others, ', ')} too: one scan cannot be of several rows. Make "
            f"{option('data.scan')} narrower, or mend the table"
        )
        kept.append(replace(session, scan=None, problem=problem) if others else session)
    return kept
