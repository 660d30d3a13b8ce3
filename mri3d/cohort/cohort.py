"""The cohort: who the subjects are, which class each belongs to, and who takes part."""

import csv
import io
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mri3d.errors import UserError

NO_LABEL = "no label"  # `Subject.left_out` of a subject that can be predicted but not learnt from
_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "<na>", "#na", "#n/a"})  # as pandas has it, in any case
_MAX_NUMERIC_CLASSES = 20  # more numbers than this are a measurement, not classes


@dataclass(frozen=True)
class Subject:
    """One scan of one participant, and what the table says of it.

    Attributes:
        id: Unique in its cohort.
        scan: The image file; None when it was not found.
        label: The class as it stands in the table; None when there is none.
        group: Subjects of one group (family, repeated visits) are never on two sides of a split; None stands alone.
        site: Where it was scanned.
        covariates: Column to cell, as text; empty where the cell is.
        digest: SHA-256 of the scan's header and voxels, from the audit.
        warnings: What the reader says of the scan, from the audit.
        problem: Why the scan cannot be used, as found so far; the audit ends the run with it or leaves the subject out.
        left_out: Why the subject takes no part; empty when it does.
    """

    id: str
    scan: Path | None
    label: str | None
    group: str | None = None
    site: str | None = None
    covariates: Mapping[str, str] = field(default_factory=dict, hash=False)
    digest: str = ""
    warnings: tuple[str, ...] = ()
    problem: str = ""
    left_out: str = ""


@dataclass(frozen=True)
class Cohort:
    """An immutable list of subjects. Row indices everywhere else in mri3d are rows of `participants`."""

    subjects: tuple[Subject, ...]

    @property
    def participants(self) -> "Cohort":
        """The subjects that take part, in order."""
        return Cohort(tuple(s for s in self.subjects if not s.left_out))

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels of those who take part, sorted as text; of two, the second is the positive one."""
        return tuple(sorted(self.class_counts))

    @property
    def class_counts(self) -> dict[str, int]:
        """How many of those who take part belong to each class, classes sorted as text."""
        return dict(sorted(Counter(s.label for s in self.subjects if not s.left_out and s.label is not None).items()))

    @property
    def targets(self) -> npt.NDArray[np.int64]:
        """The class of each participant [N], as an index into `classes`."""
        index = {label: k for k, label in enumerate(self.classes)}
        return np.array([index[s.label] for s in self.participants.subjects if s.label is not None], dtype=np.int64)

    @property
    def groups(self) -> npt.NDArray[np.str_]:
        """Who must stay together [N]: equal texts for one group, a text of its own for a subject without one."""
        texts = [f"subject {s.id}" if s.group is None else f"group {s.group}" for s in self.participants.subjects]
        return np.array(texts, dtype=np.str_)

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the participants [N]."""
        return tuple(s.id for s in self.participants.subjects)

    @property
    def scans(self) -> tuple[Path, ...]:
        """The image files of the participants [N]; the audit has made sure that each has one."""
        scans = tuple(s.scan for s in self.participants.subjects if s.scan is not None)
        assert len(scans) == len(self.participants.subjects), "a participant has no scan: audit the cohort first"
        return scans

    @property
    def digests(self) -> tuple[str, ...]:
        """SHA-256 of each participant's scan [N], from the audit."""
        return tuple(s.digest for s in self.participants.subjects)

    def describe(self) -> str:
        """Count the subjects in one line.

        >>> subjects = Subject("a", None, "F"), Subject("b", None, "M"), Subject("c", None, None, left_out=NO_LABEL)
        >>> Cohort(subjects).describe()
        '3 subjects: 2 take part (F 1, M 1), 1 without a label'
        """
        counts = count_text(self.class_counts)
        unlabelled = sum(s.label is None for s in self.subjects)
        left_out = sum(bool(s.left_out) and s.label is not None for s in self.subjects)
        text = f"{len(self.subjects)} subjects: {len(self.participants.subjects)} take part ({counts})"
        text += f", {unlabelled} without a label" if unlabelled else ""
        return text + (f", {left_out} left out" if left_out else "")

    def to_rows(self, folds: Mapping[str, str] | None = None) -> list[dict[str, str]]:
        """Give every subject as a row of `cohort.csv`.

        Args:
            folds: Subject id to what the subject does in which fold; empty for those not named.
        """
        folds = folds or {}
        return [
            {
                "subject": s.id,
                "scan": str(s.scan or ""),
                "label": s.label or "",
                "fold": folds.get(s.id, ""),
                "left_out": s.left_out or s.problem,
                "warnings": "; ".join(s.warnings),
                "digest": s.digest,
                "group": s.group or "",
                "site": s.site or "",
            }
            | {f"covariate_{name}": cell for name, cell in s.covariates.items()}
            for s in self.subjects
        ]

    def to_csv(self, folds: Mapping[str, str] | None = None) -> str:
        """Give `cohort.csv`: every subject with scan, label, fold, and why it was left out, if it was."""
        rows = self.to_rows(folds)
        text = io.StringIO()
        columns = dict.fromkeys(name for row in rows for name in row)  # not every scan has a row of covariates
        writer = csv.DictWriter(text, columns or ["subject"], lineterminator="\n", restval="")
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()


