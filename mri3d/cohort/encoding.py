"""Variables as columns of a matrix, made from the rows that are learnt from and from no others."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from mri3d.arguments import fits
from mri3d.cohort.variables import Variable, Variables


@dataclass(frozen=True)
class Coding:
    """How one variable becomes columns: of numbers one in standard units, of categories one for each.

    Each column has a mean of 0 over the rows that were learnt from, and the columns of a variable together a variance
    of 1. What is not known is 0, the mean; where it was not known of some of the rows that were learnt from, a further
    column flags it.

    Attributes:
        name: Of the variable.
        is_number: Whether its values are numbers.
        levels: The categories that have columns, of two only the second; empty for numbers.
        centres: Mean of each column but the flag.
        scale: What the columns but the flag are divided by; 0 where they are constant.
        missing: Share of the rows of which nothing was known; 0 for no flag.
        known_levels: All categories that were seen.
    """

    name: str
    is_number: bool
    levels: tuple[str, ...]
    centres: tuple[float, ...]
    scale: float
    missing: float
    known_levels: tuple[str, ...]

    @classmethod
    def fit(cls, variable: Variable) -> Self:
        """Learn from all sessions of a variable."""
        known = variable.known
        seen = Variable(variable.name, variable.values[known])
        levels = seen.levels[1:] if len(seen.levels) == 2 else seen.levels
        columns = _raw_columns(seen, levels)
        if not len(columns):
            return cls(variable.name, variable.is_number, levels, (0.0,) * columns.shape[1], 0.0, 1.0, seen.levels)
        spread = float(np.sqrt(columns.var(axis=0).sum()))
        rounding = 1e-12 * float(np.abs(columns).max())
        centres = tuple(columns.mean(axis=0).tolist())
        scale, missing = spread * (spread > rounding), float((~known).mean())
        return cls(variable.name, variable.is_number, levels, centres, scale, missing, seen.levels)

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.centres) + (self.missing > 0)

    def columns(self, variable: Variable) -> np.ndarray:
        """Return the columns of M sessions, float64 [M, width]; a category that was not seen counts as not known."""
        known = variable.known & ~self.unseen(variable)
        values = (_raw_columns(variable, self.levels) - self.centres) / (self.scale or np.inf)
        values[~known] = 0.0
        flag = [(~known - self.missing)[:, None]] if self.missing > 0 else []
        return np.hstack([values, *flag])

    def unseen(self, variable: Variable) -> np.ndarray:
        """Return which sessions have a category that was not among those learnt from, bool [M]."""
        if self.is_number:
            return np.zeros(len(variable.values), dtype=bool)
        return np.asarray(variable.known & ~np.isin(variable.values, self.known_levels))


@dataclass(frozen=True)
class Encoder:
    """How variables become the columns of a matrix.

    Attributes:
        codings: One for each variable.
    """

    codings: tuple[Coding, ...]

    @classmethod
    def fit(cls, variables: Variables, rows: np.ndarray) -> Self:
        """Learn means, spreads and categories from some rows.

        Args:
            variables: Of N sessions.
            rows: Which are learnt from.

        >>> variables = Variables((Variable("age", np.array([20.0, 40.0, 99.0])),))
        >>> Encoder.fit(variables, np.array([0, 1])).encode(variables).ravel().tolist()
        [-1.0, 1.0, 6.9]
        """
        return cls(tuple(Coding.fit(variable) for variable in variables.taking(rows).members))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the variables."""
        return tuple(coding.name for coding in self.codings)

    @property
    def width(self) -> int:
        """Number Q of columns."""
        return sum(coding.width for coding in self.codings)

    def encode(self, variables: Variables) -> np.ndarray:
        """Return the columns of M sessions, float64 [M, Q]; variables are found by their names."""
        by_name = {variable.name: variable for variable in variables.members}
        parts = [coding.columns(by_name[coding.name]) for coding in self.codings]
        return np.hstack(parts) if parts else np.empty((len(variables), 0))

    def to_json(self) -> list[dict[str, Any]]:
        """Return what `from_json` builds it from."""
        return [asdict(coding) for coding in self.codings]

    @classmethod
    def from_json(cls, value: list[Mapping[str, Any]]) -> Self:
        """Build it from what `to_json` returned.

        Raises:
            KeyError, TypeError, ValueError: It is something else.
        """
        codings = []
        if len({given["name"] for given in value}) < len(value):
            raise ValueError("a covariate stands there twice")
        for given in value:
            if not fits(given["centres"], list[float]) or not all(
                fits(given[name], list[str]) for name in ("levels", "known_levels")
            ):
                raise ValueError("a covariate has no lists of means and categories")
            if not fits(given["scale"], float) or not fits(given["missing"], float):
                raise ValueError("a covariate has no spread, or no share of missing values")
            listed = {name: tuple(given[name]) for name in ("levels", "centres", "known_levels")}
            coding = Coding(**{**given, **listed})
            numbers = np.array([*coding.centres, coding.scale, coding.missing], dtype=np.float64)
            texts = [coding.name, *coding.levels, *coding.known_levels]
            if len(set(coding.levels)) < len(coding.levels):
                raise ValueError("a covariate has a category twice")
            if not np.isfinite(numbers).all() or coding.scale < 0 or not 0 <= coding.missing <= 1:
                raise ValueError("a covariate has no finite mean and spread")
            if (
                not fits(texts, list[str])
                or not fits(coding.is_number, bool)
                or not set(coding.levels) <= set(coding.known_levels)
            ):
                raise ValueError("a covariate has categories that are no texts")
            if len(coding.centres) != (1 if coding.is_number else len(coding.levels)):
                raise ValueError("a covariate has another number of means than of columns")
            codings.append(coding)
        return cls(tuple(codings))


def _raw_columns(variable: Variable, levels: tuple[str, ...]) -> np.ndarray:
    """Return numbers as one column, or for each of some categories where it stands, float64 [M, columns]."""
    if variable.is_number:
        return np.asarray(variable.values[:, None].copy())
    return np.asarray(variable.values[:, None] == np.array(levels, dtype=np.str_), dtype=np.float64)
