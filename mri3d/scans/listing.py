"""Find scans on disk, and name them so that no two share a name."""

import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from glob import glob, has_magic
from pathlib import Path

from mri3d.errors import UserError, option
from mri3d.files import what_is
from mri3d.scans.scan import SCAN_ENDINGS, scan_name

log = logging.getLogger(__name__)


def find_scans(places: Sequence[str], *, suffix: str = "T1w") -> list[Path]:
    """Find the scans that files, globs, folders and BIDS roots name, each once, in order.

    Args:
        places: A file is taken as it is. A folder is searched through; of a BIDS root, the images of its subjects that
            end in `suffix` are taken. Hidden files are left out.
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
    empty = []
    for place in map(str, places):
        if not place.strip():  # Path("") would be the current folder
            raise UserError("scans is empty. Give a file, a glob, a folder, a BIDS root, or a list of these.")
        path = Path(os.path.expanduser(place))  # noqa: PTH111 (Path's own fails where ~name is no user)
        scans = list(_scans_at(path, suffix))
        if not scans:
            empty.append(f"{option('scans', place)}: {_why_none(path, suffix)}")
        for scan in scans or [path]:
            found.setdefault(os.path.abspath(scan), scan)  # noqa: PTH100 (resolve would follow links)
    if len(empty) == len(places):
        raise UserError(" ".join(empty))
    for reason in empty:
        log.warning("%s", str(UserError(reason)))
    return list(found.values())


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


def _scans_at(path: Path, suffix: str) -> Iterator[Path]:
    """Yield the scans of one place, and what is named like one but cannot be read: reading it says so."""
    if path.is_dir():
        bids = _is_bids(path)
        for file in sorted(_files_beneath(path)):
            inside = file.relative_to(path)
            hidden = any(part.startswith(".") for part in inside.parts)
            other = bids and not (inside.parts[0].startswith("sub-") and scan_name(file).endswith(f"_{suffix}"))
            if file.name.endswith(SCAN_ENDINGS) and not (hidden or other or file.is_dir()):
                yield file
    elif path.is_file() or (path.name.endswith(SCAN_ENDINGS) and not has_magic(str(path))):
        yield path  # a single file is taken whatever its ending
    else:
        for name in sorted(glob(str(path), recursive=True)):  # noqa: PTH207 (Path.glob takes no absolute pattern)
            if name.endswith(SCAN_ENDINGS) and not Path(name).is_dir():
                yield Path(name)


def _files_beneath(folder: Path) -> Iterator[Path]:
    """Yield what lies in a folder and in those beneath it, and warn of a folder that cannot be looked into."""

    def warn(error: OSError) -> None:
        log.warning("%s cannot be searched: %s", error.filename, error.strerror)

    for root, _, names in os.walk(folder, onerror=warn):
        yield from (Path(root) / name for name in names)


def _why_none(path: Path, suffix: str) -> str:
    endings = " or ".join(SCAN_ENDINGS)
    if path.is_dir() and _is_bids(path):
        return f"this BIDS study has no image sub-*/**/*_{suffix} that ends in {endings}."
    if path.is_dir():
        return f"this folder holds no file that ends in {endings}."
    if has_magic(str(path)):
        return f"no file that ends in {endings} matches."
    return f"{path} {what_is(path)}. Give a file, a glob, a folder, a BIDS root, or a list of these."


def _is_bids(folder: Path) -> bool:
    return (folder / "dataset_description.json").is_file()
