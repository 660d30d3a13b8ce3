"""Permutations: who exchanges labels with whom, and p values that are uniform where there is nothing to find."""

import itertools
import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import kstest

from mri3d.errors import UserError
from mri3d.evaluation.auc import within_fold_auc
from mri3d.evaluation.crossvalidation import CrossValidation
from mri3d.evaluation.folds import Fold, Sample
from mri3d.evaluation.given_splits import LeaveSiteOut
from mri3d.evaluation.grid_search import GridSearch
from mri3d.evaluation.permutations import PermutationTest, permutation_test, within_fold_aucs
from mri3d.evaluation.permuted_targets import permuted_targets
from mri3d.evaluation.splits import All, Holdout, KFold
from mri3d.models.classical.models import Logistic, Ridge
from mri3d.models.network.cnn import CNN
from mri3d.outcome import Classes, Measure
from mri3d.outcome.column_scores import judge_columns, right_pairs
from mri3d.outcome.resampling import Ranking
from mri3d.study import Study

NOBODY = np.arange(0)


@pytest.fixture(autouse=True)
def without_audit(monkeypatch):
    """Look for no near-copies among noise: that takes longer than all else here."""
    monkeypatch.setattr(CrossValidation, "leaks", None)


def two_folds(num_rows: int) -> list[Fold]:
    """Test the first half, then the second."""
    halves = np.array_split(np.arange(num_rows), 2)
    return [Fold(k, 0, halves[1 - k], NOBODY, halves[k]) for k in (0, 1)]


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


# ---- who exchanges labels with whom


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
    told = rf"evaluation\.permutations={others + 1} is more than the {others} permutations that there are: labels move "
    with pytest.raises(UserError) as raised:
        permuted_targets(targets, folds, groups, sites, number=others + 1, seed=0)
    assert re.match(told, raised.value.on_command_line())
    assert f"Ask for at most {others}" in str(raised.value)


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


# ---- scores of many permutations at once


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


# ---- tests


@dataclass
class Guess:
    """A network's stand-in that predicts by a seed, and is not refitted."""

    seed: int
    line: None = None
    name: str = "guess"
    chooses: bool = False

    def identity(self, *, length=True):
        """Write nothing that differs."""
        return "guess"

    def check(self, training):
        """Take all."""

    def fit(self, training):
        """Learn nothing."""

    def predict(self, volumes, rows):
        """Guess, the same for the same rows."""
        proba = np.random.default_rng([self.seed, int(rows[0])]).random(len(rows))
        return np.stack([1 - proba, proba], axis=1)

    def permuted(self, training, test_rows, targets):
        """Return None, as a network does."""
        return None

    def history(self):
        """Return nothing."""
        return []

    def last_search(self):
        """Return nothing."""
        return ()


def refitted_one_by_one(model: Ridge) -> Ridge:
    """Return a model that is not refitted in one go."""
    model = replace(model)
    model.permuted = lambda *_: None
    return model


@pytest.mark.parametrize("kind", ["classes", "measure"])
@pytest.mark.parametrize("splits", [KFold(folds=4, validation=0), Holdout(test=0.4), KFold(folds=3, repeats=2)])
def test_a_planted_effect_has_the_smallest_p(kind, splits):
    study = study_of(effect=3.0, kind=kind)
    test = chance_test(study, Ridge(num_components=[0.5, 0.9], inner_folds=3), splits)
    assert test.method == "refitted"
    assert test.primary == study.outcome.compared[0]
    assert test.number == len(test.null) == 99
    assert test.p == pytest.approx(0.01)
    assert list(test.scores) == list(study.outcome.compared)
    assert all(score.p == pytest.approx(0.01) for score in test.scores.values())
    primary = test.scores[test.primary]
    assert_allclose([primary.null_mean, primary.null_median], [test.null.mean(), np.median(test.null)])
    assert_allclose([primary.null_low, primary.null_high], np.quantile(test.null, [0.025, 0.975]))
    assert primary.compared == pytest.approx(primary.observed, abs=0.3)
    told = test.to_json()
    assert told["scores"][test.primary]["p"] == test.p
    assert len(told["null"]) == 99


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


def ridge_tests(num_cohorts: int, *, number: int, kind: str, num_subjects: int) -> list[PermutationTest]:
    model = Ridge(num_components=[0.5, 0.9], alpha=[0.1, 10.0], inner_folds=3)
    splits = KFold(folds=4, validation=0)
    return [
        chance_test(study_of(num_subjects, seed=seed, kind=kind), model, splits, number=number, seed=seed)
        for seed in range(num_cohorts)
    ]


