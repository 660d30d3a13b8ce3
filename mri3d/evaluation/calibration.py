"""Do predictions come true as they say? The estimates of an outcome, each with its interval.

Intervals go through whole groups: what the estimates would be without each group (one Newton step from those of all,
which for means and lines is exact) tells how far they spread, as a jackknife does; times Student's quantile, and wider
where folds share training rows.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import t as student

from mri3d.evaluation.fold_result import FoldResult
from mri3d.evaluation.intervals import Unseen
from mri3d.evaluation.resampled import NO_SPREAD, Interval
from mri3d.evaluation.sampling import LEVEL, Sampling
from mri3d.outcome.estimates import Estimates
from mri3d.outcome.resampling import Proportion
from mri3d.study import Study


def calibration(study: Study, folds: Sequence[FoldResult], sampling: Sampling) -> dict[str, Any]:
    """Return what metrics.json says of calibration.

    Args:
        study: Who was there.
        folds: What each fold gave; some of them tested.
        sampling: Who was tested.

    Returns:
        `fits`, how each made predictions of what it computes, see `Model.calibration`; the facts of the outcome, see
        `class_calibration`; and `estimates`, by the name of each class or of the measure: each with `value`, `low` and
        `high`, and `undefined`, which says why, where the tests do not define it.
    """
    learnt = [study.targets[np.concatenate([each.fold.train_rows, each.fold.validation_rows])] for each in folds]
    found = study.outcome.calibration(
        study.targets[np.concatenate([each.fold.test_rows for each in folds])],
        np.concatenate([each.predictions for each in folds]),
        weights=sampling.once,
        learnt=learnt,
    )
    return {
        "fits": [{"fold": each.fold.number, **fit.calibration} for each in folds for fit in each.fits],
        **found.facts,
        "estimates": {
            name: {key: told for each in estimates for key, told in _described(each, sampling).items()}
            for name, estimates in found.estimates.items()
        },
    }


def estimate_intervals(found: Estimates, sampling: Sampling) -> list[Interval]:
    """Compute the interval of each coefficient; None where nothing bounds it, as with as few groups as coefficients."""
    number, size = sampling.num_units, len(found.values)
    nothing = [Interval(None, None)] * size
    if found.undefined or number <= size:
        return nothing
    equations, information = np.zeros((number, size)), np.zeros((number, size, size))
    np.add.at(equations, sampling.unit, found.equations)
    np.add.at(information, sampling.unit, found.information)
    try:
        changes = np.linalg.solve(information.sum(axis=0) - information, equations[:, :, None])[:, :, 0]
    except np.linalg.LinAlgError:  # without one group the rest does not define them
        return nothing
    errors = np.sqrt((number - 1) / number * np.square(changes).sum(axis=0))
    reach = sampling.widening * float(student.ppf((1 + LEVEL) / 2, number - size)) * errors
    if found.near is None:
        # Without any spread nothing is known of how far off an estimate is.
        spread = errors > NO_SPREAD * np.maximum(1.0, np.abs(found.values))
        ends = np.stack([found.values - reach, found.values + reach], axis=1).tolist()
        return [Interval(*each) if known else Interval(None, None) for each, known in zip(ends, spread, strict=True)]
    near = Unseen.of(Proportion(found.near, np.ones(len(found.near), dtype=bool)), sampling)
    value, width, room = float(found.values[0]), float(reach[0]), near.high - near.low
    return [Unseen(value - room, value + room, near.weight).reached_from(Interval(value - width, value + width))]


def _described(found: Estimates, sampling: Sampling) -> dict[str, dict[str, Any]]:
    """Return the estimates as JSON types."""
    intervals = estimate_intervals(found, sampling)
    return {
        name: {
            "value": None if found.undefined else float(value),
            **interval._asdict(),
            **({"undefined": found.undefined} if found.undefined else {}),
        }
        for name, value, interval in zip(found.names, found.values, intervals, strict=True)
    }