class CohortSource(Protocol):
    """Where a cohort comes from: `_target_` of the options of `data`."""

    @property
    def skip_bad(self) -> bool:
        """Whether scans that cannot be used are left out instead of ending the run."""

    def read(self) -> Cohort:
        """Read who is there. Scans are not opened: `mri3d.cohort.audit.audit` does that.

        Raises:
            UserError: The table or the folder cannot be what the user meant.
        """


def means_no_label(cell: str, unlabelled: Iterable[object]) -> bool:
    """Tell whether a cell stands for "no label": one that says it is missing always does.

    >>> [means_no_label(cell, [0, "?"]) for cell in ("", "NA", "0", "0.0", "?", "1")]
    [True, True, True, True, True, False]
    """
    for value in unlabelled:
        # YAML reads false and nan as values of their own, so those are compared in any spelling.
        if cell == str(value) or (not isinstance(value, str) and cell.casefold() == str(value).casefold()):
            return True
        if not isinstance(value, bool) and (number := _number(cell)) is not None and number == _number(str(value)):
            return True
    return is_missing(cell)


def is_missing(cell: str) -> bool:
    """Tell whether a cell is empty or holds one of the words for it: NA, N/A, NaN, null, None, in any case."""
    return cell.casefold() in _MISSING


def require_classes(cohort: Cohort, source: str) -> None:
    """Make sure that the labels are classes: two or more, spelt alike, not a measurement.

    Args:
        cohort: Those who take part are looked at.
        source: Where the labels come from, to begin the message: "column 'sex' of subjects.csv".

    Raises:
        UserError: They are not.
    """
    counts = cohort.class_counts
    if len(counts) < 2:
        found = f"one class ({count_text(counts)})" if counts else "no class"
        unlabelled = sum(s.label is None for s in cohort.subjects)
        others = f", and {unlabelled} rows without a label" if unlabelled else ""
        raise UserError(
            f"{source} holds {found}{others}; a classifier needs two or more classes. "
            "Set data.label to another column, or mend data.unlabelled or the table."
        )
    numbers = {label: _number(label) for label in counts}
    num_labels, numeric = sum(counts.values()), all(number is not None for number in numbers.values())
    if len(counts) > 2 and (len(counts) > num_labels / 2 or (numeric and len(counts) > _MAX_NUMERIC_CLASSES)):
        examples = ", ".join(list(counts)[:5])
        raise UserError(
            f"{source} has {len(counts)} different values in {num_labels} rows ({examples}, ...): this is a "
            "measurement or a name, not a class. Set data.label to a column of classes."
        )
    spellings: dict[object, str] = {}
    for label in counts:
        twin = spellings.setdefault(label.casefold() if numbers[label] is None else numbers[label], label)
        if twin != label:
            raise UserError(f"{source} spells one class in two ways: {twin!r} and {label!r}. Write them alike.")


def count_text(counts: Mapping[str, int]) -> str:
    """Write counts for a message.

    >>> count_text({"F": 68, "M": 63})
    'F 68, M 63'
    """
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def list_text(items: Sequence[str], separator: str = "; ", most: int = 5) -> str:
    """Join the first items of a list for a message, and count the others.

    >>> list_text(["a", "b", "c"], ", ", most=2)
    'a, b, and 1 more'
    """
    shown = separator.join(items[:most])
    return shown + (f"{separator}and {len(items) - most} more" if len(items) > most else "")


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
