"""Cohorts of volumes in memory: what is known of each, checked for what splits and labels rely on."""

import logging
import numbers
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np

from mri3d.cohort.cohort import NO_LABEL, Cohort, Session, means_no_label
from mri3d.cohort.labels import warn_of_labels
from mri3d.cohort.missing import is_missing
from mri3d.cohort.participants import participants_of, warn_of_groups, warn_of_people
from mri3d.cohort.text_table import as_shown
from mri3d.errors import UserError
from mri3d.texts import list_text, number_text

log = logging.getLogger(__name__)


def array_cohort(
    digests: Sequence[str],
    labels: Sequence[object],
    *,
    ids: Sequence[object] | None,
    groups: Sequence[object] | None,
    sites: Sequence[object] | None,
    covariates: Mapping[str, Sequence[object]] | None,
    name: str,
    unlabelled: Sequence[object] = (),
) -> Cohort:
    """Make a cohort without scans.

    Args:
        digests: What identifies the content of each volume [N].
        labels: Class or value of each [N]; None and NaN mean that there is none.
        ids: Name of each [N]; "0", "1", ... without.
        groups: Who must stay together [N]; None and NaN stand alone.
        sites: Where each was scanned [N].
        covariates: Name to what else is known of each [N].
        name: What the label is called.
        unlabelled: Label values that mean "no label".

    Raises:
        UserError: Lengths differ, an id stands twice, or two volumes of different groups are the same.
    """
    num_volumes = len(digests)
    if not isinstance(name, str) or not name:
        raise UserError(f"name is {name!r}. Give a text that says what the labels are, such as 'sex'.")
    label_cells = _cells("labels", [] if labels is None else labels, num_volumes) or []
    id_cells = _cells("ids", ids, num_volumes) or [str(row) for row in range(num_volumes)]
    group_cells = _cells("groups", groups, num_volumes) or [""] * num_volumes
    site_cells = _cells("sites", sites, num_volumes) or [""] * num_volumes
    if covariates is not None and not hasattr(covariates, "items"):  # a DataFrame has them too
        raise UserError("covariates are no dictionary. Give one of names to lists with an entry for each volume.")
    columns = {
        str(key): _cells(f"covariates[{key!r}]", values, num_volumes) or []
        for key, values in ({} if covariates is None else covariates).items()
    }
    _check_ids(id_cells)
    warn_of_labels(label_cells, unlabelled)
    participants: Sequence[str | None] = participants_of(id_cells) or [None] * num_volumes
    warn_of_people(participants, id_cells)
    warn_of_groups(group_cells, "groups")
    sessions = []
    for row, (id, label) in enumerate(zip(id_cells, label_cells, strict=True)):
        missing = means_no_label(label, unlabelled)
        sessions.append(
            Session(
                id=id,
                scan=None,
                label=None if missing else label,
                group=None if is_missing(group_cells[row]) else group_cells[row],
                site=site_cells[row] or None,
                covariates={key: cells[row] for key, cells in columns.items()},
                participant=participants[row],
                digest=digests[row],
                voxels=digests[row],
                left_out=NO_LABEL if missing else "",
            )
        )
    source = f"labels ({name})" if name != "label" else "labels"
    cohort = Cohort(tuple(sessions), source, advice="give other labels")
    _check_copies(cohort)
    return cohort


def _cells(name: str, values: Sequence[object] | None, length: int) -> list[str] | None:
    """Return a column as texts."""
    if values is None:
        return None
    if isinstance(values, str | bytes | Mapping | Set) or not hasattr(values, "__len__"):
        raise UserError(f"{name} is {values!r}, not a list with an entry for each of {number_text(length, 'volume')}.")
    shape = getattr(values, "shape", (len(values),))
    if tuple(shape) != (length,):
        given = len(values) if len(shape) == 1 else " x ".join(map(str, shape))
        entries = "1 entry" if given == 1 else f"{given} entries"
        there = f"there is {length} volume" if length == 1 else f"there are {length} volumes"
        raise UserError(f"{name} has {entries}, and {there}. Give one for each.")
    cells = [_unpacked(value) for value in values]
    for row, value in enumerate(cells):
        if hasattr(value, "__len__") and not isinstance(value, str | bytes):
            raise UserError(f"{name}[{row}] is {value!r}, not one value. Give one for each volume.")
    return _texts(cells)


def _texts(cells: Sequence[Any]) -> list[str]:
    """Write cells as texts; numbers that are equal, such as 1 and 1.0, as the first of them is written."""
    first: dict[Any, str] = {}
    texts = []
    for value in cells:
        if _is_nothing(value):
            texts.append("")
            continue
        text = as_shown(value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value))
        equal = isinstance(value, numbers.Number) and not isinstance(value, bool | np.bool_)
        texts.append(first.setdefault(value, text) if equal else text)
    return texts


def _unpacked(value: Any) -> Any:  # noqa: ANN401 (any cell)
    """Return what a tensor or an array of one number holds, which would be written "tensor(1)"; all else as it is."""
    if value is np.ma.masked:
        return None
    is_array = getattr(value, "shape", None) == () and not isinstance(value, np.generic)
    return value.item() if is_array else value


def _is_nothing(value: Any) -> bool:  # noqa: ANN401 (any cell)
    """Return whether a value is None, NaN, NaT or pandas' NA, of which only the last does not know."""
    return value is None or str(value) == "<NA>" or bool(value != value)


def _check_ids(ids: Sequence[str]) -> None:
    """Refuse ids that name none or several of the volumes."""
    if "" in ids:
        raise UserError(f"ids[{ids.index('')}] is empty. Name each volume.")
    if repeated := sorted(id for id, count in Counter(ids).items() if count > 1):
        told = number_text(len(repeated), "id", "stands", "stand")
        raise UserError(f"{told} more than once: {list_text(repeated, ', ')}. Name each volume.")


def _check_copies(cohort: Cohort) -> None:
    """Refuse volumes that are the same: on two sides of a split one would give the other away."""
    first: dict[str, tuple[str, str]] = {}
    copies = []
    for session, group in zip(cohort.taking_part.sessions, cohort.groups, strict=True):
        id, its_group = first.setdefault(session.digest, (session.id, group))
        if its_group != group:
            copies.append(f"{session.id} is the same as {id}")
    if copies:
        told = number_text(len(copies), "volume", "is a copy of another", "are copies of others")
        raise UserError(f"{told}: {list_text(copies)}. Leave them out, or put them into one group with `groups`.")
