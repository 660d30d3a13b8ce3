"""The classical models of a measure against scikit-learn's pipelines, and the line that corrects them."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import linregress
from sklearn import linear_model
from sklearn.base import RegressorMixin
from sklearn.compose import TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_predict
from sklearn.neighbors import KNeighborsRegressor
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from mri3d.model_folder import Card, read_model, write_model
from mri3d.models.classical.inner_folds import inner_folds
from mri3d.models.classical.models import KNN, RBFSVM, LinearSVM, Logistic, Ridge
from mri3d.models.classical.pipeline import ClassicalModel
from mri3d.models.loading import load
from mri3d.outcome import Line
from mri3d.volumes.reference import Reference
from mri3d.volumes.sequence import InMemory
from tests.models.peers import pipeline
from tests.models.planted import (
    AGE,
    SHAPE,
    TEST,
    TRAIN,
    fitted,
    flat,
    training_of,
)
from tests.models.refusals import refused

MODELS = [LinearSVM, Ridge, RBFSVM, KNN]


def single(name: str, **options: object) -> ClassicalModel:
    """Give one of ours with nothing to choose."""
    parameters = {
        "linear_svm": (LinearSVM, {"C": 3.0}),
        "ridge": (Ridge, {"alpha": 0.3}),
        "rbf_svm": (RBFSVM, {"C": 3.0, "gamma": 0.7}),
        "knn": (KNN, {"k": 5}),
    }
    kind, given = parameters[name]
    return kind(**{"num_components": 6, **given, **options})


NAMES = ["linear_svm", "ridge", "rbf_svm", "knn"]


def peer(model: ClassicalModel) -> RegressorMixin:
    """Give scikit-learn's regressor for one of ours with single parameters."""
    match model:
        case Ridge():
            regressor = linear_model.Ridge(model.alpha)
        case KNN():
            regressor = KNeighborsRegressor(model.k)
        case LinearSVM():
            regressor = SVR(C=model.C, kernel="linear", tol=1e-4)
        case RBFSVM():
            regressor = SVR(C=model.C, gamma=model.gamma, tol=1e-4)
    whole = pipeline(regressor, model.num_components, standardize=model.standardize, normalize=model.normalize)
    return TransformedTargetRegressor(whole, transformer=StandardScaler())


def folds_by_hand(ages: np.ndarray, num_folds: int = 5, seed: int = 3) -> list[tuple[np.ndarray, np.ndarray]]:
    """Cut rows into folds of like ages: quantiles of which each has two rows for every fold."""
    count = len(ages) // (2 * num_folds)
    strata = np.digitize(ages, np.quantile(ages, np.arange(1, count) / count))
    return list(StratifiedKFold(num_folds, shuffle=True, random_state=seed).split(ages, strata))


def training(cohort, **more):
    return training_of(cohort, outcome=AGE, **more)


def card(volumes, outcome=AGE):
    return Card(outcome, volumes.recipe, Reference(volumes[0], 0.1, 0.9))


