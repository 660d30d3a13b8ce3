"""What an audit has found in files, kept in the cache folder until the files change."""

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel

from mri3d.files import digest, write_bytes
from mri3d.scans import scan as reader
from mri3d.scans.scan import ScanError
from mri3d.scans.scan_file import ScanFile, paths_of

log = logging.getLogger(__name__)

State = tuple[int, ...]
Memory = dict[str, tuple[State, "Findings"]]
"""What is known of each file, by `name_of`."""

SETTLED_SECONDS = 2.0  # a file that changes twice within one tick of its disk's clock keeps its time

_DAMAGE = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)
_MAX_REMEMBERED = 200_000  # scans, about 60 MB


@dataclass(frozen=True)
class Findings:
    """What one reading of a scan's file tells.

    Attributes:
        digest: Of header and voxels; empty where the file cannot be read.
        voxels: `canonical_digest`.
        warnings: From reading.
        checks: The warnings of each check that the scan has passed, by the check's digest.
        facts: What it shows of how the scan was made, see `mri3d.cohort.noticed`.
        traits: `mri3d.scans.traits.Traits` of a scan that passes, as JSON has them.
        figures: What each check tells of how well a volume could be made of it, likewise.
        error: Why it cannot be read, or does not pass.
    """

    digest: str = ""
    voxels: str = ""
    warnings: tuple[str, ...] = ()
    checks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    traits: Mapping[str, Any] = field(default_factory=dict)
    figures: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    error: str = ""


_REMEMBERED = ("digest", "voxels", "warnings", "checks", "facts", "traits", "figures")


def name_of(file: ScanFile) -> str:
    """Name what is read, whatever the folder that the program was started in."""
    paths = [file] if isinstance(file, Path) else [file.path, file.mask]
    return " masked by ".join(str(path.absolute()) for path in paths)


def state_of(file: ScanFile) -> State:
    """Return size, times of change in ns, and inode of each file of a scan: what differs once one has been written to.

    Empty if one is missing.
    """
    try:
        stats = [path.stat() for path in paths_of(file)]
    except (OSError, ScanError):
        return ()
    return tuple(n for stat in stats for n in (stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino))


def is_settled(state: State) -> bool:
    """Return whether the file was old enough when it was read that a later change must show in its times."""
    newest = max((*state[0::4], *state[1::4]), default=0)
    return bool(state) and time.time() - newest / 1e9 > SETTLED_SECONDS


def recall(file: Path) -> Memory:
    """Read what was found before, by the reader as it is now."""
    try:
        content, _, seal = file.read_bytes().rpartition(b"\n")
        memory = json.loads(content) if digest(content).encode() == seal else {}
        if memory["reader"] != reader_digest():
            return {}
        return {
            path: (
                tuple(state),
                Findings(
                    *(digest, voxels, tuple(warnings), {key: tuple(told) for key, told in checks.items()}),
                    *(facts, traits, figures),
                ),
            )
            for path, (state, digest, voxels, warnings, checks, facts, traits, figures) in memory["scans"].items()
        }
    except _DAMAGE:  # none yet, or not ours: it can be made again
        return {}


def remember(file: Path, new: Memory) -> None:
    """Add to what is remembered, of which the oldest is forgotten."""
    scans = list((recall(file) | new).items())[-_MAX_REMEMBERED:]
    memory = {
        "reader": reader_digest(),
        "scans": {path: (state, *(getattr(found, name) for name in _REMEMBERED)) for path, (state, found) in scans},
    }
    try:
        content = json.dumps(memory).encode()
        write_bytes(file, content + b"\n" + digest(content).encode())
    except OSError as error:  # the scans have been read all the same
        log.warning("cannot write to %s: %s. The scans will be read again next time", file.parent, error.strerror)


def reader_digest() -> str:
    """Identify the reader by its source, so that nothing is remembered past a change of what it refuses."""
    return digest(*sources(reader.__file__), nibabel.__version__.encode())


def sources(file: str) -> list[bytes]:
    """Read the source of all that lies beside a file of Python, so that nothing that decides is forgotten."""
    return [source.read_bytes() for source in sorted(Path(file).parent.glob("*.py"))]
