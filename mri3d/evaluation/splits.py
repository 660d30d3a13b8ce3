"""Ways to deal sessions into folds: stratified by outcome, and no group on two sides."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

from mri3d.arguments import check_fields
from mri3d.errors import UserError, option
from mri3d.evaluation.folds import Fold, Sample, check_fold
from mri3d.evaluation.partition import Strata, partition
from mri3d.evaluation.recorded_folds import recorded_tests
from mri3d.evaluation.splitting import Dealt, check_count, check_share
from mri3d.models.model import Model

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class All:
    """No test: the final model learns from every row, and no score says how good it is.

    Attributes:
        validation: Share of the rows that only steer training (early stopping); 0 for none.
        seeds: How often the model is fitted, with a seed of its own each time; the mean prediction is the prediction.

    >>> from mri3d.outcome import Classes
    >>> sample = Sample(Classes(("a", "b")), np.arange(8) % 2, np.arange(8))
    >>> folds = All(validation=0.25).split(sample, seed=0)
    >>> len(folds[0].train_rows), len(folds[0].validation_rows), len(folds[0].test_rows)
    (6, 2, 0)
    """

    validation: float = 0.2
    seeds: int = field(default=1, kw_only=True)

    allow_leaks: ClassVar[bool] = False
    permutations: ClassVar[int] = 0
    refit: ClassVar[bool] = False
    intervals: ClassVar[str] = "nadeau_bengio"
    confounds: ClassVar[tuple[str, ...]] = ()
    harmonize: ClassVar[str | None] = None

    def __post_init__(self) -> None:
        check_fields(self, "evaluation")
        check_count("seeds", self.seeds, least=1)
        check_share("validation", self.validation, least=0.0)

    def split(self, sample: Sample, *, seed: int) -> list[Fold]:
        """Split into training and validation rows; arguments and errors as for `Splits.split`."""
        needed = 2 if self.validation else 1
        strata = Strata.of(sample, needed=needed, reason="training with a share for validation needs")
        fold = dealt_fold(0, 0, np.zeros(len(sample.targets), dtype=bool), strata, self.validation, seed)
        check_fold(fold, sample)
        return [fold]

    def tuned(self, model: Model) -> Model:
        """Return the model as it is: nothing is chosen."""
        return model

    def smaller(self, sample: Sample, folds: Sequence[Fold], *, seed: int) -> Mapping[float, list[Fold]]:
        """Return none: nothing is tested."""
        return {}


@dataclass(frozen=True)
class Holdout(Dealt):
    """One test set, never seen in training.

    Attributes:
        test: Share of all subjects that are tested, between 0 and 1.
        validation: Share of the others that only steer training (early stopping); 0 for none.

    >>> from mri3d.outcome import Classes
    >>> sample = Sample(Classes(("a", "b")), np.arange(20) % 2, np.arange(20))
    >>> (fold,) = Holdout(test=0.25).split(sample, seed=0)
    >>> len(fold.train_rows), len(fold.validation_rows), len(fold.test_rows)
    (12, 3, 5)
    """

    test: float = 0.2
    validation: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        check_share("test", self.test, least=np.nextafter(0.0, 1.0))
        check_share("validation", self.validation, least=0.0)

    def split(self, sample: Sample, *, seed: int) -> list[Fold]:
        """Split once; arguments and errors as for `Splits.split`."""
        needed = 3 if self.validation else 2
        strata = Strata.of(sample, self.balance, needed=needed, reason="a hold-out with its parts needs")
        if self.splits is None:
            shares, random = np.array([1 - self.test, self.test]), np.random.default_rng([seed, 0])
            in_test = (partition(strata, shares, random) == 1)[strata.group_of_row]
        else:
            tests = recorded_tests(Path(self.splits), sample)
            if len(tests) > 1:
                raise UserError(
                    f"{option('evaluation.splits', self.splits)} has {len(tests)} test sets, and a hold-out has one. "
                    "Evaluate by kfold."
                )
            ((_, in_test),) = tests
        fold = dealt_fold(0, 0, in_test, strata, self.validation, seed)
        check_fold(fold, sample)
        return [fold]


@dataclass(frozen=True)
class KFold(Dealt):
    """Every subject is tested once, or once for each repeat.

    Attributes:
        folds: In how many parts the cohort is cut; each is the test set of one fold.
        repeats: How often this is done, shuffled anew each time.
        validation: Share of the subjects outside the test set that only steer training (early stopping); 0 for none.

    >>> from mri3d.outcome import Measure
    >>> ages, families = np.linspace(20, 80, 12), np.arange(12) // 2
    >>> folds = KFold(folds=3, validation=0).split(Sample(Measure("age"), ages, families), seed=0)
    >>> [(len(fold.train_rows), len(fold.test_rows)) for fold in folds]
    [(8, 4), (8, 4), (8, 4)]
    """

    folds: int = 5
    repeats: int = 1
    validation: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("folds", self.folds, least=2)
        check_count("repeats", self.repeats, least=1)
        check_share("validation", self.validation, least=0.0)

    def split(self, sample: Sample, *, seed: int) -> list[Fold]:
        """Split `folds` times `repeats` times; arguments and errors as for `Splits.split`."""
        recorded = None if self.splits is None else recorded_tests(Path(self.splits), sample)
        if recorded is not None and len(recorded) == 1:
            raise UserError(
                f"{option('evaluation.splits', self.splits)} has one test set, and k-fold evaluation several. Evaluate "
                "by holdout."
            )
        strata = Strata.of(
            sample,
            self.balance,
            needed=(3 if self.validation else 2) if recorded else max(self.folds, 3 if self.validation else 2),
            reason=f"{option('evaluation.folds', self.folds)} needs",
            remedy="Ask for fewer folds. " if self.folds > 3 else "",
        )
        tests = self._tests(strata, seed) if recorded is None else recorded
        if recorded is not None and len(recorded) != self.folds * self.repeats:
            ours = f"{option('evaluation.folds', self.folds)} and {option('evaluation.repeats', self.repeats)}"
            told = f"the {len(recorded)} test sets are those of {self.splits}: {ours} do nothing"
            log.warning("%s", UserError(told))
        folds = []
        for number, (repeat, in_test) in enumerate(tests):
            folds.append(dealt_fold(number, repeat, in_test, strata, self.validation, seed))
            check_fold(folds[-1], sample)
        return folds

    def _tests(self, strata: Strata, seed: int) -> list[tuple[int, np.ndarray]]:
        """Deal the groups anew for each repeat: repeat and tested rows, bool [N], of each fold."""
        tests, shares = [], np.full(self.folds, 1 / self.folds)
        for repeat in range(self.repeats):
            part_of_group = partition(strata, shares, np.random.default_rng([seed, repeat]))
            tests += [(repeat, (part_of_group == part)[strata.group_of_row]) for part in range(self.folds)]
        return tests


def dealt_fold(
    number: int,
    repeat: int,
    in_test: np.ndarray,
    strata: Strata,
    validation: float,
    seed: int,
    *,
    apart: np.ndarray | None = None,
    name: str = "",
) -> Fold:
    """Take the validation groups from those outside the test set.

    Args:
        number: Of the fold.
        repeat: It belongs to.
        in_test: Which rows are tested, bool [N].
        strata: What both sides should hold alike.
        validation: Share of the rows outside the test set; 0 for none.
        seed: The choice is a function of it, the repeat and the number.
        apart: Rows that take no part in the fold, bool [N]; none unless given.
        name: What sets the test set apart.
    """
    used = np.zeros(len(strata.counts), dtype=bool)
    used[strata.group_of_row[in_test if apart is None else in_test | apart]] = True
    in_validation = np.zeros_like(used)
    if validation:
        outside = np.flatnonzero(~used)
        random = np.random.default_rng([seed, repeat, number])
        shares = np.array([1 - validation, validation])
        in_validation[outside] = partition(strata.among(outside), shares, random) == 1
    in_train = ~used & ~in_validation
    train, held_out = (np.flatnonzero(side[strata.group_of_row]) for side in (in_train, in_validation))
    return Fold(number, repeat, train, held_out, np.flatnonzero(in_test), name)
