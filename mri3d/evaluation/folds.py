"""Who is to be split, and one fold: which sessions train, which validate and which test."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from mri3d.cohort.encoding import Encoder
from mri3d.cohort.noticed import file_facts, variable_of
from mri3d.cohort.variables import Variable, Variables
from mri3d.errors import UserError, did_you_mean, option
from mri3d.outcome import Outcome
from mri3d.study import Study
from mri3d.texts import list_text, number_text

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
        facts: What the audit noted of each scan, see `mri3d.cohort.noticed`.
    """

    outcome: Outcome
    targets: np.ndarray
    groups: np.ndarray
    ids: Sequence[str] = ()
    sites: Sequence[str | None] = ()
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    facts: Mapping[str, Variable] = field(default_factory=dict)

    @classmethod
    def of(cls, study: Study) -> Self:
        """Take the sessions of a study that take part."""
        sessions = study.cohort.taking_part.sessions
        cells = [session.known for session in sessions]
        names = dict.fromkeys(name for each in cells for name in each)
        return cls(
            study.outcome,
            study.targets,
            study.groups,
            study.ids,
            [session.site for session in sessions],
            {name: [each.get(name, "") for each in cells] for name in names},
            {fact.name: fact for fact in file_facts(study.cohort)},
        )

    def variables(self, names: Sequence[str], *, asked: str) -> Variables:
        """Return columns as numbers or categories, checked.

        Args:
            names: Of the columns, or of what the audit noted of each scan.
            asked: The option that names them, for the message.

        Raises:
            UserError: One of them was not kept, is the outcome, stands there twice, or says nothing: see
                `mri3d.cohort.variables.Variable.check`.
        """
        found = []
        for name in names:
            if name == self.outcome.name:
                raise UserError(f"{option(asked, name)} is what is predicted. Leave it out.")
            if names.count(name) > 1:
                raise UserError(f"{option(asked, name)} stands there twice. Leave one out.")
            if name in self.facts and name not in self.columns:
                variable = self.facts[name]
            else:
                cells = self.column(name, asked=asked)
                is_site = any(self.sites) and list(cells) == [site or "" for site in self.sites]
                variable = variable_of(name, cells, is_site=is_site)
            variable.check(self.ids, asked=asked, categorical=variable.of_scan)
            kind = "numbers" if variable.is_number else f"categories: {list_text(variable.levels, ', ')}"
            unknown = len(variable.values) - int(variable.known.sum())
            gaps = f", not known of {unknown} of {number_text(len(variable.values), 'session')}" if unknown else ""
            log.info("%s: %s%s", UserError(option(asked, name)), kind, gaps)
            found.append(variable)
        return Variables(tuple(found))

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
        known = [*self.columns, *self.facts]
        kept = f"kept: {', '.join(known)}" if known else "none was kept"
        raise UserError(
            f"{option(asked, name)} is no column that the study kept ({kept}).{did_you_mean(name, known)} Name one of "
            f"them, or keep it by {option('data.covariates')}."
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


def warn_of_unseen(variables: Variables, folds: Sequence[Fold], *, asked: str) -> None:
    """Warn of categories of tested sessions that those learnt from do not have.

    Args:
        variables: Of all sessions.
        folds: Who is learnt from and who is tested.
        asked: The option that names the variables.

    Raises:
        UserError: Of one of them no value that is tested is learnt from, in any fold.
    """
    unseen: dict[str, list[str]] = {name: [] for name in variables.names}
    seen = set[str]()
    for fold in folds:
        encoder = Encoder.fit(variables, np.concatenate([fold.train_rows, fold.validation_rows]))
        tested = variables.taking(fold.test_rows)
        for coding, variable in zip(encoder.codings, tested.members, strict=True):
            missing = coding.unseen(variable)
            seen |= {variable.name} if (variable.known & ~missing).any() else set()
            if names := sorted({str(value) for value in variable.values[missing]}):
                unseen[variable.name].append(f"fold {fold.number} ({list_text(names, ', ')})")
    for name, told in unseen.items():
        if told and name not in seen:
            raise UserError(
                f"{option(asked, name)}: no session is tested whose {name} is learnt from, so it can tell nothing. "
                "Leave it out, or split in another way."
            )
        if told:
            text = "%s: some values are tested and not learnt from, and count as not known: %s"
            log.warning(text, UserError(option(asked, name)), list_text(told))


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
