"""The audit: every scan is read in full before anything is learnt, and all that is wrong is told at once."""

import dataclasses
import inspect
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from mri3d.cohort.audit_memory import Findings, Memory, is_settled, name_of, recall, remember, sources, state_of
from mri3d.cohort.cohort import Cohort, Session
from mri3d.cohort.noticed import facts_of
from mri3d.errors import UserError, option
from mri3d.files import cache_folder, digest
from mri3d.parallel import map_threads
from mri3d.scans.scan import Scan, ScanError, canonical_digest, scan_name
from mri3d.scans.scan_file import ScanFile, path_of, read_file
from mri3d.scans.traits import Traits, traits_of
from mri3d.texts import list_text, number_text

log = logging.getLogger(__name__)

_MAX_CHECKS = 20  # of each


class Check(Protocol):
    """What scans have to pass beside being read: the recipe."""

    @property
    def reading(self) -> str:
        """What is done while scans are read, for a progress bar."""

    def digest(self) -> str:
        """Hash what decides whether a scan passes."""

    def check(self, scan: Scan) -> None:
        """Raise a ScanError for a scan that no volume can be made of."""

    def warnings(self, scan: Scan) -> tuple[str, ...]:
        """List what a user should know about a scan that passes, one sentence each."""

    def figures(self, scan: Scan) -> Mapping[str, float]:
        """Return what tells how well a volume could be made of a scan, whether or not it passes."""

    def head_size_ml(self, scan: Scan) -> float | None:
        """Estimate the size of the head in a scan that passes; None where none is looked for."""


class BadScans(UserError):
    """Scans of a cohort cannot be used, and were not to be left out.

    Args:
        text: The message.
        sessions: Those whose scans they are, each with its `problem`.
        check: What they had to pass.
    """

    def __init__(self, text: str, sessions: Sequence[Session], check: Check) -> None:
        super().__init__(text, sessions, check)
        self.sessions, self.check = tuple(sessions), check


def audit(cohort: Cohort, check: Check, *, skip_bad: bool) -> Cohort:
    """Read every scan, try the recipe on it, and judge who can take part.

    What was found in a file is remembered in the cache folder until the file changes; then it is named.

    Args:
        cohort: As a source gave it.
        check: What scans have to pass: the recipe.
        skip_bad: Leave out what cannot be used instead of refusing the cohort.

    Returns:
        The cohort with digests and warnings; who cannot be used is left out, with the reason. An unlabelled session
        whose scan is bad never stops anyone.

    Raises:
        BadScans: Scans cannot be used and `skip_bad` is off.
    """
    key = _key(check)
    findings = _read_all([s.file for s in cohort.sessions if s.file is not None], check, key)
    sessions = [_judge(s, findings[s.file] if s.file else Findings(), key) for s in cohort.sessions]
    sessions = _judge_copies(sessions, findings)
    bad = [s for s in sessions if s.problem and not s.left_out]
    if bad:
        told = f"{len(bad)} of {number_text(len(cohort.ids), 'scan')} cannot be used"
        if not skip_bad:
            way_out = f"Mend them, or set {option('data.skip_bad', True)} to leave them out."
            raise BadScans(f"{told}:{_lines(bad)}\n{way_out}", bad, check)
        verb = "is" if len(bad) == 1 else "are"
        log.warning("%s and %s left out; cohort.csv lists all of them:%s", told, verb, UserError(_lines(bad)))
    if unlabelled := [s for s in sessions if s.problem and s.left_out]:
        told = number_text(len(unlabelled), "scan") + " without a label cannot be used either"
        log.warning("%s:%s", told, UserError(_lines(unlabelled)))
    if warned := [f"{s.id}: {'; '.join(s.warnings)}" for s in sessions if s.warnings]:
        log.warning("%s warnings:%s", number_text(len(warned), "scan", "has", "have"), _indented(warned))
    audited = dataclasses.replace(cohort, sessions=tuple(_leave_out(s) for s in sessions))
    log.info("cohort: %s", audited.describe())
    return audited


