"""What tested scans are like, beside those that their fold learnt from: as `predict` would judge them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mri3d.cohort.noticed import VOXEL_SIZE, known_variables
from mri3d.cohort.variables import Variable
from mri3d.contract.contract import Contract, Judgement
from mri3d.evaluation.fold_result import FoldResult
from mri3d.study import Study

SCAN = "scan"
"""Name of the variable that says how a tested scan compares with those that were learnt from."""


def with_contract(result: FoldResult, study: Study) -> FoldResult:
    """Add what the scans are like that a fold learnt from, and how those compare that it tests.

    Nothing is added where volumes came without a recipe, or nobody but one was learnt from.
    """
    fold = result.fold
    learnt = np.concatenate([fold.train_rows, fold.validation_rows])
    if study.recipe is None or len(learnt) < 2:
        return result
    traits = [session.traits for session in study.cohort.taking_part.sessions]
    known = [each for each in traits if each is not None]
    contract = Contract.fit(known if len(known) == len(traits) else [], study.volumes, learnt, study.groups)
    judgements = tuple(contract.judge(traits[row], study.volumes[row]) for row in map(int, fold.test_rows))
    return replace(result, contract=contract, judgements=judgements)


def variables_of_tests(study: Study, rows: np.ndarray, judgements: Sequence[Judgement]) -> tuple[Variable, ...]:
    """Return what is known of tests by which they may be parted: columns, voxel size, and how their scans compare.

    Args:
        study: Who was there.
        rows: Session of each test [T].
        judgements: Of their scans [T]; empty where there are none.
    """
    found = known_variables(study.cohort, rows, facts=(VOXEL_SIZE,))
    if not judgements:
        return found
    return (*found, Variable(SCAN, np.array([each.status for each in judgements]), of_scan=True))


def judgements_json(
    study: Study, rows: np.ndarray, folds: np.ndarray, judgements: Sequence[Judgement]
) -> dict[str, Any]:
    """Count how tested scans compare, and list those that are not as the others are, as JSON types.

    Args:
        study: Who was there.
        rows: Session of each test [T].
        folds: Fold of each test [T].
        judgements: Of their scans [T].
    """
    counts = Counter(each.status for each in judgements)
    return {
        **{status: counts[status] for status in ("ok", "unusual", "outside")},
        "sessions": [
            {"subject": study.ids[row], "fold": int(fold), "status": each.status, "reasons": list(each.reasons)}
            for row, fold, each in zip(rows, folds, judgements, strict=True)
            if each.status != "ok"
        ],
    }
