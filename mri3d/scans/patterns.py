"""Globs: the images whose paths fit one, links followed without going round in circles."""

import fnmatch
import logging
import os
from collections.abc import Iterator, Sequence
from glob import has_magic
from pathlib import Path

from mri3d.scans.folders import image_ending, is_scan, pairs_once, search

log = logging.getLogger(__name__)


def is_glob(path: Path) -> bool:
    """Return whether a path has wildcards in more than names of what exists."""
    return any(has_magic(place.name) and not os.path.lexists(place) for place in (path, *path.parents))


def find_alike(pattern: Path) -> tuple[list[Path], list[Path]]:
    """Find the images that a glob names; a part of it that is the name of a file or folder is no pattern there.

    Args:
        pattern: With `*`, `?`, `[...]` as in a shell, and `**` for folders beneath folders. Endings match in any case.

    Returns:
        The scans, each once, in order; and the images of other formats.
    """
    anchor = Path(pattern.anchor)
    images = sorted(set(_expand(anchor, pattern.relative_to(anchor).parts)), key=str)
    scans = pairs_once(image for image in images if is_scan(image.name))
    return scans, [image for image in images if not is_scan(image.name)]


def _expand(folder: Path, parts: Sequence[str]) -> Iterator[Path]:
    """Yield the images beneath a folder that fit the parts of a glob."""
    if not parts:
        if image_ending(folder.name) and os.path.lexists(folder) and not folder.is_dir():
            yield folder
    elif parts[0] == "**":
        yield from _beneath(folder, parts)
    elif not has_magic(parts[0]) or os.path.lexists(folder / parts[0]):
        yield from _expand(folder / parts[0], parts[1:])
    else:
        names = _names(folder)
        literal = parts[0].replace("[", "[[]")  # where nothing fits, brackets are likely to be meant as they stand
        for name in [n for n in names if _fits(n, parts[0])] or [n for n in names if _fits(n, literal)]:
            yield from _expand(folder / name, parts[1:])


def _beneath(folder: Path, parts: Sequence[str]) -> Iterator[Path]:
    """Yield the images at any depth beneath a folder that fit."""

    def fits(image: Path) -> bool:
        return _path_fits(image.relative_to(folder).parts, parts)

    hidden = any(part.startswith(".") for part in parts)
    for images in search(folder, fits, hidden=hidden):
        yield from images


def _path_fits(names: Sequence[str], parts: Sequence[str]) -> bool:
    """Return whether the names of a path fit the parts of a glob, of which `**` stands for any number of folders."""
    if not parts:
        return not names
    if parts[0] == "**":
        deeper = bool(names) and not names[0].startswith(".") and _path_fits(names[1:], parts)
        return deeper or _path_fits(names, parts[1:])
    return bool(names) and (names[0] == parts[0] or _fits(names[0], parts[0])) and _path_fits(names[1:], parts[1:])


def _fits(name: str, part: str) -> bool:
    """Return whether a name fits one part of a glob; the ending of an image may be in capitals."""
    if name.startswith(".") and not part.startswith("."):
        return False
    ending = image_ending(name)
    return fnmatch.fnmatchcase(name, part) or fnmatch.fnmatchcase(name[: len(name) - len(ending)] + ending, part)


def _names(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        log.warning("%s cannot be searched: %s", folder, error.strerror)
        return []
