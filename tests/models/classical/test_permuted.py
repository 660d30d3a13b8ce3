"""Refits to permuted labels: what `fit` and `predict` give, and what a loop over scikit-learn gives."""

import functools
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC, SVR

from mri3d.models.classical import decisions, machines
from mri3d.models.classical.inner_folds import inner_folds
from mri3d.models.classical.models import KNN, RBFSVM, LinearSVM, Logistic, Ridge
from mri3d.models.model import TrainingSet
from mri3d.outcome import Classes, Measure
from mri3d.outcome.platt import fit_sigmoids
from mri3d.volumes.sequence import InMemory

SHAPE = (4, 5, 6)
TRAIN, TEST = np.arange(40), np.arange(40, 52)
OUTCOMES = {"two": Classes(("a", "b")), "three": Classes(("a", "b", "c")), "measure": Measure("age")}


def training_of(kind: str, *, channels: int = 1, share: float = 0.5) -> TrainingSet:
    """Make volumes in which the outcome shows a little, in mixed order."""
    random = np.random.default_rng(0)
    targets = random.permutation(np.arange(52) % 3 if kind == "three" else (np.arange(52) < 52 * share).astype(int))
    if kind == "measure":
        targets = random.normal(50, 10, 52)
    volumes = random.standard_normal((52, channels, *SHAPE)) * np.linspace(3, 0.5, 6)
    volumes[:, :, 1:3, 1:3, 1:3] += 0.8 * ((targets - targets.mean()) / targets.std())[:, None, None, None, None]
    nobody = np.arange(0)
    groups = np.arange(52)
    outcome = OUTCOMES[kind]
    return TrainingSet(InMemory(volumes.astype(np.float32)), outcome, targets, groups, TRAIN, nobody, 3, Path())


def permutations(training: TrainingSet, number: int) -> np.ndarray:
    """Permute the labels of the training rows, the observed ones first; those of the test rows are nonsense."""
    random = np.random.default_rng(5)
    drawn = np.stack([training.targets, *(training.targets.copy() for _ in range(number - 1))])
    drawn[1:, TRAIN] = random.permuted(drawn[1:, TRAIN], axis=1)
    drawn[:, TEST] = -7
    return drawn


def refitted_one_by_one(model, training: TrainingSet, targets: np.ndarray) -> np.ndarray:
    """Fit to each permutation on the inner folds of the true labels, and predict."""
    plan, found = model._plan(training), []
    for each in targets:
        refit = replace(model)
        refit._plan = lambda _: plan
        refit.fit(replace(training, targets=each))
        found.append(refit.predict(training.volumes, TEST))
    return np.stack(found)


def suitable(model, training: TrainingSet, targets: np.ndarray) -> np.ndarray:
    """Leave out permutations that leave an inner fold without a class."""
    _, _, folds = model._plan(training)
    lacking = [[training.outcome.lacking(each[part]) for fold in folds for part in fold] for each in targets[:, TRAIN]]
    return targets[[not any(one) for one in lacking]]


MODELS = {
    "ridge": Ridge(num_components=[0.5, None], inner_folds=3),
    "knn": KNN(num_components=[0.5, None], k=[1, 5], inner_folds=3),
    "linear_svm": LinearSVM(num_components=[4, None], C=[0.1, 10.0], inner_folds=3),
    "rbf_svm": RBFSVM(num_components=[4, None], C=[1.0, 10.0], gamma=[0.1, 1.0], inner_folds=3),
    "logistic": Logistic(num_components=[4, None], C=[0.1, 1.0], inner_folds=3),
}
FITTED = [(name, kind) for name in MODELS for kind in OUTCOMES if (name, kind) != ("logistic", "measure")]


@pytest.mark.parametrize(("name", "kind"), FITTED)
def test_refits_are_what_fit_and_predict_give_with_the_labels_replaced(name, kind):
    model, training = MODELS[name], training_of(kind)
    targets = suitable(model, training, permutations(training, 6))
    assert len(targets) > 2
    expected = refitted_one_by_one(model, training, targets)
    found = model.permuted(training, TEST, targets)
    assert_allclose(found, expected, rtol=2e-6, atol=2e-6)  # the weights of a fitted model are float32
    assert np.ptp(found, axis=0).max() > 0.01


