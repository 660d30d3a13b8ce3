"""Cohorts from a BIDS tree: a walk over its folders and the entities in the names of its files."""

import logging
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mri3d.arguments import check_fields
from mri3d.cohort.cohort import Cohort, Session
from mri3d.cohort.text_table import as_shown, contents, find_root
from mri3d.cohort.visits import Visit, Visits, number_of, read_visits, same_session
from mri3d.errors import UserError, option
from mri3d.scans.folders import is_of_kind, look_into, not_read_text
from mri3d.scans.scan import scan_name
from mri3d.texts import as_list, list_text, number_text

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Scan:
    """The files of one name (`.nii`, `.nii.gz` or several endings) and what the name says."""

    participant: str
    name: str
    entities: Mapping[str, str]
    paths: tuple[Path, ...]

    @property
    def session(self) -> str | None:
        """The session that the name says."""
        return self.entities.get("ses")


_Rows = dict[str, dict[str | None, Session]]  # by participant and session
_Placed = tuple[_Scan, Session, str | None]  # a scan, its row, and the session of the row


@dataclass(frozen=True)
class Bids:
    """Participants of a BIDS study and their scans: `sub-<id>/[ses-<session>/]anat/<entities>_<suffix>.nii[.gz]`.

    A participant with several scans is several sessions, which no split ever parts. Columns are looked for in the table
    of participants and in `sub-<id>/sub-<id>_sessions.tsv`, which says of each session what changes from one to the
    next. A table of participants with a column `session_id` may have a row for each session too.

    Attributes:
        root: Folder of the study (or of one derivative).
        label: Column of what is predicted: classes or a measure.
        table: TSV file of participants, or of their sessions, relative to `root`.
        suffix: Kind of scan, as names end: T1w, T2w, FLAIR.
        session: Take this session only.
        entities: Take scans with these entities only, e.g. `{acq: mprage, run: 1}`; null asks for their absence.
        unlabelled: Label values that mean "no label", or the one. An empty cell always does, and so do n/a, NA, NaN,
            null and None in any case: a class of that name needs another in the table.
        group: Column of those who must stay together (family); the participant otherwise.
        site: Column that says where the scan was made.
        covariates: Further columns, or the one, to keep.
        skip_bad: Leave out scans that cannot be used instead of ending the run.
        classes: Take numbers as names of classes, however many there are.
    """

    root: str
    label: str
    table: str = "participants.tsv"
    suffix: str = "T1w"
    session: str | int | None = None
    entities: Mapping[str, object] = field(default_factory=dict)
    unlabelled: str | float | bool | Sequence[object] = ()
    group: str | None = None
    site: str | None = None
    covariates: str | Sequence[str] = ()
    skip_bad: bool = False
    classes: bool = False

    def __post_init__(self) -> None:
        check_fields(self, "data")

    def read(self) -> Cohort:
        """Read the participants and list their scans, without opening them.

        Raises:
            UserError: The folder, the table or a column is missing; participants repeat; no scan at all is found. A
                participant without a scan gets a `problem` instead.
        """
        root = find_root(self.root)
        visits, rows = self._rows(root)
        scans, others = _list_scans(root, self.suffix)
        if not scans:
            raise UserError(
                f"{option('data.root', str(self.root))} has no scan sub-*/[ses-*/]anat/*_{self.suffix}.nii[.gz]. "
                f"{' '.join(filter(None, [contents(root), not_read_text(others)]))} Set {option('data.root')} to the "
                f"root of the BIDS tree, or {option('data.suffix')} to the kind of scan it has."
            )
        chosen = _chosen(scans, self._wanted())
        if not chosen:
            kind = f"{self.suffix} scan"
            which = f"none of the {len(scans)} {kind}s" if len(scans) > 1 else f"not the one {kind}"
            raise UserError(
                f"{which} of {root} has {_text(self._wanted())}; the first is "
                f"{scans[0].paths[0].name}. Set {option('data.session')} and {option('data.entities')} to "
                "what the names say."
            )
        if others:
            log.warning("%s", not_read_text(others))
        placed = _placed(chosen, rows, self.table)
        sessions = (*_scanned(placed), *self._unscanned(visits, rows, scans, placed))
        return Cohort(sessions, source=f"column {self.label!r} of {visits.source}")

    def _rows(self, root: Path) -> tuple[Visits, _Rows]:
        """Read the tables: what they say, and the sessions that those of the scans are made from."""
        path = root / self.table
        others = [name for name in (self.group, self.site, *map(str, as_list(self.covariates))) if name is not None]
        visits = read_visits(path, list(dict.fromkeys([root, path.parent])), self.label, others)
        sessions = visits.table.sessions(
            [f"sub-{who}" + (f"_ses-{session}" if session is not None else "") for who, session in visits.keys],
            [f"sub-{participant}" for participant, _ in visits.keys],
            label=self.label,
            unlabelled=self.unlabelled,
            group=self.group,
            site=self.site,
            covariates=self.covariates,
        )
        rows: _Rows = {}
        for (participant, name), session in zip(visits.keys, sessions, strict=True):
            if problem := visits.problems.get(participant):  # which may be why there is no label
                session = replace(session, problem=problem, left_out="")
            rows.setdefault(participant, {})[name] = session
        return visits, rows

    def _wanted(self) -> dict[str, str | None]:
        """Return the entities that are asked for; None where one must be absent."""
        wanted = {name: None if value is None else str(value) for name, value in self.entities.items()}
        return wanted if self.session is None else wanted | {"ses": str(self.session).removeprefix("ses-")}

    def _unscanned(
        self, visits: Visits, rows: _Rows, scans: Sequence[_Scan], placed: Sequence[_Placed]
    ) -> Iterator[Session]:
        """Yield the visits of which no scan is chosen, and log what does not fit together."""
        scanned: dict[str, set[str | None]] = {}
        for scan in scans:
            scanned.setdefault(scan.participant, set()).add(number_of(scan.session))
        taken = {scan.participant for scan, _, _ in placed}
        used = {(scan.participant, key) for scan, _, key in placed}
        wanted = self._wanted()
        for (participant, session), expected in zip(visits.keys, visits.expected, strict=True):
            has_own = (participant, session) in used or (session is None and participant in taken)
            if has_own or not expected:  # many a visit has tests alone
                continue
            row, there = rows[participant][session], scanned.get(participant, set())
            unasked = session is not None and number_of(wanted.get("ses", session)) != number_of(session)
            if wanted and (unasked or number_of(session) in there or (session is None and there)):
                yield replace(row, left_out=row.left_out or f"no scan with {_text(wanted)}")
            else:
                folder = "[ses-*/]" if session is None else f"ses-{session}/"
                yield replace(row, problem=f"no scan sub-{participant}/{folder}anat/*_{self.suffix}.nii[.gz]")
        repeated = [who for who, count in Counter(scan.participant for scan, _, _ in placed).items() if count > 1]
        if repeated:
            whose = number_text(len(repeated), "participant", "has", "have")
            log.info("%s several scans; each takes part, and no split parts them", whose)
        _warn(
            {f"sub-{participant}" for participant in taken - set(rows)},
            "scanned participant",
            "no row in the table and {are} left out",
        )
        _warn(
            {f"sub-{participant}" for participant in set(scanned) - taken},
            "participant",
            f"no scan with {_text(wanted)} and {{are}} left out",
        )


