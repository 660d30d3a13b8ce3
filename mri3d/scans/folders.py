"""What lies in folders: scans, images of formats that are not read, links to follow; nothing that is hidden."""

import logging
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mri3d.scans.formats import HEADER_ENDINGS, SCAN_ENDINGS, scan_name
from mri3d.texts import list_text, number_text

log = logging.getLogger(__name__)

_SCANS = (*SCAN_ENDINGS, *HEADER_ENDINGS)
_OTHER_FORMATS = (
    *(image + packed for image in (".nii", ".img") for packed in (".bz2", ".xz", ".zst", ".lz4", ".zip", ".7z")),
    *(".dcm", ".dicom", ".ima", ".par", ".rec"),  # as scanners write them
    *(".nrrd", ".nhdr", ".mha", ".mhd", ".mnc", ".mnc.gz", ".mif", ".mif.gz", ".gipl", ".gipl.gz"),
    *(".head", ".brik", ".brik.gz"),
)
_IMAGE_ENDINGS = tuple(sorted({*_SCANS, *_OTHER_FORMATS}, key=len, reverse=True))


@dataclass(frozen=True)
class Folder:
    """What is visible in one folder, in order.

    Attributes:
        path: Where it is.
        folders: Those in it, and links to folders.
        scans: What is named like a scan and is no folder, whether or not it can be read; of a pair of files one.
        others: Images of formats that are not read.
        links: Those of `folders` that are links.
    """

    path: Path
    folders: tuple[Path, ...] = ()
    scans: tuple[Path, ...] = ()
    others: tuple[Path, ...] = ()
    links: frozenset[Path] = frozenset()

    def beginning(self, start: str) -> "Folder":
        """Keep what has a name that begins so."""

        def kept(paths: Sequence[Path]) -> tuple[Path, ...]:
            return tuple(path for path in paths if path.name.startswith(start))

        return Folder(self.path, kept(self.folders), kept(self.scans), kept(self.others), self.links)


def entries(folder: Path) -> "list[os.DirEntry[str]]":
    """List a folder, hidden files too; one that cannot be listed is named in a warning, and taken for empty."""
    try:
        with os.scandir(folder) as listed:
            return list(listed)
    except OSError as error:
        log.warning("%s cannot be searched: %s", folder, error.strerror)
        return []


def look_into(folder: Path, list_entries: "Callable[[Path], list[os.DirEntry[str]]]" = entries) -> Folder:
    """Sort what is visible in a folder."""
    folders, scans, others, links = [], [], [], set()
    for entry in list_entries(folder):
        if entry.name.startswith("."):
            continue
        path = folder / entry.name
        if _is_folder(entry):
            folders.append(path)
            if entry.is_symlink():
                links.add(path)
        elif is_scan(entry.name):
            scans.append(path)
        elif image_ending(entry.name):
            others.append(path)
    scans = pairs_once(sorted(scans))
    return Folder(folder, tuple(sorted(folders)), tuple(scans), tuple(sorted(others)), frozenset(links))


def search(
    folder: Path, wanted: Callable[[Path], bool] = lambda path: True, *, start: str = ""
) -> tuple[list[Path], list[Path]]:
    """Search through a folder and all beneath it, also where links lead, without going round in circles.

    A scan that lies beneath the folder is found as the file that it is, and links to it are named in a warning.

    Args:
        folder: Where to begin.
        wanted: Which images to find.
        start: How the names of those directly in it must begin; others are not looked into.

    Returns:
        The scans, each once, in order; and the images of other formats.
    """
    again = list[Path]()
    found = list(walk(folder, again, lambda path: look_into(path).beginning(start if path == folder else "")))
    scans = filter(wanted, (scan for content in found for scan in content.scans))
    return sorted(without_links(scans, again)), [image for content in found for image in filter(wanted, content.others)]


def walk(folder: Path, again: list[Path], look: Callable[[Path], Folder] = look_into) -> Iterator[Folder]:
    """Yield a folder and all that are visible beneath it, each once: first what needs no link, then where links lead.

    Args:
        folder: Where to begin.
        again: Takes up the links to folders that have been reached already; those that lead round are none of them.
        look: Lists a folder.
    """
    home = os.path.realpath(folder)
    folders, links, seen = deque([(folder, home)]), deque[Path](), set[str]()
    while folders or links:
        if folders:
            path, place = folders.popleft()
        else:
            path = links.popleft()
            place = os.path.realpath(path)
            if _is_beneath(home, place) or _is_beneath(os.path.realpath(path.parent), place):
                continue  # a circle
            if place in seen:
                again.append(path)
        if place in seen:
            continue
        seen.add(place)
        content = look(path)
        yield content
        for inner in content.folders:
            if inner in content.links:
                links.append(inner)
            else:
                folders.append((inner, os.path.join(place, inner.name)))  # noqa: PTH118 (compared as text)


