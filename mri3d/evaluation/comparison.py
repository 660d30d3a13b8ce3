"""Several models on the same tests: which is better, by how much, and how certain that is."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from mri3d.errors import UserError, option
from mri3d.evaluation.paired import Comparison, Sampled, compare_sampled, holm
from mri3d.evaluation.results import Results
from mri3d.evaluation.sampling import Sampling
from mri3d.outcome import Outcome, Scores
from mri3d.outcome.resampling import Resampling
from mri3d.texts import list_text, number_text


@dataclass(frozen=True, eq=False)
class JudgedModel:
    """What one model was tested on, and how it did. T counts tests.

    Attributes:
        outcome: What was predicted.
        subjects: Name of the session of each test [T].
        sampling: Fold, session and group of each test.
        targets: Truth of each test [T].
        resampling: What was predicted.
        scores: Scores of all tests.
        fold_scores: Scores of each fold.
        folder: The run that it was read from; None where it was evaluated in this process.
    """

    outcome: Outcome
    subjects: tuple[str, ...]
    sampling: Sampling
    targets: np.ndarray
    resampling: Resampling
    scores: Scores
    fold_scores: tuple[Scores, ...]
    folder: Path | None = None

    @classmethod
    def of(cls, results: Results) -> Self:
        """Take them from results."""
        return cls(
            results.study.outcome,
            tuple(results.study.ids[row] for row in results.rows),
            results.sampling,
            results.targets,
            results.tests,
            {name: score.value for name, score in results.scores.items()},
            tuple(result.scores for result in results.folds),
        )

    @property
    def truth(self) -> dict[tuple[str, int], Any]:
        """Session and fold of each test, to its truth."""
        keys = zip(self.subjects, self.sampling.folds.tolist(), strict=True)
        return dict(zip(keys, self.targets.tolist(), strict=True))


@dataclass(frozen=True, eq=False)
class Pair:
    """Two models that were compared.

    Attributes:
        first: Name of one.
        second: Name of the other.
        comparison: Second minus first.
        p_holm: The primary p, adjusted for the number of pairs.
        values: Name of each score that either model has, to those of both; None where it has not.
        fold_differences: Mean and standard deviation over folds of each score's difference.
    """

    first: str
    second: str
    comparison: Comparison
    p_holm: float
    values: Mapping[str, tuple[float | None, float | None]]
    fold_differences: Mapping[str, tuple[float, float]]

    def table(self) -> pd.DataFrame:
        """Return a row for each score that either defines: values, difference with interval, p.

        `p_mcnemar` stands beside the accuracy, which it is about too.
        """
        rows = {}
        for name, (first, second) in self.values.items():
            difference = None if first is None or second is None else second - first
            rows[name] = {"first": first, "second": second, "difference": difference}
            found = self.comparison.differences.get(name)
            rows[name] |= {column: getattr(found, column, None) for column in ("low", "high", "p", "p_folds")}
            rows[name]["p_mcnemar"] = self.comparison.p_mcnemar if name == "accuracy" else None
            mean, deviation = self.fold_differences.get(name, (None, None))
            rows[name] |= {"mean_difference": mean, "sd_difference": deviation}
        return pd.DataFrame.from_dict(rows, orient="index", dtype=float)


def compare_pairs(models: Mapping[str, JudgedModel]) -> list[Pair]:
    """Compare every two models, in their order.

    Args:
        models: Name of each to what it was tested on.

    Raises:
        UserError: There are fewer than two, or two of them were not tested on the same.
    """
    if len(models) < 2:
        raise UserError("there is nothing to compare with: give two results or more.")
    pairs = list(itertools.combinations(models, 2))
    for first, second in pairs:
        _check(first, models[first], second, models[second])
    judged = list(models.values())
    primary, sampling = judged[0].outcome.compared[0], _common_sampling([model.sampling for model in judged])
    sampled = {name: Sampled.of(model.resampling, sampling) for name, model in models.items()}
    found: list[Pair] = []
    for first, second in pairs:
        one, other = models[first], models[second]
        comparison = compare_sampled(sampled[first], sampled[second], sampling, primary=primary)
        names = dict.fromkeys([*one.scores, *other.scores])
        values = {name: (one.scores.get(name), other.scores.get(name)) for name in names}
        found.append(Pair(first, second, comparison, comparison.p, values, _fold_differences(one, other)))
    adjusted = holm([pair.comparison.p for pair in found])
    return [replace(pair, p_holm=p) for pair, p in zip(found, adjusted, strict=True)]


def are_alike(one: JudgedModel, other: JudgedModel) -> bool:
    """Return whether two models were tested on the same sessions in the same folds, and can be compared."""
    return one.outcome == other.outcome and bool(one.subjects) and one.truth == other.truth


def _check(first: str, one: JudgedModel, second: str, other: JudgedModel) -> None:
    """Refuse two that were not tested on the same sessions in the same folds.

    Raises:
        UserError: It names what differs.
    """
    first, second = (
        name if model.folder is None else str(model.folder) for name, model in ((first, one), (second, other))
    )
    if one.outcome != other.outcome:
        raise UserError(f"{first} and {second} are of different outcomes, and their scores cannot be compared.")
    if untested := [name for name, tests in ((first, one), (second, other)) if not tests.subjects]:
        raise UserError(
            f"no session was tested in {' and '.join(untested)}: All trains on every session, and leaves no scores to "
            "compare. Evaluate both models with a test, as by KFold()."
        )
    way_out = "Evaluate all models on one study with the same splits and seed."
    if one.folder is not None:
        way_out = f"Train one of them anew on the test sets of the other: {option('evaluation.splits', first)}."
    ours, theirs = one.truth, other.truth
    if alone := sorted(set(ours) ^ set(theirs)):
        told = list_text([f"{subject} (fold {fold})" for subject, fold in alone], ", ", most=3)
        raise UserError(
            f"{first} and {second} did not test the same sessions in the same folds: {len(alone)} tests are in one of "
            f"them only ({told}). {way_out}"
        )
    if changed := sorted({key[0] for key in ours if ours[key] != theirs[key]}):
        raise UserError(
            f"{first} and {second} have different labels for {number_text(len(changed), 'session')} "
            f"({list_text(changed, ', ')}). Evaluate all models on one study."
        )
    assert list(ours) == list(theirs), "folds and sessions are in the order of their numbers and ids"


def _common_sampling(given: Sequence[Sampling]) -> Sampling:
    """Return who was tested, with those as one unit who stayed together for any of the models.

    Models that were judged on the same tests may have been told of different groups, and have learnt from different
    numbers of rows: what is shared most makes the widest interval.
    """
    result = given[0]
    for other in given[1:]:
        if not np.array_equal(result.unit, other.unit):
            size = result.num_units + other.num_units
            links = coo_matrix((np.ones(len(result.rows)), (result.unit, result.num_units + other.unit)), (size, size))
            result = replace(result, groups=connected_components(links, directed=False)[1][result.unit])
        if len(other.num_train) == len(result.num_train):
            fewest = tuple(min(pair) for pair in zip(result.num_train, other.num_train, strict=True))
            result = replace(result, num_train=fewest)
    if any(each.chosen_widening is not None for each in given):
        result = replace(result, chosen_widening=max(each.widening for each in given))
    return result


def _fold_differences(one: JudgedModel, other: JudgedModel) -> dict[str, tuple[float, float]]:
    """Return mean and standard deviation over folds of each score's difference."""
    result = {}
    names = dict.fromkeys(name for scores in (*one.fold_scores, *other.fold_scores) for name in scores)
    for name in names:
        pairs = [(a.get(name), b.get(name)) for a, b in zip(one.fold_scores, other.fold_scores, strict=True)]
        apart = pd.Series([None if a is None or b is None else b - a for a, b in pairs], dtype=float)
        result[name] = float(apart.mean()), float(apart.std())
    return result
