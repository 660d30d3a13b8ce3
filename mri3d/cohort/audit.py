"""The audit: every scan is read in full before anything is learnt, and all that is wrong is told at once."""

import dataclasses
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel

from mri3d.cohort.cohort import Cohort, Session
from mri3d.errors import UserError, option
from mri3d.files import cache_folder, digest, write_bytes
from mri3d.parallel import map_threads
from mri3d.scans import head
from mri3d.scans import scan as reader
from mri3d.scans.scan import ScanError, canonical_digest, read_scan
from mri3d.texts import list_text

log = logging.getLogger(__name__)

_State = tuple[int, ...]
_Memory = dict[str, tuple[_State, "_Findings"]]  # by absolute path

_MAX_REMEMBERED = 200_000  # scans, about 60 MB
_SETTLED_SECONDS = 2.0  # a file that changes twice within one tick of its disk's clock keeps its time


@dataclass(frozen=True)
class _Findings:
    """What one reading of a scan's file tells."""

    digest: str = ""
    voxels: str = ""  # `canonical_digest`
    oriented: bool = False
    warnings: tuple[str, ...] = ()
    error: str = ""


def audit(cohort: Cohort, *, oriented: bool, skip_bad: bool) -> Cohort:
    """Read every scan, and judge who can take part.

    What was found in a file is remembered in the cache folder until the file changes.

    Args:
        cohort: As a source gave it.
        oriented: Whether scans must say which way their axes point.
        skip_bad: Leave out what cannot be used instead of refusing the cohort.

    Returns:
        The cohort with digests and warnings; who cannot be used is left out, with the reason. An unlabelled session
        whose scan is bad never stops anyone.

    Raises:
        UserError: Scans cannot be used and `skip_bad` is off.
    """
    findings = _read_all([s.scan for s in cohort.sessions if s.scan is not None])
    sessions = [_judge(s, findings[s.scan] if s.scan else _Findings(), oriented) for s in cohort.sessions]
    sessions = _judge_copies(sessions, findings)
    bad = [s for s in sessions if s.problem and not s.left_out]
    if bad:
        told = f"{len(bad)} of {len(cohort.ids)} scans cannot be used"
        if not skip_bad:
            way_out = f"Mend them, or set {option('data.skip_bad', True)} to leave them out."
            raise UserError(f"{told}:{_lines(bad)}\n{way_out}")
        log.warning("%s and are left out; cohort.csv lists all of them:%s", told, str(UserError(_lines(bad))))
    if unlabelled := [s for s in sessions if s.problem and s.left_out]:
        lines = str(UserError(_lines(unlabelled)))
        log.warning("%d scans without a label cannot be used either:%s", len(unlabelled), lines)
    if warned := [f"{s.id}: {'; '.join(s.warnings)}" for s in sessions if s.warnings]:
        log.warning("%d scans have warnings:%s", len(warned), _indented(warned))
    audited = dataclasses.replace(cohort, sessions=tuple(_leave_out(s) for s in sessions))
    log.info("cohort: %s", audited.describe())
    return audited


def _judge(session: Session, found: _Findings, oriented: bool) -> Session:
    """Write into a session what was found in its file."""
    problem = session.problem or found.error
    if not problem and session.scan and oriented and not found.oriented:
        problem = (
            f"{session.scan} does not say which way its axes point (neither sform nor qform is set). Set it in the "
            f"file, or keep the stored order: {option('preprocess.orientation', 'stored')}"
        )
    return dataclasses.replace(session, problem=problem, digest=found.digest, warnings=found.warnings)


def _judge_copies(sessions: Sequence[Session], findings: Mapping[Path, _Findings]) -> list[Session]:
    """Refuse scans that two sessions share: the later copy, or all where their labels differ."""
    copies: dict[str, list[Session]] = {}
    for session in sessions:
        if session.scan and not session.problem and not session.left_out:
            copies.setdefault(findings[session.scan].voxels, []).append(session)
    problems = {}
    for first, *others in copies.values():
        labels = sorted({s.label or "" for s in (first, *others)})
        note = f", but their labels differ ({', '.join(labels)})" if len(labels) > 1 else ""
        for session in others:
            problems[session.id] = f"{session.scan} holds the same voxels as {first.scan} of {first.id}{note}"
        if note:
            problems[first.id] = f"{first.scan} holds the same voxels as {others[0].scan} of {others[0].id}{note}"
    return [dataclasses.replace(s, problem=s.problem or problems.get(s.id, "")) for s in sessions]


