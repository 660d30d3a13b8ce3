"""Cut training rows into the inner folds that choose settings and calibrate."""

import contextlib

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from mri3d.errors import UserError, option
from mri3d.models.model import TrainingSet
from mri3d.outcome import Outcome

InnerFold = tuple[np.ndarray, np.ndarray]
"""Positions among the training rows that are learnt from, and that are held out."""


def inner_folds(
    outcome: Outcome, targets: np.ndarray, groups: np.ndarray, *, num_folds: int, seed: int
) -> list[InnerFold]:
    """Cut training rows into stratified folds that keep groups whole.

    Args:
        outcome: What is predicted.
        targets: Truth of each training row, [N].
        groups: Who belongs together, [N].
        num_folds: How many.
        seed: Of the shuffle.

    Returns:
        Positions learnt from and positions held out, for each fold.

    Raises:
        UserError: There are fewer than 2 folds, a class has fewer groups than folds, or a fold lacks a class.
    """
    lower = f"Lower {option('model.inner_folds')}" if num_folds > 2 else ""
    if num_folds < 2:
        raise UserError(f"{option('model.inner_folds', num_folds)} is too few. Give 2 or more.")
    reason = f"inner folds need of the {len(targets)} training rows"
    strata = outcome.strata(targets, groups, needed=num_folds, reason=reason, remedy=lower and f"{lower}. ")
    alone = len(np.unique(groups)) == len(groups)
    if alone:
        folds = list(StratifiedKFold(num_folds, shuffle=True, random_state=seed).split(strata, strata))
    else:
        splitter = StratifiedGroupKFold(num_folds, shuffle=True, random_state=seed)
        folds = list(splitter.split(strata, strata, groups))
    for number, (train, held_out) in enumerate(folds):
        for done, part in (("learns from", train), ("holds out", held_out)):
            if lacking := outcome.lacking(targets[part]):
                why = "too few rows differ" if alone else "groups stay whole"
                raise UserError(
                    f"inner fold {number} {done} {lacking}, because {why}. "
                    f"{f'{lower}, or change' if lower else 'Change'} {option('seed')}."
                )
    return folds


def inner_folds_that_fit(
    outcome: Outcome, targets: np.ndarray, groups: np.ndarray, *, num_folds: int, seed: int
) -> list[InnerFold]:
    """Cut training rows as `inner_folds` does, into fewer folds where so many cannot be; arguments as there.

    Raises:
        UserError: Not even 2 folds can be.
    """
    for fewer in range(min(num_folds, len(targets)), 2, -1):
        with contextlib.suppress(UserError):
            return inner_folds(outcome, targets, groups, num_folds=fewer, seed=seed)
    return inner_folds(outcome, targets, groups, num_folds=min(num_folds, 2), seed=seed)


def inner_folds_of(training: TrainingSet, *, num_folds: int = 5) -> list[InnerFold]:
    """Cut all rows that a fit learns from, those for validation too, into folds that fit; by their positions.

    Raises:
        UserError: Not even 2 folds can be.
    """
    rows = training.rows
    targets, groups = training.targets[rows], training.groups[rows]
    return inner_folds_that_fit(training.outcome, targets, groups, num_folds=num_folds, seed=training.seed)
