"""Is a model better than chance? Its scores, beside those for permuted labels.

Labels move only where they could have fallen otherwise: within the test folds of the first repeat and within sites, so
that every fold keeps its classes, and whole label vectors between groups of equal size. The splits stay. A score of the
observed labels that is as good as the best of B permutations has p = 1 / (1 + B) (Phipson and Smyth 2010).

- Models that can be refitted in minutes are: everything that labels touch is done again for each permutation, the inner
  choice included. Inner folds are dealt by labels too, and those that suit the observed labels suit no permutation: the
  observed labels would be at an advantage (null AUCs of ridge on 40 subjects spread a tenth less than they should). So
  the test's inner folds are dealt by a permutation of their own, and the observed labels are refitted with them too.
- A network that was tested on a hold-out is not: its predictions stay, and the labels of the test set move. That is
  exact for the question whether this model tells these people apart.
- Under k-fold that is anti-conservative, since the folds' models share training rows (Noirhomme et al. 2014). There
  each fold has its own p, and twice their mean, at most 1, is a p however they depend on each other (Rueschendorf 1982;
  Vovk and Wang 2020). It is a conservative one. Refitting is possible, at the price of a whole evaluation each time.
"""

import copy
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from mri3d.errors import UserError
from mri3d.evaluation.crossvalidation import CrossValidation
from mri3d.evaluation.fold_result import FoldResult
from mri3d.evaluation.folds import Sample
from mri3d.evaluation.permuted_targets import blocks_of, draw
from mri3d.evaluation.results import Results
from mri3d.evaluation.seeds import seeds_of
from mri3d.models.model import ROUNDING, Model, TrainingSet
from mri3d.outcome import Outcome
from mri3d.outcome.column_scores import right_pairs, shares
from mri3d.outcome.score import LESS_IS_BETTER
from mri3d.progress import progress

REFITTED, FIXED, COMBINED = "refitted", "fixed predictions", "folds combined"


@dataclass(frozen=True)
class ScoreTest:
    """A score of the observed labels beside the same score of permuted ones.

    Attributes:
        observed: Of the evaluation; None where the tests do not define it.
        compared: The same as it is compared with permutations: where they are refitted, so are the observed labels.
        p: How often permuted labels give a score at least as good, the observed ones counted with them.
        null_mean: Mean over the permutations; None where folds were combined, which have no distribution in common.
        null_low: Their quantile at 2.5 %.
        null_median: Their median.
        null_high: Their quantile at 97.5 %.
    """

    observed: float | None
    compared: float | None
    p: float | None
    null_mean: float | None = None
    null_low: float | None = None
    null_median: float | None = None
    null_high: float | None = None


