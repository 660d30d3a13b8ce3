"""Which subjects train, which validate and which test: stratified by class, and no group on two sides."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mri3d.errors import UserError

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


@dataclass(frozen=True)
class Holdout:
    """One test set, never seen in training.

    Attributes:
        test: Share of all subjects that are tested, between 0 and 1.
        validation: Share of the others that only steer training (early stopping); 0 for none.
    """

    test: float = 0.2
    validation: float = 0.2

    def split(self, targets: np.ndarray, groups: np.ndarray, *, classes: Sequence[str], seed: int) -> list[Fold]:
        """Split once.

        Args:
            targets: Index of each subject's class [N].
            groups: Who must stay together [N], any sortable type; a value of its own for a subject that stands alone.
            classes: Names of the K classes, for messages.
            seed: The split is a function of it, the targets and the groups, whatever the order of the rows.

        Raises:
            UserError: A share is out of range, or a class has too few groups to be on every side.
        """
        _check_share("test", self.test, least=np.nextafter(0.0, 1.0))
        _check_share("validation", self.validation, least=0.0)
        needed = 3 if self.validation else 2
        _check_classes(targets, groups, classes, needed=needed, reason="a hold-out with its parts needs")
        counts, group_of_row = _class_counts(targets, groups, len(classes))
        part_of_group = _partition(counts, np.array([1 - self.test, self.test]), np.random.default_rng([seed, 0]))
        in_test = part_of_group == 1
        fold = _fold(0, 0, in_test, counts, group_of_row, self.validation, seed)
        _check_fold(fold, targets, classes)
        return [fold]


@dataclass(frozen=True)
class KFold:
    """Every subject is tested once, or once for each repeat.

    Attributes:
        folds: In how many parts the cohort is cut; each is the test set of one fold.
        repeats: How often this is done, shuffled anew each time.
        validation: Share of the subjects outside the test set that only steer training (early stopping); 0 for none.
    """

    folds: int = 5
    repeats: int = 1
    validation: float = 0.2

    def split(self, targets: np.ndarray, groups: np.ndarray, *, classes: Sequence[str], seed: int) -> list[Fold]:
        """Split `folds` times `repeats` times; arguments and errors as for `Holdout.split`."""
        _check_count("folds", self.folds, least=2)
        _check_count("repeats", self.repeats, least=1)
        _check_share("validation", self.validation, least=0.0)
        needed = max(self.folds, 3 if self.validation else 2)
        _check_classes(
            targets,
            groups,
            classes,
            needed=needed,
            reason=f"evaluation.folds={self.folds} needs",
            remedy="Ask for fewer folds. " if self.folds > 3 else "",
        )
        counts, group_of_row = _class_counts(targets, groups, len(classes))
        folds = []
        for repeat in range(self.repeats):
            shares = np.full(self.folds, 1 / self.folds)
            part_of_group = _partition(counts, shares, np.random.default_rng([seed, repeat]))
            for part in range(self.folds):
                number = repeat * self.folds + part
                folds.append(_fold(number, repeat, part_of_group == part, counts, group_of_row, self.validation, seed))
                _check_fold(folds[-1], targets, classes)
        return folds


def fold_texts(folds: Sequence[Fold], num_subjects: int) -> list[str]:
    """Say for each row where it stands, for the column `fold` of cohort.csv.

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