def _placed(scans: Sequence[_Scan], rows: _Rows, table: str) -> list[_Placed]:
    """Find the row of each scan; where there is none, what takes its place says why."""
    scanned = {(scan.participant, scan.session) for scan in scans}
    placed, unnamed, undescribed = [], list[str](), list[str]()
    for scan in scans:
        own = rows.get(scan.participant, {})
        name = f"sub-{scan.participant}" + (f"_ses-{scan.session}" if scan.session is not None else "")
        row = Session("", None, None, participant=f"sub-{scan.participant}", left_out=f"no row in {table}")
        key = _key(scan, own, scanned)
        if key in own:
            row = own[key]
            if key is None and len(own) > 1:
                undescribed.append(name)
        elif own and scan.session is None:
            row = replace(
                row, left_out="", problem=f"{scan.paths[0]} names no session, of which {table} has {len(own)}"
            )
        elif own:
            row = replace(row, left_out=f"no row for ses-{scan.session} in {table}")
            unnamed.append(name)
        placed.append((scan, row, key))
    _warn(unnamed, "scanned session", f"no row in {table} and {{are}} left out")
    _warn(undescribed, "scanned session", "no row in the table of their participant's sessions")
    return placed


def _key(scan: _Scan, own: Mapping[str | None, Session], scanned: Collection[Visit]) -> str | None:
    """Name the row of a scan among those of its participant: that of its session, else that of all sessions."""
    sessions = [session for session in own if session is not None]
    if scan.session is None:
        return sessions[0] if len(sessions) == 1 else None
    try:
        session = same_session(scan.session, sessions)
    except KeyError:
        return None
    return session if session == scan.session or (scan.participant, session) not in scanned else None


