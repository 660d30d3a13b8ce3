"""Does the image tell more than the confounds do? Five ways to predict, on the same folds.

- The confounds alone, by a linear model and by boosted trees.
- The image alone: the evaluation itself.
- Both: what the image model and the confound models predict, weighed by rows that they did not learn from, see
  `mri3d.evaluation.stacking`. So no image model is trained again for it.
- The image without the confounds: the model fitted anew to volumes of which a linear regression on the confounds,
  fitted to the rows that are learnt from, has been taken voxel by voxel (for PCA models in the Gram matrix, which comes
  to the same). It removes linear shares only, and with them what the outcome has in common with the confounds. Labels
  are no part of the regression: where they were, noise that looks like the outcome would be put in for what is taken
  out, and images that tell nothing would seem to.

Everything is fitted to training and validation rows of a fold; test rows have no part in it. Where a line corrects the
predictions of a measure, those before it are compared: what is left without the confounds may be too little to correct.
"""

import copy
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from mri3d.cohort.encoding import Encoder
from mri3d.errors import UserError
from mri3d.evaluation.crossvalidation import CrossValidation
from mri3d.evaluation.fold_result import FoldResult
from mri3d.evaluation.intervals import scores_with_intervals
from mri3d.evaluation.paired import Comparison, Difference, Sampled, compare_sampled
from mri3d.evaluation.results import Results
from mri3d.evaluation.stacking import stacked
from mri3d.evaluation.tabular import Fit, fit_boosted, fit_linear
from mri3d.models.classical.inner_folds import inner_folds_of
from mri3d.models.model import ROUNDING, TrainingSet
from mri3d.outcome import Outcome, Score
from mri3d.outcome.score import SCORE_TITLES, SIGNIFICANT, interval_text, p_relation, score_text
from mri3d.processes import several_processes
from mri3d.progress import progress
from mri3d.texts import list_text
from mri3d.volumes.residuals import Residuals

log = logging.getLogger(__name__)

LINEAR, BOOSTED, IMAGE, BOTH, WITHOUT = "confounds", "confounds_boosted", "image", "both", "image_without_confounds"
"""The ways to predict, by their names in metrics.json."""


@dataclass(frozen=True, eq=False)
class ConfoundAnalysis:
    """What the confounds predict, what the image does, and what it adds.

    Attributes:
        columns: Names of the confounds.
        primary: The score whose p decides.
        scores: Way to predict, to its scores with intervals.
        stronger: Which of the two models of the confounds alone has the better primary score.
        comparisons: Pairs of ways, first and second, to their comparison: second less first.
    """

    columns: tuple[str, ...]
    primary: str
    scores: Mapping[str, Mapping[str, Score]]
    stronger: str
    comparisons: Mapping[tuple[str, str], Comparison]

    def sentence(self, outcome: Outcome) -> str:
        """Write what it comes to, to be cited."""
        told, title = list_text(self.columns, ", ", most=8), SCORE_TITLES[self.primary]
        added, beyond = self.added, self.beyond(ascending=outcome.ascending)
        if added is None or beyond is None:
            return f"Nothing tells whether the image says more about {outcome.name} than {told}: there is no {title}."
        apart = Score(added.difference, added.low, added.high)
        how = (
            f"together they have {_an(title)} {title} of {score_text(added.second)}, {told} alone of "
            f"{score_text(added.first)} (difference {score_text(added.difference)}{interval_text(apart)}, p "
            f"{p_relation(added.p)})"
        )
        if beyond:
            return f"The image says more about {outcome.name} than {told}: {how}."
        return f"No evidence that the image says more about {outcome.name} than {told}: {how}."

    @property
    def added(self) -> Difference | None:
        """What the image adds to the stronger model of the confounds; None where the primary score is not defined."""
        found = self.comparisons.get((self.stronger, BOTH))
        return None if found is None else found.differences.get(self.primary)

    def beyond(self, *, ascending: bool) -> bool | None:
        """Return whether image and confounds together are better than the confounds alone.

        Args:
            ascending: Whether less of the primary score is better.
        """
        if self.added is None:
            return None
        better = self.added.difference < 0 if ascending else self.added.difference > 0
        return better and self.added.p <= SIGNIFICANT + ROUNDING

    def to_json(self, outcome: Outcome) -> dict[str, Any]:
        """Return what metrics.json says of it, JSON types."""
        return {
            "sentence": self.sentence(outcome),
            "columns": list(self.columns),
            "primary": self.primary,
            "stronger": self.stronger,
            "beyond_confounds": self.beyond(ascending=outcome.ascending),
            "scores": {way: {name: vars(score) for name, score in found.items()} for way, found in self.scores.items()},
            "differences": [
                {"first": first, "second": second, "scores": {name: asdict(d) for name, d in found.differences.items()}}
                for (first, second), found in self.comparisons.items()
            ],
        }


def _an(title: str) -> str:
    return "an" if title[0] in "AEIOUM" else "a"


