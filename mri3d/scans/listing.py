"""Find scans on disk, and name them so that no two share a name."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from glob import glob, has_magic
from pathlib import Path

from mri3d.errors import UserError
from mri3d.scans.scan import SCAN_ENDINGS, scan_name


def find_scans(places: Sequence[str]) -> list[Path]:
    """Find the scans that files, globs, folders and BIDS roots name, each once, in order.

    Args:
        places: A file is taken as it is. A folder is searched through; of a BIDS root, the T1w images of its subjects
            are taken. Hidden files are left out.

    Raises:
        UserError: A place that holds no scan.
    """
    if not places:
        raise UserError("scans names nothing. Give a file, a glob, a folder, a BIDS root, or a list of these.")
    found: dict[str, Path] = {}
    for place in places:
        paths = list(_scans_at(place))
        if not paths:
            raise UserError(f"scans={place}: no file that ends in {' or '.join(SCAN_ENDINGS)} is there.")
        for path in paths:
            found.setdefault(os.path.abspath(path), path)  # noqa: PTH100 (resolve would follow links)
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


def _scans_at(place: str) -> Iterator[Path]:
    path = Path(os.path.expanduser(place))  # noqa: PTH111 (Path's own fails where ~name is no user)
    if path.is_dir():
        bids = (path / "dataset_description.json").is_file()
        for file in sorted(path.rglob("*")):
            inside = file.relative_to(path)
            hidden = any(part.startswith(".") for part in inside.parts)
            other = bids and not (inside.parts[0].startswith("sub-") and scan_name(file).endswith("_T1w"))
            if file.name.endswith(SCAN_ENDINGS) and file.is_file() and not hidden and not other:
                yield file
    elif path.is_file() or (path.name.endswith(SCAN_ENDINGS) and not has_magic(str(path))):
        yield path  # a single file is taken whatever its ending; if it is no file at all, reading it says so
    else:
        for name in sorted(glob(str(path), recursive=True)):  # noqa: PTH207 (Path.glob takes no absolute pattern)
            if name.endswith(SCAN_ENDINGS) and Path(name).is_file():
                yield Path(name)