@dataclass(frozen=True, eq=False)
class PermutationTest:
    """Whether a model is better than chance.

    Attributes:
        primary: Name of the score whose `p` decides.
        scores: Each score by its name, the primary first. With a line that corrects predictions, those before it.
        number: How many permutations there were.
        method: `refitted`, `fixed predictions` or `folds combined`.
        null: The primary score of each permutation, [B]; empty where folds were combined.
    """

    primary: str
    scores: Mapping[str, ScoreTest]
    number: int
    method: str
    null: np.ndarray

    @property
    def p(self) -> float | None:
        """The p of the primary score."""
        return self.scores[self.primary].p

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON types; a permutation that does not define the primary score is null."""
        return {
            "primary": self.primary,
            "method": self.method,
            "number": self.number,
            "scores": {name: asdict(score) for name, score in self.scores.items()},
            "null": [None if np.isnan(value) else float(value) for value in self.null],
        }


def permutation_test(
    evaluation: CrossValidation, results: Results, targets: np.ndarray, *, seed: int, refit: bool = False
) -> PermutationTest:
    """Compare the scores of an evaluation with those of permuted targets.

    Args:
        evaluation: What was run.
        results: What it gave.
        targets: From `permuted_targets`, [B, N].
        seed: Of further draws, where folds are combined.
        refit: Whether a model that takes long to fit is refitted for each permutation all the same.
    """
    study, every = evaluation.study, np.concatenate([evaluation.study.targets[None], targets])
    refits = _refitted_at_once(evaluation, every, seed)
    if refits is None and refit:
        refits = []
        for training, fold in zip(evaluation.trainings, evaluation.folds, strict=True):
            seeds = seeds_of(training, evaluation.splits.seeds)
            each = [_refitted(evaluation.model, seeded, fold.test_rows, every) for seeded in seeds]
            refits.append(np.mean(each, axis=0))
    tested = [result for result in results.folds if len(result.fold.test_rows)]
    observed = _observed(study.outcome, tested, study.targets)
    if refits is not None:
        predictions = np.concatenate(refits, axis=1)
        scores = _scores(study.outcome, every[:, results.rows], predictions, results.fold_numbers)
        return _test(results, observed, scores, REFITTED)
    if len(tested) > 1:
        return _combined(results, tested, observed, len(targets), seed)
    return _test(results, observed, _fixed(study.outcome, tested[0], every), FIXED)


def _test(
    results: Results, observed: Mapping[str, float], scores: Mapping[str, np.ndarray], method: str
) -> PermutationTest:
    """Put a test together from scores [1 + B], those of the observed labels first."""
    suffix = "" if results.raw is None else "_raw"
    tests = {}
    for name, (first, *_) in scores.items():
        null, p = scores[name][1:], None if np.isnan(first) else _p(name, scores[name])
        known = null[~np.isnan(null)]
        found = [float(known.mean()), *map(float, np.quantile(known, (0.025, 0.5, 0.975)))] if len(known) else []
        tests[f"{name}{suffix}"] = ScoreTest(_known(observed[name]), _known(first), p, *found)
    primary = next(iter(scores))
    return PermutationTest(f"{primary}{suffix}", tests, len(scores[primary]) - 1, method, scores[primary][1:])


def _combined(
    results: Results, tested: Sequence[FoldResult], observed: Mapping[str, float], number: int, seed: int
) -> PermutationTest:
    """Combine the p of each fold, whose labels move against its fixed predictions."""
    study, found = results.study, defaultdict[str, list[float]](list)
    sites = Sample.of(study).sites
    for result in tested:
        random = np.random.default_rng([seed, result.fold.number, 0, 2])
        drawn = draw(study.targets, blocks_of([result.fold], study.groups, sites), number, random)
        for name, scores in _fixed(study.outcome, result, np.concatenate([study.targets[None], drawn])).items():
            if not np.isnan(scores[0]):
                found[name].append(_p(name, scores))
    suffix, names = "" if results.raw is None else "_raw", results.study.outcome.compared
    tests = {
        f"{name}{suffix}": ScoreTest(_known(observed[name]), _known(observed[name]), _twice_the_mean(found[name]))
        for name in names
    }
    return PermutationTest(f"{names[0]}{suffix}", tests, number, COMBINED, np.empty(0))


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _twice_the_mean(ps: Sequence[float]) -> float | None:
    """Combine the p of folds; that of a single one stays, and of none there is none."""
    return min(1.0, min(len(ps), 2) * float(np.mean(ps))) if ps else None


def _p(name: str, scores: np.ndarray) -> float:
    """Count the scores [1 + B] that are at least as good as the first; one that is not defined counts with them."""
    sign = -1.0 if name in LESS_IS_BETTER else 1.0
    first, margin = sign * scores[0], ROUNDING * max(1.0, abs(float(scores[0])))
    return float(np.mean(~(sign * scores < first - margin)))


def _observed(outcome: Outcome, tested: Sequence[FoldResult], targets: np.ndarray) -> dict[str, float]:
    """Score the predictions of the evaluation itself."""
    rows = np.concatenate([result.fold.test_rows for result in tested])
    numbers = np.concatenate([np.full(len(result.fold.test_rows), result.fold.number) for result in tested])
    predictions = np.concatenate([_uncorrected(result) for result in tested])
    scores = _scores(outcome, targets[None, rows], predictions[None], numbers)
    return {name: float(score) for name, (score,) in scores.items()}


def _fixed(outcome: Outcome, result: FoldResult, targets: np.ndarray) -> dict[str, np.ndarray]:
    """Score the predictions of a fold against each of many targets [B, N]."""
    rows, predictions = result.fold.test_rows, _uncorrected(result)
    repeated = np.broadcast_to(predictions, (len(targets), *predictions.shape))
    return _scores(outcome, targets[:, rows], repeated, np.full(len(rows), result.fold.number))


def _uncorrected(result: FoldResult) -> np.ndarray:
    """Return predictions before a line corrected them: dividing by its slope would blow up the error of any model."""
    return result.predictions if result.raw is None else result.raw


def _scores(outcome: Outcome, targets: np.ndarray, predictions: np.ndarray, folds: np.ndarray) -> dict[str, np.ndarray]:
    """Compute the scores that runs are compared by, of each of B permutations.

    Args:
        outcome: What is predicted.
        targets: Truth of each test [B, T].
        predictions: [B, T, K] or [B, T]; NaN where there is none, which is left out.
        folds: Fold of each test [T].

    Returns:
        Each score [B], the AUC within folds; NaN where the tests do not define it.
    """
    found = {name: np.full(len(targets), np.nan) for name in outcome.compared}
    for number, (truth, guess) in enumerate(zip(targets, predictions, strict=True)):
        known = np.isfinite(guess.reshape(len(guess), -1)).all(axis=1)
        if known.any() and not outcome.lacking(truth[known]):
            scores = outcome.scores(truth[known], guess[known])
            for name in found:
                found[name][number] = np.nan if scores[name] is None else scores[name]
    if outcome.memberships:
        truth = np.stack([outcome.columns(each, None) for each in targets], axis=1)
        found["auc"] = within_fold_aucs(truth, predictions.swapaxes(0, 1)[..., -truth.shape[2] :], folds)
    return found


def within_fold_aucs(truth: np.ndarray, decisions: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Compute the AUC within folds, see `mri3d.evaluation.auc.within_fold_auc`, of each of B permutations.

    Args:
        truth: Whether each test is of the class, bool [T, B, D].
        decisions: What speaks for the class [T, B, D]; the pairs of a fold with a NaN do not count.
        folds: Fold of each test [T].

    Returns:
        [B]; NaN where a class has no pair at all.
    """
    right, pairs = np.zeros((2, *truth.shape[1:]))
    for fold in np.unique(folds):
        found = right_pairs(decisions[folds == fold], truth[folds == fold])
        right, pairs = right + found[0], pairs + found[1]
    return shares(right, pairs)


