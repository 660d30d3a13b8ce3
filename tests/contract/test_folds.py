"""Folds of training scans: everyone once, people together."""

import numpy as np
import pytest

from mri3d.contract.folds import NUM_FOLDS, folds_of


@pytest.mark.parametrize(
    ("groups", "num_folds"),
    [(np.arange(23), NUM_FOLDS), (np.repeat(["b", "a", "c"], 4), 3), (np.array(["x"] * 9), NUM_FOLDS), ([0, 1], 2)],
)
def test_each_session_is_in_one_fold_and_people_are_together(groups, num_folds):
    groups = np.asarray(groups)
    folds = folds_of(groups, seed=0)
    assert len(folds) == num_folds
    assert sorted(np.concatenate(folds)) == list(range(len(groups)))
    assert min(map(len, folds)) >= 1
    if len(set(groups)) > 1:
        assert sum(len(set(groups[fold])) for fold in folds) == len(set(groups))
    for one, other in zip(folds, folds_of(groups, seed=0), strict=True):
        np.testing.assert_array_equal(one, other)
