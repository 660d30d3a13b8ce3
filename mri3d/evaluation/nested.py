"""Nested evaluation: whatever is chosen is chosen inside the training rows, fold by fold."""

import itertools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mri3d.errors import UserError, option
from mri3d.evaluation.grid_search import GridSearch
from mri3d.evaluation.splits import KFold
from mri3d.models.model import Model

log = logging.getLogger(__name__)

INNER_FOLDS = 3


@dataclass(frozen=True)
class Nested(KFold):
    """K-fold, with the model's options chosen in each fold by folds of its own training rows.

    The classical models have a grid of their own and choose from it wherever they are fitted, in one go for all points
    of the grid; `grid` is for every other option of any model, at the price of a fit for each point and inner fold.

    Attributes:
        grid: Option of the model to the values to choose from: `{optimizer.lr: [1e-3, 3e-3]}`; empty for none.
        inner_folds: In how many parts the training rows are cut to choose from `grid`; 3 unless told.

    Raises:
        UserError: `inner_folds` is given and there is no grid: the classical models have inner folds of their own.

    >>> Nested(folds=5, grid={"optimizer.lr": [1e-3, 3e-3], "batch_size": [4]}).settings
    [{'optimizer.lr': 0.001, 'batch_size': 4}, {'optimizer.lr': 0.003, 'batch_size': 4}]
    """

    grid: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    inner_folds: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.inner_folds is not None and not self.grid:
            raise UserError(
                f"{option('evaluation.inner_folds', self.inner_folds)} is for {option('evaluation.grid')}, and there "
                f"is none. Give a grid, or set {option('model.inner_folds')}: the classical models choose by folds of "
                "their own."
            )

    @property
    def settings(self) -> list[dict[str, Any]]:
        """All points of the grid; one empty point where there is no grid.

        Raises:
            UserError: An option has no list of values, or an empty one.

        >>> Nested(grid={"a": [1, 2], "b": ["x"]}).settings
        [{'a': 1, 'b': 'x'}, {'a': 2, 'b': 'x'}]
        """
        for name, values in self.grid.items():
            if not isinstance(values, list | tuple) or not values:
                raise UserError(
                    f"{option('evaluation.grid')}: {name} has {values!r} and no list of values. Give one: [...]."
                )
        return [dict(zip(self.grid, point, strict=True)) for point in itertools.product(*self.grid.values())]

    def tuned(self, model: Model) -> Model:
        """Return a search among the variants of the model that the grid spans; the model itself without a grid."""
        if not self.grid:
            if not model.chooses:
                log.warning("nested evaluation chooses nothing for %s without a grid: it is k-fold", model.name)
            return model
        inner = KFold(folds=self.inner_folds or INNER_FOLDS, validation=self.validation)
        return GridSearch(model, self.settings, inner)
