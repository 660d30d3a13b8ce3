"""NiiVue, the JavaScript that shows volumes in a browser: taken from the installed nilearn, and known by its digest."""

import base64
import functools
import gzip
import hashlib
import importlib.metadata
import importlib.util
import re
from importlib.resources import files
from pathlib import Path

from mri3d.errors import UserError

NIIVUE_VERSION = "0.68.1"
NIIVUE_LICENCE = "BSD-2-Clause"

_NILEARN = "0.14.1"  # the version that has it
_SHA256 = "c40dc2679c337c906deef22e157ee02c17459db9b8ecc51aa773af27791a567c"
_PLACE = "_assets/js/niivue.umd.js"
_MODULE = re.compile(r'"AGFzbQ[A-Za-z0-9+/=]*"')  # a WebAssembly module in base64


def niivue_code(path: Path | None = None) -> str:
    """Read NiiVue, without the three WebAssembly modules that unpack Zarr: no page of ours lets them run.

    They are more than half of it.

    Args:
        path: The file; None for that of the installed nilearn.

    Raises:
        UserError: The file is missing or another one than was checked.
    """
    path = _installed() if path is None else path
    data = path.read_bytes() if path and path.is_file() else b""
    if hashlib.sha256(data).hexdigest() != _SHA256:
        raise UserError(
            f"the viewer shows scans with NiiVue {NIIVUE_VERSION}, as nilearn {_NILEARN} brings it, and "
            f"{path or 'nilearn'} {'is another file' if data else 'is missing'} (nilearn {_version()} is installed). "
            f"Install it: pip install nilearn=={_NILEARN}."
        )
    return _MODULE.sub('""', data.decode())


@functools.cache
def packed_niivue() -> str:
    """Gzip NiiVue and write it in base64; the same in every process."""
    return base64.b64encode(gzip.compress(niivue_code().encode(), 9, mtime=0)).decode()


@functools.cache
def niivue_licences() -> str:
    """Read the licences that a page with NiiVue has to show."""
    return (files("mri3d.report") / "niivue-licences.txt").read_text(encoding="utf-8")


def _installed() -> Path | None:
    """Find the file without importing nilearn, which takes a second."""
    package = importlib.util.find_spec("nilearn")
    folders = (package.submodule_search_locations if package else None) or []
    return next((Path(folder) / _PLACE for folder in folders), None)


def _version() -> str:
    """Return nilearn's version."""
    try:
        return importlib.metadata.version("nilearn")
    except importlib.metadata.PackageNotFoundError:
        return "none"