def ways_to_files(paths: Iterable[Path]) -> dict[str, list[Path]]:
    """Return for each file, by where it truly lies, the paths that lead to it: first that with the fewest links.

    A link that leads nowhere is a file by itself.
    """
    num_links, real = dict[Path, int](), cache(os.path.realpath)

    def count_links(path: Path) -> int:
        if path not in num_links:
            num_links[path] = os.path.islink(path) + (count_links(path.parent) if path.parent != path else 0)  # noqa: PTH114
        return num_links[path]

    ways: dict[str, list[Path]] = {}
    for path in sorted(paths, key=lambda path: (count_links(path), path)):
        if count_links(path) > count_links(path.parent) and os.path.exists(path):  # noqa: PTH110 (it never raises)
            place = os.path.realpath(path)
        else:
            place = os.path.join(real(path.parent), path.name)  # noqa: PTH118 (compared as text)
        ways.setdefault(place, []).append(path)
    return ways


def without_links(scans: Iterable[Path], again: Sequence[Path]) -> list[Path]:
    """Leave out links to scans that are listed, and name them in a warning.

    Args:
        scans: Paths, of which several may lead to one file.
        again: Links to folders that were not looked into, as they had been reached already.
    """
    found = ways_to_files(scans)
    needless = [_last_link(path) for _, *others in found.values() for path in others]
    for link in again:
        lead_to = os.path.realpath(link)
        if any(_is_beneath(place, lead_to) and link not in ways[0].parents for place, ways in found.items()):
            needless.append(link)
    if needless := list(dict.fromkeys(needless)):
        listed = list_text([str(path) for path in needless], ", ")
        log.warning("%s to scans that are listed already: %s", number_text(len(needless), "link"), listed)
    return [first for first, *_ in found.values()]


def is_scan(name: str) -> bool:
    """Return whether a file is named like one that can be read."""
    return name.lower().endswith(_SCANS)


def image_ending(name: str) -> str:
    """Return the ending by which a file's name is that of an image, in small letters; empty for another file.

    >>> image_ending("T1.NII.gz"), image_ending("T1.nii.bz2"), image_ending("T1.json")
    ('.nii.gz', '.nii.bz2', '')
    """
    lower = name.lower()
    if not lower.endswith(_IMAGE_ENDINGS):  # most are not, and this is quick
        return ""
    return next(ending for ending in _IMAGE_ENDINGS if lower.endswith(ending))


def is_of_kind(name: str, suffix: str) -> bool:
    """Return whether an image is named as a kind of scan in BIDS.

    >>> is_of_kind("sub-1_T1w.NRRD", "T1w"), is_of_kind("sub-1_desc-T1w_mask.nii", "T1w")
    (True, False)
    """
    return name[: len(name) - len(image_ending(name))].endswith(f"_{suffix}")


def pairs_once(scans: Iterable[Path]) -> list[Path]:
    """Leave out the header of each pair of files (`.hdr`) of which the image (`.img`) is there."""
    scans = list(scans)
    headers = {scan for scan in scans if scan.name.lower().endswith(HEADER_ENDINGS)}
    if not headers:
        return scans
    images = {scan.parent / scan_name(scan) for scan in scans if ".img" in image_ending(scan.name)}
    return [scan for scan in scans if scan not in headers or scan.parent / scan_name(scan) not in images]


def not_read_text(images: Sequence[Path]) -> str:
    """Count by ending the images that are passed over, as a sentence.

    >>> not_read_text([Path("a.nrrd"), Path("b.NRRD"), Path("c.mha")])
    '2 .nrrd, 1 .mha files are not read, such as a.nrrd. Convert them to .nii.gz.'
    """
    if not images:
        return ""
    counts = Counter(image_ending(image.name) for image in images).most_common()
    text = list_text([f"{count} {ending}" for ending, count in counts], ", ", most=len(counts))
    if len(images) == 1:
        return f"{text} file is not read: {images[0]}. Convert it to .nii.gz."
    return f"{text} files are not read, such as {images[0]}. Convert them to .nii.gz."


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _last_link(path: Path) -> Path:
    """Return the part of a path, up to where it is a link; the path itself where none is."""
    return next((place for place in (path, *path.parents) if os.path.islink(place)), path)  # noqa: PTH114


def _is_beneath(path: str, folder: str) -> bool:
    """Return whether a path is a folder or lies beneath it; both are real paths."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
