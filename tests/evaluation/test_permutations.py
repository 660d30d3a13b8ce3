"""Classical models are refitted to permuted labels, and p values are uniform where there is nothing to find."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from mri3d.errors import UserError
from mri3d.evaluation.crossvalidation import CrossValidation
from mri3d.evaluation.grid_search import GridSearch
from mri3d.evaluation.permutations import PermutationTest
from mri3d.evaluation.permuted_targets import permuted_targets
from mri3d.evaluation.splits import Holdout, KFold
from mri3d.models.classical.models import Logistic, Ridge
from tests.evaluation.permuting import chance_test, study_of, uniform


@pytest.fixture(autouse=True)
def without_audit(monkeypatch):
    """Look for no near-copies among noise: that takes longer than all else here."""
    monkeypatch.setattr(CrossValidation, "leaks", None)


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


def ridge_tests(num_cohorts: int, *, number: int, kind: str, num_subjects: int) -> list[PermutationTest]:
    model = Ridge(num_components=[0.5, 0.9], alpha=[0.1, 10.0], inner_folds=3)
    splits = KFold(folds=4, validation=0)
    return [
        chance_test(study_of(num_subjects, seed=seed, kind=kind), model, splits, number=number, seed=seed)
        for seed in range(num_cohorts)
    ]


@pytest.mark.slow
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
