"""What a fit of a classical model will do: the rows it learns from, what it tries on them, and on which inner folds."""

import logging
from typing import NamedTuple, Protocol, Self

import numpy as np

from mri3d.models.classical.grid import ParameterGrid
from mri3d.models.classical.inner_folds import InnerFold, inner_folds_that_fit
from mri3d.models.model import Setting, TrainingSet
from mri3d.voxels.pca import check_num_components

log = logging.getLogger(__name__)


class Limits(Protocol):
    """What a model asks of rows and settings; see `ClassicalModel`."""

    def rows_needed(self, setting: Setting) -> int:
        """Return how many rows a setting must learn from."""

    def check_setting(self, setting: Setting, num_rows: int) -> None:
        """Refuse values that a setting cannot have on so many rows."""


class Plan(NamedTuple):
    """What was resolved.

    Attributes:
        rows: Of the volumes, to learn from [N].
        grid: What is tried.
        folds: Positions in `rows` that are learnt from and held out; empty where nothing is chosen or calibrated.
    """

    rows: np.ndarray
    grid: ParameterGrid
    folds: list[InnerFold]

    def warned(self, name: str, grid: ParameterGrid, num_folds: int) -> Self:
        """Return the plan, once a warning tells what is less than a model of this name asked for."""
        if 0 < len(self.folds) < num_folds:
            told = "%s: %d inner folds, not %d: with more, parts of so few training rows would lack a class or a value"
            log.warning(told, name, len(self.folds), num_folds)
        for parameter, values in grid.values_beyond(self.grid).items():
            log.warning("%s: %s left out, too many for so few training rows", parameter, values)
        return self


def make_plan(
    training: TrainingSet,
    grid: ParameterGrid,
    *,
    num_folds: int | None,
    limits: Limits,
) -> Plan:
    """Resolve what a fit does.

    Args:
        training: What it learns from.
        grid: What is asked for.
        num_folds: How many inner folds; None for none.
        limits: What settings of the decision ask for.

    Raises:
        UserError: A value is impossible, or the rows cannot be cut into inner folds.
    """
    rows, folds = training.rows, list[InnerFold]()
    if num_folds is not None:
        targets, groups = training.targets[rows], training.groups[rows]
        folds = inner_folds_that_fit(training.outcome, targets, groups, num_folds=num_folds, seed=training.seed)
    num_rows = min([len(train) for train, _ in folds], default=len(rows))
    grid = grid.within(num_rows, limits.rows_needed)
    for num_components in grid.num_components:
        check_num_components(num_components, num_rows)
    for setting in grid.settings:
        limits.check_setting(setting, num_rows)
    return Plan(rows, grid, folds)
