"""Parts of a cohort that are alike in one thing, such as a site or an age: does a model do as well in each?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from mri3d.cohort.variables import Variable
from mri3d.outcome.measure_words import value_text

FEWEST = 10
"""Groups that a stratum must have: of fewer, an interval says next to nothing."""

_PARTS = 3  # of numbers


@dataclass(frozen=True, eq=False)
class Stratum:
    """Sessions that are alike in one variable.

    Attributes:
        variable: Its name.
        level: What they have in common: a category, or from where to where their numbers reach.
        rows: The sessions.
    """

    variable: str
    level: str
    rows: np.ndarray


@dataclass(frozen=True, eq=False)
class Strata:
    """All strata of a cohort that are large enough.

    Attributes:
        members: Variable by variable, in the order in which people sort their levels.
        num_too_small: How many others there are.
        num_unknown: Name of each variable of which something is missing, to the number of those sessions.
    """

    members: tuple[Stratum, ...]
    num_too_small: int
    num_unknown: dict[str, int]

    @classmethod
    def of(cls, variables: Sequence[Variable], groups: np.ndarray, sessions: np.ndarray | None = None) -> Self:
        """Part sessions by each variable: by its categories, or numbers into thirds.

        A variable in which all are alike parts nobody, and is left out.

        Args:
            variables: Each of N sessions.
            groups: Who is one unit [N].
            sessions: Which session each is [N], where one may stand there several times.
        """
        found = [(variable, list(_parts(variable))) for variable in variables]
        parted = [(variable, strata) for variable, strata in found if len(strata) > 1]
        members = [stratum for _, strata in parted for stratum in strata]
        large = tuple(stratum for stratum in members if len(np.unique(groups[stratum.rows])) >= FEWEST)
        sessions = np.arange(len(groups)) if sessions is None else sessions
        unknown = {variable.name: len(np.unique(sessions[~variable.known])) for variable, _ in parted}
        counts = {name: number for name, number in unknown.items() if number}
        return cls(large, len(members) - len(large), counts)


def _parts(variable: Variable) -> Iterator[Stratum]:
    """Yield the strata of a variable."""
    if not variable.is_number:
        for level in variable.levels:
            yield Stratum(variable.name, level, np.flatnonzero(variable.values == level))
        return
    known = variable.values[variable.known]
    different = np.unique(known)
    shares = np.arange(1, _PARTS) / _PARTS
    ends = different[:-1] if len(different) <= _PARTS else np.quantile(known, shares)  # what lies on one is below it
    part = np.searchsorted(ends, variable.values, side="left")
    for number in range(len(ends) + 1):
        rows = np.flatnonzero(variable.known & (part == number))
        if len(rows):
            first, last = (value_text(end) for end in (variable.values[rows].min(), variable.values[rows].max()))
            yield Stratum(variable.name, first if first == last else f"{first} to {last}", rows)
