"""What does harmonising by site change? The same fits to volumes as they are, for true labels and for random ones.

ComBat never sees a label here, and is fitted to what a fold learns from. A gain by it may still be something else than
a better view of the outcome, such as an accident of how labels fell to sites and to the sides of a split. Random labels
tell: drawn for each person from the labels of the same site, they say of a scan what its site says, and no more. What
harmonising changes in their score, it changes in that of any labels.

They are drawn with replacement. Permutations within sites and test folds, which a permutation test takes, leave many a
label where it was, as few people share both. In simulations of 48 sessions of four sites in five folds, where classes
differ, their mean AUC was 0.49 on volumes as they are and 0.54 on harmonised ones; that of random labels 0.50 on both.
"""

import copy
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import t as student

from mri3d.errors import UserError, option
from mri3d.evaluation.auc import scores_of_tests
from mri3d.evaluation.folds import Fold, Sample
from mri3d.evaluation.intervals import scores_with_intervals
from mri3d.evaluation.paired import Comparison, Sampled, compare_sampled
from mri3d.evaluation.permuted_targets import blocks_of
from mri3d.evaluation.sampling import LEVEL
from mri3d.evaluation.seeds import seeds_of
from mri3d.models.model import Model, TrainingSet
from mri3d.outcome import Outcome, Score
from mri3d.outcome.score import SCORE_TITLES, interval_text, p_relation, score_text
from mri3d.processes import several_processes
from mri3d.progress import progress
from mri3d.volumes.harmonization import Harmonized, check_sites

if TYPE_CHECKING:
    from mri3d.evaluation.crossvalidation import CrossValidation
    from mri3d.evaluation.results import Results

log = logging.getLogger(__name__)

AS_THEY_ARE, HARMONIZED = "as_they_are", "harmonized"
"""The volumes that the model is fitted to, by their names in metrics.json."""

DRAWS = 20
"""Of random labels, for models that are refitted in minutes: enough for a mean. Others are trained for one."""


@dataclass(frozen=True)
class RandomLabels:
    """The primary score of labels that say of a scan no more than its site does.

    Attributes:
        number: How many draws define it on both volumes.
        means: Its mean over them, by the volumes.
        difference: Mean of harmonised less as they are, with its interval over the draws; none of a single one.
    """

    number: int
    means: Mapping[str, float]
    difference: Score

    def better(self, *, ascending: bool) -> bool:
        """Return whether harmonising makes it better, beyond what chance explains.

        Args:
            ascending: Whether less of the score is better.
        """
        worst = self.difference.high if ascending else self.difference.low
        return worst is not None and (worst < 0 if ascending else worst > 0)


@dataclass(frozen=True, eq=False)
class HarmonizationAnalysis:
    """What harmonising changes.

    Attributes:
        by: What volumes were harmonised by: `site`.
        primary: The score that is told of.
        scores: Volumes, to the scores of a model that was fitted to them, with intervals.
        comparison: Harmonised less as they are; None where no model could be fitted to volumes as they are.
        random_labels: The same for random labels; None where that could not be done.
    """

    by: str
    primary: str
    scores: Mapping[str, Mapping[str, Score]]
    comparison: Comparison | None
    random_labels: RandomLabels | None

    def sentence(self, outcome: Outcome) -> str:
        """Write what it comes to, to be cited."""
        title = SCORE_TITLES[self.primary]
        if self.comparison is None:
            return f"What harmonising by {self.by} changed is not known: no model of the volumes as they are was found."
        found = self.comparison.differences.get(self.primary)
        if found is None:
            return f"What harmonising by {self.by} changed is not known: the tests do not define the {title}."
        apart = interval_text(Score(found.difference, found.low, found.high))
        told = (
            f"Harmonising by {self.by} changed the {title} from {score_text(found.first)} to "
            f"{score_text(found.second)} (difference {score_text(found.difference)}{apart}, p {p_relation(found.p)})"
        )
        if self.random_labels is None:
            return f"{told}; what it changes with random labels could not be found out."
        means = [score_text(self.random_labels.means[volumes]) for volumes in (AS_THEY_ARE, HARMONIZED)]
        told += f"; with random labels from {means[0]} to {means[1]}."
        if self.random_labels.better(ascending=outcome.ascending):
            told += " Scores of random labels are better too: so much of the change is not about the outcome."
        return told

    def to_json(self, outcome: Outcome) -> dict[str, Any]:
        """Return what metrics.json says of it, JSON types.

        Returns:
            `sentence`, `by`, `primary`, `scores` (by the volumes), `differences` of the scores, and `random_labels`:
            the `number` of draws, the mean of the primary score by the volumes, their `difference`, and whether it is
            `better` when harmonised.
        """
        apart, random = self.comparison, self.random_labels
        return {
            "sentence": self.sentence(outcome),
            "by": self.by,
            "primary": self.primary,
            "scores": {way: {name: vars(score) for name, score in found.items()} for way, found in self.scores.items()},
            "differences": {} if apart is None else {name: asdict(each) for name, each in apart.differences.items()},
            "random_labels": random
            and {
                "number": random.number,
                **random.means,
                "difference": vars(random.difference),
                "better": random.better(ascending=outcome.ascending),
            },
        }


