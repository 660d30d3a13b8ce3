"""What is known of new scans beside their images, for models that learnt from covariates too."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from mri3d.cohort.encoding import Coding, Encoder
from mri3d.cohort.missing import MISSING_CODES, is_missing
from mri3d.cohort.scan_rows import ScanRows
from mri3d.cohort.variables import Variable, Variables, with_points
from mri3d.errors import UserError, did_you_mean, option
from mri3d.texts import list_text, number_text, parse_number

log = logging.getLogger(__name__)

MOST_DEVIATIONS = 5.0
"""Standard deviations from the mean of the training sessions beyond which a number is unlike all of theirs."""


_NOT_KNOWN = "is not known: the average of the training sessions is taken"


@dataclass(frozen=True)
class Known:
    """What a table says of one scan, as the model takes it.

    Attributes:
        variables: Of one session.
        warnings: What is not known of it, or far from all that was learnt from.
        strange: Whether something is far from that.
    """

    variables: Variables
    warnings: tuple[str, ...] = ()
    strange: bool = False


@dataclass(frozen=True)
class Beside:
    """A table that says of each scan what the models that vote ask for.

    Attributes:
        encoders: Of the models, which have the same covariates.
        rows: The table.
    """

    encoders: tuple[Encoder, ...]
    rows: ScanRows

    @classmethod
    def read(cls, encoders: Sequence[Encoder | None], table: object, *, id: object = None) -> Self | None:
        """Read the table that models with covariates ask for; None where they ask for nothing.

        Args:
            encoders: Of the models that vote.
            table: A CSV or TSV file, or a table in memory; None where the user gave none.
            id: Column that names its rows, or several.

        Raises:
            UserError: A table is asked for and there is none, or it lacks a column; or there is one and nothing is
                asked for.
        """
        asked = tuple(encoder for encoder in encoders if encoder is not None)
        if not asked:
            if table is not None or id is not None:
                given = option("table" if table is not None else "id")
                raise UserError(f"{given}: the model was trained without covariates. Leave it out.")
            return None
        if table is None:
            raise UserError(
                f"the model was trained with {list_text(asked[0].names, ', ')} beside the image. Give "
                f"{option('table')}: a CSV or TSV file with these columns, and one that names the scan or the "
                "participant."
            )
        rows = ScanRows.read(table, asked[0].names, id=id)
        columns = {
            coding.name: dict(zip(cells := rows.columns[coding.name], _cells(coding, [*cells.values()]), strict=True))
            for coding in asked[0].codings
        }
        return cls(asked, replace(rows, columns=columns))

    def known(self, path: Path) -> Known:
        """Return what is known of a scan.

        Raises:
            UserError: No row is the scan's, or a cell cannot be what the models have learnt from.
        """
        if (cells := self.rows.of(path)) is None:
            told, called = list_text(self.encoders[0].names, ", "), list_text(self.rows.names, ", ", most=2)
            raise UserError(
                f"{self.rows.name} has no row for it (its rows are called {called}), and the model asks for {told}."
            )
        return known_of(self.encoders, cells)


def known_of(encoders: Sequence[Encoder], cells: Mapping[str, str]) -> Known:
    """Read what a table says of a scan.

    Args:
        encoders: Of the models that vote, which have the same covariates.
        cells: Name of each covariate to its cell, see `_cells`.

    Raises:
        UserError: A number is none, or a category is one that no model has learnt from.
    """
    found, warnings, strange = [], list[str](), False
    for codings in zip(*(encoder.codings for encoder in encoders), strict=True):
        name, cell = codings[0].name, cells[codings[0].name]
        variable = _read(codings[0], cell)
        if far := _far(codings, variable):
            warnings.append(far)
            strange = True
        if not variable.known[0]:
            warnings.append(f"{name} {_NOT_KNOWN}")
        elif all(coding.unseen(variable)[0] for coding in codings):
            levels = sorted({level for coding in codings for level in coding.known_levels})
            hint = did_you_mean(cell, levels)
            raise UserError(
                f"{name} is {cell!r}, which the model has not learnt from ({list_text(levels, ', ')}).{hint}"
            )
        found.append(variable)
    return Known(Variables(tuple(found)), tuple(warnings), strange)


def known_of_sessions(
    encoders: Sequence[Encoder | None],
    columns: Sequence[Mapping[str, str]],
    ids: Sequence[str],
    *,
    quiet: bool = False,
) -> tuple[Variables | None, dict[int, str], list[Known]]:
    """Read what a study says of its sessions.

    Args:
        encoders: Of the models that vote.
        columns: Of each session [N] the cells by column.
        ids: Name of each [N].
        quiet: Whether nothing is warned of.

    Returns:
        What the models ask for, None where they ask for nothing; the rows of which it cannot be had, with the reason;
        and what is known of each session.

    Raises:
        UserError: No session has such a column.
    """
    asked = [encoder for encoder in encoders if encoder is not None]
    if not asked:
        return None, {}, [Known(Variables(()))] * len(columns)
    kept = {name for each in columns for name in each}
    if missing := [name for name in asked[0].names if name not in kept]:
        raise UserError(
            f"the model was trained with {list_text(asked[0].names, ', ')} beside the image, and these people have no "
            f"column {list_text(missing, ', ')}. Name the columns by {option('data.covariates')}."
        )
    cells = {
        coding.name: _cells(coding, [each.get(coding.name, "") for each in columns]) for coding in asked[0].codings
    }
    problems, known = dict[int, str](), list[Known]()
    for row in range(len(columns)):
        try:
            found = known_of(asked, {name: column[row] for name, column in cells.items()})
        except UserError as error:
            problems[row], found = error.text, Known(example_session(asked[0], 1))
        known.append(found)
    if problems and not quiet:
        told = list_text([f"{ids[row]}: {problem}" for row, problem in problems.items()])
        log.warning("%s cannot be predicted: %s", number_text(len(problems), "session"), UserError(told))
    for name, column in cells.items():
        if not quiet and (unknown := column.count("")):
            told = f"{unknown} of {number_text(len(column), 'session')}"
            log.warning("of %s %s %s", told, name, _NOT_KNOWN)
    return Variables.joined([each.variables for each in known]), problems, known


def check_sessions(encoders: Sequence[Encoder | None], columns: Sequence[Mapping[str, str]]) -> None:
    """Refuse sessions of which none has what the models ask for, before anything is done with their scans.

    Raises:
        UserError: It says why.
    """
    _, problems, _ = known_of_sessions(encoders, columns, [str(row) for row in range(len(columns))], quiet=True)
    if columns and len(problems) == len(columns):
        told = list_text(list(dict.fromkeys(problems.values())), " ", most=3)
        raise UserError(f"nobody can be predicted: {told}")


def known_of_arrays(encoder: Encoder, covariates: Any, number: int) -> Variables:  # noqa: ANN401 (a dictionary of columns)
    """Read what a user says of volumes in memory.

    Args:
        encoder: Of a model.
        covariates: Name of each covariate to its values [N].
        number: N.

    Raises:
        UserError: One is missing, is of another length, or has a value that the model cannot take.
    """
    if covariates is not None and not hasattr(covariates, "items"):  # a DataFrame has them too
        raise UserError("covariates are no dictionary. Give one of names to lists with a value for each volume.")
    given = {}
    for name, values in ({} if covariates is None else covariates).items():
        if isinstance(values, str) or not hasattr(values, "__len__"):
            raise UserError(f"covariates[{name!r}] is {values!r}, not a list with a value for each volume.")
        given[str(name)] = list(values)
    if missing := [name for name in encoder.names if name not in given]:
        raise UserError(
            f"the model was trained with {list_text(encoder.names, ', ')} beside the volumes. Give covariates with "
            f"{list_text(missing, ', ')}: a value for each volume."
        )
    columns = []
    for coding in encoder.codings:
        cells = ["" if cell is None or bool(cell != cell) else str(cell) for cell in given[coding.name]]
        if len(cells) != number:
            raise UserError(
                f"covariates[{coding.name!r}] has {len(cells)} values for {number} volumes. Give one for each."
            )
        read = [_read(coding, cell) for cell in _cells(coding, cells)]
        for number_of, each in enumerate(read):
            if far := _far([coding], each):
                log.warning("volume %d: %s", number_of, far)
        columns.append(Variable(coding.name, np.concatenate([each.values for each in read])))
        if (unseen := coding.unseen(columns[-1])).any():
            told = list_text(sorted({str(value) for value in columns[-1].values[unseen]}), ", ")
            raise UserError(f"covariates[{coding.name!r}] has {told}, which the model has not learnt from.")
    return Variables(tuple(columns))


def example_session(encoder: Encoder, number: int) -> Variables:
    """Return variables of sessions that could be: average numbers, and categories that are known."""
    columns = []
    for coding in encoder.codings:
        value = np.nan if coding.is_number else next(iter(coding.known_levels), "")
        columns.append(Variable(coding.name, np.full(number, value)))
    return Variables(tuple(columns))


def _cells(coding: Coding, cells: Sequence[str]) -> list[str]:
    """Return cells as they are read: empty where nothing is known, decimal commas of a column of numbers as points."""
    told = ["" if is_missing(cell.strip()) else cell.strip() for cell in cells]
    return with_points(told) if coding.is_number else told


def _read(coding: Coding, cell: str) -> Variable:
    """Take a cell, empty where nothing is known, as a variable of one session."""
    if not coding.is_number:
        return Variable(coding.name, np.array([cell], dtype=np.str_))
    number = parse_number(cell) if cell else np.nan
    if number is None:
        told = f"{coding.name} is {cell!r}, and the model has learnt from numbers."
        raise UserError(f"{told} Write decimals with a point." if "," in cell else told)
    return Variable(coding.name, np.array([number], dtype=np.float64))


def _far(codings: Sequence[Coding], variable: Variable) -> str:
    """Describe how far a number is from all that was learnt from; empty where it is not.

    Raises:
        UserError: It is one that studies write where a value is missing.
    """
    value = variable.values[0]
    if not variable.is_number or not np.isfinite(value):
        return ""
    coding = codings[0]
    if any(abs(value - each.centres[0]) <= MOST_DEVIATIONS * each.scale for each in codings):
        return ""
    if float(value) in MISSING_CODES:
        raise UserError(f"{coding.name} is {value:g}, which studies write where a value is missing. Empty the cell.")
    spread = f"mean {coding.centres[0]:.4g}, SD {coding.scale:.2g}"
    return f"{coding.name} is {value:g}, far from all that the model has learnt from ({spread}): do not trust this"
