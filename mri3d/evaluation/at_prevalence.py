"""The score of the class that is most probable for its share of the training rows: at the prevalence, not at 1/2."""

from collections.abc import Sequence

import numpy as np

from mri3d.evaluation.fold_result import FoldResult
from mri3d.evaluation.intervals import proportion_interval
from mri3d.evaluation.sampling import Sampling
from mri3d.outcome import Score
from mri3d.study import Study

NAME = "balanced_accuracy"


def score_at_prevalence(study: Study, folds: Sequence[FoldResult], sampling: Sampling) -> dict[str, Score]:
    """Return that score with its interval, by its name; nothing of a measure.

    Args:
        study: Who was there.
        folds: What each fold gave.
        sampling: Who was tested.
    """
    parts = []
    for result in folds:
        learnt = np.concatenate([result.fold.train_rows, result.fold.validation_rows])
        parts.append(study.outcome.levelled(result.predictions, learnt=study.targets[learnt]))
    found = [part for part in parts if part is not None]
    if not found:
        return {}
    levelled, targets = np.concatenate(found), study.targets[sampling.rows]
    value = study.outcome.scores(targets, levelled)[NAME]
    proportions = study.outcome.resampling(targets, levelled).proportions[NAME]
    return {f"{NAME}_at_prevalence": Score(value, *proportion_interval(proportions, sampling))}