def harmonize(trainings: Sequence[TrainingSet], folds: Sequence[Fold], sample: Sample) -> list[TrainingSet]:
    """Let the fit of each fold learn from volumes without the effects of sites, fitted to the rows that it learns from.

    Args:
        trainings: Of the folds.
        folds: In their order.
        sample: Who was split.

    Raises:
        UserError: The effect of a site cannot be estimated, see `check_sites`; no volume is read before.
    """
    found = []
    for training, fold in zip(trainings, folds, strict=True):
        name = f"fold {fold.number}" if len(folds) > 1 else "the model"
        check_sites(sample.sites, training.rows, fold.test_rows, ids=sample.ids, name=name)
        found.append(replace(training, volumes=Harmonized(training.volumes, sample.sites, training.rows)))
    return found


def judge_harmonization(evaluation: "CrossValidation", results: "Results") -> HarmonizationAnalysis:
    """Fit the model of each fold to the volumes as they are, and to either for random labels.

    Predictions of a measure that were corrected count as they were before.

    Args:
        evaluation: What was run, on volumes that were harmonised, see `harmonize`.
        results: What it gave.
    """
    model, outcome, sampling = evaluation.model, evaluation.study.outcome, results.sampling
    if not model.permutes:
        asked = UserError(option("evaluation.harmonize", "site"))
        log.warning("%s: to show what it changes, the model of each fold is trained three more times", asked)
    true, drawn = evaluation.study.targets[None], _drawn(evaluation, DRAWS if model.permutes else 1)
    refitted = _refitted(
        evaluation,
        {
            AS_THEY_ARE: (False, true),
            f"random_{AS_THEY_ARE}": (False, drawn),
            f"random_{HARMONIZED}": (True, drawn),
        },
    )
    predicted, plain = {HARMONIZED: results.predicted if results.raw is None else results.raw}, refitted[AS_THEY_ARE]
    if plain is not None:
        predicted = {AS_THEY_ARE: plain[0], **predicted}
    tests = {way: outcome.resampling(results.targets, each) for way, each in predicted.items()}
    scores = {way: scores_with_intervals(outcome, results.targets, each, sampling) for way, each in predicted.items()}
    comparison = None
    if plain is not None:
        first, second = (Sampled.of(tests[way], sampling) for way in (AS_THEY_ARE, HARMONIZED))
        comparison = compare_sampled(first, second, sampling, primary=outcome.compared[0])
    random = _of_random(results, drawn, [refitted[f"random_{way}"] for way in (AS_THEY_ARE, HARMONIZED)])
    return HarmonizationAnalysis("site", outcome.compared[0], scores, comparison, random)


def _drawn(evaluation: "CrossValidation", number: int) -> np.ndarray:
    """Draw targets [B, N] for each group from those of groups of as many sessions at the same sites."""
    study, random = evaluation.study, np.random.default_rng([evaluation.trainings[0].seed, 0, 0, 4])
    every = np.arange(len(study.targets))
    drawn = np.tile(study.targets, (number, 1))
    for block in blocks_of([Fold(0, 0, every, every[:0], every[:0])], study.groups, Sample.of(study).sites):
        chosen = random.integers(len(block), size=(number, len(block)))
        drawn[:, block] = study.targets[block][chosen]  # [B, G, S]
    return drawn


