"""The same fit with several seeds: how much a score depends on nothing but chance in training."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mri3d.models.model import TrainingSet
from mri3d.outcome import Scores


def seeds_of(training: TrainingSet, number: int) -> list[TrainingSet]:
    """Return what a fit learns from once for each seed, the first of which is its own.

    Args:
        training: Of one fold.
        number: How many seeds; with one nothing changes.
    """
    if number == 1:
        return [training]
    drawn = np.random.SeedSequence([training.seed]).generate_state(number - 1)
    return [
        replace(training, seed=seed, name=f"{training.name}_seed_{which}".removeprefix("_"))
        for which, seed in enumerate([training.seed, *(drawn >> 1).tolist()])
    ]


def seed_spread(scores: Sequence[Scores]) -> dict[str, Any]:
    """Describe how much scores spread over seeds.

    Args:
        scores: Of all tests, by the fits of each seed; two or more.

    Returns:
        `number` of seeds, and of each score its `values`, their `mean` and standard deviation `sd`, which is None where
        a seed does not define it.

    >>> seed_spread([{"auc": 0.7}, {"auc": 0.9}])["auc"]["mean"]
    0.8
    """
    told: dict[str, Any] = {"number": len(scores)}
    for name in scores[0]:
        values = [each[name] for each in scores]
        known = [value for value in values if value is not None]
        whole = len(known) == len(values)
        mean, deviation = (float(np.mean(known)), float(np.std(known, ddof=1))) if whole else (None, None)
        told[name] = {"mean": mean, "sd": deviation, "values": values}
    return told