def _class_counts(targets: np.ndarray, groups: np.ndarray, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Count each group's subjects by class [G, K], and give each row's group [N]; groups are in sorted order."""
    _, group_of_row = np.unique(groups, return_inverse=True)
    counts = np.zeros((group_of_row.max() + 1, num_classes), dtype=np.int64)
    np.add.at(counts, (group_of_row, targets), 1)
    return counts, group_of_row


def _partition(counts: np.ndarray, shares: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Deal whole groups to parts so that each part gets its share of every class.

    Where no group has two subjects, every count ends within one subject of its share. (scikit-learn's
    StratifiedGroupKFold has no unequal shares, and leaves parts without a class that could have it.)

    Args:
        counts: Subjects of each group by class [G, K].
        shares: Share of each part [P]; positive, sum 1.
        random: Decides between groups that are equally good.

    Returns:
        The part of each group [G].
    """
    goal = shares[:, None] * counts.sum(axis=0)  # [P, K]
    best, least = np.zeros(len(counts), dtype=np.int64), np.inf
    for _ in range(10):  # tries: dealing is greedy, and another order may end better
        parts = _deal(counts, shares, random)
        dealt = np.stack([counts[parts == part].sum(axis=0) for part in range(len(shares))])
        distance = np.square(dealt - goal) / np.maximum(counts.sum(axis=0), 1)
        cost = distance.sum() + counts.sum() * np.count_nonzero(dealt == 0)
        if cost < least:
            best, least = parts, cost
        if np.abs(dealt - goal).max() < 1 and (dealt > 0).all():
            break
    return best


def _deal(counts: np.ndarray, shares: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Deal the largest group first, each to the part that lacks most of its classes; then move groups while it helps.

    Arguments and result as for `_partition`.
    """
    # A last column of all subjects, of little weight, evens out the sizes of parts that are equally good by class.
    columns = np.concatenate([counts, counts.sum(axis=1, keepdims=True)], axis=1)
    totals = columns.sum(axis=0)
    weights = 1.0 / np.maximum(totals, 1)
    weights[-1] *= 1e-3
    excess = -shares[:, None] * totals  # [P, K + 1] how far each part is above its share
    num_holding = np.zeros((len(shares), counts.shape[1]), dtype=np.int64)  # [P, K] groups of the part with the class
    order = random.permutation(len(counts))
    order = order[np.argsort(-columns[order, -1], kind="stable")]
    parts = np.full(len(counts), -1)
    for num_round in range(20):  # the first round deals, the others move; few are needed
        before = parts.copy()
        for group in order:
            if num_round:
                excess[parts[group]] -= columns[group]
                num_holding[parts[group]] -= counts[group] > 0
            # The growth of the weighted squared excess, less what is the same for all parts; but a part that has
            # none of a class goes first. Rounded, so that equals tie on every machine.
            missing = ((num_holding == 0) & (counts[group] > 0)).sum(axis=1)
            cost = excess @ (weights * columns[group]) - totals[-1] * missing
            parts[group] = np.argmin(np.round(cost, 9))
            excess[parts[group]] += columns[group]
            num_holding[parts[group]] += counts[group] > 0
        if np.array_equal(parts, before):
            break
    return parts


def _fold(
    number: int,
    repeat: int,
    in_test: np.ndarray,
    counts: np.ndarray,
    group_of_row: np.ndarray,
    validation: float,
    seed: int,
) -> Fold:
    """Take the validation groups from those outside the test set, and turn groups into rows."""
    in_validation = np.zeros_like(in_test)
    if validation:
        outside = np.flatnonzero(~in_test)
        random = np.random.default_rng([seed, repeat, number])
        in_validation[outside] = _partition(counts[outside], np.array([1 - validation, validation]), random) == 1
    in_train = ~in_test & ~in_validation
    train, held_out, test = (np.flatnonzero(side[group_of_row]) for side in (in_train, in_validation, in_test))
    return Fold(number, repeat, train, held_out, test)


def _check_share(name: str, value: float, *, least: float) -> None:
    if not isinstance(value, (int, float)) or not least <= value < 1:
        allowed = "between 0 and 1" if least > 0 else "at least 0 and below 1"
        raise UserError(f"evaluation.{name}={value} is no share of the subjects: give a number {allowed}, such as 0.2.")


def _check_count(name: str, value: int, *, least: int) -> None:
    if not isinstance(value, int) or value < least:
        raise UserError(f"evaluation.{name}={value}: give a whole number of at least {least}.")


def _check_classes(
    targets: np.ndarray, groups: np.ndarray, classes: Sequence[str], *, needed: int, reason: str, remedy: str = ""
) -> None:
    """Refuse a class that is in too few groups to be on every side of every fold."""
    if len(classes) < 2:
        raise UserError(
            f"a classifier needs at least two classes, and the cohort has {len(classes)} ({', '.join(classes)}): "
            "check data.label and data.unlabelled."
        )
    problems = []
    for target, name in enumerate(classes):
        members = targets == target
        num_subjects, num_groups = int(members.sum()), len(np.unique(groups[members]))
        if num_groups < needed:
            within = f" in {num_groups} group{'s' * (num_groups != 1)}" if num_groups < num_subjects else ""
            problems.append(f"class {name!r} has {num_subjects} subjects{within}")
    if problems:
        raise UserError(
            f"{'; '.join(problems)}: fewer than the {needed} that {reason}. "
            f"{remedy}Add subjects, join the class with another, or leave it out (data.unlabelled)."
        )


def _check_fold(fold: Fold, targets: np.ndarray, classes: Sequence[str]) -> None:
    """Refuse a fold that trains without a class; warn of one that validates or tests without."""
    sides = {"training": fold.train_rows, "validation": fold.validation_rows, "test": fold.test_rows}
    for side, rows in sides.items():
        missing = [name for target, name in enumerate(classes) if not (targets[rows] == target).any()]
        if not missing or (side == "validation" and not len(rows)):
            continue
        where = f"the {side} set of fold {fold.number} has no subject of class {', '.join(map(repr, missing))}"
        if side == "training":
            raise UserError(
                f"{where}, because the groups are too large to share out. "
                "Use smaller groups (data.group), a smaller share for test or validation, or more folds."
            )
        log.warning("%s: some of its scores cannot be computed", where)
