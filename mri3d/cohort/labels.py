"""Labels that may not mean what they seem to."""

import logging
from collections import Counter
from collections.abc import Sequence

from mri3d.cohort.cohort import means_no_label, unmatched
from mri3d.cohort.missing import is_missing, may_be_missing
from mri3d.errors import UserError, option
from mri3d.texts import count_text

log = logging.getLogger(__name__)


def warn_of_labels(labels: Sequence[str], unlabelled: Sequence[object], *, column: str = "", table: str = "") -> None:
    """Warn of values for "no label" that no label is, of labels that mean none, and of those that may mean none.

    Args:
        labels: The label of each session, as text.
        unlabelled: Values that mean "no label".
        column: That they stand in; empty for labels in memory.
        table: Its file's name.
    """
    where = f" of column {column!r}" if column else ""
    for value in unmatched(unlabelled, labels):
        place = f"in column {column!r} of {table}" if column else "among the labels"
        log.warning("unlabelled names %r, which is not %s", value, place)
    if words := Counter(cell for cell in labels if cell and is_missing(cell)):
        told = "cells%s that mean no label: %s. If this is a class, give it another name%s"
        log.warning(told, where, count_text(words), " in the table" if column else "")
    for cell in may_be_missing(cell for cell in labels if not means_no_label(cell, unlabelled)):
        setting = UserError(option("data.unlabelled", [*unlabelled, cell]))
        log.warning("label %r%s is taken as it stands; if it means no label, set %s", cell, where, setting)