def judge_confounds(evaluation: CrossValidation, results: Results) -> ConfoundAnalysis:
    """Predict in every way what the evaluation tested, and compare.

    Args:
        evaluation: What was run, with confounds.
        results: What it gave.
    """
    found: dict[str, list[np.ndarray]] = {way: [] for way in (LINEAR, BOOSTED, IMAGE, BOTH, WITHOUT)}
    folds = list(zip(results.folds, evaluation.trainings, strict=True))
    for result, training in progress(folds, total=len(folds), title="confounds"):
        if len(result.fold.test_rows):
            for way, predictions in _predictions(evaluation, result, training).items():
                found[way].append(predictions)
    outcome, targets, sampling = evaluation.study.outcome, results.targets, results.sampling
    predicted = {way: np.concatenate(parts) for way, parts in found.items() if len(parts) == len(found[IMAGE])}
    tests = {way: outcome.resampling(targets, each) for way, each in predicted.items()}
    scores = {way: scores_with_intervals(outcome, targets, each, sampling) for way, each in predicted.items()}
    primary = outcome.compared[0]
    stronger = _better(scores[LINEAR][primary], scores[BOOSTED][primary], ascending=outcome.ascending)
    sampled = {way: Sampled.of(each, sampling) for way, each in tests.items()}
    pairs = [(stronger, BOTH), (stronger, IMAGE), (IMAGE, BOTH), (IMAGE, WITHOUT)]
    comparisons = {
        (first, second): compare_sampled(sampled[first], sampled[second], sampling, primary=primary)
        for first, second in pairs
        if first in sampled and second in sampled
    }
    assert evaluation.confounds is not None, "they were asked for"
    return ConfoundAnalysis(evaluation.confounds.names, primary, scores, stronger, comparisons)


def _better(linear: Score, boosted: Score, *, ascending: bool) -> str:
    """Name the better of the two models of the confounds: to hold the image against it is the harder test."""
    if linear.value is None or boosted.value is None:
        return LINEAR
    return BOOSTED if (boosted.value < linear.value if ascending else boosted.value > linear.value) else LINEAR


def _predictions(evaluation: CrossValidation, result: FoldResult, training: TrainingSet) -> dict[str, np.ndarray]:
    """Predict the test rows of one fold in every way."""
    assert evaluation.confounds is not None, "they were asked for"
    outcome, learnt, tested = evaluation.study.outcome, training.rows, result.fold.test_rows
    targets, variables = training.targets[learnt], evaluation.confounds
    encoder = Encoder.fit(variables, learnt)
    columns = encoder.encode(variables)
    by_model = result.predictions if result.raw is None else result.raw
    alone: dict[str, np.ndarray] = {}
    crossed: list[np.ndarray] = []
    rows, by_image = _held_out(evaluation, result, training)
    for way, fit in ((LINEAR, fit_linear), (BOOSTED, fit_boosted)):
        alone[way] = fit(outcome, columns[learnt], targets)(columns[tested])
        crossed.append(_crossed(evaluation, training, fit)[np.searchsorted(learnt, rows)])
    found = alone | {IMAGE: by_model}
    if lacking := outcome.lacking(training.targets[rows]):
        log.warning(
            "fold %d: image and confounds are not joined: the rows held out have %s", result.fold.number, lacking
        )
    else:
        tested_by = [result.predictions, alone[LINEAR], alone[BOOSTED]]
        found[BOTH] = stacked([by_image, *crossed], training.targets[rows], tested_by)
    without = _without_confounds(evaluation, result, training, columns)
    return found | ({} if without is None else {WITHOUT: without})


def _crossed(evaluation: CrossValidation, training: TrainingSet, fit: Fit) -> np.ndarray:
    """Predict every row that is learnt from, by a model of the confounds that has not seen it, [N, K] or [N]."""
    assert evaluation.confounds is not None, "they were asked for"
    outcome, learnt = evaluation.study.outcome, training.rows
    targets, variables = training.targets[learnt], evaluation.confounds.taking(learnt)
    parts: dict[int, np.ndarray] = {}
    for train, held_out in inner_folds_of(training):
        columns = Encoder.fit(variables, train).encode(variables)
        predictions = fit(outcome, columns[train], targets[train])(columns[held_out])
        parts.update(zip(held_out.tolist(), predictions, strict=True))
    return np.stack([parts[position] for position in range(len(learnt))])


def _held_out(evaluation: CrossValidation, result: FoldResult, training: TrainingSet) -> tuple[np.ndarray, np.ndarray]:
    """Return rows that are learnt from, and what an image model says of each that has not seen it."""
    if result.held_out is not None:
        return result.held_out
    learnt, rows, predictions = training.rows, [], []
    for train, held_out in inner_folds_of(training):
        inner = replace(training, train_rows=learnt[train], validation_rows=learnt[:0], inner=True)
        found = evaluation.model.permuted(inner, learnt[held_out], training.targets[None])
        assert found is not None, "models that hold nothing out are those that are refitted at once"
        rows.append(learnt[held_out])
        predictions.append(found[0])
    return np.concatenate(rows), np.concatenate(predictions)


def _without_confounds(
    evaluation: CrossValidation, result: FoldResult, training: TrainingSet, columns: np.ndarray
) -> np.ndarray | None:
    """Predict by the image model, fitted to volumes without the confounds' linear share; None where it cannot be."""
    tested, left = result.fold.test_rows, Residuals(training.volumes, columns, training.rows)
    name = f"{training.name}_without_confounds" if training.name else "without_confounds"
    adjusted = replace(training, volumes=left, name=name, inner=True)  # no line corrects what it predicts
    try:
        found = evaluation.model.permuted(adjusted, tested, training.targets[None])
        if found is None:
            left.fill()
            model = copy.deepcopy(evaluation.model)
            model.fit(adjusted)
            found = model.predict(left, tested)[None]
        if np.isfinite(found).all():
            return np.asarray(found[0])
        reason = "there is no solution"
    except UserError as error:  # what was found so far is worth more
        if several_processes():  # the others may not have met it, and would wait for this one
            raise
        reason = str(error)
    log.warning("fold %d: no model of the image without the confounds: %s", result.fold.number, reason)
    return None
