"""The classical models against scikit-learn's pipelines on the flattened volumes, and what they must not do."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from mri3d.model_folder import Card, read_model, write_model
from mri3d.models.classical.inner_folds import inner_folds
from mri3d.models.classical.models import KNN, RBFSVM, LinearSVM, Logistic, Ridge
from mri3d.models.classical.pipeline import ClassicalModel
from mri3d.models.model import Model
from mri3d.outcome import Classes
from mri3d.outcome.platt import fit_sigmoids, sigmoid_proba
from mri3d.volumes.cache import Volumes
from mri3d.volumes.reference import Reference
from tests.models.peers import pipeline
from tests.models.planted import (
    OTHER_REGION,
    REGION,
    SHAPE,
    TEST,
    TRAIN,
    fitted,
    flat,
    planted_arrays,
    training_of,
    write_volumes,
)

MODELS = [LinearSVM, Logistic, Ridge, RBFSVM, KNN]


def peer(model: ClassicalModel, num_classes: int):
    """Give scikit-learn's estimator for one of ours with single parameters."""
    match model:
        case Logistic():
            return LogisticRegression(C=model.C, tol=1e-8, max_iter=10_000)
        case Ridge():
            return RidgeClassifier(model.alpha)
        case KNN():
            return KNeighborsClassifier(model.k)
        case LinearSVM():
            svm = SVC(C=model.C, kernel="linear", tol=1e-4)
        case RBFSVM():
            svm = SVC(C=model.C, gamma=model.gamma, tol=1e-4)
    return svm if num_classes == 2 else OneVsRestClassifier(svm)


@pytest.mark.parametrize("cohort", ["two", "three"])
@pytest.mark.parametrize("num_components", [6, 0.9, None])
@pytest.mark.parametrize(
    "model",
    [LinearSVM(C=3.0), Logistic(C=3.0), Ridge(alpha=0.3), RBFSVM(C=3.0, gamma=0.7), KNN(k=5)],
    ids=lambda m: m.name,
)
def test_probabilities_agree_with_scikit_learn(model, num_components, cohort, request):
    cohort = request.getfixturevalue(cohort)
    volumes, targets = cohort
    model.num_components = num_components
    model.fit(training_of(cohort))
    estimator = pipeline(peer(model, targets.max() + 1), num_components)
    if not isinstance(model, Logistic):
        folds = inner_folds(Classes(tuple("abc"[: targets.max() + 1])), targets[TRAIN], TRAIN, num_folds=5, seed=3)
        estimator = CalibratedClassifierCV(estimator, cv=folds, ensemble=False)
    whole = flat(volumes)
    expected = estimator.fit(whole[TRAIN], targets[TRAIN]).predict_proba(whole[TEST])
    proba = model.predict(volumes, TEST)
    assert_allclose(proba, expected, atol=1e-6 if isinstance(model, Ridge | KNN) else 1e-4)
    assert_array_equal(proba.argmax(axis=1), expected.argmax(axis=1))
    assert_allclose(proba.sum(axis=1), 1, rtol=1e-12)
    assert (proba.argmax(axis=1) == targets[TEST]).mean() > 0.6


@pytest.mark.parametrize("decisions", [-3.0 * np.arange(30) % 31, np.ones(30)], ids=["backwards", "constant"])
def test_decisions_that_tell_nothing_give_the_share_of_the_class(decisions):
    targets = (np.arange(30) % 3 == 0).astype(int)
    decisions = np.where(targets, -1.0, 1.0) + 0.01 * decisions if np.ptp(decisions) else decisions
    sigmoids = fit_sigmoids(decisions[:, None], targets[:, None] == 1)
    proba = sigmoid_proba(np.array([[-9.0], [0.0], [9.0]]), sigmoids)
    hope = (10 * 11 / 12 + 20 / 22) / 30  # Platt's targets for 10 of 30
    assert_allclose(proba, np.tile([1 - hope, hope], (3, 1)))


