"""Scores of many permutations at once are those of each."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mri3d.evaluation.auc import within_fold_auc
from mri3d.evaluation.permutations import within_fold_aucs
from mri3d.outcome import Classes, Measure
from mri3d.outcome.column_scores import judge_columns, right_pairs
from mri3d.outcome.resampling import Ranking


@pytest.mark.parametrize("decimals", [1, 12], ids=["ties", "none"])
@pytest.mark.parametrize("num_classes", [2, 4])
def test_aucs_of_many_permutations_are_those_of_each(decimals, num_classes):
    random = np.random.default_rng(0)
    outcome, folds = Classes(tuple("abcd"[:num_classes])), random.integers(0, 3, 60)
    truth = np.stack([outcome.columns(random.integers(0, num_classes, 60), None) for _ in range(7)], axis=1)
    decisions = random.standard_normal(truth.shape).round(decimals)
    found, judged = within_fold_aucs(truth, decisions, folds), judge_columns(outcome, decisions, truth)
    for number in range(7):
        assert_allclose(found[number], within_fold_auc(Ranking(truth[:, number], decisions[:, number]), folds).value)
        assert_allclose(judged[number], outcome.judge(decisions[:, number], truth[:, number]))


def test_pairs_of_a_fold_without_a_class_or_without_a_decision_do_not_count():
    truth = np.array([True, False, True, True, True, False])[:, None, None]
    decisions = np.array([2.0, 1.0, 5.0, 6.0, 1.0, np.nan])[:, None, None]
    assert within_fold_aucs(truth, decisions, np.array([0, 0, 1, 1, 2, 2])) == 1.0
    assert np.isnan(within_fold_aucs(truth[2:], decisions[2:], np.array([1, 1, 2, 2])))
    right, pairs = right_pairs(decisions[4:], truth[4:])
    assert (right, pairs) == (0.0, 0)


def test_r2_of_many_permutations_is_that_of_each():
    random = np.random.default_rng(0)
    columns, decisions = random.standard_normal((2, 20, 5, 1))
    found = judge_columns(Measure("age"), decisions, columns)
    assert_allclose(found, [Measure("age").judge(decisions[:, k], columns[:, k]) for k in range(5)])
