"""Finds the scan of each row of a table by a pattern, and explains why a row has none."""

import glob
import os
import re
from collections.abc import Sequence
from pathlib import Path

from mri3d.cohort.text_table import TextTable
from mri3d.errors import UserError, option
from mri3d.files import expanded, what_is
from mri3d.scans.folders import image_ending, not_read_text, ways_to_files
from mri3d.scans.patterns import BEGIN, END, Globs, as_compared, as_path, is_accent, without_edges
from mri3d.scans.scan import SCAN_ENDINGS
from mri3d.texts import list_text, visible

_FIELD = re.compile(r"\{([^{}]*)\}")
_OPEN = re.compile(r"(\[!?+\]?+[^]{}/]*\])|\[")  # one that nothing closes, and that the cell of a field must not close

# A cell in a filled pattern stands between these where it begins or ends with a letter or digit and a wildcard is next
# to it, which may not go on with letters or digits: 'sub-1*' is not to find sub-10, nor '*1' 21.
_IDLE = re.compile(f"(?<![]*?]){BEGIN}|{END}(?![*?[])")


class ScanFinder:
    """Finds the files that match one pattern per session, listing each folder once: linear in the sessions.

    Names are compared as they are shown, so that it does not matter how a file system or a table composes accents.

    Args:
        root: Folder that patterns are relative to.
        pattern: Glob in which `{id}` and any `{column}` stand for cells.
        table: Has the columns.
        key: The option that gives the pattern.
        what: What the files are.

    Raises:
        UserError: The pattern has no field, or one that is no column.
    """

    def __init__(
        self, root: Path, pattern: str, table: TextTable, *, key: str = "data.scan", what: str = "scan"
    ) -> None:
        self._key, self._what = key, what
        fields = set(_FIELD.findall(pattern))
        if not fields:
            same = f"{option(key, pattern)} is the same for every session."
            raise UserError(f"{same} Put {{id}} or a {{column}} into it.")
        of = f"the {{...}} of {option(key)}"
        self._cells = {
            name: [visible(cell).strip() for cell in table.column(name, of)] for name in sorted(fields - {"id"})
        }
        self._pattern = _OPEN.sub(lambda match: match[1] or "[[]", expanded(pattern))
        self._root = root
        self._globs = Globs()

    def fill(self, row: int, id: str) -> str:
        """Put the cells of a row into the pattern; the result is absolute, and a glob only where the pattern is."""

        def cell(match: re.Match[str]) -> str:
            text = id if match[1] == "id" else self._cells[match[1]][row]
            begin, end = (BEGIN * _is_word(text[:1]), END * _is_word(text[-1:]))
            return begin + glob.escape(text) + end

        filled = str(Path(glob.escape(str(self._root))) / _FIELD.sub(cell, self._pattern))
        return _IDLE.sub("", filled)

    def find(self, pattern: str) -> list[Path]:
        r"""List the NIfTI files that match, sorted; a pattern without wildcards may name a file of any ending.

        Where nothing matches, `\` is taken for the `/` of Windows.
        """
        found = [path for path in self._named_alike(pattern) if os.path.isfile(path)]  # noqa: PTH113 (any name)
        return found or (self.find(pattern.replace("\\", "/")) if "\\" in pattern else [])

    def problem(self, pattern: str, scans: Sequence[Path]) -> str:
        """Explain why a session has no scan: none was found, or more than one."""
        tried = as_path(pattern)
        if not scans:
            others = [path for path in self._named_alike(pattern) if os.path.lexists(path)]  # no file, but something
            if others:
                return f"{others[0]} {what_is(others[0])}"
            foreign = not_read_text([path for path in self._globs.find(Path(pattern)) if image_ending(path.name)])
            return f"no {self._what} matches {tried}{self.near_miss(pattern)}{foreign and f'. {foreign}'.rstrip('.')}"
        if len({str(path).removesuffix(".gz") for path in scans}) == 1:
            way_out = f"remove one, or let {option(self._key)} name the ending"
            return f"{scans[0]} lies beside its twin {scans[1].name}: {way_out}"
        names = list_text([path.name for path in scans], ", ")
        return f"{len(scans)} {self._what}s match {tried}: {names}; make {option(self._key)} narrower"

    def near_miss(self, pattern: str) -> str:
        """Name files that the pattern alone would match, but that are of another id."""
        if re.search(r"[/\\][A-Za-z]:[/\\]", pattern):
            return (
                f": this is a path of Windows, which does not lead anywhere here. Put {{id}} into {option(self._key)}"
            )
        longer = self.find(without_edges(pattern)) if without_edges(pattern) != pattern else []
        if not longer:
            return ""
        names = list_text([path.name for path in longer], ", ", most=3)
        return (
            f": {names} has more letters or digits where the row's text begins or ends, so another id may be meant. If "
            f"it is this row's, write those letters into {option(self._key)}"
        )

    def _named_alike(self, pattern: str) -> list[Path]:
        """List what a pattern names, sorted and each file once, whatever is there."""
        exact = as_compared(as_path(pattern))
        found = self._globs.find(Path(pattern))
        scans = [p for p in found if p.name.lower().endswith(SCAN_ENDINGS) or as_compared(str(p)) == exact]
        return sorted(first for first, *_ in ways_to_files(scans).values()) if len(scans) > 1 else scans


def _is_word(letter: str) -> bool:
    return letter.isalnum() or (letter != "" and is_accent(letter))
