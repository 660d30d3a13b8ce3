"""Finds the scan of each row of a table by a pattern, and explains why a row has none."""

import bisect
import fnmatch
import glob
import itertools
import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from mri3d.cohort.text_table import TextTable, expanded, visible
from mri3d.errors import UserError, option
from mri3d.files import what_is
from mri3d.scans.folders import image_ending, not_read_text
from mri3d.scans.scan import SCAN_ENDINGS
from mri3d.texts import list_text

_WILDCARD = re.compile(r"[*?[]")
_FIELD = re.compile(r"\{([^{}]*)\}")
_ESCAPED = re.compile(r"\[([*?[])\]")  # what `glob.escape` makes of a special character
_OPEN = re.compile(r"(\[!?+\]?+[^]{}/]*\])|\[")  # one that nothing closes, and that the cell of a field must not close

# A cell in a filled pattern stands between these where it begins or ends with a letter or digit and a wildcard is next
# to it, which may not go on with letters or digits: 'sub-1*' is not to find sub-10, nor '*1' 21.
_BEGIN, _END = "\x01", "\x02"
_IDLE = re.compile(f"(?<![]*?]){_BEGIN}|{_END}(?![*?[])")
_EDGES = re.compile(f"[{_BEGIN}{_END}]")


class ScanFinder:
    """Finds the files that match one pattern per session, listing each folder once: linear in the sessions.

    Names are compared as they are shown, so that it does not matter how a file system or a table composes accents.

    Args:
        root: Folder that patterns are relative to.
        pattern: Glob in which `{id}` and any `{column}` stand for cells.
        table: Has the columns.

    Raises:
        UserError: The pattern has no field, or one that is no column.
    """

    def __init__(self, root: Path, pattern: str, table: TextTable) -> None:
        fields = set(_FIELD.findall(pattern))
        if not fields:
            same = f"{option('data.scan', pattern)} is the same for every session."
            raise UserError(f"{same} Put {{id}} or a {{column}} into it.")
        key = f"the {{...}} of {option('data.scan')}"
        self._cells = {
            name: [visible(cell).strip() for cell in table.column(name, key)] for name in sorted(fields - {"id"})
        }
        self._pattern = _OPEN.sub(lambda match: match[1] or "[[]", expanded(pattern))
        self._root = root
        self._names: dict[Path, list[tuple[str, str]]] = {}

    def fill(self, row: int, id: str) -> str:
        """Put the cells of a row into the pattern; the result is absolute, and a glob only where the pattern is."""

        def cell(match: re.Match[str]) -> str:
            text = id if match[1] == "id" else self._cells[match[1]][row]
            begin, end = (_BEGIN * _is_word(text[:1]), _END * _is_word(text[-1:]))
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
            foreign = not_read_text([path for path in self._matches(pattern) if image_ending(path.name)])
            return f"no scan matches {tried}{self.near_miss(pattern)}{foreign and f'. {foreign}'.rstrip('.')}"
        if len({str(path).removesuffix(".gz") for path in scans}) == 1:
            way_out = f"remove one, or let {option('data.scan')} name the ending"
            return f"{scans[0]} lies beside its twin {scans[1].name}: {way_out}"
        names = list_text([path.name for path in scans], ", ")
        return f"{len(scans)} scans match {tried}: {names}; make {option('data.scan')} narrower"

    def near_miss(self, pattern: str) -> str:
        """Name files that the pattern alone would match, but that are of another id."""
        if re.search(r"[/\\][A-Za-z]:[/\\]", pattern):
            return (
                f": this is a path of Windows, which does not lead anywhere here. Put {{id}} into {option('data.scan')}"
            )
        longer = self.find(_EDGES.sub("", pattern)) if _EDGES.search(pattern) else []
        if not longer:
            return ""
        names = list_text([path.name for path in longer], ", ", most=3)
        return (
            f": {names} has more letters or digits where the row's text begins or ends, so another id may be meant. If "
            f"it is this row's, write those letters into {option('data.scan')}"
        )

    def _named_alike(self, pattern: str) -> list[Path]:
        """List what a pattern names, sorted and each file once, whatever is there."""
        exact = _shown(as_path(pattern))
        found = self._matches(pattern)
        scans = [p for p in found if p.name.lower().endswith(SCAN_ENDINGS) or _shown(str(p)) == exact]
        if len(scans) < 2:
            return scans
        return list({os.path.realpath(path): path for path in reversed(scans)}.values())[::-1]

    def _matches(self, pattern: str) -> list[Path]:
        """List all that a pattern names, of any ending, sorted."""
        anchor, *parts = Path(pattern).parts
        return sorted(set(self._walk(Path(anchor), parts)))

    def _walk(self, folder: Path, parts: Sequence[str], inside: frozenset[str] = frozenset()) -> Iterator[Path]:
        """Yield what matches the parts of a pattern below a folder; links are followed unless they lead round."""
        if not parts:
            yield folder
            return
        part, rest = parts[0], parts[1:]
        if part == "**":
            yield from self._walk(folder, rest)
            inside |= {os.path.realpath(folder)}
            for _, name in self._list(folder):
                path = folder / name
                if not name.startswith(".") and os.path.isdir(path) and os.path.realpath(path) not in inside:  # noqa: PTH112
                    yield from self._walk(path, parts, inside)
            return
        for name in self._match(folder, part):
            yield from self._walk(folder / name, rest)

    def _match(self, folder: Path, part: str) -> list[str]:
        """Match one level; only names that begin as the pattern does are compared, so that large folders are quick."""
        if not _WILDCARD.search(_ESCAPED.sub("", part)) and os.path.lexists(folder / as_path(part)):
            return [as_path(part)]
        alike = (self._named_as(folder, _shown(text)) for text in dict.fromkeys((part, _with_small_ending(part))))
        return list(dict.fromkeys(itertools.chain.from_iterable(alike)))

    def _named_as(self, folder: Path, part: str) -> Iterator[str]:
        """Yield the names in a folder that match."""
        names = self._list(folder)
        start = _WILDCARD.search(_ESCAPED.sub("___", part))
        prefix = as_path(part[: start.start()] if start else part)
        first = bisect.bisect_left(names, (prefix, ""))
        after = (names[number] for number in range(first, len(names)))
        begin_alike = itertools.takewhile(lambda pair: pair[0].startswith(prefix), after)
        regex = fnmatch.translate(part).replace(_BEGIN, r"(?<![^\W_])").replace(_END, r"(?![^\W_])")
        matches = re.compile(regex).match
        return (name for text, name in begin_alike if matches(text) and (prefix or not name.startswith(".")))

    def _list(self, folder: Path) -> list[tuple[str, str]]:
        """List a folder: each name as it is shown, and with its ending in small letters, and as it is; sorted."""
        if folder not in self._names:
            try:
                names = os.listdir(folder)  # noqa: PTH208
            except (OSError, ValueError):  # ValueError: a NUL in the name
                names = []
            listed = {(_shown(text), name) for name in names for text in (name, _with_small_ending(name))}
            self._names[folder] = sorted(listed)
        return self._names[folder]


def _with_small_ending(name: str) -> str:
    ending = image_ending(name)
    return name[: len(name) - len(ending)] + ending


def as_path(pattern: str) -> str:
    """Return the path that a filled pattern is, apart from its wildcards."""
    return _ESCAPED.sub(r"\1", _EDGES.sub("", pattern))


def _shown(text: str) -> str:
    """Make names equal that look the same, as `as_shown` does; the edges of cells stay where they are.

    An accent that no letter is composed with is put between letters, so that it parts nothing.
    """
    if text.isascii():
        return text
    parts = re.split(f"({_EDGES.pattern})", text)
    shown = (part if _EDGES.match(part) else unicodedata.normalize("NFC", visible(part)) for part in parts)
    return "".join(f"x{letter}x" if _is_mark(letter) else letter for letter in "".join(shown))


def _is_mark(letter: str) -> bool:
    return unicodedata.category(letter).startswith("M")


def _is_word(letter: str) -> bool:
    return letter.isalnum() or (letter != "" and _is_mark(letter))
