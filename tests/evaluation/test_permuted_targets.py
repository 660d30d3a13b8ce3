"""Who exchanges labels with whom, and how many permutations there are."""

import itertools
import re
from collections import Counter

import numpy as np
import pytest

from mri3d.errors import UserError
from mri3d.evaluation.folds import Fold, Sample
from mri3d.evaluation.given_splits import LeaveSiteOut
from mri3d.evaluation.permuted_targets import permuted_targets
from mri3d.evaluation.splits import All, Holdout, KFold
from mri3d.outcome import Classes
from tests.evaluation.permuting import study_of

NOBODY = np.arange(0)


def two_folds(num_rows: int) -> list[Fold]:
    """Test the first half, then the second."""
    halves = np.array_split(np.arange(num_rows), 2)
    return [Fold(k, 0, halves[1 - k], NOBODY, halves[k]) for k in (0, 1)]


def test_labels_stay_within_test_folds_and_sites():
    random = np.random.default_rng(0)
    targets, sites = random.integers(0, 3, 40), random.choice(["n", "s"], 40).tolist()
    drawn = permuted_targets(targets, two_folds(40), np.arange(40), sites, number=50, seed=1)
    assert drawn.shape == (50, 40)
    for half, site in itertools.product((np.arange(20), np.arange(20, 40)), ("n", "s")):
        rows = [row for row in half if sites[row] == site]
        for each in drawn:
            assert Counter(each[rows]) == Counter(targets[rows])
    assert len(np.unique(drawn, axis=0)) == 50


def test_label_vectors_move_between_groups_of_equal_size_in_their_order():
    groups = np.repeat(np.arange(8), [3, 3, 3, 2, 2, 2, 1, 1])
    targets = np.arange(len(groups)) / 10  # each differs
    folds = [Fold(0, 0, NOBODY, NOBODY, np.arange(len(groups)))]
    drawn = permuted_targets(targets, folds, groups, number=60, seed=0)
    vectors = {tuple(targets[groups == group]) for group in range(8)}
    for each in drawn:
        assert {tuple(each[groups == group]) for group in range(8)} == vectors
    assert len(np.unique(drawn, axis=0)) > 30, "of 3! x 3! x 2! = 72"


def test_rows_of_a_hold_out_stay_on_their_side():
    study = study_of(60)
    (fold,) = Holdout(test=0.3, validation=0.3).split(Sample.of(study), seed=0)
    drawn = permuted_targets(study.targets, [fold], study.groups, number=20, seed=0)
    for rows in fold.sides.values():
        assert (drawn[:, rows].sum(axis=1) == study.targets[rows].sum()).all()
        assert np.ptp(drawn[:, rows], axis=0).any()


def test_of_several_repeats_the_first_bounds_who_exchanges_labels():
    study = study_of(40)
    folds = KFold(folds=4, repeats=2, validation=0).split(Sample.of(study), seed=0)
    drawn = permuted_targets(study.targets, folds, study.groups, number=20, seed=0)
    kept = [(drawn[:, fold.test_rows].sum(axis=1) == study.targets[fold.test_rows].sum()).all() for fold in folds]
    assert kept[:4] == [True] * 4
    assert not all(kept[4:])


def test_someone_scanned_at_two_sites_exchanges_labels_with_such_only():
    sites = ["n", "s"] * 3 + ["n"] * 5 + ["s"] * 5
    groups = np.array([0, 0, 1, 1, 2, 2, *range(3, 13)])
    targets = np.array([0, 0, 1, 1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 0, 1, 0])
    folds = LeaveSiteOut(validation=0).split(
        Sample(Classes(("a", "b")), targets, groups, [f"s{row}" for row in range(16)], sites), seed=0
    )
    drawn = permuted_targets(targets, folds, groups, sites, number=40, seed=0)
    assert (drawn[:, 0:6:2] == drawn[:, 1:6:2]).all()
    assert (drawn[:, 0:6:2].sum(axis=1) == 2).all()


def test_each_permutation_is_as_likely_as_any_other():
    targets, folds = np.array([0, 0, 1, 1]), [Fold(0, 0, NOBODY, NOBODY, np.arange(4))]
    many = np.concatenate([permuted_targets(targets, folds, np.arange(4), number=5, seed=seed) for seed in range(600)])
    counts = Counter(map(tuple, many.tolist()))
    assert len(counts) == 6
    assert all(abs(count - 500) < 5 * np.sqrt(500) for count in counts.values())


@pytest.mark.parametrize(
    ("targets", "groups", "sites"),
    [
        ([0, 0, 1, 1, 0, 1], range(6), ()),
        ([0, 1, 2, 2, 1, 0], range(6), "nnnsss"),
        ([0.5, 1.5, 2.5, 2.5, 1.5, 0.5], [0, 0, 1, 1, 2, 2], ()),
        ([0, 1, 1, 0, 1, 0], [0, 0, 1, 1, 2, 3], ()),
    ],
)
def test_more_permutations_than_there_are_are_refused_by_name(targets, groups, sites):
    targets, groups, sites = np.array(targets), np.array(list(groups)), list(sites)
    folds = [Fold(0, 0, NOBODY, NOBODY, np.arange(6))]
    units = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    found = set()
    for order in itertools.permutations(range(len(units))):
        alike = all(
            len(units[i]) == len(units[j])
            and (not sites or [sites[r] for r in units[i]] == [sites[r] for r in units[j]])
            for i, j in enumerate(order)
        )
        if alike:
            moved = targets.copy()
            for i, j in enumerate(order):
                moved[units[i]] = targets[units[j]]
            found.add(tuple(moved))
    others = len(found) - 1
    assert len(permuted_targets(targets, folds, groups, sites, number=others, seed=0)) == others
    told = rf"evaluation\.permutations={others + 1} is more than there are, {others} permutations: labels move "
    with pytest.raises(UserError) as raised:
        permuted_targets(targets, folds, groups, sites, number=others + 1, seed=0)
    assert re.match(told, raised.value.on_command_line())
    assert f"Ask for {others} at most" in str(raised.value)


def test_what_cannot_be_permuted_is_refused_by_name():
    targets, alone = np.array([0, 0, 1, 1]), np.arange(4)
    with pytest.raises(UserError, match="permutations=10: there is no permutation, as labels move within test folds "):
        permuted_targets(targets, two_folds(4), alone, number=10, seed=0)
    with pytest.raises(UserError, match="permutations=0 is no number of permutations"):
        permuted_targets(targets, two_folds(4), alone, number=0, seed=0)
    study = study_of()
    with pytest.raises(UserError, match="permutations=10: nothing is tested"):
        permuted_targets(study.targets, All().split(Sample.of(study), seed=0), study.groups, number=10, seed=0)


def test_few_permutations_are_told_the_least_p(caplog):
    study = study_of()
    permuted_targets(study.targets, two_folds(40), study.groups, number=19, seed=0)
    assert not caplog.text
    permuted_targets(study.targets, two_folds(40), study.groups, number=9, seed=0)
    assert "permutations=9: p cannot be below 0.100; at least 19 are needed for 0.05" in caplog.text
