"""Columns of the table as numbers or categories: what is known of sessions beside their scans."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np

from mri3d.cohort.missing import is_missing, missing_codes
from mri3d.errors import UserError, option
from mri3d.texts import list_text, natural_order, number_text, parse_number, spelling

MOST_MISSING = 0.5
"""Share of the sessions of which a column may say nothing; of fewer than this it says something."""

MOST_LEVELS = 0.5
"""Categories for each session that a column may have at most: with more it names sessions."""

LARGEST = 1e30
"""Numbers from here on cannot be computed with exactly."""

_DECIMAL_COMMA = re.compile(r"[+-]?\d+(,\d+)?")  # as spreadsheets of half of Europe write numbers
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")


@dataclass(frozen=True, eq=False)
class Variable:
    """What is known of N sessions: a number each, or a category each.

    Attributes:
        name: Of the column.
        values: float64 [N], NaN where nothing is known; or texts [N], empty there.
        estimate: How it was estimated, to end a sentence that begins "it is"; empty where it was measured.
        of_scan: Whether it says where or how a scan was made or stored, not whom it shows.
    """

    name: str
    values: np.ndarray
    estimate: str = ""
    of_scan: bool = False

    @property
    def is_number(self) -> bool:
        """Whether values are numbers."""
        return self.values.dtype.kind == "f"

    @property
    def known(self) -> np.ndarray:
        """Of which sessions something is known, bool [N]."""
        return np.asarray(np.isfinite(self.values) if self.is_number else self.values != "")

    @cached_property
    def levels(self) -> tuple[str, ...]:
        """The categories, as people sort them; none of numbers."""
        if self.is_number:
            return ()
        return tuple(sorted(map(str, np.unique(self.values[self.known])), key=natural_order))

    @cached_property
    def intruders(self) -> tuple[str, ...]:
        """Texts that stand among numbers, and make categories of what is a column of numbers else; mostly none."""
        known = () if self.is_number else self.values[self.known]
        texts = [str(text) for text in known if parse_number(text) is None]
        return tuple(dict.fromkeys(texts)) if 2 * len(texts) < len(known) else ()

    @classmethod
    def of(cls, name: str, cells: Sequence[str], *, categorical: bool = False, of_scan: bool = False) -> Self:
        """Take cells as numbers where all that say something are numbers, else as categories.

        Args:
            name: Of the column.
            cells: [N], an empty text or a word for it where nothing is known.
            categorical: Whether numbers are names too, as those of sites are.
            of_scan: See above.

        >>> Variable.of("age", ["30", "", "41.5"]).values, Variable.of("sex", ["F", "NA"]).values.tolist()
        (array([30. ,  nan, 41.5]), ['F', ''])
        """
        texts = ["" if is_missing(cell.strip()) else cell.strip() for cell in cells]
        numbers = [parse_number(text) if text else np.nan for text in with_points(texts)]
        if categorical or None in numbers or not any(texts):
            return cls(name, np.array(texts, dtype=np.str_), of_scan=of_scan)
        return cls(name, np.array(numbers, dtype=np.float64), of_scan=of_scan)

    def check(self, ids: Sequence[str], *, asked: str, categorical: bool = False) -> None:
        """Refuse what nothing can be learnt from, or what is probably not what it was taken for.

        Args:
            ids: Name of each session [N].
            asked: The option that names the column.
            categorical: Whether numbers are names too.

        Raises:
            UserError: The column is constant, empty for half of the sessions or more, mixes texts with numbers, names
                sessions, or has numbers that are codes for "missing".
        """
        named, number = option(asked, self.name), len(self.values)
        num_unknown = int((~self.known).sum())
        if num_unknown >= MOST_MISSING * number:
            raise UserError(
                f"{named}: the column says nothing of {num_unknown} of {number_text(number, 'session')}. Fill it in, "
                "or leave it out."
            )
        known, half = self.values[self.known], MOST_LEVELS * number
        if (known == known[0]).all():
            shown = f"{known[0]:g}" if self.is_number else repr(str(known[0]))
            raise UserError(f"{named}: the column is {shown} for every session, so it explains nothing. Leave it out.")
        if self.is_number:
            if (large := np.abs(self.values) >= LARGEST).any():
                row = int(np.argmax(large))
                raise UserError(
                    f"{named}: the column has {self.values[row]:g} ({ids[row]}), which is not computed with exactly. "
                    "Mend the cell, or use another unit."
                )
            if codes := missing_codes(known.tolist()):
                told = list_text([f"{code:g}" for code in sorted(codes)], ", ")
                raise UserError(
                    f"{named}: the column has {told} among its numbers, which studies write where a value is missing. "
                    "Empty these cells."
                )
            return
        if not categorical and self.intruders:
            first = [f"{text!r} ({ids[np.flatnonzero(self.values == text)[0]]})" for text in self.intruders]
            raise UserError(f"{named}: a column of numbers has {list_text(first, ', ')}. Mend or empty these cells.")
        if len(self.levels) > max(half, 2):
            told = f"{named}: the column has {len(self.levels)} different texts in {number_text(number, 'session')}"
            if all(map(_THOUSANDS.fullmatch, self.levels)):
                raise UserError(
                    f"{told}, such as {self.levels[0]!r}. Write numbers without commas, decimals with a point."
                )
            raise UserError(f"{told}, so it names sessions, and nothing can be learnt from it. Leave it out.")
        spelt: dict[str | float, list[str]] = {}
        for level in self.levels:
            number_of = parse_number(level)
            spelt.setdefault(spelling(level) if number_of is None else number_of, []).append(level)
        if alike := [" and ".join(map(repr, levels)) for levels in spelt.values() if len(levels) > 1]:
            raise UserError(f"{named}: the column has {list_text(alike)}, which may be the same. Write them alike.")


def with_points(cells: Sequence[str]) -> list[str]:
    """Write decimal commas as points, where all cells that say something are numbers written so.

    Commas that are all followed by three digits may part thousands, and stay.

    >>> with_points(["65,33", "", "40"]), with_points(["950", "1,050"])
    (['65.33', '', '40'], ['950', '1,050'])
    """
    parts = [cell.partition(",")[2] for cell in cells if "," in cell]
    if all(len(part) == 3 for part in parts) or not all(map(_DECIMAL_COMMA.fullmatch, filter(None, cells))):
        return list(cells)
    return [cell.replace(",", ".") for cell in cells]


@dataclass(frozen=True, eq=False)
class Variables:
    """Several variables of the same N sessions.

    Attributes:
        members: In the order in which they were asked for.
    """

    members: tuple[Variable, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(variable.name for variable in self.members)

    def __len__(self) -> int:
        return len(self.members[0].values) if self.members else 0

    def cells(self) -> dict[str, list[str]]:
        """Return what is known as texts, for digests."""
        return {each.name: [str(value) for value in each.values] for each in self.members}

    def taking(self, rows: np.ndarray) -> "Variables":
        """Return the variables of some sessions, in their order; a session may be there several times."""
        return Variables(tuple(replace(each, values=each.values[rows]) for each in self.members))

    @classmethod
    def joined(cls, parts: "Sequence[Variables]") -> Self:
        """Return the variables of the sessions of all parts, which have the same ones."""
        return cls(
            tuple(
                replace(same[0], values=np.concatenate([each.values for each in same]))
                for same in zip(*(part.members for part in parts), strict=True)
            )
        )

    @classmethod
    def read(
        cls, columns: Mapping[str, Sequence[str]], ids: Sequence[str], *, asked: str, categorical: Sequence[str] = ()
    ) -> Self:
        """Read and check columns.

        Args:
            columns: Name to cells [N].
            ids: Name of each session [N].
            asked: The option that names the columns.
            categorical: Those whose numbers are names.

        Raises:
            UserError: One of them cannot be used, see `Variable.check`.
        """
        members = tuple(Variable.of(name, cells, categorical=name in categorical) for name, cells in columns.items())
        for variable in members:
            variable.check(ids, asked=asked, categorical=variable.name in categorical)
        return cls(members)
