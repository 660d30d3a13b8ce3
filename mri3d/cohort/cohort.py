"""The cohort: the sessions of a study, what is known of each, and which take part."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mri3d.cohort.missing import is_missing
from mri3d.csv_files import csv_text
from mri3d.errors import UserError, option
from mri3d.scans.scan_file import Masked, ScanFile
from mri3d.scans.traits import Traits
from mri3d.texts import natural_order, number_text, parse_number

NO_LABEL = "no label"  # `Session.left_out` of a session that can be predicted but not learnt from
OTHER_COLUMN = f"set {option('data.label')} to another column"

_WHOLE_NUMBER = re.compile(r"([+-]?\d+)\.0*")


@dataclass(frozen=True)
class Session:
    """One visit of one participant: its scan, and what the table says of it.

    Attributes:
        id: Unique in its cohort.
        scan: The image file; None when it was not found.
        label: The cell of the label column as it stands in the table: a class or a value; None when there is none.
        group: Sessions of one group (family, repeated visits) are never on two sides of a split; None stands alone.
        site: Where it was scanned.
        covariates: Column to cell, as text; empty where the cell is.
        usual: Further columns that studies usually have, such as age and sex, likewise: see `mri3d.cohort.noticed`.
        facts: What the file shows of how the scan was made, as text, from the audit: see there.
        figures: What tells how well a volume could be made of the scan, from the audit: see `AnyRecipe.figures`.
        traits: What the scan shows on its own grid, from the audit; None without a scan.
        participant: Who was scanned, where one participant may have several sessions: they are never on two sides of a
            split either. None where each session is a participant of its own.
        mask: The file of a mask of its brain, where there is one.
        digest: SHA-256 of the scan's header and voxels, and of its mask's, from the audit.
        voxels: `mri3d.scans.scan.canonical_digest` of the scan, from the audit; empty without a scan.
        warnings: What the reader says of the scan, from the audit.
        problem: Why the scan cannot be used, as text of a `UserError`: the audit ends the run with it or leaves the
            session out.
        left_out: Why the session takes no part; empty when it does.
    """

    id: str
    scan: Path | None
    label: str | None
    group: str | None = None
    site: str | None = None
    covariates: Mapping[str, str] = field(default_factory=dict, hash=False)
    usual: Mapping[str, str] = field(default_factory=dict, hash=False)
    facts: Mapping[str, str] = field(default_factory=dict, hash=False)
    figures: Mapping[str, float] = field(default_factory=dict, hash=False)
    traits: Traits | None = None
    participant: str | None = None
    mask: Path | None = None
    digest: str = ""
    voxels: str = ""
    warnings: tuple[str, ...] = ()
    problem: str = ""
    left_out: str = ""

    @property
    def file(self) -> ScanFile | None:
        """The scan, with its mask where there is one."""
        return self.scan if self.scan is None or self.mask is None else Masked(self.scan, self.mask)

    @property
    def known(self) -> Mapping[str, str]:
        """What the table says of the session, column to cell: `site`, usual columns, and those that were asked for."""
        return {**({"site": self.site} if self.site else {}), **self.usual, **self.covariates}


@dataclass(frozen=True)
class Cohort:
    """An immutable list of sessions. Row indices everywhere else in mri3d are rows of `taking_part`.

    Attributes:
        sessions: All of them, in the order of the table.
        source: Where the labels come from, to begin a message: "column 'sex' of subjects.csv".
        advice: What to do where they cannot be used, to end one.
    """

    sessions: tuple[Session, ...]
    source: str = ""
    advice: str = OTHER_COLUMN

    @property
    def taking_part(self) -> "Cohort":
        """The sessions that take part, in order."""
        return replace(self, sessions=tuple(s for s in self.sessions if not s.left_out))

    @property
    def labels(self) -> tuple[str, ...]:
        """The label of each session that takes part [N], as it stands in the table."""
        labels = tuple(s.label for s in self.taking_part.sessions if s.label is not None)
        assert len(labels) == len(self.taking_part.sessions), "a session without a label must be left out"
        return labels

    @property
    def groups(self) -> npt.NDArray[np.str_]:
        """Who must stay together [N]: equal texts for one group or one participant, else a text of its own."""
        sessions = self.taking_part.sessions
        texts = [_group_text(s) for s in sessions]
        joined: dict[str, str] = {}  # a text to the one that stands for it: a participant may link two groups

        def standing_for(text: str) -> str:
            while text in joined:
                text = joined[text]
            return text

        first_texts: dict[str, str] = {}
        for session, text in zip(sessions, texts, strict=True):
            if session.participant is not None:
                first = standing_for(first_texts.setdefault(session.participant, text))
                if (other := standing_for(text)) != first:
                    joined[other] = first
        return np.array([standing_for(text) for text in texts], dtype=np.str_)

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the sessions that take part [N]."""
        return tuple(s.id for s in self.taking_part.sessions)

    @property
    def scans(self) -> tuple[ScanFile, ...]:
        """The image files of the sessions that take part [N]; the audit has made sure that each has one."""
        scans = tuple(s.file for s in self.taking_part.sessions if s.file is not None)
        assert len(scans) == len(self.taking_part.sessions), "a session has no scan: audit the cohort first"
        return scans

    @property
    def digests(self) -> tuple[str, ...]:
        """SHA-256 of the scan of each session that takes part [N], from the audit."""
        return tuple(s.digest for s in self.taking_part.sessions)

    @property
    def voxels(self) -> tuple[str, ...]:
        """SHA-256 of the RAS+ voxels of the scan of each session that takes part [N], from the audit."""
        return tuple(s.voxels for s in self.taking_part.sessions)

    def in_order(self) -> "Cohort":
        """Sort the sessions by id, so that the order of a table's rows changes nothing of what is learnt."""
        return replace(self, sessions=tuple(sorted(self.sessions, key=lambda session: natural_order(session.id))))

    def describe(self, labels: str = "") -> str:
        """Count the sessions in one line; what is known of the labels of those who take part stands in brackets.

        >>> sessions = Session("a", None, "F"), Session("b", None, "M"), Session("c", None, None, left_out=NO_LABEL)
        >>> Cohort(sessions).describe()
        '3 sessions: 2 take part, 1 without a label'
        """
        unlabelled = sum(s.label is None for s in self.sessions)
        left_out = sum(bool(s.left_out) and s.label is not None for s in self.sessions)
        verb = "takes" if len(self.ids) == 1 else "take"
        text = f"{number_text(len(self.sessions), 'session')}: {len(self.ids)} {verb} part"
        text += f" ({labels})" if labels else ""
        text += f", {unlabelled} without a label" if unlabelled else ""
        return text + (f", {left_out} left out" if left_out else "")

    def to_rows(self, folds: Mapping[str, str] | None = None) -> list[dict[str, str]]:
        """List every session as a row of `cohort.csv`.

        Participant, mask and figures have columns only where a session has one.

        Args:
            folds: Session id to what the session does in which fold; empty for those not named.
        """
        folds = folds or {}
        with_participants = any(s.participant is not None for s in self.sessions)
        with_masks = any(s.mask for s in self.sessions)
        figures = list(dict.fromkeys(name for s in self.sessions for name in s.figures))
        return [
            {"subject": s.id}
            | ({"participant": s.participant or ""} if with_participants else {})
            | {
                "scan": str(s.scan or ""),
                "label": s.label or "",
                "fold": folds.get(s.id, ""),
                "left_out": s.left_out or str(UserError(s.problem)),
                "warnings": "; ".join(s.warnings),
                "digest": s.digest,
                "group": s.group or "",
                "site": s.site or "",
            }
            | ({"mask": str(s.mask or "")} if with_masks else {})
            | {name: f"{s.figures[name]:.6g}" if name in s.figures else "" for name in figures}
            | {f"covariate_{name}": cell for name, cell in s.covariates.items()}
            for s in self.sessions
        ]

    def to_csv(self, folds: Mapping[str, str] | None = None) -> str:
        """Write `cohort.csv` as text: every session with scan, label, fold, and why it was left out, if it was."""
        rows = self.to_rows(folds)
        return csv_text(rows, () if rows else ("subject",))