def _scanned(placed: Sequence[_Placed]) -> Iterator[Session]:
    """Yield a session for each scan."""
    visits = Counter((scan.participant, scan.session) for scan, _, _ in placed)
    for scan, row, _ in placed:
        id = f"sub-{scan.participant}" + (f"_ses-{scan.session}" if scan.session is not None else "")
        if visits[scan.participant, scan.session] > 1:
            id = scan.name
        row = replace(row, id=id, group=row.group or row.participant)
        folder_session = scan.paths[0].parent.parent.name.removeprefix("ses-") if scan.session is not None else None
        if scan.entities.get("sub") != scan.participant or scan.session not in (None, folder_session):
            moved = f"{scan.paths[0]} lies in the folder of another participant or session than its name says"
            yield replace(row, problem=moved)
        elif len(scan.paths) == 1:
            yield replace(row, scan=scan.paths[0])
        else:
            twins = f"{scan.paths[0]} lies beside its twin {scan.paths[1].name}: remove one"
            yield replace(row, problem=twins)


def _list_scans(root: Path, suffix: str) -> tuple[list[_Scan], list[Path]]:
    """List the scans in the participants' folders, not those in derivatives and source data; and other formats' images.

    Two participants' links to one file are two scans, which the audit refuses.
    """
    scans, others = list[_Scan](), list[Path]()
    for participant in (folder for folder in look_into(root).folders if folder.name.startswith("sub-")):
        folders = look_into(participant).folders
        visits = [folder for folder in folders if folder.name.startswith("ses-")]
        in_visits = [inner for visit in visits for inner in look_into(visit).folders]
        for folder in (folder for folder in (*folders, *in_visits) if folder.name == "anat"):
            content = look_into(folder)
            others += [image for image in content.others if is_of_kind(image.name, suffix)]
            twins: dict[str, list[Path]] = {}
            for path in content.scans:
                if is_of_kind(path.name, suffix):
                    twins.setdefault(as_shown(scan_name(path)), []).append(path)
            for name, paths in twins.items():
                entities = dict(part.partition("-")[::2] for part in name.split("_")[:-1])
                who = as_shown(participant.name).removeprefix("sub-")
                scans.append(_Scan(who, name.removesuffix(f"_{suffix}"), entities, tuple(paths)))
    return scans, others


def _chosen(scans: Sequence[_Scan], wanted: Mapping[str, str | None]) -> list[_Scan]:
    """Choose the scans whose names have the entities that are asked for; where none has, 01 is 1 and 1 is 01."""
    exact = [scan for scan in scans if all(scan.entities.get(name) == value for name, value in wanted.items())]
    return exact or [
        scan
        for scan in scans
        if all(number_of(scan.entities.get(name)) == number_of(value) for name, value in wanted.items())
    ]


def _text(wanted: Mapping[str, str | None]) -> str:
    return " and ".join(f"no {name}" if value is None else f"{name}-{value}" for name, value in wanted.items())


def _warn(names: Collection[str], noun: str, lack: str) -> None:
    """Warn of what some have not; {are} stands for the verb that fits their number."""
    if names:
        what = lack.replace("{are}", "is" if len(names) == 1 else "are")
        whose = number_text(len(names), noun, "has", "have")
        log.warning("%s %s: %s", whose, what, list_text(sorted(names), ", "))
