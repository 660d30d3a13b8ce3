"""DICOM files and folders, made into scans by dcm2niix, which has to be installed."""

import itertools
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from mri3d.errors import UserError
from mri3d.files import expanded
from mri3d.scans.folders import is_scan
from mri3d.texts import number_text

log = logging.getLogger(__name__)

DCM2NIIX = "dcm2niix"
MAX_SECONDS = 3600
_MARK_AT, _MARK = 128, b"DICM"
_LOOKED_AT = 100  # files of a folder: the DICOMDIR, notes and previews are few
_MENDED = re.compile(r"(_Eq|_Tilt)_\d+$")  # written beside the image with unequal gaps, or a tilted gantry


def is_dicom(path: Path) -> bool:
    """Return whether a path is a DICOM file, or a folder with one among the first files in it and beneath."""
    return any(map(_has_mark, itertools.islice(_files(Path(path)), _LOOKED_AT)))


def convert_dicom(source: Path, out: Path) -> list[Path]:
    """Convert DICOM images to NIfTI.

    Args:
        source: A folder, searched through with those beneath it, or a file, whose series is taken.
        out: Folder for the scans, such as a temporary one; made if need be.

    Returns:
        A `.nii` file for each series, in order of their names: the folder's name and the series number. Not all need
        be heads; what is no 3D image is refused when it is read.

    Raises:
        UserError: dcm2niix is not installed, or makes nothing of them.
    """
    beside = str(Path(sys.executable).parent)  # where pip puts it, also if that environment is not activated
    program = shutil.which(DCM2NIIX) or shutil.which(DCM2NIIX, path=beside)
    if program is None:
        raise UserError(
            f"{source} is DICOM, which {DCM2NIIX} converts, and it is not installed. Install it: apt-get install "
            f"{DCM2NIIX}, or pip install {DCM2NIIX}"
        )
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".dicom-") as folder:
        told = _run(program, source, Path(folder))
        made = _best(sorted(Path(folder).glob("*.nii")))
        if not made:
            raise UserError(f"{source} gives no image: {DCM2NIIX} says {told!r}. Try it by: {DCM2NIIX} -o . {source}")
        return [path.replace(out / path.name) for path in made]


def convert_places(places: Sequence[str], out: Path) -> list[str]:
    """Put the scans made of them in the place of DICOM files and folders that hold no scan.

    Args:
        places: What `mri3d.scans.listing.find_scans` takes.
        out: Folder for the scans, such as a temporary one.

    Raises:
        UserError: dcm2niix is missing, or converts nothing.
    """
    found: list[str] = []
    for number, place in enumerate(map(str, places)):
        path = Path(expanded(place))
        if place.strip() and path.exists() and is_dicom(path) and not _holds_scans(path):
            scans = convert_dicom(path, out / str(number))
            log.info("%s: %s converted from DICOM", place, number_text(len(scans), "scan"))
            found += map(str, scans)
        else:
            found.append(place)
    return found


def _holds_scans(path: Path) -> bool:
    return path.is_dir() and any(is_scan(file.name) for file in _files(path))


def _run(program: str, source: Path, out: Path) -> str:
    """Run dcm2niix; return the last line that it said, which is also logged where something failed."""
    options = ["-b", "n", "-z", "n", "-d", "9", "-f", "%f_%s", "-o", os.path.abspath(out)]  # noqa: PTH100
    try:
        done = subprocess.run(
            [program, *options, os.path.abspath(source)],  # noqa: PTH100 (a name may begin with a dash)
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=MAX_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise UserError(f"{source}: {DCM2NIIX} has not ended within an hour. Convert the folder by itself.") from error
    except OSError as error:
        raise UserError(f"{program} cannot be run: {error.strerror}. Install {DCM2NIIX} anew.") from error
    lines = [line.strip() for line in done.stdout.decode(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("Error")]
    told = (errors or lines or ["nothing"])[-1]
    if done.returncode:
        log.warning("%s: %s ended with status %d: %s", source, DCM2NIIX, done.returncode, told)
    return told


def _best(paths: list[Path]) -> list[Path]:
    """Leave out images of which a mended one lies beside them."""
    mended = {path.with_name(_MENDED.sub("", path.stem) + path.suffix) for path in paths if _MENDED.search(path.stem)}
    return [path for path in paths if path not in mended]


def _files(path: Path) -> Iterator[Path]:
    """Yield a file, or those in a folder and beneath it, in order, but for hidden ones."""
    if not path.is_dir():
        yield path
        return
    for root, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(root) / name for name in sorted(names) if not name.startswith("."))


def _has_mark(path: Path) -> bool:
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(_MARK_AT + len(_MARK))[_MARK_AT:] == _MARK
    except OSError:
        return False