@pytest.mark.parametrize(
    "options",
    [
        {"standardize": True},
        {"normalize": True},
        {"smoothing": 0.1},
        {"standardize": True, "normalize": True, "smoothing": 0.1},
        {"num_components": 5, "alpha": 1.0},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["two", "measure"])
def test_refits_prepare_volumes_as_a_fit_does(options, kind):
    training = training_of(kind, channels=2)
    model = replace(MODELS["ridge"], **options)
    targets = suitable(model, training, permutations(training, 4))
    expected = refitted_one_by_one(model, training, targets)
    assert_allclose(model.permuted(training, TEST, targets), expected, rtol=1e-5, atol=1e-5)


def test_refits_give_predictions_before_a_line_corrects_them():
    training = training_of("measure")
    targets = permutations(training, 3)
    plain, corrected = (
        replace(MODELS["ridge"], debias=debias).permuted(training, TEST, targets) for debias in (False, True)
    )
    assert_array_equal(plain, corrected)


def test_nothing_of_a_fitted_model_changes():
    training = training_of("two")
    model = replace(MODELS["ridge"])
    model.fit(training)
    before = model.predict(training.volumes, TEST)
    model.permuted(training, TEST, permutations(training, 3))
    assert_array_equal(model.predict(training.volumes, TEST), before)


@pytest.mark.parametrize("name", ["linear_svm", "logistic"])
def test_a_setting_without_a_solution_is_left_out_for_its_permutation(name, monkeypatch, caplog):
    monkeypatch.setattr(decisions, "MAX_ITERATIONS", 60)
    monkeypatch.setattr(decisions, "MAX_STEPS", 8)
    training, model = training_of("two"), replace(MODELS[name], num_components=4, C=[1e-3, 1e4])
    targets = suitable(model, training, permutations(training, 4))
    expected = refitted_one_by_one(model, training, targets)
    assert "left out, without a solution" in caplog.text
    assert_allclose(model.permuted(training, TEST, targets), expected, atol=1e-6)
    alone = replace(model, C=1e4)
    assert np.isnan(alone.permuted(training, TEST, targets)).any(axis=(1, 2)).any()


def test_a_permutation_without_a_class_among_the_training_rows_predicts_nothing():
    training = training_of("two")
    targets = permutations(training, 3)
    targets[1, TRAIN] = 1
    found = np.isnan(MODELS["ridge"].permuted(training, TEST, targets)).all(axis=(1, 2))
    assert found.tolist() == [False, True, False]


# ---- beside scikit-learn


@dataclass
class Peer:
    """How scikit-learn does what one of our models does."""

    make: object
    decide: str = "decision_function"
    tolerance: float = 0.0


PEERS = {
    "ridge": Peer(lambda point: RidgeClassifier(alpha=point["alpha"])),
    "linear_svm": Peer(lambda point: SVC(kernel="linear", C=point["C"], tol=1e-4), tolerance=0.01),
    "logistic": Peer(lambda point: LogisticRegression(C=point["C"], tol=1e-6, max_iter=10_000), tolerance=0.01),
    "knn": Peer(lambda point: KNeighborsClassifier(point["k"]), decide="predict_proba"),
}


def principal_scores(flat: np.ndarray, learnt: np.ndarray, share: float | None) -> np.ndarray:
    """Project all rows on principal components of some, and divide by the root mean square distance of these."""
    pca = PCA(share if share else len(learnt) - 1, svd_solver="full").fit(flat[learnt])
    return pca.transform(flat) / np.sqrt(((flat[learnt] - flat[learnt].mean(axis=0)) ** 2).sum(axis=1).mean())


def naive_auc(model, peer: Peer, training: TrainingSet, targets: np.ndarray, truth: np.ndarray, scores_of) -> float:
    """Choose on the inner folds of the true labels, calibrate, fit and test, one permutation at a time."""
    outcome, seed = training.outcome, training.seed

    def decided(learnt, others, point) -> np.ndarray:
        scores = scores_of(tuple(learnt), point["num_components"])
        fitted = peer.make(point).fit(scores[learnt], targets[learnt])
        found = getattr(fitted, peer.decide)(scores[others])
        return found[:, 1] if found.ndim == 2 else found

    folds = inner_folds(outcome, training.targets[TRAIN], TRAIN, num_folds=model.inner_folds, seed=seed)
    points, scores, held = model._grid().points, [], []
    for point in points:
        own, aucs = np.full(len(TRAIN), np.nan), []
        for learnt, others in folds:
            own[others] = decided(learnt, others, point)
            if len(set(targets[others])) == 2:  # else the fold does not count
                aucs.append(roc_auc_score(targets[others], own[others]))
        scores.append(np.mean(aucs))
        held.append(own)
    for best in np.flatnonzero(np.array(scores) > max(scores) - 1e-9):
        ((slope, _),) = fit_sigmoids(held[best][:, None], (targets[TRAIN] == 1)[:, None])
        if slope > 0 or not model.calibrated:
            return float(roc_auc_score(truth, decided(TRAIN, TEST, points[best])))
    return 0.5


@pytest.mark.parametrize("name", PEERS)
def test_aucs_of_all_permutations_are_those_of_a_loop_over_scikit_learn(name):
    training, peer, model = training_of("two", share=0.3), PEERS[name], replace(MODELS[name], inner_folds=5)
    truth, targets = training.targets[TEST], permutations(training, 12)
    _, _, folds = model._plan(training)
    assert any(len(set(each[TRAIN][others])) == 1 for each in targets for _, others in folds), "no fold lacks a class"
    flat = np.stack([training.volumes[row].reshape(-1) for row in range(52)]).astype(np.float64)
    scores_of = functools.cache(lambda learnt, share: principal_scores(flat, np.array(learnt), share))
    expected = [naive_auc(model, peer, training, each, truth, scores_of) for each in targets]
    found = [roc_auc_score(truth, each[:, 1]) for each in model.permuted(training, TEST, targets)]
    assert_allclose(found, expected, atol=max(peer.tolerance, 1e-10))
    assert len(set(expected)) > 3


def test_decisions_of_ridge_are_those_of_scikit_learn_to_ten_digits():
    training = training_of("measure")
    model = Ridge(num_components=6, alpha=2.0)
    targets = permutations(training, 4)
    flat = np.stack([training.volumes[row].reshape(-1) for row in range(52)]).astype(np.float64)
    for each, found in zip(targets, model.permuted(training, TEST, targets), strict=True):
        unit = np.sqrt(((flat[TRAIN] - flat[TRAIN].mean(axis=0)) ** 2).sum(axis=1).mean())
        pca = PCA(6, svd_solver="full").fit(flat[TRAIN])
        scores, others = (pca.transform(flat[rows]) / unit for rows in (TRAIN, TEST))
        weights = np.linalg.solve(scores.T @ scores + 2 * np.eye(6), scores.T @ each[TRAIN])
        assert_allclose(found, others @ weights + each[TRAIN].mean(), rtol=1e-10)


# ---- support vector machines of many columns


@pytest.fixture
def problem():
    random = np.random.default_rng(0)
    scores = random.standard_normal((30, 4))
    return scores @ scores.T, random.random((30, 5)) < 0.4, random.standard_normal((30, 5))


@pytest.mark.parametrize("memberships", [True, False])
def test_machines_of_many_columns_are_scikit_learns_to_the_last_bit(problem, memberships, monkeypatch):
    kernel, members, values = problem
    columns = members if memberships else values
    calls, estimator = [], machines.SVC if memberships else machines.SVR
    monkeypatch.setattr(machines, estimator.__name__, lambda **options: calls.append(0) or estimator(**options))
    weights, intercepts = machines.fit_machines(kernel, columns, 2.0, memberships=memberships, max_iterations=10**6)
    assert len(calls) == 1, "the others are fitted without what surrounds libsvm"
    for number, column in enumerate(columns.T):
        peer = (SVC if memberships else SVR)(C=2.0, kernel="precomputed", tol=1e-4).fit(kernel, column)
        assert_array_equal(weights[number, peer.support_], peer.dual_coef_[0])
        assert np.count_nonzero(weights[number]) == len(peer.support_)
        assert intercepts[number] == peer.intercept_[0]


def raising(self, column):
    raise TypeError("fit() takes other arguments in this version")


def wrong(self, column):
    return np.ones(len(column)), 0.0


def lacking(self, column):
    raise ImportError("no module sklearn.svm._libsvm")


@pytest.mark.parametrize("broken", [raising, wrong, lacking])
def test_machines_do_without_the_private_function_of_scikit_learn(problem, broken, monkeypatch):
    kernel, members, _ = problem
    options = {"memberships": True, "max_iterations": 10**6}
    expected = machines.fit_machines(kernel, members, 2.0, **options)
    monkeypatch.setattr(machines._Problem, "by_library", broken)
    for one, other in zip(machines.fit_machines(kernel, members, 2.0, **options), expected, strict=True):
        assert_array_equal(one, other)
