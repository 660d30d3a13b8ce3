"""The audit: every scan is read in full before anything is trained, and all that is wrong is told at once."""

import json
import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from mri3d.cohort.cohort import Cohort, Subject, list_text, require_classes
from mri3d.errors import UserError
from mri3d.files import cache_folder, write_json
from mri3d.parallel import map_threads
from mri3d.scans.scan import canonical_digest, read_scan

log = logging.getLogger(__name__)

_VERSION = 1  # of what is remembered: one more when the reader begins to judge otherwise
_MAX_REMEMBERED = 100_000
_RACY_NS = 2_000_000_000  # a file this young may change again within the tick of its time stamp


@dataclass(frozen=True)
class Finding:
    """What reading a scan showed.

    Attributes:
        digest: SHA-256 of header and voxels; empty if the scan cannot be used.
        canonical: SHA-256 of the image turned to RAS+; equal for two files that hold the same image.
        oriented: Whether the scan says which way it points.
        warnings: What the reader says of it.
        problem: Why it cannot be used; empty if it can.
    """

    digest: str = ""
    canonical: str = ""
    oriented: bool = True
    warnings: tuple[str, ...] = ()
    problem: str = ""


def audit(cohort: Cohort, *, oriented: bool, skip_bad: bool) -> Cohort:
    """Read the scan of everybody who takes part, and settle who does.

    What was found of an unchanged file (path, size, time stamps, inode) is remembered in the cache folder.

    Args:
        cohort: As a source has read it.
        oriented: Whether a scan must say which way it points.
        skip_bad: Leave out scans that cannot be used instead of raising.

    Returns:
        The cohort with `digest` and `warnings` of those who take part, and `left_out` of those who do not.

    Raises:
        UserError: Scans cannot be used (all are counted, the first five named), or fewer than two classes are left.
    """
    present = [subject for subject in cohort.subjects if not subject.left_out and subject.scan and not subject.problem]
    findings = dict(zip((s.id for s in present), _findings([s.scan for s in present if s.scan]), strict=True))
    subjects = [_judged(subject, findings, oriented=oriented) for subject in cohort.subjects]
    copies = _copies(subjects, findings)
    subjects = [replace(s, problem=s.problem or copies.get(s.id, "")) for s in subjects]
    bad = [s for s in subjects if s.problem and not s.left_out]
    if bad:
        told = list_text([f"{s.id}: {s.problem}" for s in bad], "\n  ")
        count = f"{len(bad)} of {sum(not s.left_out for s in subjects)} scans cannot be used"
        if not skip_bad:
            raise UserError(f"{count}:\n  {told}\nMend them, or set data.skip_bad=true to leave them out.")
        log.warning("%s and are left out:\n  %s", count, told)
    strange = [f"{s.id}: {warning}" for s in subjects if not s.problem for warning in s.warnings]
    if strange:
        log.warning("%d warnings about scans:\n  %s", len(strange), list_text(strange, "\n  "))
    audited = Cohort(tuple(replace(s, left_out=s.left_out or s.problem) for s in subjects))
    if bad:
        require_classes(audited, "what data.skip_bad=true leaves")
    log.info("%s", audited.describe())
    return audited


def _judged(subject: Subject, findings: Mapping[str, Finding], *, oriented: bool) -> Subject:
    """Put down what reading the scan showed."""
    if subject.left_out or subject.problem:
        return subject
    if subject.scan is None:
        return replace(subject, problem="it has no scan")
    finding = findings[subject.id]
    problem = finding.problem
    if oriented and not finding.oriented and not problem:
        problem = (
            f"{subject.scan} does not say which way it points (sform and qform codes are 0): set its sform, or take "
            "all scans in their stored order by preprocess.orientation=stored"
        )
    return replace(subject, digest=finding.digest, warnings=finding.warnings, problem=problem)


def _copies(subjects: Iterable[Subject], findings: Mapping[str, Finding]) -> dict[str, str]:
    """Name subjects whose image another has too: the later ones, or all where the labels contradict each other."""
    same: dict[str, list[Subject]] = {}
    for subject in subjects:
        if not subject.left_out and not subject.problem:
            same.setdefault(findings[subject.id].canonical, []).append(subject)
    problems = {}
    for first, *others in same.values():
        contradiction = any(other.label != first.label for other in others)
        for subject in [first, *others] if contradiction else others:
            twin = next(other for other in [first, *others] if other is not subject)
            labels = f", with label {subject.label} here and {twin.label} there" if subject.label != twin.label else ""
            problems[subject.id] = f"{subject.scan} is the same image as {twin.scan} of {twin.id}{labels}"
    return problems


def _findings(paths: list[Path]) -> list[Finding]:
    """Read scans, except those that are known."""
    store = cache_folder() / "audit.json"
    known = _remembered(store)
    keys = [_key(path) for path in paths]
    new = list({key: path for key, path in zip(keys, paths, strict=True) if key not in known}.items())
    read = map_threads(lambda item: _read(item[1]), new, what="reading scans")
    fresh = {key: finding for (key, _), finding in zip(new, read, strict=True)}
    lasting = {key: finding for key, finding in fresh.items() if not finding.problem and not _is_racy(key)}
    if lasting:
        merged = _remembered(store) | lasting
        kept = dict(list(merged.items())[-_MAX_REMEMBERED:])
        try:
            write_json(store, {"version": _VERSION, "scans": {key: asdict(found) for key, found in kept.items()}})
        except OSError as error:
            log.warning("cannot remember what was read in %s: %s", store, error)
    found = known | fresh
    return [found[key] for key in keys]


def _read(path: Path) -> Finding:
    try:
        scan = read_scan(path)
    except UserError as error:
        return Finding(problem=str(error))
    return Finding(scan.digest, canonical_digest(scan), scan.oriented, scan.warnings)


def _key(path: Path) -> str:
    """Name the state of a file: writing to it, or putting another in its place, gives another name."""
    try:
        stat = path.stat()
    except OSError:
        return f"missing|{path}"
    return f"{path.absolute()}|{stat.st_size}|{stat.st_mtime_ns}|{stat.st_ctime_ns}|{stat.st_ino}"


def _is_racy(key: str) -> bool:
    times = [int(text) for text in key.split("|")[-3:-1]]
    return time.time_ns() - max(times) < _RACY_NS


def _remembered(store: Path) -> dict[str, Finding]:
    """Read what is remembered: nothing where the file is missing, damaged or of another version."""
    try:
        content = json.loads(store.read_text(encoding="utf-8"))
        if content["version"] != _VERSION:
            return {}
        return {
            key: Finding(**{**found, "warnings": tuple(found["warnings"])}) for key, found in content["scans"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
