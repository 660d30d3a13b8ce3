"""The result of an evaluation in one line."""

from typing import TYPE_CHECKING

import numpy as np

from mri3d.cohort.people import count_sessions
from mri3d.outcome.score import p_relation
from mri3d.texts import list_text

if TYPE_CHECKING:
    from mri3d.evaluation.results import Results


def headline(results: "Results") -> str:
    """Write the primary score with what makes it doubtful."""
    cohort, leaks, permutation = results.study.cohort, results.leaks, results.permutation
    if not results.scores:
        learnt_from = np.union1d(results.folds[0].fold.train_rows, results.folds[0].fold.validation_rows)
        return f"none: trained on all {count_sessions(cohort, learnt_from)}, so nothing says how good the model is"
    said = results.study.outcome.headline(results.scores)
    tests = f"{len(results.rows)} tests of {count_sessions(cohort, np.unique(results.rows))}"
    chance = "" if results.better_than_chance in (None, True) else ", no evidence that it is better than chance"
    chance += _beyond(results)
    chance += ", tested on near-copies of what was learnt from: too good" if leaks and leaks.found else ""
    p = "" if permutation is None or permutation.p is None else f", p {p_relation(permutation.p)}"
    return f"{said} ({tests}{p}){chance}"


def _beyond(results: "Results") -> str:
    """Say that nothing shows that the image tells more than the confounds."""
    outcome, confounds = results.study.outcome, results.confounds
    if said := [each.name for each in results.associations if each.determines]:
        return f", but {said[0]} alone says {outcome.name}: nothing is shown of it"
    if confounds is None or confounds.beyond(ascending=outcome.ascending) is not False:
        return ""
    return f", no evidence beyond {list_text(confounds.columns, ', ')}"
