"""Find scans on disk, and name them so that no two share a name."""

import logging
import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from mri3d.errors import UserError, option
from mri3d.files import expanded, what_is
from mri3d.scans.folders import is_of_kind, is_scan, look_into, not_read_text, pairs_once, search, without_links
from mri3d.scans.formats import SCAN_ENDINGS, scan_name
from mri3d.scans.patterns import find_alike, is_glob
from mri3d.scans.scan_file import ScanFile, path_of

log = logging.getLogger(__name__)


def find_scans(places: Sequence[str], *, suffix: str = "T1w") -> list[Path]:
    """Find the scans that files, globs, folders and BIDS roots name, each file once, in order.

    Args:
        places: What exists is never a glob, whatever its name. A file is taken as it is. A folder is searched through,
            and where links in it lead; of a BIDS root, the images of its subjects that end in `suffix` are taken.
            Hidden files are left out. Images of formats that are not read are counted in a warning.
        suffix: Kind of scan, as names in BIDS end: T1w, T2w, FLAIR.

    Returns:
        The scans. Of several places, one that holds no scan is named in a warning and stands among them itself:
        reading it is refused with the reason.

    Raises:
        UserError: No place holds a scan.
    """
    if not places:
        raise UserError(
            f"{option('scans')} names nothing. Give a file, a glob, a folder, a BIDS root, or a list of these."
        )
    found: dict[str, Path] = {}
    empty, passed_over = [], list[Path]()
    for place in map(str, places):
        if not place.strip():  # Path("") would be the current folder
            raise UserError("scans is empty. Give a file, a glob, a folder, a BIDS root, or a list of these.")
        path = Path(expanded(place))
        scans, others = _look_at(path, suffix)
        if scans:
            passed_over += others
        else:
            empty.append(f"{option('scans', place)}: {_why_none(path, suffix)} {not_read_text(others)}".rstrip())
        for scan in scans or [path]:
            found.setdefault(os.path.abspath(scan), scan)  # noqa: PTH100 (resolve would follow links)
    if len(empty) == len(places):
        raise UserError(" ".join(empty))
    for reason in empty:
        log.warning("%s", UserError(reason))
    if passed_over:
        log.warning("%s", not_read_text(passed_over))
    once = {*without_links(found.values(), [])}
    return pairs_once(scan for scan in found.values() if scan in once)


def unique_names(paths: Sequence[Path]) -> list[str]:
    """Name each scan by its file, with as much of its folders as makes it unique.

    Args:
        paths: Scans, no two the same.

    Returns:
        A name for each, fit for a file name. Scans that differ by their ending alone keep it.

    >>> unique_names([Path("/a/sub-1/T1.nii"), Path("/a/sub-2/T1.nii.gz"), Path("/a/x.nii")])
    ['sub-1_T1', 'sub-2_T1', 'x']
    """
    places = [path.absolute() for path in paths]
    stems = Counter(place.parent / scan_name(place) for place in places)
    parts = [
        [*place.parts[1:-1], place.name if stems[place.parent / scan_name(place)] > 1 else scan_name(place)]
        for place in places
    ]
    depths = [1] * len(paths)
    while True:
        names = ["_".join(part[-depth:]) for part, depth in zip(parts, depths, strict=True)]
        same: dict[str, list[int]] = {}
        for number, name in enumerate(names):
            same.setdefault(name, []).append(number)
        if len(same) == len(names):
            return names
        for numbers in same.values():
            if len(numbers) == 1:
                continue
            with_more = [number for number in numbers if depths[number] < len(parts[number])]
            for number in with_more or numbers:
                if with_more:
                    depths[number] += 1
                else:  # whole paths that are the same but for `_` where another has `/`
                    parts[number][-1] = f"{scan_name(places[number])}-{number + 1}"


def scan_by_scan(files: Sequence[ScanFile], step: Callable[[str, ScanFile], str | None]) -> dict[str, str]:
    """Do something with one scan after the other: a bad one never stops the others.

    Args:
        files: Of the scans.
        step: Takes the name of a scan and its file; returns why nothing could be done with it, if so.

    Returns:
        Name to that reason.
    """
    problems = {}
    names = unique_names([path_of(file) for file in files])
    for count, (name, file) in enumerate(zip(names, files, strict=True), start=1):
        if problem := step(name, file):
            problems[name] = problem
            log.warning("%s: %s", name, problem)
        log.info("%d of %d: %s", count, len(files), name)
    return problems


def _look_at(path: Path, suffix: str) -> tuple[list[Path], list[Path]]:
    """List the scans of one place, with what is named like one but cannot be read; and other formats' images."""
    if path.is_dir():
        if _is_bids(path):
            return search(path, lambda image: is_of_kind(image.name, suffix), start="sub-")
        return search(path)
    if path.is_file() or (is_scan(path.name) and not is_glob(path)):
        return [path], []  # a single file is taken whatever its ending
    return find_alike(path)


def _why_none(path: Path, suffix: str) -> str:
    ends = f"ends in {' or '.join(SCAN_ENDINGS[:2])}"
    nor = f"nor one in {', '.join(SCAN_ENDINGS[2:])}"
    if path.is_dir() and _is_bids(path):
        return f"this BIDS study has no image sub-*/**/*_{suffix} that {ends}, {nor}."
    if path.is_dir():
        return f"this folder holds no file that {ends}, {nor}."
    if is_glob(path):
        return f"no file that {ends} matches, {nor}."
    return f"{path} {what_is(path)}. Give a file, a glob, a folder, a BIDS root, or a list of these."


def _is_bids(folder: Path) -> bool:
    """Return whether a folder is a BIDS root, by its description, or else by its table and subjects."""
    if (folder / "dataset_description.json").is_file():
        return True
    table = (folder / "participants.tsv").is_file()
    return table and any(inner.name.startswith("sub-") for inner in look_into(folder).folders)