def test_no_class_is_sure_where_every_sigmoid_says_no():
    sigmoids = np.tile([1e3, 0.0], (3, 1))
    assert_allclose(sigmoid_proba(np.full((1, 3), -1e3), sigmoids), np.full((1, 3), 1 / 3))


@pytest.mark.parametrize(("standardize", "normalize"), [(True, False), (False, True), (True, True)])
@pytest.mark.parametrize("num_components", [6, None])
@pytest.mark.parametrize("model", [Ridge(alpha=0.3), RBFSVM(C=3.0, gamma=0.7)], ids=lambda m: m.name)
def test_prepared_volumes_agree_with_scikit_learn(model, num_components, standardize, normalize, two):
    volumes, targets = two
    model.num_components, model.standardize, model.normalize = num_components, standardize, normalize
    model.fit(training_of(two))
    folds = inner_folds(Classes(("a", "b")), targets[TRAIN], TRAIN, num_folds=5, seed=3)
    estimator = pipeline(peer(model, 2), num_components, standardize=standardize, normalize=normalize)
    whole = flat(volumes)
    estimator = CalibratedClassifierCV(estimator, cv=folds, ensemble=False).fit(whole[TRAIN], targets[TRAIN])
    assert_allclose(model.predict(volumes, TEST), estimator.predict_proba(whole[TEST]), atol=1e-4)


def test_search_chooses_and_scores_as_grid_search_does(two):
    volumes, targets = two
    model = fitted(LinearSVM(C=[0.03, 1.0, 30.0], num_components=[2, 8, None]), training_of(two))
    folds = inner_folds(Classes(("a", "b")), targets[TRAIN], TRAIN, num_folds=5, seed=3)
    grid = {"pca": [PCA(2), PCA(8), "passthrough"], "decision__C": [0.03, 1.0, 30.0]}
    theirs = GridSearchCV(
        pipeline(SVC(kernel="linear", tol=1e-4), None), grid, scoring="roc_auc", cv=folds, return_train_score=True
    ).fit(flat(volumes)[TRAIN], targets[TRAIN])
    expected = {}
    for parameters, validation, train in zip(
        theirs.cv_results_["params"],
        theirs.cv_results_["mean_test_score"],
        theirs.cv_results_["mean_train_score"],
        strict=True,
    ):
        num_components = None if parameters["pca"] == "passthrough" else parameters["pca"].n_components
        expected[num_components, parameters["decision__C"]] = (validation, train)
    search = model.search_
    for number, point in enumerate(search.points):
        validation, train = expected[point["num_components"], point["C"]]
        assert search.validation_scores[number].mean() == pytest.approx(validation, abs=1e-12)
        assert search.train_scores[number].mean() == pytest.approx(train, abs=1e-12)
    assert search.validation_scores.mean(axis=1).max() == search.validation_scores.mean(axis=1)[search.best]
    assert model.chosen_ == search.points[search.best]
    assert expected[model.chosen_["num_components"], model.chosen_["C"]][0] == pytest.approx(theirs.best_score_)
    assert len(np.unique(search.validation_scores.mean(axis=1).round(9))) > 2
    table = search.table()
    assert len(table) == 9 * 5
    assert table[7] == {
        "num_components": 2,
        "C": 1.0,
        "inner_fold": 2,
        "train_auc": search.train_scores[1, 2],
        "validation_auc": search.validation_scores[1, 2],
    }


@pytest.mark.parametrize("model_type", MODELS)
@pytest.mark.parametrize("standardize", [False, True])
def test_poisoned_test_rows_change_no_byte(model_type, standardize, tmp_path, two):
    targets = two[1]
    arrays = planted_arrays(targets, seed=7)
    arrays[TEST] = 1e12 * np.random.default_rng(0).standard_normal((len(TEST), *SHAPE))
    folders = []
    for name, volumes in (("clean", two[0]), ("poisoned", write_volumes(tmp_path, arrays))):
        model = model_type(num_components=[3, None], standardize=standardize)
        model.fit(training_of((volumes, targets)))
        assert_array_equal(volumes[0], two[0][0])
        folders.append(tmp_path / name)
        write_model(folders[-1], model.contents(card(volumes)))
    for file in ("card.json", "weights.safetensors"):
        assert (folders[0] / file).read_bytes() == (folders[1] / file).read_bytes()