def _refitted_at_once(evaluation: CrossValidation, targets: np.ndarray, seed: int) -> list[np.ndarray] | None:
    """Refit the model of each fold to all permutations [B, N], if it can do that; inner folds suit none of them."""
    study = evaluation.study
    blocks = blocks_of(evaluation.folds, study.groups, Sample.of(study).sites)
    nobodys = draw(study.targets, blocks, 10, np.random.default_rng([seed, 0, 0, 1]))
    for number, dealt in enumerate([*nobodys, study.targets]):  # at the end the labels that the model was checked with
        found = []
        try:
            for training, fold in zip(evaluation.trainings, evaluation.folds, strict=True):
                seeds = seeds_of(replace(training, targets=dealt), evaluation.splits.seeds)
                refits = [evaluation.model.permuted(seeded, fold.test_rows, targets) for seeded in seeds]
                known = [each for each in refits if each is not None]
                if len(known) < len(seeds):
                    return None
                found.append(np.mean(known, axis=0))
        except UserError:  # whole groups could not be dealt so that every inner fold has every class
            if number == len(nobodys):
                raise
            continue
        return found
    raise AssertionError("the last try returns or raises")


def _refitted(model: Model, training: TrainingSet, test_rows: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Fit and test a copy of a model for each permutation; see `Model.permuted`."""
    base = f"{training.name or 'fold_0'}_permutations"

    def each() -> Iterator[np.ndarray]:
        for number, permutation in enumerate(targets):
            refit = copy.deepcopy(model)
            refit.fit(replace(training, targets=permutation, name=f"{base}/{number}", inner=True))
            predictions = refit.predict(training.volumes, test_rows)
            shutil.rmtree(replace(training, name=base).checkpoints, ignore_errors=True)
            yield predictions if refit.line is None else refit.line.undo(predictions)

    title = f"permutations{training.name and f' of {training.name}'}"
    return np.stack(list(progress(each(), total=len(targets), title=title)))
