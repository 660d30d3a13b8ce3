"""What a search of settings tries: every number of components with every setting of the decision."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mri3d.errors import UserError, option
from mri3d.models.model import Setting
from mri3d.voxels.pca import NumComponents


@dataclass(frozen=True)
class ParameterGrid:
    """Every number of components with every setting of the decision, in the order in which ties are decided.

    Attributes:
        num_components: Values to try.
        settings: Values to try for the decision.
        covariate_weights: Values to try for the weight of the covariates; empty where the image is all.
    """

    num_components: tuple[NumComponents, ...]
    settings: tuple[Setting, ...]
    covariate_weights: tuple[float, ...] = ()

    @property
    def spaces(self) -> list[Setting]:
        """All ways to make the scores that decisions are fitted to."""
        counts = [{"num_components": count} for count in self.num_components]
        if not self.covariate_weights:
            return counts
        return [{**count, "covariate_weight": weight} for count in counts for weight in self.covariate_weights]

    @property
    def points(self) -> list[Setting]:
        """All combinations; the settings run fastest."""
        return [{**space, **setting} for space in self.spaces for setting in self.settings]

    def parted(self, point: int) -> tuple[Setting, Setting]:
        """Return a point as the way to make scores, and the setting of the decision."""
        space, setting = divmod(int(point), len(self.settings))
        return self.spaces[space], self.settings[setting]

    def within(self, num_rows: int, rows_needed: Callable[[Setting], int]) -> "ParameterGrid":
        """Leave out values that so many rows are too few for; where none is left all stay, to be refused by name.

        Args:
            num_rows: How many there are.
            rows_needed: How many a setting of the decision needs.

        >>> ParameterGrid.of([0.9, 5], k=[3, 9]).within(5, lambda setting: setting["k"])
        ParameterGrid(num_components=(0.9,), settings=({'k': 3},), covariate_weights=())
        """
        counts = [n for n in self.num_components if not (isinstance(n, int) and n >= num_rows)]
        settings = [setting for setting in self.settings if rows_needed(setting) <= num_rows]
        kept = tuple(counts) or self.num_components, tuple(settings) or self.settings
        return ParameterGrid(*kept, self.covariate_weights)

    def values_beyond(self, other: "ParameterGrid") -> dict[str, list[Any]]:
        """List for each parameter the values that are here and not in another grid; only parameters that have some.

        >>> ParameterGrid.of([0.9, 5], k=[3, 9]).values_beyond(ParameterGrid.of([0.9, 5], k=[3]))
        {'k': [9]}
        """
        beyond: dict[str, list[Any]] = {}
        theirs = other.points
        for name in self.points[0]:
            kept = [point[name] for point in theirs]
            missing = dict.fromkeys(point[name] for point in self.points if point[name] not in kept)
            beyond |= {name: list(missing)} if missing else {}
        return beyond

    @classmethod
    def of(cls, num_components: object, *, covariate_weight: object = None, **parameters: object) -> "ParameterGrid":
        """Span a grid from one value or a list of values for each parameter.

        Args:
            num_components: Of components.
            covariate_weight: Of covariates; None where there are none.
            **parameters: Of the decision.

        Raises:
            UserError: A list is empty.

        >>> ParameterGrid.of([5, None], C=[0.1, 1.0]).points[1]
        {'num_components': 5, 'C': 1.0}
        """
        lists = {name: values_to_try(name, value) for name, value in parameters.items()}
        settings = [dict(zip(lists, values, strict=True)) for values in itertools.product(*lists.values())]
        weights = [] if covariate_weight is None else values_to_try("covariate_weight", covariate_weight)
        return cls(tuple(values_to_try("num_components", num_components)), tuple(settings), tuple(weights))


def values_to_try(name: str, value: object) -> list[Any]:
    """Return the values that an option names, which is one value or a list of values to choose from.

    Raises:
        UserError: The list is empty.
    """
    values = list(value) if isinstance(value, list | tuple) else [value]
    if not values:
        raise UserError(
            f"{option(f'model.{name}')} is an empty list: there is nothing to try. Give a value or a list of values."
        )
    return values
