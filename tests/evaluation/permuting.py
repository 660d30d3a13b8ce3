"""Small null and planted cohorts, and their permutation tests."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kstest

from mri3d.evaluation.crossvalidation import CrossValidation
from mri3d.evaluation.permutations import PermutationTest, permutation_test
from mri3d.evaluation.permuted_targets import permuted_targets
from mri3d.study import Study


def study_of(num_subjects: int = 40, *, effect: float = 0.0, seed: int = 0, kind: str = "classes", **more) -> Study:
    """Make volumes of noise, in which the outcome shows by so much."""
    random = np.random.default_rng(seed)
    values = random.permutation(np.arange(num_subjects) % 2) if kind == "classes" else random.normal(size=num_subjects)
    volumes = random.standard_normal((num_subjects, 3, 4, 5)) * np.linspace(2, 0.5, 5)
    volumes[:, 1:, 1:, 1:] += effect * values[:, None, None, None]
    labels = [("a", "b")[value] for value in values] if kind == "classes" else values.round(3)
    task = {} if kind == "classes" else {"task": "regression"}
    return Study.from_arrays(volumes.astype(np.float32), labels, **task, **more)


def chance_test(
    study: Study, model, splits, *, number: int = 99, seed: int = 0, refit: bool = False
) -> PermutationTest:
    """Evaluate a model, and compare it with chance."""
    evaluation = CrossValidation.of(study, model, splits, seed=seed, folder=Path("nowhere"))
    targets = permuted_targets(study.targets, evaluation.folds, study.groups, number=number, seed=seed)
    return permutation_test(evaluation, evaluation.run(), targets, seed=seed, refit=refit)


def uniform(tests: list[PermutationTest]) -> float:
    """Return the p of the hypothesis that p values are uniform once ties, which make them larger, are dealt at random.

    Where no held-out decision rises with the class everybody has the same probability: AUCs of one half are common.
    """
    random, ps = np.random.default_rng(0), []
    for test in tests:
        sign = -1.0 if test.primary == "mae" else 1.0
        apart = (sign * (test.null - test.scores[test.primary].compared)).round(9)
        ps.append(((apart > 0).sum() + random.random() * (1 + (apart == 0).sum())) / (1 + test.number))
        assert test.p == pytest.approx((1 + (apart >= 0).sum()) / (1 + test.number))
    return float(kstest(ps, "uniform").pvalue)
