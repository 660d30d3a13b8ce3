"""Cohorts from a BIDS tree: a walk over its folders and the entities in the names of its files."""

import itertools
import logging
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mri3d.arguments import check_fields
from mri3d.cohort.cohort import Cohort, Session
from mri3d.cohort.text_table import contents, find_root, read_text_table
from mri3d.errors import UserError, option
from mri3d.scans.scan import SCAN_ENDINGS, scan_name
from mri3d.texts import list_text

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Scan:
    """The files of one name (`.nii`, `.nii.gz` or both) and what the name says."""

    participant: str
    name: str
    entities: Mapping[str, str]
    paths: tuple[Path, ...]


@dataclass(frozen=True)
class Bids:
    """Participants of a BIDS study and their scans: `sub-<id>/[ses-<session>/]anat/<entities>_<suffix>.nii[.gz]`.

    A participant with several scans is several sessions, which no split ever parts.

    Attributes:
        root: Folder of the study (or of one derivative).
        label: Column of what is predicted, in the table: classes or a measure.
        table: TSV file of participants, relative to `root`.
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
        participants = self._participants(root)
        scans = list(_list_scans(root, self.suffix))
        if not scans:
            raise UserError(
                f"{option('data.root', str(self.root))} has no scan sub-*/[ses-*/]anat/*_{self.suffix}.nii[.gz]. "
                f"{contents(root)} Set {option('data.root')} to the root of the BIDS tree, or {option('data.suffix')} "
                "to the kind of scan it has."
            )
        chosen = _chosen(scans, self._wanted())
        if not chosen:
            raise UserError(
                f"none of the {len(scans)} {self.suffix} scans of {root} has {_text(self._wanted())}; the first is "
                f"{scans[0].paths[0].name}. Set {option('data.session')} and {option('data.entities')} to "
                "what the names say."
            )
        sessions = tuple(self._sessions(participants, scans, chosen))
        return Cohort(sessions, source=f"column {self.label!r} of {Path(self.table).name}")

    def _participants(self, root: Path) -> dict[str, Session]:
        """Read the table: participant, without `sub-`, to the session that those of its scans are made from."""
        table = read_text_table(root / self.table)
        if "participant_id" not in table.columns:
            raise UserError(f"{table.path} has no column participant_id (columns: {list_text(table.columns, ', ')}).")
        advice = "Give each participant one row."
        ids = table.ids(["participant_id"], key="participant_id", advice=advice, prefix="sub-")
        names = [f"sub-{id}" for id in ids]
        sessions = table.sessions(
            names,
            names,
            label=self.label,
            unlabelled=self.unlabelled,
            group=self.group,
            site=self.site,
            covariates=self.covariates,
        )
        return dict(zip(ids, sessions, strict=True))

    def _wanted(self) -> dict[str, str | None]:
        """Return the entities that are asked for; None where one must be absent."""
        wanted = {name: None if value is None else str(value) for name, value in self.entities.items()}
        return wanted if self.session is None else wanted | {"ses": str(self.session).removeprefix("ses-")}

    def _sessions(
        self, participants: Mapping[str, Session], scans: Sequence[_Scan], chosen: Sequence[_Scan]
    ) -> Iterator[Session]:
        """Yield a session for each chosen scan, then the participants without one; log what does not fit together."""
        visits = Counter((scan.participant, scan.entities.get("ses")) for scan in chosen)
        for scan in chosen:
            session = scan.entities.get("ses")
            id = f"sub-{scan.participant}" + (f"_ses-{session}" if session is not None else "")
            if visits[scan.participant, session] > 1:
                id = scan.name
            participant = f"sub-{scan.participant}"
            no_row = Session(id, None, None, participant=participant, left_out=f"no row in {self.table}")
            row = participants.get(scan.participant, no_row)
            group = row.group or participant
            folder_session = scan.paths[0].parent.parent.name.removeprefix("ses-") if session is not None else None
            if scan.entities.get("sub") != scan.participant or session not in (None, folder_session):
                moved = f"{scan.paths[0]} lies in the folder of another participant or session than its name says"
                yield replace(row, id=id, group=group, problem=moved)
            elif len(scan.paths) == 1:
                yield replace(row, id=id, scan=scan.paths[0], group=group)
            else:
                twins = f"{scan.paths[0]} lies beside its twin {scan.paths[1].name}: remove one"
                yield replace(row, id=id, group=group, problem=twins)
        scanned, taken = {scan.participant for scan in scans}, {scan.participant for scan in chosen}
        for participant, row in participants.items():
            if participant not in scanned:
                yield replace(row, problem=f"no scan sub-{participant}/[ses-*/]anat/*_{self.suffix}.nii[.gz]")
            elif participant not in taken:
                yield replace(row, left_out=row.left_out or f"no scan with {_text(self._wanted())}")
        repeated = [id for id, count in Counter(scan.participant for scan in chosen).items() if count > 1]
        if repeated:
            log.info("%d participants have several scans; each takes part, and no split parts them", len(repeated))
        _warn("scanned participants have no row in the table and are left out", taken - set(participants))
        _warn(f"participants have no scan with {_text(self._wanted())} and are left out", scanned - taken)


def _list_scans(root: Path, suffix: str) -> Iterator[_Scan]:
    """Walk over the participants' folders; derivatives and source data lie elsewhere and are not looked at."""
    for participant in _folders(root, "sub-*"):
        for visit in (participant, *_folders(participant, "ses-*")):
            paths = sorted(p for ending in SCAN_ENDINGS for p in (visit / "anat").glob(f"*_{suffix}{ending}"))
            for name, twins in itertools.groupby(paths, scan_name):
                entities = dict(part.partition("-")[::2] for part in name.split("_")[:-1])
                yield _Scan(
                    participant.name.removeprefix("sub-"), name.removesuffix(f"_{suffix}"), entities, tuple(twins)
                )


def _folders(folder: Path, pattern: str) -> list[Path]:
    return sorted(path for path in folder.glob(pattern) if path.is_dir())


def _chosen(scans: Sequence[_Scan], wanted: Mapping[str, str | None]) -> list[_Scan]:
    """Choose the scans whose names have the entities that are asked for; where none has, 01 is 1 and 1 is 01."""

    def number(value: str | None) -> str | None:
        return value.lstrip("0") or "0" if value is not None and value.isdigit() else value

    exact = [scan for scan in scans if all(scan.entities.get(name) == value for name, value in wanted.items())]
    return exact or [
        scan for scan in scans if all(number(scan.entities.get(name)) == number(v) for name, v in wanted.items())
    ]


def _text(wanted: Mapping[str, str | None]) -> str:
    return " and ".join(f"no {name}" if value is None else f"{name}-{value}" for name, value in wanted.items())


def _warn(what: str, participants: Collection[str]) -> None:
    if participants:
        log.warning("%d %s: %s", len(participants), what, list_text([f"sub-{id}" for id in sorted(participants)], ", "))