@pytest.mark.parametrize("kind", ["classes", "measure"])
def test_p_is_about_uniform_where_there_is_nothing_to_find(kind):
    assert uniform(ridge_tests(8, number=19, kind=kind, num_subjects=24)) > 0.01


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["classes", "measure"])
def test_p_is_uniform_over_many_null_cohorts(kind):
    tests = ridge_tests(300, number=39, kind=kind, num_subjects=40)
    assert uniform(tests) > 0.01
    few = [np.mean([test.p <= level for test in tests]) for level in (0.05, 0.1, 0.2)]
    assert (np.array(few) <= [level + 2.6 * np.sqrt(level * (1 - level) / 300) for level in (0.05, 0.1, 0.2)]).all()


def test_a_network_on_a_hold_out_has_a_uniform_p_by_its_fixed_predictions():
    study = study_of(60)
    tests = [chance_test(study, Guess(seed), Holdout(test=0.3), number=19, seed=seed) for seed in range(80)]
    assert {test.method for test in tests} == {"fixed predictions"}
    assert uniform(tests) > 0.01


def test_a_network_that_knows_has_the_smallest_p_on_a_hold_out():
    study = study_of(60)
    knowing = Guess(0)
    knowing.predict = lambda volumes, rows: np.eye(2)[study.targets[rows]]
    test = chance_test(study, knowing, Holdout(test=0.3))
    assert (test.p, test.scores["auc"].observed, test.scores["auc"].compared) == (pytest.approx(0.01), 1.0, 1.0)


def test_the_folds_of_a_network_are_combined_to_twice_their_mean_which_is_conservative():
    study, splits = study_of(60), KFold(folds=3)
    tests = [chance_test(study, Guess(seed), splits, number=19, seed=seed) for seed in range(50)]
    assert {test.method for test in tests} == {"folds combined"}
    ps = np.array([test.p for test in tests])
    for level in (0.1, 0.2, 0.5):
        assert np.mean(ps <= level) <= level
    assert ps.max() == 1.0
    (first, *_) = tests
    assert not len(first.null)
    assert first.scores["auc"].null_mean is None


def test_of_a_network_that_knows_the_folds_combined_have_twice_the_smallest_p():
    study = study_of(60)
    knowing = Guess(0)
    knowing.predict = lambda volumes, rows: np.eye(2)[study.targets[rows]]
    assert chance_test(study, knowing, KFold(folds=3)).p == pytest.approx(0.02)


def test_a_network_is_refitted_where_that_is_asked_for():
    study, model = study_of(effect=3.0), Ridge(num_components=0.5, alpha=1.0, inner_folds=2)
    at_once = chance_test(study, model, Holdout(test=0.4, validation=0), number=19)
    one_by_one = chance_test(study, refitted_one_by_one(model), Holdout(test=0.4, validation=0), number=19, refit=True)
    assert one_by_one.method == at_once.method == "refitted"
    assert one_by_one.p == at_once.p == 0.05


def test_a_refitted_network_learns_from_permuted_labels_and_leaves_nothing(tmp_path):
    study, fits = study_of(24), []

    class Leaving(Guess):
        def fit(self, training):
            fits.append(training)
            training.checkpoints.mkdir(parents=True)
            (training.checkpoints / "last.ckpt").touch()

    evaluation = CrossValidation.of(study, Leaving(0), KFold(folds=2), seed=0, folder=tmp_path)
    targets = permuted_targets(study.targets, evaluation.folds, study.groups, number=5, seed=0)
    results = evaluation.run()
    before = sorted(tmp_path.rglob("*"))
    test = permutation_test(evaluation, results, targets, seed=0, refit=True)
    assert test.method == "refitted"
    assert [(each.inner, each.seed) for each in fits] == [(False, 0), (False, 1)] + [(True, 0)] * 6 + [(True, 1)] * 6
    assert_array_equal(fits[2].targets, study.targets)
    for each, expected in zip(fits[3:8], targets, strict=True):
        assert_array_equal(each.targets, expected)
    assert sorted(tmp_path.rglob("*")) == before


def test_predictions_are_compared_before_a_line_corrects_them():
    study = study_of(effect=3.0, kind="measure")
    splits = KFold(folds=4, validation=0)
    plain, corrected = (
        chance_test(study, Ridge(num_components=0.9, alpha=1.0, inner_folds=5, debias=debias), splits, number=19)
        for debias in (False, True)
    )
    assert corrected.primary == "mae_raw"
    assert corrected.scores["mae_raw"].observed == pytest.approx(plain.scores["mae"].observed)
    assert_allclose(corrected.null, plain.null)