@pytest.mark.parametrize(("standardize", "normalize"), [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("num_components", [6, 0.9, None])
@pytest.mark.parametrize("name", NAMES)
def test_predictions_agree_with_scikit_learn(name, num_components, standardize, normalize, measured):
    volumes, ages = measured
    model = single(name, num_components=num_components, standardize=standardize, normalize=normalize)
    model.fit(training(measured))
    whole = flat(volumes)
    expected = peer(model).fit(whole[TRAIN], ages[TRAIN]).predict(whole[TEST])
    predictions = model.predict(volumes, TEST)
    assert predictions.shape == (len(TEST),)
    assert predictions.dtype == np.float64
    assert_allclose(predictions, expected, atol=1e-5 if name in ("ridge", "knn") else 0.02)  # SVR stops at 1e-3 SD
    assert r2_score(ages[TEST], predictions) > 0.3
    assert model.search_ is None
    assert model.line is None


def test_inner_folds_hold_like_ages(measured):
    ages = measured[1][TRAIN]
    found = inner_folds(AGE, ages, TRAIN, num_folds=5, seed=3)
    for (train, held_out), (expected_train, expected_held_out) in zip(found, folds_by_hand(ages), strict=True):
        assert_array_equal(train, expected_train)
        assert_array_equal(held_out, expected_held_out)
        assert abs(ages[held_out].mean() - ages.mean()) < 6


def test_search_chooses_by_explained_variance_as_grid_search_does(measured):
    volumes, ages = measured
    model = fitted(Ridge(alpha=[0.01, 1.0, 100.0], num_components=[2, 8, None]), training(measured))
    grid = {
        "pca": [PCA(2, svd_solver="full"), PCA(8, svd_solver="full"), "passthrough"],
        "decision__alpha": [0.01, 1.0, 100.0],
    }
    theirs = GridSearchCV(
        pipeline(linear_model.Ridge(), None),
        grid,
        scoring="r2",
        cv=folds_by_hand(ages[TRAIN]),
        return_train_score=True,
    ).fit(flat(volumes)[TRAIN], (ages[TRAIN] - ages[TRAIN].mean()) / ages[TRAIN].std())
    expected = {}
    for number, parameters in enumerate(theirs.cv_results_["params"]):
        num_components = None if parameters["pca"] == "passthrough" else parameters["pca"].n_components
        scores = [theirs.cv_results_[f"mean_{side}_score"][number] for side in ("train", "test")]
        expected[num_components, parameters["decision__alpha"]] = scores
    (search,) = model.last_search()
    assert search.criterion == "r2"
    for number, point in enumerate(search.points):
        found = [search.train_scores[number].mean(), search.validation_scores[number].mean()]
        assert found == pytest.approx(expected[point["num_components"], point["alpha"]], abs=1e-9)
    chosen = model.chosen_["num_components"], model.chosen_["alpha"]
    assert expected[chosen][1] == pytest.approx(theirs.best_score_)
    assert search.table()[0].keys() == {"num_components", "alpha", "inner_fold", "train_r2", "validation_r2"}


@pytest.mark.parametrize("name", NAMES)
def test_another_unit_of_the_measure_changes_nothing_but_the_unit(name, measured):
    volumes, ages = measured
    years = fitted(single(name, debias=True), training(measured))
    months = fitted(single(name, debias=True), training((volumes, 12 * ages + 5)))
    expected = 12 * years.predict(volumes, TEST) + 5
    assert_allclose(months.predict(volumes, TEST), expected, atol=0.05)  # SVR stops at 1e-3 SD
    assert months.line.slope == pytest.approx(years.line.slope, rel=1e-4)
    assert months.line.intercept == pytest.approx(12 * years.line.intercept + 5 * (1 - years.line.slope), rel=1e-4)


# ---- the correction


@pytest.mark.parametrize("num_components", [6, None])
def test_line_is_that_of_predictions_of_rows_that_were_held_out(num_components, measured):
    volumes, ages = measured
    model = single("ridge", num_components=num_components, debias=True)
    model.fit(training(measured))
    held_out = cross_val_predict(peer(model), flat(volumes)[TRAIN], ages[TRAIN], cv=folds_by_hand(ages[TRAIN]))
    expected = linregress(ages[TRAIN], held_out)
    assert expected.slope < 0.95, "predictions shrink"
    assert model.line.slope == pytest.approx(expected.slope, rel=1e-6)
    assert model.line.intercept == pytest.approx(expected.intercept, rel=1e-6)
    raw = fitted(single("ridge", num_components=num_components), training(measured)).predict(volumes, TEST)
    corrected = model.predict(volumes, TEST)
    assert_allclose(corrected, (raw - expected.intercept) / expected.slope, rtol=1e-6)
    assert_allclose(model.line.undo(corrected), raw, rtol=1e-9)


def test_line_of_a_choice_is_that_of_the_chosen_point(measured):
    volumes, ages = measured
    model = fitted(Ridge(alpha=[0.01, 1.0, 100.0], num_components=[2, 8], debias=True), training(measured))
    chosen = Ridge(**model.chosen_)
    held_out = cross_val_predict(peer(chosen), flat(volumes)[TRAIN], ages[TRAIN], cv=folds_by_hand(ages[TRAIN]))
    assert model.line.slope == pytest.approx(linregress(ages[TRAIN], held_out).slope, rel=1e-6)


def test_correction_needs_predictions_that_follow_the_truth(measured):
    volumes, ages = measured
    shuffled = np.random.default_rng(0).permutation(ages)
    Ridge().fit(training((volumes, shuffled)))
    with refused(r"model\.debias=true is not possible: on 45 training rows .* against true age is -?0\.[01]"):
        Ridge(debias=True).fit(training((volumes, shuffled)))


def test_correction_is_refused_for_classes_before_any_volume_is_read(two):
    with refused(r"model\.debias=true corrects predictions of a measure, and task=classification has none"):
        Ridge(debias=True).check(training_of(two))


# ---- what must not matter


@pytest.mark.parametrize("model_type", MODELS)
@pytest.mark.parametrize("standardize", [False, True])
def test_poisoned_test_rows_change_no_byte(model_type, standardize, tmp_path, measured):
    volumes, ages = measured
    poisoned, other_ages = volumes.volumes.copy(), ages.copy()
    poisoned[TEST] = 1e12 * np.random.default_rng(0).standard_normal((len(TEST), 1, *SHAPE))
    other_ages[TEST] = 1e9
    clean, dirty = (
        fitted(model_type(num_components=[3, None], standardize=standardize, debias=True), training(cohort))
        for cohort in ((volumes, ages), (InMemory(poisoned), other_ages))
    )
    for model, folder in ((clean, tmp_path / "clean"), (dirty, tmp_path / "poisoned")):
        write_model(folder, model.contents(card(volumes)))
    for file in ("card.json", "weights.safetensors"):
        assert (tmp_path / "clean" / file).read_bytes() == (tmp_path / "poisoned" / file).read_bytes()
    for row in TEST[:3]:
        one = np.array([row])
        assert_array_equal(clean.predict(volumes, one), dirty.predict(volumes, one))


@pytest.mark.parametrize("model_type", MODELS)
@pytest.mark.parametrize("debias", [False, True])
def test_model_folder_gives_the_same_predictions_and_line(model_type, debias, tmp_path, measured):
    volumes, _ = measured
    model = fitted(
        model_type(normalize=True, standardize=True, num_components=(4, None), debias=debias), training(measured)
    )
    write_model(tmp_path / "model", model.contents(card(volumes)))
    stored = read_model(tmp_path / "model")
    assert stored.card.outcome == AGE
    line = json.loads((tmp_path / "model" / "card.json").read_text())["arguments"]["line"]
    assert line == ({"intercept": model.line.intercept, "slope": model.line.slope} if debias else None)
    for loaded in (model_type.load(stored), load(tmp_path / "model").members[0].model):
        assert_array_equal(loaded.predict(volumes, TEST), model.predict(volumes, TEST))
        assert loaded.line == model.line
        assert loaded.chosen_ == model.chosen_
        write_model(tmp_path / "again", loaded.contents(card(volumes)))
        again = model_type.load(read_model(tmp_path / "again"))
        assert_array_equal(again.predict(volumes, TEST), model.predict(volumes, TEST))


def test_fit_builds_everything_afresh(measured, two):
    model = fitted(Ridge(debias=True), training(measured))
    assert isinstance(model.line, Line)
    model.debias = False
    model.fit(training_of(two))
    assert model.line is None
    assert model.predict(two[0], TEST).shape == (len(TEST), 2)


def test_logistic_regression_refuses_a_measure_by_name(measured, monkeypatch):
    monkeypatch.setattr(InMemory, "block", None)
    told = r"^model=logistic predicts classes only, and task=regression asks for a measure\. Use ridge, linear_svm, "
    with refused(told, r"^model='logistic' predicts classes only, and task='regression'"):
        Logistic().check(training(measured))


def test_too_few_rows_for_the_inner_folds_are_named(measured):
    with refused(r"1 session has a value of age: fewer than the 2 that inner folds need of the 1 training rows"):
        Ridge().check(training(measured, train_rows=TRAIN[:1]))
    _, ages = measured
    constant = np.where(np.isin(np.arange(len(ages)), TRAIN[:10]), 50.0, ages)
    with refused(r"inner fold 0 learns from no two different values of age"):
        Ridge().check(training((measured[0], constant), train_rows=TRAIN[:10]))
