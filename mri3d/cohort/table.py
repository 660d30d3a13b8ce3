"""Cohorts from a table (CSV or TSV) and a pattern that finds the scan of each row."""

import bisect
import fnmatch
import glob
import itertools
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mri3d.arguments import check_fields
from mri3d.cohort.cohort import Cohort
from mri3d.cohort.text_table import TextTable, as_shown, contents, find_root, read_text_table
from mri3d.errors import UserError, option
from mri3d.files import what_is
from mri3d.scans.scan import SCAN_ENDINGS
from mri3d.texts import as_list, list_text

_WILDCARD = re.compile(r"[*?[]")
_FIELD = re.compile(r"\{([^{}]*)\}")
_ESCAPED = re.compile(r"\[([*?[])\]")  # what `glob.escape` makes of a special character
_ABOUT_REPEATED_IDS = (
    f"Remove the copies; for repeated visits, set {option('data.id')} to several columns, first the one that names the "
    f"participant, or to one that differs from row to row, and then {option('data.group')} to the participant's."
)


@dataclass(frozen=True)
class Table:
    """Sessions in a table, one row each, and their scans in a folder.

    Attributes:
        root: Folder of the study.
        table: CSV or TSV file (comma, semicolon or tab), relative to `root`. Cells are taken as text, as they stand.
        id: Column that names the session, or several whose cells, joined by `_`, do; of several, the first names the
            participant, all of whose sessions stay together.
        label: Column of what is predicted: classes or a measure.
        scan: Glob that finds a session's scan, relative to `root`; `{id}` and any `{column}` are filled in.
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
        table = read_text_table(root / Path(self.table).expanduser())
        columns, key = [str(name) for name in as_list(self.id)], option("data.id")
        ids = table.ids(columns, key=key, advice=_ABOUT_REPEATED_IDS)
        several = len(columns) > 1
        sessions = table.sessions(
            ids,
            [as_shown(cell) for cell in table.column(columns[0], key)] if several else [None] * len(ids),
            label=self.label,
            unlabelled=self.unlabelled,
            group=self.group,
            site=self.site,
            covariates=self.covariates,
        )
        finder = _ScanFinder(root, self.scan, table)
        patterns = [finder.fill(row, id) for row, id in enumerate(ids)]
        found = [finder.find(pattern) for pattern in patterns]
        if not any(found):
            tried = Path(_unescape(patterns[0]))
            raise UserError(
                f"{option('data.scan', self.scan)} finds no scan for any of the {len(ids)} rows of {table.path.name}; "
                f"looked for {tried}. {contents(tried.parent)} Set {option('data.scan')} to fit."
            )
        return Cohort(
            tuple(
                replace(session, scan=scans[0])
                if len(scans) == 1
                else replace(session, problem=finder.problem(pattern, scans))
                for session, pattern, scans in zip(sessions, patterns, found, strict=True)
            ),
            source=f"column {self.label!r} of {table.path.name}",
        )


class _ScanFinder:
    """Finds the files that match one pattern per session, listing each folder once: linear in the sessions."""

    def __init__(self, root: Path, pattern: str, table: TextTable) -> None:
        fields = set(_FIELD.findall(pattern))
        if not fields:
            same = f"{option('data.scan', pattern)} is the same for every session."
            raise UserError(f"{same} Put {{id}} or a {{column}} into it.")
        key = f"the {{...}} of {option('data.scan')}"
        self._cells = {name: table.column(name, key) for name in sorted(fields - {"id"})}
        self._pattern = pattern
        self._root = root
        self._names: dict[Path, list[str]] = {}

    def fill(self, row: int, id: str) -> str:
        """Put the cells of a row into the pattern; the result is absolute, and a glob only where the pattern is."""

        def cell(match: re.Match[str]) -> str:
            return glob.escape(id if match[1] == "id" else self._cells[match[1]][row])

        return str(Path(glob.escape(str(self._root))) / Path(_FIELD.sub(cell, self._pattern)).expanduser())

    def find(self, pattern: str) -> list[Path]:
        """List the NIfTI files that match, sorted; a pattern without wildcards may name a file of any ending."""
        return [path for path in self._named_alike(pattern) if path.is_file()]

    def problem(self, pattern: str, scans: Sequence[Path]) -> str:
        """Explain why a session has no scan: none was found, or more than one."""
        tried = _unescape(pattern)
        if not scans:
            others = [path for path in self._named_alike(pattern) if os.path.lexists(path)]  # no file, but something
            return f"{others[0]} {what_is(others[0])}" if others else f"no scan matches {tried}"
        if len({str(path).removesuffix(".gz") for path in scans}) == 1:
            way_out = f"remove one, or let {option('data.scan')} name the ending"
            return f"{scans[0]} lies beside its twin {scans[1].name}: {way_out}"
        names = list_text([path.name for path in scans], ", ")
        return f"{len(scans)} scans match {tried}: {names}; make {option('data.scan')} narrower"

    def _named_alike(self, pattern: str) -> list[Path]:
        """List what a pattern names, sorted, whatever is there."""
        anchor, *parts = Path(pattern).parts
        found = set(self._walk(Path(anchor), parts))
        return sorted(p for p in found if p.name.lower().endswith(SCAN_ENDINGS) or str(p) == _unescape(pattern))

    def _walk(self, folder: Path, parts: Sequence[str]) -> Iterator[Path]:
        """Yield what matches the parts of a pattern below a folder."""
        if not parts:
            yield folder
            return
        part, rest = parts[0], parts[1:]
        if part == "**":
            yield from self._walk(folder, rest)
            inner = [folder / name for name in self._list(folder) if not name.startswith(".")]
            for path in inner:
                if path.is_dir() and not path.is_symlink():
                    yield from self._walk(path, parts)
        elif not _WILDCARD.search(_ESCAPED.sub("", part)):
            yield from self._walk(folder / _unescape(part), rest)
        else:
            for name in self._match(folder, part):
                yield from self._walk(folder / name, rest)

    def _match(self, folder: Path, part: str) -> list[str]:
        """Match one level; only names that begin as the pattern does are compared, so that large folders are quick."""
        names = self._list(folder)
        start = _WILDCARD.search(_ESCAPED.sub("___", part))
        prefix = _unescape(part[: start.start()]) if start else part
        first = bisect.bisect_left(names, prefix)
        matches = re.compile(fnmatch.translate(part)).match
        begin_alike = itertools.takewhile(lambda name: name.startswith(prefix), names[first:])
        return [name for name in begin_alike if matches(name) and (prefix or not name.startswith("."))]

    def _list(self, folder: Path) -> list[str]:
        if folder not in self._names:
            try:
                self._names[folder] = sorted(path.name for path in folder.iterdir())
            except OSError:
                self._names[folder] = []
        return self._names[folder]


def _unescape(pattern: str) -> str:
    return _ESCAPED.sub(r"\1", pattern)
