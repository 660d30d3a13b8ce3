"""Splits: disjoint, covering, stratified, grouped, and a function of the seed and the subjects alone."""

import itertools
import re
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mri3d.errors import UserError
from mri3d.evaluation.folds import Sample, fold_texts
from mri3d.evaluation.partition import Strata, partition
from mri3d.evaluation.splits import All, Holdout, KFold
from mri3d.outcome import Classes, Measure, outcome_of

CLASSES = Classes(("control", "patient"))


def alone(num_subjects):
    """Every subject is its own group."""
    return np.array([f"s{row:04d}" for row in range(num_subjects)])


def cohort(counts, *, seed=0):
    """Shuffled targets with `counts[k]` subjects of class k."""
    targets = np.repeat(np.arange(len(counts)), counts)
    return np.random.default_rng(seed).permutation(targets)


def families(num_subjects, seed):
    """Groups of one to five subjects."""
    return np.array([f"f{i}" for i in np.random.default_rng(seed).integers(0, num_subjects // 2, num_subjects)])


@given(
    num_subjects=st.integers(60, 90),
    share=st.floats(0.2, 0.8),
    seed=st.integers(0, 10_000),
    splitter=st.sampled_from([Holdout(), KFold(), KFold(folds=3, repeats=2, validation=0.0), Holdout(0.3, 0.4)]),
)
@settings(max_examples=40, deadline=None)
def test_every_split_is_disjoint_covering_and_grouped(num_subjects, share, seed, splitter):
    num_patients = round(share * num_subjects)  # drawn one by one they could be too few
    targets = cohort([num_subjects - num_patients, num_patients], seed=seed)
    groups = families(num_subjects, seed)
    folds = splitter.split(Sample(CLASSES, targets, groups), seed=seed)
    for number, fold in enumerate(folds):
        sides = [fold.train_rows, fold.validation_rows, fold.test_rows]
        assert fold.number == number
        assert np.array_equal(np.sort(np.concatenate(sides)), np.arange(num_subjects))
        for rows in sides:
            assert rows.dtype == np.int64
            assert np.array_equal(rows, np.sort(rows))
        for one, other in itertools.combinations(sides, 2):
            assert not set(groups[one]) & set(groups[other])


def test_kfold_tests_every_subject_once_in_each_repeat_and_shuffles_anew():
    targets = cohort([20, 17])
    folds = KFold(folds=4, repeats=3).split(Sample(CLASSES, targets, alone(37)), seed=1)
    assert [(fold.number, fold.repeat) for fold in folds] == [(number, number // 4) for number in range(12)]
    tested = [np.concatenate([f.test_rows for f in folds if f.repeat == repeat]) for repeat in range(3)]
    for rows in tested:
        assert np.array_equal(np.sort(rows), np.arange(37))
    assert not np.array_equal(tested[0], tested[1])


@pytest.mark.parametrize("counts", [[50, 50], [97, 8], [31, 7, 13]])
def test_without_groups_every_count_is_within_one_of_its_share(counts):
    targets = cohort(counts)
    classes = Classes(tuple(f"class {k}" for k in range(len(counts))))
    folds = KFold(folds=5).split(Sample(classes, targets, alone(len(targets))), seed=3)
    folds += Holdout(test=0.25, validation=0.2).split(Sample(classes, targets, alone(len(targets))), seed=3)
    for fold in folds:
        test = 0.25 if fold is folds[-1] else 0.2
        for target in range(len(counts)):
            num_test, num_validation = (
                (targets[rows] == target).sum() for rows in (fold.test_rows, fold.validation_rows)
            )
            assert abs(num_test - test * counts[target]) < 1
            assert abs(num_validation - 0.2 * (counts[target] - num_test)) < 1
    sizes = [len(fold.test_rows) for fold in folds[:-1]]
    assert max(sizes) - min(sizes) <= 1  # the spare subjects of the classes do not pile up in one fold


@pytest.mark.parametrize("seed", range(12))
def test_dealing_of_tiny_cohorts_is_near_the_best_of_all_partitions(seed):
    random = np.random.default_rng(seed)
    shares = [np.full(2, 0.5), np.full(3, 1 / 3), np.array([0.2, 0.8])][seed % 3]
    counts = random.integers(0, 4, size=(8 if len(shares) == 2 else 6, 2))
    counts[0] = 1
    strata = Strata(counts, counts[:, :0], np.arange(len(counts)), every=True)

    def judge(parts):
        dealt = np.stack([counts[parts == part].sum(axis=0) for part in range(len(shares))])
        excess = dealt - shares[:, None] * counts.sum(axis=0)
        return (dealt == 0).sum(), (excess**2 / counts.sum(axis=0)).sum()

    best = min(judge(np.array(parts)) for parts in itertools.product(range(len(shares)), repeat=len(counts)))
    num_empty, cost = judge(partition(strata, shares, np.random.default_rng(seed)))
    assert num_empty == best[0]
    assert cost <= best[1] + 1.0


def test_no_fold_lacks_a_class_that_could_be_in_it():
    # Five patients in five large families, and controls in plenty: each fold must get one of them.
    targets = np.array([1, 0, 0, 0] * 5 + [0] * 60)
    groups = np.array([f"family {row // 4}" if row < 20 else f"single {row}" for row in range(80)])
    folds = KFold(folds=5, repeats=4).split(Sample(CLASSES, targets, groups), seed=0)
    assert [int(targets[fold.test_rows].sum()) for fold in folds] == [1] * 20
    assert all(targets[fold.validation_rows].sum() == 1 for fold in folds)


def test_a_rare_class_is_on_every_side_of_a_holdout():
    targets = cohort([60, 3])
    (fold,) = Holdout(test=0.05, validation=0.05).split(Sample(CLASSES, targets, alone(63)), seed=0)
    assert [int(targets[rows].sum()) for rows in (fold.train_rows, fold.validation_rows, fold.test_rows)] == [1, 1, 1]


def test_the_order_of_the_rows_changes_nothing_and_the_seed_does():
    targets, groups = cohort([30, 25]), families(55, 0)
    order = np.random.default_rng(9).permutation(55)

    def names(targets, groups, ids, seed):
        return [set(ids[f.test_rows]) for f in KFold().split(Sample(CLASSES, targets, groups), seed=seed)]

    ids = alone(55)
    here = names(targets, groups, ids, 5)
    assert here == names(targets[order], groups[order], ids[order], 5)
    assert here != names(targets, groups, ids, 6)


def test_fold_texts_say_the_side_or_the_folds_that_test():
    targets = cohort([12, 12])
    (fold,) = Holdout().split(Sample(CLASSES, targets, alone(24)), seed=0)
    texts = np.array(fold_texts([fold], 24))
    assert np.array_equal(np.flatnonzero(texts == "validation"), fold.validation_rows)
    assert np.array_equal(np.flatnonzero(texts == "test"), fold.test_rows)
    folds = KFold(folds=3, repeats=2).split(Sample(CLASSES, targets, alone(24)), seed=0)
    for row, text in enumerate(fold_texts(folds, 24)):
        assert text == " ".join(str(fold.number) for fold in folds if row in fold.test_rows)
        assert len(text.split()) == 2


@pytest.mark.parametrize(
    ("splitter", "message"),
    [
        (partial(Holdout, test=0.0), r"evaluation.test=0.0 is no share .* between 0 and 1, such as 0.2"),
        (partial(Holdout, test=1.0), r"evaluation.test=1.0"),
        (partial(Holdout, test="a fifth"), r"evaluation.test=a fifth is not a number. The default is 0.2"),
        (partial(Holdout, validation=-0.1), r"evaluation.validation=-0.1 .* at least 0 and below 1"),
        (partial(All, validation=1.0), r"evaluation.validation=1.0 .* at least 0 and below 1"),
        (partial(KFold, folds=1), r"evaluation.folds=1: give a whole number of at least 2"),
        (partial(KFold, folds=2.5), r"evaluation.folds=2.5"),
        (partial(KFold, repeats=0), r"evaluation.repeats=0: give a whole number of at least 1"),
        (partial(KFold, validation=1.5), r"evaluation.validation=1.5"),
        (
            partial(KFold, folds=5),
            r"class 'patient' has 4 sessions: fewer than the 5 that evaluation.folds=5 needs. Ask for fewer",
        ),
    ],
)
def test_bad_arguments_are_told_with_their_value(splitter, message):
    with pytest.raises(UserError) as raised:
        splitter().split(Sample(CLASSES, cohort([20, 4]), alone(24)), seed=0)
    assert re.search(message, raised.value.on_command_line())
    assert re.search(message.replace("evaluation.", "").replace("=a fifth", "='a fifth'"), str(raised.value))
    assert "evaluation." not in str(raised.value)


def test_a_class_in_too_few_groups_is_told():
    groups = np.array(["one family"] * 12 + [f"s{row}" for row in range(12)])
    with pytest.raises(
        UserError, match=r"class 'control' has 12 sessions in 1 group: fewer than the 3 that a hold-out"
    ):
        Holdout().split(Sample(CLASSES, np.repeat([0, 1], 12), groups), seed=0)
    with pytest.raises(UserError, match=r"holds one class \(control 9\); a classifier needs two or more classes"):
        outcome_of(dict.fromkeys(alone(9), "control"), task="classification", name="label")


def test_a_measure_of_which_hardly_any_differ_is_told_so_where_there_are_no_groups():
    targets = np.array([1.0] * 27 + [2.0, 3.0, 4.0])

    def split_often() -> None:
        for seed in range(200):
            KFold(folds=2, validation=0.45).split(Sample(Measure("age"), targets, np.arange(30)), seed=seed)

    with pytest.raises(
        UserError, match=r"training set of fold \d has no two different values .*: too few sessions differ"
    ):
        split_often()


def test_a_side_without_a_class_is_warned_of_and_training_without_one_refused(caplog):
    # Three patients in two folds: where two are tested, one is left for training and none for validation.
    KFold(folds=2).split(Sample(CLASSES, cohort([20, 3]), alone(23)), seed=0)
    assert caplog.text.count("the validation set of fold") == 1
    assert "has no session of class 'patient': some of its scores cannot be computed" in caplog.text
    # Three hospitals, each without one of three classes: whichever stands alone, a side lacks a class.
    targets = np.array([0] * 4 + [1] * 4 + [1] * 4 + [2] * 4 + [0] * 4 + [2] * 4)
    groups = np.repeat(["north", "south", "west"], 8)
    with pytest.raises(UserError, match=r"training set of fold \d has no session of class '.', because the groups"):
        KFold(folds=2, validation=0.0).split(Sample(Classes(("a", "b", "c")), targets, groups), seed=0)


AGE = Measure("age")


@pytest.mark.parametrize("splitter", [Holdout(), KFold(), KFold(folds=3, repeats=2, validation=0.0)])
@pytest.mark.parametrize("seed", range(5))
def test_splits_of_a_measure_are_disjoint_covering_grouped_and_alike_in_distribution(splitter, seed):
    random = np.random.default_rng(seed)
    ages = random.gamma(3.0, 12.0, 120).round(1)
    groups = families(120, seed) if seed % 2 else alone(120)
    folds = splitter.split(Sample(AGE, ages, groups), seed=seed)
    for fold in folds:
        sides = [side for side in (fold.train_rows, fold.validation_rows, fold.test_rows) if len(side)]
        assert np.array_equal(np.sort(np.concatenate(sides)), np.arange(120))
        for one, other in itertools.combinations(sides, 2):
            assert not set(groups[one]) & set(groups[other])
        for rows in sides:  # stratified by quantiles: no side is older or younger
            assert abs((ages[rows] < np.median(ages)).mean() - 0.5) < (0.16 if seed % 2 else 0.06)
    if isinstance(splitter, KFold):
        for repeat in range(splitter.repeats):
            tested = np.concatenate([fold.test_rows for fold in folds if fold.repeat == repeat])
            assert np.array_equal(np.sort(tested), np.arange(120))


def test_each_decile_of_a_measure_is_shared_out_evenly():
    ages = cohort([1] * 100).astype(float)  # 0 to 99, shuffled
    for fold in KFold(folds=5, validation=0.0).split(Sample(AGE, ages, alone(100)), seed=2):
        assert np.histogram(ages[fold.test_rows], bins=10, range=(0, 100))[0].tolist() == [2] * 10


def test_the_order_of_the_rows_of_a_measure_changes_nothing():
    ages = np.random.default_rng(0).uniform(20, 80, 50)
    order, ids = np.random.default_rng(9).permutation(50), alone(50)

    def names(order):
        return [set(ids[order][fold.test_rows]) for fold in KFold().split(Sample(AGE, ages[order], ids[order]), seed=5)]

    assert names(np.arange(50)) == names(order)


def test_too_few_groups_for_a_measure_are_told():
    with pytest.raises(
        UserError, match=r"12 sessions in 4 groups have a value of age: fewer than the 5 that folds=5 needs\. Ask"
    ):
        KFold().split(Sample(AGE, np.arange(12.0), np.arange(12) % 4), seed=0)


def test_all_rows_are_trained_on_and_a_share_of_each_class_steers():
    targets, groups = cohort([40, 20]), alone(60)
    (fold,) = All(validation=0.25).split(Sample(CLASSES, targets, groups), seed=0)
    assert len(fold.test_rows) == 0
    assert np.array_equal(np.sort(np.concatenate([fold.train_rows, fold.validation_rows])), np.arange(60))
    assert np.bincount(targets[fold.validation_rows]).tolist() == [10, 5]
    (whole,) = All(validation=0.0).split(Sample(CLASSES, targets, groups), seed=0)
    assert np.array_equal(whole.train_rows, np.arange(60))
    assert len(whole.validation_rows) == 0
    family = np.repeat([0, 1], [40, 20])
    with pytest.raises(UserError, match=r"fewer than the 2 that training with a share for validation needs"):
        All().split(Sample(CLASSES, np.sort(targets), family), seed=0)
