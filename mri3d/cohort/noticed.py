"""What is known of sessions without being asked for: columns that studies usually have, and what their files show.

It is held against the outcome in every run: what differs with the outcome may be what a model reads.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from mri3d.cohort.cohort import Cohort
from mri3d.cohort.variables import Variable, Variables

_AGE = "(scan|mri|entry)?age(y|years|inyears|scan|mri|at(scan|mri|visit|entry))?"
_SEX = "(pt)?gender|(biological)?sex(atbirth|gender)?"
_SITE = "(acquisition|study)?site(id|name)?|cent(er|re)(id)?|(mri)?scanner(id|model)?|manufacturer|hospital"
_HEAD_SIZE = "[et]?icv(ml|cm3|mm3)?|e?tiv(ml|cm3|mm3)?|tbv|head(size|circumference)|(total)?brainvol(ume)?"
_HEAD_SIZE += "|(estimated)?(total)?intracranialvol(ume)?"

HEAD_SIZE = "head_size_ml"
"""Name of the estimate that the audit makes of each scan."""

VOXEL_SIZE = "voxel_size_mm3"

FACTS = (HEAD_SIZE, VOXEL_SIZE, "field_of_view_ml", "file_type")
"""What the audit notes of each file, by the names that `evaluation.confounds` has for it."""


def is_usual(column: str) -> bool:
    """Return whether a column is called as those for age, sex, site and head size are.

    >>> [is_usual(name) for name in ("Age at scan", "GENDER", "EstimatedTotalIntraCranialVol", "diagnosis")]
    [True, True, True, False]
    """
    return any(_is_called(column, names) for names in (_AGE, _SEX, _SITE, _HEAD_SIZE))


def variable_of(name: str, cells: Sequence[str], *, is_site: bool = False) -> Variable:
    """Take a column as numbers or categories: those of sites are names, even where they are numbers.

    Args:
        name: Of the column.
        cells: Of each session.
        is_site: Whether it is known to say where scans were made; else its name tells.
    """
    is_site = is_site or _is_called(name, _SITE)
    return Variable.of(name, cells, categorical=is_site, of_scan=is_site)


def noticed_variables(cohort: Cohort) -> list[Variable]:
    """Return all that is known of those who take part: the site, columns that were asked for or are usual, their files.

    The size of the head that was measured in the scan is there where no column has it.

    Args:
        cohort: Audited; N sessions take part.
    """
    sessions = cohort.taking_part.sessions
    cells, places = [session.known for session in sessions], [session.site or "" for session in sessions]
    names = dict.fromkeys(name for each in cells for name in each)
    columns = {name: [each.get(name, "") for each in cells] for name in names}
    if any(column == places for name, column in columns.items() if name != "site"):
        columns.pop("site", None)  # it has a name of its own
    found = [variable_of(name, column, is_site=column == places) for name, column in columns.items()]
    measured = any(_is_called(name, _HEAD_SIZE) for name in columns)
    return [*found, *(fact for fact in file_facts(cohort) if not (measured and fact.name == HEAD_SIZE))]


def known_variables(cohort: Cohort, rows: np.ndarray, *, facts: Collection[str] = ()) -> tuple[Variable, ...]:
    """Return what the table says of some sessions: site, columns that were asked for, age, sex; and these facts.

    Args:
        cohort: Audited.
        rows: Of those who take part; each may stand there several times.
        facts: Which of `FACTS` are taken too.
    """
    known = tuple(each for each in noticed_variables(cohort) if each.name not in FACTS or each.name in facts)
    return Variables(known).taking(rows).members


def file_facts(cohort: Cohort) -> list[Variable]:
    """Return what the audit noted of the files of those who take part; nothing of volumes that came without scans."""
    sessions = cohort.taking_part.sessions
    texts = {name: [session.facts.get(name, "") for session in sessions] for name in FACTS}
    found = []
    for name, cells in texts.items():
        if any(cells):
            is_size = name == HEAD_SIZE
            variable = Variable.of(name, cells, categorical=name == "file_type", of_scan=not is_size)
            found.append(replace(variable, estimate="estimated from the scan") if is_size else variable)
    return found


def facts_of(
    sides: Sequence[int], spacing_mm: np.ndarray, file_type: str, head_size_ml: float | None
) -> dict[str, str]:
    """Write what the audit notes of a file, by the names in `FACTS`.

    Args:
        sides: Number of voxels along each axis.
        spacing_mm: Distance between them [3].
        file_type: Ending of the file, and data type of its voxels.
        head_size_ml: Estimate of the head's size; None where there is none.
    """
    voxel_mm3 = float(np.prod(spacing_mm))
    told = {VOXEL_SIZE: f"{voxel_mm3:.4g}", "field_of_view_ml": f"{voxel_mm3 * np.prod(sides) / 1000:.4g}"}
    return told | {"file_type": file_type} | ({} if head_size_ml is None else {HEAD_SIZE: f"{head_size_ml:.5g}"})


def _is_called(column: str, names: str) -> bool:
    """Return whether a name is one of some, whatever its case, blanks and signs."""
    return re.fullmatch(names, re.sub(r"[\W_]", "", column.casefold())) is not None


def people_of(cohort: Cohort, rows: np.ndarray, *, label: str = "") -> dict[str, list[float] | list[str]]:
    """Say of whom scans were: `age` from and to, which `sex`, which `site`, as far as it is known.

    Args:
        cohort: Audited.
        rows: Of those who take part, whom it is about.
        label: Name of the column of the labels, which may be one of these.
    """
    found: dict[str, list[float] | list[str]] = {}
    for kind, variable in _kinds(cohort, label).items():
        part = variable.values[rows][variable.known[rows]]
        if not len(part):
            continue
        if kind != "age":
            found[kind] = sorted({f"{value:g}" if variable.is_number else str(value) for value in part})
        elif variable.is_number:
            found[kind] = [float(part.min()), float(part.max())]
    return found


def ages_of(cohort: Cohort, *, label: str = "") -> np.ndarray | None:
    """Return the age of each who takes part [N], NaN where it is not known; None where no column has it."""
    ages = _kinds(cohort, label).get("age")
    return ages.values if ages is not None and ages.is_number else None


def _kinds(cohort: Cohort, label: str) -> dict[str, Variable]:
    """Find what is known of age, sex and site by the first column that is called so, or is that of the sites."""
    sessions = cohort.taking_part.sessions
    variables = noticed_variables(cohort)
    variables += [variable_of(label, [each.label or "" for each in sessions])] if label and sessions else []
    if any(each.site for each in sessions):
        variables.append(variable_of("site", [each.site or "" for each in sessions], is_site=True))
    found: dict[str, Variable] = {}
    for variable in variables:
        for kind, names in (("age", _AGE), ("sex", _SEX), ("site", _SITE)):
            if _is_called(variable.name, names):
                found.setdefault(kind, variable)
    return found
