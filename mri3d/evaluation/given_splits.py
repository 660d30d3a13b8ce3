"""Splits that the data give: by the site of a scan, or by a column of the table."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mri3d.errors import UserError, option
from mri3d.evaluation.folds import Fold, Sample, check_fold
from mri3d.evaluation.partition import Strata
from mri3d.evaluation.splits import dealt_fold
from mri3d.evaluation.splitting import WithTest, check_share
from mri3d.texts import list_text, natural_order, number_text

log = logging.getLogger(__name__)

SIDES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "holdout"), "test"),
}
"""Words for the sides of a split, in small letters."""


@dataclass(frozen=True)
class LeaveSiteOut(WithTest):
    """Each site is the test set once: how good the model is on a scanner that it has never seen.

    Attributes:
        validation: Share of the sessions of the other sites that only steer training (early stopping); 0 for none.

    >>> from mri3d.outcome import Classes
    >>> sites = ["n", "n", "s", "s"] * 2
    >>> sample = Sample(Classes(("a", "b")), np.arange(8) % 2, np.arange(8), list("pqrstuvw"), sites=sites)
    >>> [(fold.name, fold.test_rows.tolist()) for fold in LeaveSiteOut(validation=0).split(sample, seed=0)]
    [('site n', [0, 1, 4, 5]), ('site s', [2, 3, 6, 7])]
    """

    validation: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        check_share("validation", self.validation, least=0.0)

    def split(self, sample: Sample, *, seed: int) -> list[Fold]:
        """Split by site; arguments as for `Splits.split`.

        Whoever was scanned at the tested site takes no part in training elsewhere either.

        Raises:
            UserError: The sites are not known, are fewer than two, or are the outcome; or training without one of them
                lacks a class.
        """
        where = option("data.site")
        if not any(sample.sites):
            raise UserError(f"no session has a site, so none can be left out. Name the column that has it ({where}).")
        if lacking := [sample.ids[row] for row, site in enumerate(sample.sites) if not site]:
            raise UserError(
                f"{number_text(len(lacking), 'session', 'has', 'have')} no site: {list_text(lacking, ', ')}. Fill them "
                f"in where {where} says, or leave them out of the table."
            )
        sites, site_of_row = np.unique([str(site) for site in sample.sites], return_inverse=True)
        if len(sites) == 1:
            raise UserError(f"all sessions are of one site, '{sites[0]}', so none can be left out. Evaluate by kfold.")
        self._check_classes(sample, sites, site_of_row)
        reason = "training with a share for validation needs"
        strata = Strata.of(sample, needed=2 if self.validation else 1, reason=reason)
        folds = []
        for number, site in enumerate(sites):
            in_test = site_of_row == number
            travelled = np.isin(sample.groups, sample.groups[in_test]) & ~in_test
            if travelled.any():
                told = number_text(int(travelled.sum()), "session")
                log.info("fold %d (site %s): %s of those scanned there too take no part", number, site, told)
            folds.append(
                dealt_fold(number, 0, in_test, strata, self.validation, seed, apart=travelled, name=f"site {site}")
            )
            check_fold(folds[-1], sample)
        return folds

    def _check_classes(self, sample: Sample, sites: np.ndarray, site_of_row: np.ndarray) -> None:
        """Tell of sites that lack a class, and refuse where each does: the site is the outcome there."""
        lacking = {
            str(site): told
            for number, site in enumerate(sites)
            if (told := sample.outcome.lacking(sample.targets[site_of_row == number]))
        }
        named = list_text([f"site {site!r} has {told}" for site, told in lacking.items()])
        if len(lacking) == len(sites):
            raise UserError(
                f"no site can be scored: {named}. Where the site says the outcome, nothing can be learnt about the "
                "outcome itself. Evaluate sites that have both, or predict something else."
            )
        if lacking:
            log.warning("%s: some scores of these cannot be computed", named)


@dataclass(frozen=True)
class Column(WithTest):
    """A split that a column of the table gives: train, val and test, or the number of the fold that tests a session.

    Attributes:
        column: Its name.
        validation: Share of the sessions outside a test set that only steer training, where the column names none; 0
            for none.

    >>> from mri3d.outcome import Classes
    >>> cells = {"side": ["train"] * 6 + ["test"] * 2}
    >>> sample = Sample(Classes(("a", "b")), np.arange(8) % 2, np.arange(8), list("pqrstuvw"), columns=cells)
    >>> (fold,) = Column("side", validation=0).split(sample, seed=0)
    >>> fold.train_rows.tolist(), fold.test_rows.tolist()
    ([0, 1, 2, 3, 4, 5], [6, 7])
    """

    column: str
    validation: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        check_share("validation", self.validation, least=0.0)

    def split(self, sample: Sample, *, seed: int) -> list[Fold]:
        """Split as the column says; arguments as for `Splits.split`.

        Raises:
            UserError: The column was not kept or has other words, lacks a side, or leaves a side without a class or a
                group on two sides.
        """
        cells = [cell.strip().lower() for cell in sample.column(self.column, asked="evaluation.column")]
        named = f"column {self.column!r}"
        empty = [sample.ids[row] for row, cell in enumerate(cells) if not cell]
        if empty:
            raise UserError(
                f"{named} says nothing of {number_text(len(empty), 'session')}: {list_text(empty, ', ')}. Fill it in, "
                "or leave them out of the table."
            )
        words = sorted(set(cells), key=natural_order)
        if all(word.removesuffix(".0").isdecimal() for word in words):
            _check_together(sample, [f"fold {cell.removesuffix('.0')}" for cell in cells], named)
            folds = self._by_numbers(sample, cells, named, seed)
        elif unknown := [word for word in words if word not in SIDES]:
            raise UserError(
                f"{named} has {list_text(list(map(repr, unknown)), ', ')}, which are no sides of a split. Write train, "
                "val and test, or the number of the fold that tests a session."
            )
        else:
            sides = [SIDES[cell] for cell in cells]
            _check_together(sample, sides, named)
            folds = [self._by_words(sample, sides, named, seed)]
        for fold in folds:
            for side, rows in fold.sides.items():
                if len(rows) and (lacking := sample.outcome.lacking(sample.targets[rows])):
                    raise UserError(
                        f"{named} leaves the {side} set of fold {fold.number} with {lacking}. Put sessions of each on "
                        "every side."
                    )
        return folds

    def _by_words(self, sample: Sample, sides: Sequence[str], named: str, seed: int) -> Fold:
        """Make the only fold."""
        rows = {side: np.flatnonzero(np.array(sides) == side) for side in ("train", "validation", "test")}
        if missing := [side for side in ("train", "test") if not len(rows[side])]:
            raise UserError(f"{named} puts nobody into {' or '.join(missing)}. Name both sides.")
        if len(rows["validation"]):
            return Fold(0, 0, rows["train"], rows["validation"], rows["test"])
        in_test = np.zeros(len(sides), dtype=bool)
        in_test[rows["test"]] = True
        return dealt_fold(0, 0, in_test, self._strata(sample), self.validation, seed)

    def _by_numbers(self, sample: Sample, cells: Sequence[str], named: str, seed: int) -> list[Fold]:
        """Make a fold for each number."""
        numbers = np.array([int(cell.removesuffix(".0")) for cell in cells])
        found = np.unique(numbers)
        if len(found) == 1:
            raise UserError(f"{named} puts everybody into fold {found[0]}, so nobody trains. Name two folds or more.")
        strata = self._strata(sample)
        return [
            dealt_fold(number, 0, numbers == each, strata, self.validation, seed, name=f"{self.column} {each}")
            for number, each in enumerate(found)
        ]

    def _strata(self, sample: Sample) -> Strata:
        """Say what training and validation should hold alike."""
        reason = "training with a share for validation needs"
        return Strata.of(sample, needed=2 if self.validation else 1, reason=reason)


def _check_together(sample: Sample, sides: Sequence[str], named: str) -> None:
    """Refuse a column that puts sessions of one group on several sides [N]."""
    side_of: dict[object, str] = {}
    for group, side in zip(sample.groups, sides, strict=True):
        if (other := side_of.setdefault(group, side)) != side:
            mates = [id for id, mine in zip(sample.ids, sample.groups, strict=True) if mine == group]
            raise UserError(
                f"{named} puts {list_text(mates, ', ')} into {other} and {side}, but they are of one participant or "
                "group and must stay together. Put them on one side."
            )