class CohortSource(Protocol):
    """Where a cohort comes from: `_target_` of the options of `data`."""

    @property
    def skip_bad(self) -> bool:
        """Whether scans that cannot be used are left out instead of ending the run."""

    @property
    def classes(self) -> bool:
        """Whether numbers in the label column are names of classes, however many there are."""

    @property
    def suffix(self) -> str | None:
        """Kind of scan, as names in BIDS end; None for a source that does not choose by it."""

    @property
    def label(self) -> str:
        """Name of the label column."""

    def read(self) -> Cohort:
        """Read who is there. Scans are not opened: `mri3d.cohort.audit.audit` does that.

        Raises:
            UserError: The table or the folder cannot be what the user meant.
        """


def means_no_label(cell: str, unlabelled: Iterable[object]) -> bool:
    """Decide whether a cell stands for "no label": one that says it is missing always does.

    >>> [means_no_label(cell, [0, "?"]) for cell in ("", "NA", "0", "0.0", "?", "1")]
    [True, True, True, True, True, False]
    """
    for value in unlabelled:
        # YAML reads false and nan as values of their own, so those are compared in any spelling.
        if cell == str(value) or (not isinstance(value, str) and cell.casefold() == str(value).casefold()):
            return True
        number = None if isinstance(value, bool) else parse_number(str(value))
        if number is not None and number == parse_number(cell):
            return True
    return is_missing(cell)


def unmatched(unlabelled: Iterable[object], cells: Sequence[str]) -> list[object]:
    """Return the values for "no label" that no cell holds: they may be misspelt.

    >>> unmatched([0, "?"], ["1", "0.0", "NA"])
    ['?']
    """
    known = [cell for cell in cells if not is_missing(cell)]
    return [value for value in unlabelled if not any(means_no_label(cell, [value]) for cell in known)]


def _group_text(session: Session) -> str:
    """Name whom a session must stay with, so that no name of one kind equals one of another."""
    if session.group is not None:
        whole = _WHOLE_NUMBER.fullmatch(session.group)  # 1 and 1.0 are one: pandas writes both
        return f"group {whole[1] if whole else session.group}"
    return f"subject {session.id}" if session.participant is None else f"participant {session.participant}"
