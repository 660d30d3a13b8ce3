"""Find scans on disk, and name them so that no two share a name."""

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
    found: dict[Path, None] = {}
    for place in places:
        paths = list(_scans_at(place))
        if not paths:
            raise UserError(f"scans={place}: no file that ends in {' or '.join(SCAN_ENDINGS)} is there.")
        found |= dict.fromkeys(paths)
    return list(found)


def unique_names(paths: Sequence[Path]) -> list[str]:
    """Name each scan by its file, with as much of its folders as makes it unique.

    Args:
        paths: Scans, no two the same.

    Returns:
        A name for each, fit for a file name. Scans that differ by their ending alone keep it.

    >>> unique_names([Path("/a/sub-1/T1.nii"), Path("/a/sub-2/T1.nii.gz"), Path("/a/x.nii")])
    ['sub-1_T1', 'sub-2_T1', 'x']
    """
    parts = [[*path.absolute().parts[1:-1], scan_name(path)] for path in paths]
    depths = [1] * len(paths)
    while True:
        names = ["_".join(part[-depth:]) for part, depth in zip(parts, depths, strict=True)]
        seen: dict[str, list[int]] = {}
        for number, name in enumerate(names):
            seen.setdefault(name, []).append(number)
        clashing = [number for numbers in seen.values() if len(numbers) > 1 for number in numbers]
        if not clashing:
            return names
        for number in clashing:
            if depths[number] < len(parts[number]):
                depths[number] += 1
            else:  # the whole path is the same up to the ending, or up to `_` where another has `/`
                parts[number][-1] = f"{paths[number].name}-{number + 1}"


def _scans_at(place: str) -> Iterator[Path]:
    path = Path(place).expanduser()
    if path.is_dir():
        bids = (path / "dataset_description.json").is_file()
        for file in sorted(path.rglob("*")):
            inside = file.relative_to(path)
            hidden = any(part.startswith(".") for part in inside.parts)
            other = bids and not (inside.parts[0].startswith("sub-") and scan_name(file).endswith("_T1w"))
            if file.name.endswith(SCAN_ENDINGS) and file.is_file() and not hidden and not other:
                yield file
    elif path.exists() or not has_magic(str(path)):
        yield path  # a single file is taken whatever its ending; if it is missing, reading it says so
    else:
        names = sorted(glob(str(path), recursive=True))  # noqa: PTH207 (Path.glob takes no absolute pattern)
        yield from (Path(name) for name in names if name.endswith(SCAN_ENDINGS))
