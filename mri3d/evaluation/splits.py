"""Which sessions train, which validate and which test: stratified by outcome, and no group on two sides."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from mri3d.arguments import check_fields
from mri3d.errors import UserError, option
from mri3d.evaluation.partition import Strata, partition
from mri3d.models.model import Model
from mri3d.outcome import Outcome

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Fold:
    """Disjoint rows of a cohort that together cover it.

    Attributes:
        number: 0, 1, ... running on over the repeats, so that it alone names the fold.
        repeat: Which shuffle of the cohort the fold belongs to, from 0.
        train_rows: Sorted rows, int64; never empty, and every class is among them.
        validation_rows: Sorted rows, int64; empty when no validation was asked for.
        test_rows: Sorted rows, int64.
    """

    number: int
    repeat: int
    train_rows: np.ndarray
    validation_rows: np.ndarray
    test_rows: np.ndarray


class Splits(Protocol):
    """Who trains and who is tested."""

    def split(self, outcome: Outcome, targets: np.ndarray, groups: np.ndarray, *, seed: int) -> list[Fold]:
        """Deal the rows into folds.

        Args:
            outcome: What is predicted; it says what every part should hold alike.
            targets: Truth of each row [N].
            groups: Who must stay together [N], any sortable type; a value of its own for a session that stands alone.
            seed: The split is a function of it, the targets and the groups, whatever the order of the rows.

        Raises:
            UserError: There are too few groups to be on every side.
        """

    def tuned(self, model: Model) -> Model:
        """Return what is fitted in each fold: the model, or one that chooses among its variants."""


@dataclass(frozen=True)
class All:
    """No test: the final model learns from every row, and no score says how good it is.

    Attributes:
        validation: Share of the rows that only steer training (early stopping); 0 for none.

    >>> from mri3d.outcome import Classes
    >>> folds = All(validation=0.25).split(Classes(("a", "b")), np.arange(8) % 2, np.arange(8), seed=0)
    >>> len(folds[0].train_rows), len(folds[0].validation_rows), len(folds[0].test_rows)
    (6, 2, 0)
    """

    validation: float = 0.2

    def __post_init__(self) -> None:
        check_fields(self, "evaluation")
        _check_share("validation", self.validation, least=0.0)

    def split(self, outcome: Outcome, targets: np.ndarray, groups: np.ndarray, *, seed: int) -> list[Fold]:
        """Split into training and validation rows; arguments and errors as for `Splits.split`."""
        needed = 2 if self.validation else 1
        codes = outcome.strata(targets, groups, needed=needed, reason="training with a share for validation needs")
        strata = Strata.of(codes, groups, outcome)
        fold = _fold(0, 0, np.zeros(len(strata.counts), dtype=bool), strata, self.validation, seed)
        _check_fold(fold, targets, outcome, groups)
        return [fold]

    def tuned(self, model: Model) -> Model:
        """Return the model as it is: nothing is chosen."""
        return model


@dataclass(frozen=True)
class Holdout:
    """One test set, never seen in training.

    Attributes:
        test: Share of all subjects that are tested, between 0 and 1.
        validation: Share of the others that only steer training (early stopping); 0 for none.

    >>> from mri3d.outcome import Classes
    >>> (fold,) = Holdout(test=0.25).split(Classes(("a", "b")), np.arange(20) % 2, np.arange(20), seed=0)
    >>> len(fold.train_rows), len(fold.validation_rows), len(fold.test_rows)
    (12, 3, 5)
    """

    test: float = 0.2
    validation: float = 0.2

    def __post_init__(self) -> None:
        check_fields(self, "evaluation")
        _check_share("test", self.test, least=np.nextafter(0.0, 1.0))
        _check_share("validation", self.validation, least=0.0)

    def split(self, outcome: Outcome, targets: np.ndarray, groups: np.ndarray, *, seed: int) -> list[Fold]:
        """Split once; arguments and errors as for `Splits.split`."""
        needed = 3 if self.validation else 2
        codes = outcome.strata(targets, groups, needed=needed, reason="a hold-out with its parts needs")
        strata, shares = Strata.of(codes, groups, outcome), np.array([1 - self.test, self.test])
        part_of_group = partition(strata.counts, shares, np.random.default_rng([seed, 0]), every=strata.every)
        fold = _fold(0, 0, part_of_group == 1, strata, self.validation, seed)
        _check_fold(fold, targets, outcome, groups)
        return [fold]

    def tuned(self, model: Model) -> Model:
        """Return the model as it is: nothing is chosen."""
        return model


@dataclass(frozen=True)
class KFold:
    """Every subject is tested once, or once for each repeat.

    Attributes:
        folds: In how many parts the cohort is cut; each is the test set of one fold.
        repeats: How often this is done, shuffled anew each time.
        validation: Share of the subjects outside the test set that only steer training (early stopping); 0 for none.

    >>> from mri3d.outcome import Measure
    >>> ages, families = np.linspace(20, 80, 12), np.arange(12) // 2
    >>> folds = KFold(folds=3, validation=0).split(Measure("age"), ages, families, seed=0)
    >>> [(len(fold.train_rows), len(fold.test_rows)) for fold in folds]
    [(8, 4), (8, 4), (8, 4)]
    """

    folds: int = 5
    repeats: int = 1
    validation: float = 0.2

    def __post_init__(self) -> None:
        check_fields(self, "evaluation")
        _check_count("folds", self.folds, least=2)
        _check_count("repeats", self.repeats, least=1)
        _check_share("validation", self.validation, least=0.0)

    def split(self, outcome: Outcome, targets: np.ndarray, groups: np.ndarray, *, seed: int) -> list[Fold]:
        """Split `folds` times `repeats` times; arguments and errors as for `Splits.split`."""
        codes = outcome.strata(
            targets,
            groups,
            needed=max(self.folds, 3 if self.validation else 2),
            reason=f"{option('evaluation.folds', self.folds)} needs",
            remedy="Ask for fewer folds. " if self.folds > 3 else "",
        )
        strata, folds = Strata.of(codes, groups, outcome), []
        for repeat in range(self.repeats):
            shares = np.full(self.folds, 1 / self.folds)
            random = np.random.default_rng([seed, repeat])
            part_of_group = partition(strata.counts, shares, random, every=strata.every)
            for part in range(self.folds):
                number = repeat * self.folds + part
                folds.append(_fold(number, repeat, part_of_group == part, strata, self.validation, seed))
                _check_fold(folds[-1], targets, outcome, groups)
        return folds

    def tuned(self, model: Model) -> Model:
        """Return the model as it is: nothing is chosen."""
        return model


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


def _fold(number: int, repeat: int, in_test: np.ndarray, strata: Strata, validation: float, seed: int) -> Fold:
    """Take the validation groups from those outside the test set, and turn groups into rows."""
    in_validation = np.zeros_like(in_test)
    if validation:
        outside = np.flatnonzero(~in_test)
        random = np.random.default_rng([seed, repeat, number])
        shares = np.array([1 - validation, validation])
        in_validation[outside] = partition(strata.counts[outside], shares, random, every=strata.every) == 1
    in_train = ~in_test & ~in_validation
    train, held_out, test = (np.flatnonzero(side[strata.group_of_row]) for side in (in_train, in_validation, in_test))
    return Fold(number, repeat, train, held_out, test)


def _check_share(name: str, value: float, *, least: float) -> None:
    if not least <= value < 1:
        allowed = "between 0 and 1" if least > 0 else "at least 0 and below 1"
        where = option(f"evaluation.{name}", value)
        raise UserError(f"{where} is no share of the subjects: give a number {allowed}, such as 0.2.")


def _check_count(name: str, value: int, *, least: int) -> None:
    if value < least:
        raise UserError(f"{option(f'evaluation.{name}', value)}: give a whole number of at least {least}.")


def _check_fold(fold: Fold, targets: np.ndarray, outcome: Outcome, groups: np.ndarray) -> None:
    """Refuse a fold that trains without a class; warn of one that validates or tests without."""
    sides = {"training": fold.train_rows, "validation": fold.validation_rows, "test": fold.test_rows}
    for side, rows in sides.items():
        lacking = outcome.lacking(targets[rows]) if len(rows) else ""
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