def _leave_out(session: Session) -> Session:
    """Turn a problem into the reason for which a session takes no part."""
    if not session.problem:
        return session
    reason = f"{session.left_out}; {session.problem}" if session.left_out else session.problem
    return dataclasses.replace(session, left_out=str(UserError(reason)), problem="")  # options by their plain names


def _read_all(paths: Sequence[Path]) -> dict[Path, _Findings]:
    """Find out about each file, by remembering or by reading it."""
    began = time.monotonic()
    file = cache_folder() / "audit" / "scans.json"
    remembered = _recall(file)
    states = {path: _state(path) for path in paths}
    findings, unread = {}, []
    for path, state in states.items():
        past_state, past_findings = remembered.get(str(path.absolute()), ((), _Findings()))
        if state and state == past_state:
            findings[path] = past_findings
        else:
            unread.append(path)
    new: _Memory = {}
    for path, found in zip(unread, map_threads(_read, unread, what="reading scans"), strict=True):
        findings[path] = found
        if not found.error and _is_settled(states[path]) and states[path] == _state(path):
            new[str(path.absolute())] = (states[path], found)
    if new:
        _remember(file, new)
    log.info(
        "audit: %d scans read in %.0f s, %d known", len(unread), time.monotonic() - began, len(paths) - len(unread)
    )
    return findings


def _read(path: Path) -> _Findings:
    try:
        scan = read_scan(path)
    except ScanError as error:
        return _Findings(error=error.text)
    return _Findings(scan.digest, canonical_digest(scan), scan.oriented, scan.warnings)


def _state(path: Path) -> _State:
    """Return size, times of change in ns, and inode: what differs once a file has been written to; empty if missing."""
    try:
        stat = path.stat()
    except OSError:
        return ()
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino


def _is_settled(state: _State) -> bool:
    """Return whether the file was old enough when it was read that a later change must show in its times."""
    return bool(state) and time.time() - max(state[1:3]) / 1e9 > _SETTLED_SECONDS


def _recall(file: Path) -> _Memory:
    """Read what was found before, by the reader as it is now."""
    try:
        memory = json.loads(file.read_bytes())
        if memory["reader"] != _reader_digest():
            return {}
        return {
            path: (tuple(state), _Findings(warnings=tuple(warnings), **found))
            for path, (state, warnings, found) in memory["scans"].items()
        }
    except (OSError, ValueError, KeyError, TypeError):  # none yet, or not ours: it can be made again
        return {}


def _remember(file: Path, new: _Memory) -> None:
    """Add to what is remembered, of which the oldest is forgotten."""
    scans = list((_recall(file) | new).items())[-_MAX_REMEMBERED:]
    memory = {
        "reader": _reader_digest(),
        "scans": {
            path: (state, found.warnings, {"digest": found.digest, "voxels": found.voxels, "oriented": found.oriented})
            for path, (state, found) in scans
        },
    }
    try:
        write_bytes(file, json.dumps(memory).encode())
    except OSError as error:  # the scans have been read all the same
        log.warning("cannot write to %s: %s. The scans will be read again next time", file.parent, error.strerror)


def _reader_digest() -> str:
    """Identify the reader by its source, so that nothing is remembered past a change of what it refuses."""
    return digest(Path(reader.__file__).read_bytes(), Path(head.__file__).read_bytes(), nibabel.__version__.encode())


def _lines(sessions: Sequence[Session]) -> str:
    """List the first sessions with their problems, one a line."""
    return _indented([f"{s.id}: {s.problem}" for s in sessions])


def _indented(lines: Sequence[str]) -> str:
    return "\n  " + list_text(lines, "\n  ")
