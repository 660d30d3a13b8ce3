"""Globs: what has paths that fit one, links followed without going round in circles."""

import bisect
import fnmatch
import itertools
import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from glob import has_magic
from pathlib import Path

from mri3d.scans.folders import entries, image_ending, is_scan, look_into, pairs_once, walk, without_links
from mri3d.texts import visible

BEGIN, END = "\x01", "\x02"
"""In a glob: where a word begins or ends, so that a wildcard next to it does not go on with letters or digits."""

_EDGES = re.compile(f"[{BEGIN}{END}]")
_KEPT = re.compile(f"([{BEGIN}{END}\ud800-\udfff])")  # edges, and bytes of a name that are no text
_WILDCARD = re.compile(r"[*?[]")
_ESCAPED = re.compile(r"\[([*?[])\]")  # what `glob.escape` makes of a special character
_BRACKET = re.compile(rf"({_ESCAPED.pattern})|\[")


class Globs:
    """Finds what globs name, and lists each folder once for all of them.

    `*`, `?` and `[...]` are as in a shell: none begins a name with a dot. `**` stands for any number of folders, hidden
    ones excepted, and at the end for all beneath them. Links are followed unless they lead round; with `**` a folder
    is looked into once, without a link if that is possible. What is the name of a file or folder is no pattern there.
    Names are compared as they are shown, whatever composes their accents, and endings of images in any case.

    Attributes:
        again: Links to folders that `**` has reached without them.
    """

    def __init__(self) -> None:
        self.again: list[Path] = []
        self._entries: dict[Path, list[os.DirEntry[str]]] = {}
        self._names: dict[Path, list[tuple[str, str]]] = {}
        self._beneath: dict[Path, list[Path]] = {}

    def find(self, pattern: Path) -> list[Path]:
        """List what a glob names, files and folders of any name, and links that lead nowhere; sorted."""
        anchor = Path(pattern.anchor)
        parts = [*pattern.relative_to(anchor).parts]
        parts += ["*"] * (parts[-1:] == ["**"])
        once = [part for part, before in zip(parts, ["", *parts], strict=False) if part != "**" or before != "**"]
        return sorted(set(self._expand(anchor, once, set())))

    def _expand(self, folder: Path, parts: Sequence[str], seen: set[tuple[str, int]]) -> Iterator[Path]:
        """Yield what fits the parts of a glob beneath a folder.

        Args:
            folder: Where to begin.
            parts: Those that are left.
            seen: Where `**` has been looked for, and how many parts were left: links can lead there in endless ways.
        """
        if not parts:
            yield folder
        elif parts[0] == "**":
            if (place := (os.path.realpath(folder), len(parts))) not in seen:
                seen.add(place)
                for inner in self._folders_beneath(folder):
                    yield from self._expand(inner, parts[1:], seen)
            elif os.path.islink(folder):  # noqa: PTH114 (it never raises)
                self.again.append(folder)
        else:
            paths = [folder / name for name in self._match(folder, parts[0])]
            for path in sorted(paths, key=os.path.islink) if "**" in parts else paths:
                yield from self._expand(path, parts[1:], seen)

    def _folders_beneath(self, folder: Path) -> list[Path]:
        if folder not in self._beneath:
            found = walk(folder, self.again, lambda path: look_into(path, self._list_entries))
            self._beneath[folder] = [content.path for content in found]
        return self._beneath[folder]

    def _match(self, folder: Path, part: str) -> list[str]:
        """Match one level."""
        if os.path.lexists(folder / as_path(part)):
            return [as_path(part)]
        shown = as_compared(part)
        bracketed = _BRACKET.sub(lambda match: match[1] or "[[]", shown)  # likely to be meant where nothing else fits
        for tried in dict.fromkeys((shown, bracketed)):
            alike = (self._named_as(folder, text) for text in dict.fromkeys((tried, _with_small_ending(tried))))
            if names := list(dict.fromkeys(itertools.chain.from_iterable(alike))):
                return names
        return []

    def _named_as(self, folder: Path, part: str) -> Iterator[str]:
        """Yield the names that match; only those that begin as the pattern does are compared, for large folders."""
        names = self._list_names(folder)
        start = _WILDCARD.search(_ESCAPED.sub("___", part))
        prefix = as_path(part[: start.start()] if start else part)
        first = bisect.bisect_left(names, (prefix, ""))
        after = (names[number] for number in range(first, len(names)))
        begin_alike = itertools.takewhile(lambda pair: pair[0].startswith(prefix), after)
        regex = fnmatch.translate(part).replace(BEGIN, r"(?<![^\W_])").replace(END, r"(?![^\W_])")
        matches = re.compile(regex).match
        return (name for text, name in begin_alike if matches(text) and (prefix or not name.startswith(".")))

    def _list_names(self, folder: Path) -> list[tuple[str, str]]:
        """List a folder: each name as it is compared, and with its ending in small letters, and as it is; sorted."""
        if folder not in self._names:
            names = [entry.name for entry in self._list_entries(folder)]
            listed = {(as_compared(text), name) for name in names for text in (name, _with_small_ending(name))}
            self._names[folder] = sorted(listed)
        return self._names[folder]

    def _list_entries(self, folder: Path) -> "list[os.DirEntry[str]]":
        if folder not in self._entries:
            self._entries[folder] = entries(folder) if os.path.isdir(folder) else []  # noqa: PTH112 (any name)
        return self._entries[folder]


def is_glob(path: Path) -> bool:
    """Return whether a path has wildcards in more than names of what exists."""
    return any(has_magic(place.name) and not os.path.lexists(place) for place in (path, *path.parents))


def find_alike(pattern: Path) -> tuple[list[Path], list[Path]]:
    """Find the images that a glob names, as `Globs` does.

    Returns:
        The scans, in order, each once; and the images of other formats.
    """
    globs = Globs()
    images = [path for path in globs.find(pattern) if image_ending(path.name) and not path.is_dir()]
    scans = [path for path in images if is_scan(path.name)]
    scans = without_links(scans, globs.again)
    return pairs_once(sorted(scans, key=str)), [image for image in images if not is_scan(image.name)]


def as_path(pattern: str) -> str:
    """Return the path that a glob is, apart from its wildcards."""
    return _ESCAPED.sub(r"\1", _EDGES.sub("", pattern))


def without_edges(pattern: str) -> str:
    """Leave out where words begin and end."""
    return _EDGES.sub("", pattern)


def as_compared(text: str) -> str:
    """Make names equal that look the same: what cannot be seen is left out, accents are composed, edges stay.

    An accent that no letter is composed with is put between letters, so that it parts nothing.
    """
    if text.isascii():
        return text
    shown = (part if _KEPT.match(part) else unicodedata.normalize("NFC", visible(part)) for part in _KEPT.split(text))
    return "".join(f"x{letter}x" if is_accent(letter) else letter for letter in "".join(shown))


def is_accent(letter: str) -> bool:
    """Return whether a letter is a mark on the one before."""
    return unicodedata.category(letter).startswith("M")


def _with_small_ending(name: str) -> str:
    ending = image_ending(name)
    return name[: len(name) - len(ending)] + ending
