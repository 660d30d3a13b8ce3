"""Columns of the table as numbers or categories: what is known of sessions beside their scans."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np

from mri3d.cohort.missing import is_missing, missing_codes
from mri3d.errors import UserError, option
from mri3d.texts import list_text, natural_order, number_text, parse_number

MOST_MISSING = 0.5
"""Share of the sessions of which a column may say nothing; of fewer than this it says something."""

MOST_LEVELS = 0.5
"""Categories for each session that a column may have at most: with more it names sessions."""

_DECIMAL_COMMA = re.compile(r"[+-]?\d+(,\d+)?")  # as spreadsheets of half of Europe write numbers


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
        numbers = [parse_number(text) if text else np.nan for text in texts]
        if None in numbers and all(_DECIMAL_COMMA.fullmatch(text) for text in texts if text):
            numbers = [float(text.replace(",", ".")) if text else np.nan for text in texts]
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
            if codes := missing_codes(known.tolist()):
                told = list_text([f"{code:g}" for code in sorted(codes)], ", ")
                raise UserError(
                    f"{named}: the column has {told} among its numbers, which studies write where a value is missing. "
                    "Empty these cells."
                )
            return
        texts = [text for text in known if parse_number(text) is None]
        if not categorical and len(texts) < len(known) / 2:
            first = [f"{str(text)!r} ({ids[np.flatnonzero(self.values == text)[0]]})" for text in dict.fromkeys(texts)]
            raise UserError(f"{named}: a column of numbers has {list_text(first, ', ')}. Mend or empty these cells.")
        if len(self.levels) > max(half, 2):
            raise UserError(
                f"{named}: the column has {len(self.levels)} different texts in {number_text(number, 'session')}, so "
                "it names sessions, and nothing can be learnt from it. Leave it out."
            )


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
