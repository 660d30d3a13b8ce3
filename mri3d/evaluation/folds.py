"""Who is to be split, and one fold: which sessions train, which validate and which test."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from mri3d.errors import UserError, option
from mri3d.outcome import Outcome
from mri3d.study import Study

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Sample:
    """Sessions that are to be split, and what is known of each.

    Attributes:
        outcome: What is predicted; it says what every part should hold alike.
        targets: Truth of each row [N].
        groups: Who must stay together [N], any sortable type; a value of its own for a session that stands alone.
        ids: Name of each row [N]; empty where nobody needs them.
        sites: Where each was scanned [N]; None where that is not known.
        columns: What else is known, column of the table to the cell of each row [N]; an empty text where there is none.
    """

    outcome: Outcome
    targets: np.ndarray
    groups: np.ndarray
    ids: Sequence[str] = ()
    sites: Sequence[str | None] = ()
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, study: Study) -> Self:
        """Take the sessions of a study that take part."""
        sessions = study.cohort.taking_part.sessions
        names = dict.fromkeys(name for session in sessions for name in session.covariates)
        return cls(
            study.outcome,
            study.targets,
            study.groups,
            study.ids,
            [session.site for session in sessions],
            {name: [session.covariates.get(name, "") for session in sessions] for name in names},
        )

    def column(self, name: str, *, asked: str) -> Sequence[str]:
        """Return the cells of a column [N].

        Args:
            name: Of the column; `site` is the site where no column of that name was kept.
            asked: The option that names it, for the message.

        Raises:
            UserError: It was not kept.
        """
        if name in self.columns:
            return self.columns[name]
        if name == "site" and any(self.sites):
            return [site or "" for site in self.sites]
        kept = f"kept: {', '.join(self.columns)}" if self.columns else "none was kept"
        raise UserError(
            f"{option(asked, name)} is no column that the study kept ({kept}). Name one of them, or keep it by "
            f"{option('data.covariates')}."
        )


@dataclass(frozen=True, eq=False)
class Fold:
    """Disjoint rows of a cohort.

    Attributes:
        number: 0, 1, ... running on over the repeats, so that it alone names the fold.
        repeat: Which shuffle of the cohort the fold belongs to, from 0.
        train_rows: Sorted rows, int64; never empty, and every class is among them.
        validation_rows: Sorted rows, int64; empty when no validation was asked for.
        test_rows: Sorted rows, int64.
        name: What sets the test set apart, such as `site a`; empty where chance does.
    """

    number: int
    repeat: int
    train_rows: np.ndarray
    validation_rows: np.ndarray
    test_rows: np.ndarray
    name: str = ""

    @property
    def sides(self) -> dict[str, np.ndarray]:
        """The rows of each side by its name."""
        return {"training": self.train_rows, "validation": self.validation_rows, "test": self.test_rows}


def check_fold(fold: Fold, sample: Sample) -> None:
    """Refuse a fold that trains without a class; warn of one that validates or tests without.

    Raises:
        UserError: What is wrong, and what to do.
    """
    outcome, groups = sample.outcome, sample.groups
    for side, rows in fold.sides.items():
        lacking = outcome.lacking(sample.targets[rows]) if len(rows) else ""
        if not lacking:
            continue
        where = f"the {side} set of fold {fold.number} has {lacking}"
        if side == "training":
            if len(np.unique(groups)) == len(groups):
                raise UserError(f"{where}: too few sessions differ. Predict something else, or add sessions.")
            raise UserError(
                f"{where}, because the groups are too large to share out. Use smaller groups ({option('data.group')}), "
                "a smaller share for test or validation, or more folds."
            )
        log.warning("%s: some of its scores cannot be computed", where)


def fold_texts(folds: Sequence[Fold], num_subjects: int) -> list[str]:
    """Write for each row where it stands, for the column `fold` of cohort.csv.

    Returns:
        With one fold "train", "validation" or "test"; with several the numbers of the folds that test the row.

    >>> rows = np.array([[0, 1], [2, 3]])
    >>> halves = [Fold(0, 0, rows[0], rows[0][:0], rows[1]), Fold(1, 0, rows[1], rows[1][:0], rows[0])]
    >>> fold_texts(halves, 4)
    ['1', '1', '0', '0']
    """
    texts: list[list[str]] = [[] for _ in range(num_subjects)]
    for fold in folds:
        sides = {"train": fold.train_rows, "validation": fold.validation_rows, "test": fold.test_rows}
        for side, rows in sides.items():
            if len(folds) == 1 or side == "test":
                for row in rows:
                    texts[row].append(side if len(folds) == 1 else str(fold.number))
    return [" ".join(text) for text in texts]
