"""How a finished model did in the test of its own run, to stand beside how it does on others."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mri3d.arguments import fits
from mri3d.errors import UserError
from mri3d.evaluation.intervals import scores_with_intervals
from mri3d.evaluation.recorded_files import METRICS, described, read_metrics
from mri3d.evaluation.sampling import Sampling
from mri3d.explain.evidence import Method
from mri3d.explain.trust import NO_BETTER_THAN_CHANCE, Trust
from mri3d.models.trained import TrainedModel
from mri3d.outcome import Score, outcome_from_json

log = logging.getLogger(__name__)


def own_scores(model: TrainedModel, folder: Path | None = None) -> dict[str, Score]:
    """Return the scores of a model's own test by name; none where nobody was tested, or that is not known.

    Args:
        model: The model.
        folder: Where it was loaded from: of a run, or its `model` folder, metrics.json has intervals too. Else the
            cards of the model have what was predicted in the test, which a threshold that was asked for is held
            against too.
    """
    for run in (
        ()
        if folder is None or model.rule is not None
        else (folder, *([folder.parent] if folder.name == "model" else []))
    ):
        if (run / "model").is_dir() and (run / METRICS).is_file():
            try:
                return _written(run / METRICS, model)
            except UserError as error:
                log.warning("the scores of the model's own test are not shown: %s", error)
                return {}
    return _kept(model)


def map_verdict(
    model: TrainedModel, method: Method, own_test: Mapping[str, Score], *, examined: Trust | None = None
) -> tuple[bool | None, str]:
    """Return whether maps of a way to explain can be trusted, and why; None where that is not known.

    Those of a model that predicts no better than chance cannot, whatever else was found.

    Args:
        model: The model.
        method: The way.
        own_test: See `own_scores`.
        examined: What a later examination found; what training found unless given.
    """
    if own_test and model.outcome.above_chance(own_test) is False:
        return False, NO_BETTER_THAN_CHANCE
    return model.trusted(method) if examined is None else (examined.trusted, examined.reason)


def _written(path: Path, model: TrainedModel) -> dict[str, Score]:
    """Read the scores of a run; none where it predicted something else.

    Raises:
        UserError: The file is damaged.
    """
    content = read_metrics(path)
    with described(path):
        outcome = outcome_from_json(content.get("outcome") or {"classes": content["classes"]})
        return {str(name): _score(entry) for name, entry in content["test"].items()} if outcome == model.outcome else {}


def _score(entry: Mapping[str, Any]) -> Score:
    """Read a score of metrics.json."""
    numbers = [entry.get(key) for key in ("value", "low", "high")]
    if not all(fits(number, float | None) for number in numbers):
        raise ValueError(f"{str(numbers)[:80]} is no score with its interval")
    return Score(*numbers)


def _kept(model: TrainedModel) -> dict[str, Score]:
    """Score what the members predicted in the tests of their folds, of several repeats the first.

    Cards do not say who belongs together, so that each session counts by itself in the intervals.
    """
    cards = [member.card for member in model.members if member.card.repeat == 0]
    kept = [(card, card.tested) for card in cards if card.tested is not None and len(card.tested.targets)]
    if not kept or len(kept) < len(cards):
        return {}
    targets = np.concatenate([tested.targets for _, tested in kept])
    predictions = np.concatenate([tested.predictions for _, tested in kept])
    folds = np.repeat(np.arange(len(kept)), [len(tested.targets) for _, tested in kept])
    counts = [card.facts.get("num_train", 0) + card.facts.get("num_validation", 0) for card, _ in kept]
    alone = np.arange(len(targets))
    sampling = Sampling(folds, alone, alone, tuple(counts) if all(counts) else ())
    return scores_with_intervals(model.outcome, targets, predictions, sampling)
