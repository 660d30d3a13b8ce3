"""Brains found once, and kept in the cache folder: to find one takes seconds, to read it milliseconds.

A kept brain is named by the hash of its scan and of the version of what found it, and sealed by a hash of its bytes, so
that it is never stale, never another scan's, and found anew should it be damaged. It is written whole or not at all.
"""

import io
import logging
import weakref
from pathlib import Path

import numpy as np

from mri3d import files
from mri3d.brain.brain import VERSION, Brain
from mri3d.scans.scan import Scan, ScanError, canonical

log = logging.getLogger(__name__)

_DIGEST_LETTERS = 64
_DAMAGE = (OSError, ValueError, KeyError, EOFError, TypeError)
_known: "weakref.WeakKeyDictionary[Scan, Brain | str]" = weakref.WeakKeyDictionary()
"""A text where there is no brain: why."""


def brain_of(scan: Scan) -> Brain:
    """Return the brain of a scan, found now or before.

    Raises:
        ScanError: There is none, or it is none of a human, see `locate_brain` and `Brain.check`.
    """
    brain = found_in(scan)
    brain.check(scan)
    return brain


def found_in(scan: Scan) -> Brain:
    """Return what was found in a scan, now or before, whether or not it can be believed.

    Raises:
        ScanError: Nothing was, see `locate_brain`.
    """
    if scan not in _known:
        path = files.cache_folder() / "brains" / f"{files.digest_json([scan.digest, VERSION])}.npz"
        brain = _read(path, scan)
        if brain is None:
            from mri3d.brain.locating import locate_brain  # here: it imports torch

            try:
                brain = locate_brain(scan)
            except ScanError as error:
                _known[scan] = error.text
                raise
            _keep(path, brain)
        _known[scan] = brain
    if isinstance(found := _known[scan], str):
        raise ScanError(found)
    return found


def _read(path: Path, scan: Scan) -> Brain | None:
    """Read a brain; None where there is none, or only a damaged one."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    try:
        content, seal = data[:-_DIGEST_LETTERS], data[-_DIGEST_LETTERS:].decode()
        if _seal(path, content) != seal:
            raise ValueError("other bytes")
        with np.load(io.BytesIO(content), allow_pickle=False) as kept:
            sides = canonical(scan)[0].shape
            mask = np.unpackbits(kept["mask"], count=int(np.prod(sides))).reshape(sides).astype(bool)
            return Brain(mask, kept["to_scan"], bool(kept["stripped"]), *kept["figures"].tolist())
    except _DAMAGE:
        log.warning("%s is damaged; the brain is looked for again in %s", path, scan.path)
        return None


def _keep(path: Path, brain: Brain) -> None:
    """Write a brain; where that cannot be, it is looked for again next time."""
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        mask=np.packbits(brain.mask),
        to_scan=brain.to_scan,
        stripped=np.array(brain.stripped),
        figures=np.array(list(brain.figures.values())),
    )
    content = buffer.getvalue()
    try:
        files.write_bytes(path, content + _seal(path, content).encode())
    except OSError as error:
        log.warning("cannot write to %s: %s. Brains will be looked for again", path.parent, error.strerror)


def _seal(path: Path, content: bytes) -> str:
    return files.digest(path.name.encode(), content)
