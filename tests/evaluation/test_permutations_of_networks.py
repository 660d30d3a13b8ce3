"""Networks keep their predictions in a permutation test, unless they are to be refitted."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mri3d.evaluation.crossvalidation import CrossValidation
from mri3d.evaluation.grid_search import GridSearch
from mri3d.evaluation.permutations import permutation_test
from mri3d.evaluation.permuted_targets import permuted_targets
from mri3d.evaluation.splits import Holdout, KFold
from mri3d.models.classical.models import Ridge
from mri3d.models.network.cnn import CNN
from tests.evaluation.peer import Double
from tests.evaluation.permuting import chance_test, study_of, uniform


@pytest.fixture(autouse=True)
def without_audit(monkeypatch):
    """Look for no near-copies among noise: that takes longer than all else here."""
    monkeypatch.setattr(CrossValidation, "leaks", None)


@dataclass
class Guess(Double):
    """A network's stand-in that predicts by a seed, and is not refitted."""

    seed: int

    def identity(self, *, length=True):
        """Write nothing that differs."""
        return "guess"

    def fit(self, training):
        """Learn nothing."""

    def predict(self, volumes, rows):
        """Guess, the same for the same rows."""
        proba = np.random.default_rng([self.seed, int(rows[0])]).random(len(rows))
        return np.stack([1 - proba, proba], axis=1)

    def permuted(self, training, test_rows, targets):
        """Return None, as a network does."""
        return None


def refitted_one_by_one(model: Ridge) -> Ridge:
    """Return a model that is not refitted in one go."""
    model = replace(model)
    model.permuted = lambda *_: None
    return model


@pytest.mark.slow
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


@pytest.mark.slow
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


def test_networks_and_searches_among_them_are_not_refitted():
    study = study_of(24)
    evaluation = CrossValidation.of(study, Guess(0), Holdout(), seed=0, folder=Path("nowhere"))
    (training,) = evaluation.trainings
    assert CNN().permuted(training, np.arange(3), study.targets[None]) is None
    search = GridSearch(CNN(), [{"batch_size": 4}], KFold(folds=2))
    assert search.permuted(training, np.arange(3), study.targets[None]) is None


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
