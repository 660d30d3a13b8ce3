"""How the classical models choose: inner folds, what chance gives, and settings that cannot be."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from mri3d.errors import UserError
from mri3d.models.classical import decisions
from mri3d.models.classical.inner_folds import inner_folds, inner_folds_that_fit
from mri3d.models.classical.models import KNN, RBFSVM, LinearSVM, Logistic, Ridge
from mri3d.outcome import Classes
from mri3d.volumes.cache import Volumes
from mri3d.volumes.sequence import InMemory
from tests.models.planted import TEST, TRAIN, fitted, training_of
from tests.models.refusals import refused

MODELS = [LinearSVM, Logistic, Ridge, RBFSVM, KNN]


def test_groups_stay_whole_in_inner_folds_and_folds_follow_the_seed():
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 25, size=80)
    targets = (groups % 2 + (rng.random(80) < 0.1)).clip(max=1)
    folds = inner_folds(Classes(("a", "b")), targets, groups, num_folds=4, seed=1)
    for train, held_out in folds:
        assert not set(groups[train]) & set(groups[held_out])
        assert_array_equal(np.sort(np.r_[train, held_out]), np.arange(80))
    assert_array_equal(np.sort(np.concatenate([held_out for _, held_out in folds])), np.arange(80))
    again, other = (inner_folds(Classes(("a", "b")), targets, groups, num_folds=4, seed=seed) for seed in (1, 2))
    assert_array_equal(folds[0][1], again[0][1])
    assert not np.array_equal(folds[0][1], other[0][1])


def test_random_labels_give_no_better_than_chance(two):
    volumes, _ = two
    targets = np.random.default_rng(5).permutation(two[1])
    proba = np.empty(63)
    for train_rows, test_rows in StratifiedKFold(5, shuffle=True, random_state=0).split(targets, targets):
        model = fitted(LinearSVM(num_components=[3, 0.9]), training_of((volumes, targets), train_rows=train_rows))
        proba[test_rows] = model.predict(volumes, test_rows)[:, 1]
    value = roc_auc_score(targets, proba)
    spread = np.sqrt((63 + 1) / (12 * 31 * 32))  # of the AUC of 31 and 32 equal subjects
    assert abs(value - 0.5) < 1.96 * spread


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: LinearSVM(C=[]), r"model\.C is an empty list"),
        (lambda: RBFSVM(num_components=[]), r"model\.num_components is an empty list"),
        (lambda: LinearSVM(C=[1.0, -2.0]), r"model\.C=-2\.0 is impossible"),
        (lambda: RBFSVM(gamma="scale"), r"model\.gamma=scale is not a number"),
        (lambda: Ridge(alpha=float("nan")), r"model\.alpha=NaN is impossible"),
        (lambda: KNN(k=2.5), r"model\.k=2\.5 is not a whole number"),
        (lambda: KNN(k=37), r"model\.k=37 neighbours cannot be found among 36 rows"),
        (lambda: KNN(k=[37, 45]), r"model\.k=37 neighbours cannot be found among 36 rows"),
        (lambda: KNN(k=[0, 37]), r"model\.k=0 is impossible"),
        (
            lambda: LinearSVM(num_components=36),
            r"num_components=36 is impossible: PCA learns from 36 rows, which have 35",
        ),
        (lambda: LinearSVM(num_components=[36, 40]), r"num_components=36 is impossible: PCA learns from 36 rows"),
        (lambda: LinearSVM(num_components=[-5, 36]), r"num_components=-5 is impossible: PCA learns from 36 rows"),
        (lambda: LinearSVM(inner_folds=1), r"model\.inner_folds=1 is too few"),
    ],
)
def test_impossible_settings_are_named_before_any_volume_is_read(model, message, two, monkeypatch):
    monkeypatch.setattr(Volumes, "block", None)
    monkeypatch.setattr(Volumes, "fill", None)
    with refused(message):
        model().fit(training_of(two))


def test_inner_folds_are_as_many_as_the_rows_allow(two, caplog):
    volumes, targets = two
    few = np.concatenate([np.flatnonzero(targets == 0)[:9], np.flatnonzero(targets == 1)[:3]])
    model, training = LinearSVM(num_components=2, C=[0.1, 1.0]), training_of(two, train_rows=few)
    model.check(training)
    assert not caplog.records
    model.fit(training)
    told = "linear_svm: 3 inner folds, not 5: with more, parts of so few training rows would lack a class or a value"
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [told]
    assert model.search_.validation_scores.shape == (2, 3)
    asked = fitted(LinearSVM(num_components=2, C=[0.1, 1.0], inner_folds=3), training)
    np.testing.assert_array_equal(model.predict(volumes, TEST), asked.predict(volumes, TEST))
    with refused(r"class 'b' has 1 session: fewer than the 2 that inner folds need of the 10 training rows\. Add subj"):
        model.check(training_of(two, train_rows=few[:10]))


@pytest.mark.parametrize(("asked", "found"), [(5, 5), (22, 22), (23, 22), (10**9, 22)])
def test_inner_folds_that_fit_are_those_asked_for(asked, found):
    kinds = np.repeat([0, 1], [23, 22])
    folds = inner_folds_that_fit(Classes(("a", "b")), kinds, np.arange(45), num_folds=asked, seed=3)
    expected = inner_folds(Classes(("a", "b")), kinds, np.arange(45), num_folds=found, seed=3)
    for one, other in zip(folds, expected, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


def test_values_of_a_list_that_are_too_many_for_the_rows_are_left_out_and_told_of(two, caplog):
    model, training = KNN(k=[3, 36, 37, 45], num_components=[35, 36, None]), training_of(two)
    model.check(training)
    assert not caplog.records
    model.fit(training)
    tried = [(point["num_components"], point["k"]) for point in model.search_.points]
    assert tried == [(35, 3), (35, 36), (None, 3), (None, 36)]
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "num_components: [36] left out, too many for so few training rows",
        "k: [37, 45] left out, too many for so few training rows",
    ]


@pytest.mark.parametrize("model_type", MODELS)
def test_default_grids_suit_a_tiny_cohort(model_type, two):
    volumes, _ = two
    model = fitted(model_type(inner_folds=3), training_of(two, train_rows=TRAIN[:6]))
    assert np.isfinite(model.predict(volumes, TEST)).all()


def test_class_without_rows_is_named(two):
    volumes, targets = two
    with pytest.raises(UserError, match=r"class 'b' has 0 sessions"):
        Logistic().fit(training_of((volumes, targets), train_rows=TRAIN[::2]))


def test_fold_without_a_class_is_named():
    groups = np.repeat(["a", "b", "c", "large", "d", "e"], [1, 2, 1, 12, 2, 2])
    targets = np.array([0, 0, 0, 1] + [0] * 2 + [1] * 10 + [1, 0, 1, 0])
    with pytest.raises(UserError, match=r"inner fold \d holds out no session of class 'y', because groups stay whole"):
        inner_folds(Classes(("x", "y")), targets, groups, num_folds=4, seed=0)


def test_single_point_of_a_model_with_probabilities_of_its_own_needs_no_inner_folds(two):
    model = fitted(Logistic(C=1.0, num_components=5, inner_folds=40), training_of(two))
    assert model.search_ is None
    assert model.chosen_ == {"num_components": 5, "C": 1.0}


def test_of_equally_good_settings_one_is_taken_whose_decisions_become_probabilities():
    """On few rows C=0.1 leaves an SVM little more than its intercept, which is against the rows held out."""
    volumes = np.random.default_rng(0).normal(size=(40, 1, 12, 14, 16)).astype(np.float32)
    targets = np.arange(40) % 2
    volumes[targets == 1, :, 3:8, 4:9, 5:11] += 1
    training = training_of((InMemory(volumes), targets), train_rows=np.arange(26))
    held = np.arange(26, 40)
    alone = fitted(LinearSVM(C=0.1, num_components=0.3), training)
    assert np.ptp(alone.predict(training.volumes, held)[:, 1]) == 0
    model = fitted(LinearSVM(C=[0.1, 1.0, 10.0], num_components=0.3), training)
    (found,) = model.last_search()
    assert found.ties == [0, 1, 2]
    assert found.chosen == model.chosen_ == {"num_components": 0.3, "C": 1.0}
    assert roc_auc_score(targets[held], model.predict(training.volumes, held)[:, 1]) == 1.0


@pytest.mark.parametrize(
    ("limit", "few", "model"),
    [
        ("MAX_ITERATIONS", 60, LinearSVM),
        ("MAX_ITERATIONS", 60, lambda **options: RBFSVM(gamma=0.1, **options)),
        ("MAX_STEPS", 12, Logistic),
    ],
)
def test_a_setting_without_a_solution_is_left_out_and_told(limit, few, model, two, monkeypatch, caplog):
    monkeypatch.setattr(decisions, limit, few)
    chosen = fitted(model(C=[1e-3, 1e4], num_components=[4, 6]), training_of(two))
    assert [point["C"] for point in chosen.search_.points] == [1e-3, 1e-3]
    assert np.isfinite(chosen.search_.validation_scores).all()
    assert (
        "2 of 4 settings left out, without a solution on these rows: {'num_components': 4, 'C': 10000.0" in caplog.text
    )
    with refused(r"model\.C=10000\.0.* has no solution on these training rows\. Change it"):
        fitted(model(C=1e4, num_components=4), training_of(two))
    monkeypatch.undo()
    assert len(fitted(model(C=[1e-3, 1e4], num_components=[4, 6]), training_of(two)).search_.points) == 4