def _judge(session: Session, found: Findings, key: str) -> Session:
    """Write into a session what was found in its file."""
    return dataclasses.replace(
        session,
        problem=session.problem or found.error,
        digest=found.digest,
        voxels=found.voxels,
        warnings=(*found.warnings, *found.checks.get(key, ())),
        facts=found.facts,
        figures=found.figures.get(key, {}),
        traits=Traits.from_json(found.traits) if found.traits else None,
    )


def _judge_copies(sessions: Sequence[Session], findings: Mapping[ScanFile, Findings]) -> list[Session]:
    """Refuse scans that two sessions share: the later copy, or all where their labels differ."""
    copies: dict[str, list[Session]] = {}
    for session in sessions:
        if session.file and not session.problem and not session.left_out:
            copies.setdefault(findings[session.file].voxels, []).append(session)
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


def _read_all(files: Sequence[ScanFile], check: Check, key: str) -> dict[ScanFile, Findings]:
    """Find out about each file, by remembering or by reading it."""
    began = time.monotonic()
    memory = cache_folder() / "audit" / "scans.json"
    remembered = recall(memory)
    states = {file: state_of(file) for file in files}
    findings, unread, past = {}, [], {}
    for file, state in states.items():
        past_state, past[file] = remembered.get(name_of(file), ((), Findings()))
        if state and state == past_state and key in past[file].checks:
            findings[file] = past[file]
        else:
            unread.append(file)
    new: Memory = {}
    read = map_threads(lambda file: _read(file, check, key), unread, what=check.reading)
    for file, found in zip(unread, read, strict=True):
        findings[file] = found
        if not found.error and is_settled(states[file]) and states[file] == state_of(file):
            known = past[file].checks if past[file].digest == found.digest else {}
            checks = dict(list({**known, **found.checks}.items())[-_MAX_CHECKS:])
            facts = {**(past[file].facts if known else {}), **found.facts}
            figures = {key: told for key, told in {**past[file].figures, **found.figures}.items() if key in checks}
            found = dataclasses.replace(found, checks=checks, facts=facts, figures=figures)
            new[name_of(file)] = (states[file], found)
    if new:
        remember(memory, new)
    num_read, seconds = number_text(len(unread), "scan"), time.monotonic() - began
    log.info("audit: %s read in %.0f s, %d known", num_read, seconds, len(files) - len(unread))
    if changed := [str(file) for file in unread if past[file].digest not in ("", findings[file].digest)]:
        told = number_text(len(changed), "scan", "has changed since it was", "have changed since they were")
        log.warning("%s last read:%s", told, _indented(changed))
    return findings


def _read(file: ScanFile, check: Check, key: str) -> Findings:
    try:
        scan = read_file(file)
    except ScanError as error:
        return Findings(error=error.text)
    found = Findings(scan.digest, canonical_digest(scan), scan.warnings)
    try:
        check.check(scan)
    except ScanError as error:
        return dataclasses.replace(found, error=error.text, figures={key: check.figures(scan)})
    facts = facts_of(scan.data.shape, scan.spacing_mm, _file_type(path_of(file), scan), check.head_size_ml(scan))
    return dataclasses.replace(
        found,
        checks={key: check.warnings(scan)},
        facts=facts,
        traits=traits_of(scan).to_json(),
        figures={key: check.figures(scan)},
    )


def _file_type(path: Path, scan: Scan) -> str:
    """Write the ending of a scan's file and the data type of its voxels."""
    ending = path.name[len(scan_name(path)) :].lower()
    return f"{ending} {scan.stored}".strip()


def _key(check: Check) -> str:
    """Identify a check by what it is set to and by the source of its room; that of the scans has its own digest."""
    return digest(check.digest().encode(), *sources(inspect.getfile(type(check))))


def _lines(sessions: Sequence[Session]) -> str:
    """List the first sessions with their problems, one a line."""
    return _indented([f"{s.id}: {s.problem}" for s in sessions])


def _indented(lines: Sequence[str]) -> str:
    return "\n  " + list_text(lines, "\n  ")