def card(volumes: Volumes) -> Card:
    mean = volumes[0]
    return Card(Classes(("a", "b")), volumes.recipe, Reference(mean, 0.1, 0.9))


@pytest.mark.parametrize("model_type", MODELS)
def test_model_folder_gives_the_same_probabilities_and_holds_no_code(model_type, tmp_path, two):
    volumes, _ = two
    model = fitted(model_type(normalize=True, standardize=True, num_components=(4, None)), training_of(two))
    write_model(tmp_path / "model", model.contents(card(volumes)))
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["card.json", "weights.safetensors"]
    stored = read_model(tmp_path / "model")
    loaded: Model = model_type.load(stored)
    assert stored.model == model.name
    assert_array_equal(loaded.predict(volumes, TEST), model.predict(volumes, TEST))
    assert loaded.chosen_ == model.chosen_
    assert json.loads((tmp_path / "model" / "card.json").read_text())["arguments"]["options"]["normalize"] is True
    assert loaded.history() == []


@pytest.mark.parametrize("model_type", [LinearSVM, Logistic, Ridge])
@pytest.mark.parametrize("standardize", [False, True])
def test_weight_map_is_the_model_and_shows_the_planted_region(model_type, standardize, two):
    volumes, targets = two
    model = fitted(model_type(num_components=None, standardize=standardize), training_of(two))
    weights = model.maps()
    assert weights.shape == (1, *SHAPE)
    assert weights.dtype == np.float32
    whole = flat(volumes)
    decisions = (whole[TEST] - whole[TRAIN].mean(axis=0)) @ weights.reshape(-1)
    proba = model.predict(volumes, TEST)[:, 1]
    assert_array_equal(np.argsort(decisions), np.argsort(proba))
    inside = np.zeros(SHAPE, dtype=bool)
    inside[REGION] = True
    assert weights[0][inside].mean() > 5 * np.abs(weights[0][~inside].mean())
    assert weights[0][inside].mean() > 2 * np.abs(weights[0][~inside]).mean()
    assert roc_auc_score(targets[TEST], proba) > 0.9


def test_several_classes_have_a_weight_map_each(three):
    maps = fitted(LinearSVM(num_components=None, C=1.0), training_of(three)).maps()
    assert maps.shape == (3, *SHAPE)
    first, other = (maps[(slice(None), *region)].mean(axis=(1, 2, 3)) for region in (REGION, OTHER_REGION))
    assert first[0] < 0 < first[1]
    assert other[0] < 0 < other[2]


@pytest.mark.parametrize("model", [RBFSVM(C=1.0), KNN(k=3)], ids=lambda m: m.name)
def test_no_weight_map_and_no_heatmap_where_the_model_is_not_linear(model, two):
    assert fitted(model, training_of(two)).maps() is None
    assert model.heatmaps == ()


def test_validation_rows_are_learnt_from_and_the_order_of_rows_does_not_matter(two):
    volumes, _ = two
    together = fitted(Ridge(), training_of(two)).predict(volumes, TEST)
    apart = training_of(two, train_rows=TRAIN[30:4:-1], validation_rows=np.r_[TRAIN[:5], TRAIN[31:]])
    assert_array_equal(fitted(Ridge(), apart).predict(volumes, TEST), together)


def test_fit_builds_everything_afresh(two):
    volumes, targets = two
    model = fitted(KNN(k=3), training_of((volumes, 1 - targets)))
    model.fit(training_of(two))
    assert_array_equal(model.predict(volumes, TEST), fitted(KNN(k=3), training_of(two)).predict(volumes, TEST))