def test_a_search_among_variants_of_a_classical_model_chooses_for_each_permutation():
    study = study_of(effect=0.6)
    settings = [{"C": 0.01, "standardize": False}, {"C": 10.0, "standardize": True}]
    search = GridSearch(Logistic(num_components=0.9, C=1.0), settings, KFold(folds=3, validation=0))
    evaluation = CrossValidation.of(study, search, KFold(folds=2, validation=0), seed=0, folder=Path("nowhere"))
    (training, _), (fold, _) = evaluation.trainings, evaluation.folds
    targets = permuted_targets(study.targets, evaluation.folds, study.groups, number=8, seed=0)
    found, inner, chosen = search.permuted(training, fold.test_rows, targets), search._inner(training), []
    for each, predictions in zip(targets, found, strict=True):
        scores = []
        for model in search.variants:
            aucs = []
            for part, held_out in inner:
                model.fit(replace(part, targets=each))
                aucs.append(study.outcome.scores(each[held_out], model.predict(study.volumes, held_out))["auc"])
            scores.append(np.mean([auc for auc in aucs if auc is not None]))
        chosen.append(int(np.argmax(scores)))
        model = search.variants[chosen[-1]]
        model.fit(replace(training, targets=each))
        assert_allclose(predictions, model.predict(study.volumes, fold.test_rows), atol=1e-6)
    assert set(chosen) == {0, 1}


def test_networks_and_searches_among_them_are_not_refitted():
    study = study_of(24)
    evaluation = CrossValidation.of(study, Guess(0), Holdout(), seed=0, folder=Path("nowhere"))
    (training,) = evaluation.trainings
    assert CNN().permuted(training, np.arange(3), study.targets[None]) is None
    search = GridSearch(CNN(), [{"batch_size": 4}], KFold(folds=2))
    assert search.permuted(training, np.arange(3), study.targets[None]) is None


def test_labels_of_tested_rows_reach_no_refit():
    study = study_of(effect=1.0)
    evaluation = CrossValidation.of(study, Ridge(inner_folds=3), KFold(folds=2), seed=0, folder=Path("nowhere"))
    for training, fold in zip(evaluation.trainings, evaluation.folds, strict=True):
        targets = permuted_targets(study.targets, evaluation.folds, study.groups, number=4, seed=0)
        poisoned = targets.copy()
        poisoned[:, fold.test_rows] = 10**6
        nonsense = training.targets.copy()
        nonsense[fold.test_rows] = -(10**6)
        found = evaluation.model.permuted(replace(training, targets=nonsense), fold.test_rows, poisoned)
        assert_array_equal(found, evaluation.model.permuted(training, fold.test_rows, targets))


def test_inner_folds_suit_a_permutation_rather_than_the_observed_labels(monkeypatch):
    study, seen = study_of(), []
    model = Ridge(num_components=0.5, alpha=1.0, inner_folds=2)
    permuted = Ridge.permuted

    def watched(self, training, test_rows, targets):
        seen.append((training.targets, targets))
        return permuted(self, training, test_rows, targets)

    monkeypatch.setattr(Ridge, "permuted", watched)
    chance_test(study, model, KFold(folds=2, validation=0), number=19)
    for inner, targets in seen:
        assert_array_equal(targets[0], study.targets)
        assert not (targets == inner).all(axis=1).any()
        assert inner.sum() == study.targets.sum()


def test_a_permutation_whose_groups_fit_no_inner_folds_deals_none(monkeypatch):
    study, tries = study_of(), []
    model = Ridge(num_components=0.5, alpha=1.0, inner_folds=2)
    permuted = Ridge.permuted

    def unlucky(self, training, test_rows, targets):
        tries.append(training.targets)
        if len(tries) == 2:
            raise UserError("inner fold 0 holds out no session of class 'a'")
        return permuted(self, training, test_rows, targets)

    monkeypatch.setattr(Ridge, "permuted", unlucky)
    assert chance_test(study, model, KFold(folds=2, validation=0), number=19).method == "refitted"
    first, second, third, fourth = tries  # both folds by one permutation, or both by the next
    assert_array_equal(first, second)
    assert_array_equal(third, fourth)
    assert (second != third).any()

    def broken(self, training, test_rows, targets):
        raise UserError("all volumes are the same")

    monkeypatch.setattr(Ridge, "permuted", broken)
    with pytest.raises(UserError, match="all volumes are the same"):
        chance_test(study, model, KFold(folds=2, validation=0), number=19)


def test_folds_that_lack_a_class_say_nothing_a_thousand_times(caplog):
    study = study_of(24)
    evaluation = CrossValidation.of(study, Guess(0), KFold(folds=2), seed=0, folder=Path("nowhere"))
    order = np.argsort(study.targets, kind="stable")
    lopsided = [np.sort(order[:6]), np.sort(order[6:])]  # the first has no b
    folds = [replace(fold, test_rows=rows) for fold, rows in zip(evaluation.folds, lopsided, strict=True)]
    evaluation = replace(evaluation, folds=folds)
    targets = permuted_targets(study.targets, folds, study.groups, number=50, seed=0)
    results = evaluation.run()
    caplog.clear()
    test = permutation_test(evaluation, results, targets, seed=0)
    assert 0 < test.p <= 1
    assert not caplog.text