def _refitted(
    evaluation: "CrossValidation", fits: Mapping[str, tuple[bool, np.ndarray]]
) -> dict[str, np.ndarray | None]:
    """Predict all tests by fits to volumes, harmonised or not, and targets [B, N]; None where a fold has no fit."""
    found: dict[str, list[np.ndarray | None]] = {name: [] for name in fits}
    pairs = zip(evaluation.folds, evaluation.trainings, strict=True)
    steps = [(*pair, name) for pair in pairs if len(pair[0].test_rows) for name in fits]
    for fold, training, name in progress(steps, total=len(steps), title="harmonised and not"):
        (harmonized, targets), volumes = fits[name], training.volumes
        assert isinstance(volumes, Harmonized), "the evaluation is of harmonised volumes"
        named = replace(training, name=f"{training.name}_{name}".removeprefix("_"), inner=True)
        taken = replace(named, volumes=volumes if harmonized else volumes.source)
        found[name].append(_predictions(evaluation, taken, fold, targets))
    return {name: _joined(parts) for name, parts in found.items()}


def _predictions(
    evaluation: "CrossValidation", training: TrainingSet, fold: Fold, targets: np.ndarray
) -> np.ndarray | None:
    """Predict the test rows of a fold by fits to each of many targets [B, N]; None where there is no such fit."""
    try:
        found = []
        for seeded in seeds_of(training, evaluation.splits.seeds):
            refits = evaluation.model.permuted(seeded, fold.test_rows, targets)
            found.append(_trained(evaluation.model, seeded, fold.test_rows, targets) if refits is None else refits)
        predictions = np.asarray(np.mean(found, axis=0))
        if np.isfinite(predictions).reshape(len(targets), -1).all(axis=1).any():
            return predictions
        reason = "there is no solution"
    except UserError as error:  # what the evaluation found is worth more
        if several_processes():  # the others may not have met it, and would wait for this one
            raise
        reason = str(error)
    log.warning("fold %d: what harmonising changes cannot be shown in full: %s", fold.number, reason)
    return None


def _trained(model: Model, training: TrainingSet, rows: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Fit a copy of a model to each of many targets [B, N], and predict rows."""
    training.volumes.fill()
    found = []
    for number, each in enumerate(targets):
        fitted, named = copy.deepcopy(model), replace(training, targets=each, name=f"{training.name}/{number}")
        fitted.fit(named)
        found.append(fitted.predict(training.volumes, rows))
        shutil.rmtree(named.checkpoints, ignore_errors=True)
    return np.stack(found)


def _joined(parts: Sequence[np.ndarray | None]) -> np.ndarray | None:
    known = [part for part in parts if part is not None]
    return np.concatenate(known, axis=1) if len(known) == len(parts) else None


def _of_random(results: "Results", drawn: np.ndarray, predicted: Sequence[np.ndarray | None]) -> RandomLabels | None:
    """Compare the primary score of random labels on volumes as they are and on harmonised ones."""
    plain, harmonized = predicted
    if plain is None or harmonized is None:
        return None
    pairs, outcome = [], results.study.outcome
    for targets, *both in zip(drawn[:, results.rows], plain, harmonized, strict=True):
        if all(np.isfinite(each).all() for each in both) and not outcome.lacking(targets):
            pairs.append([_values(results, targets, each)[outcome.compared[0]] for each in both])
    scores = np.array([pair for pair in pairs if None not in pair], dtype=np.float64)  # [draws, volumes]
    if not len(scores):
        return None
    means, apart = scores.mean(axis=0).tolist(), scores[:, 1] - scores[:, 0]
    reach = None
    if len(apart) > 1:
        reach = float(student.ppf((1 + LEVEL) / 2, len(apart) - 1) * apart.std(ddof=1) / np.sqrt(len(apart)))
    mean = float(apart.mean())
    difference = Score(mean) if reach is None else Score(mean, mean - reach, mean + reach)
    return RandomLabels(len(scores), dict(zip((AS_THEY_ARE, HARMONIZED), means, strict=True)), difference)


def _values(results: "Results", targets: np.ndarray, predictions: np.ndarray) -> dict[str, float | None]:
    return scores_of_tests(results.study.outcome, targets, predictions, None, results.fold_numbers)
