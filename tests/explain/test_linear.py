"""What can be asked of fitted linear models: weights, patterns and occlusion, held against the models themselves."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from mri3d import fit as fit_study
from mri3d import load
from mri3d.errors import UserError
from mri3d.model_folder import Card, read_model, write_model
from mri3d.models.classical.models import KNN, RBFSVM, LinearSVM, Logistic, Ridge
from mri3d.volumes.reference import Reference
from mri3d.volumes.sequence import InMemory
from tests.explain.asked import ask, usual
from tests.models.planted import (
    AGE,
    OTHER_REGION,
    REGION,
    SHAPE,
    TEST,
    TRAIN,
    fitted,
    measured_cohort,
    planted_arrays,
    training_of,
)
from tests.models.test_covariates import study_of
from tests.test_format_1 import FOLDERS

WAYS = ("integrated_gradients", "weights", "pattern", "occlusion", "region_occlusion")
MODELS = [
    Logistic(C=1.0, num_components=0.9),
    LinearSVM(C=1.0, num_components=0.9, standardize=True, inner_folds=3),
    Ridge(num_components=None, alpha=1.0, smoothing=0.1, inner_folds=3),
    LinearSVM(C=1.0, num_components=0.9, normalize=True, smoothing=0.1, inner_folds=3),
    Ridge(num_components=None, alpha=1.0, normalize=True, standardize=True, inner_folds=3),
    Logistic(C=1.0, num_components=0.9, standardize=True, normalize=True, smoothing=0.15),
]
EACH = pytest.mark.parametrize("which", range(len(MODELS)), ids=lambda number: f"{MODELS[number].name}{number}")


@cache
def fit(which, num_classes):
    """Fit a model to classes, or where there are none to a measure; return it with its volumes and their average."""
    model = replace(MODELS[which])
    if num_classes:
        targets = np.arange(63) % num_classes
        volumes = InMemory(planted_arrays(targets, seed=5)[:, None])
        fitted(model, training_of((volumes, targets)))
    else:
        volumes, ages = measured_cohort(63, seed=9)
        fitted(model, training_of((volumes, ages), outcome=AGE))
    return model, volumes, volumes.volumes[TRAIN].mean(axis=0)


def decisions_of(model, volumes):
    """Compute the decisions on volumes [N, C, X, Y, Z], covariates being 0."""
    sequence = InMemory(volumes).smoothed(model.smoothing_)
    scores, _ = model.projection_.scores(sequence, np.arange(len(volumes)))
    beside = np.zeros((len(volumes), model.decision_.weights.shape[1] - scores.shape[1]))
    return model.decision_.decide(np.hstack([scores, beside]), np.zeros(len(volumes)))


def contrast_of(model, target):
    return model.outcome_.contrast(target, model.scaling_)


@pytest.mark.parametrize("num_classes", [2, 3])
@pytest.mark.parametrize("which", [0, 1, 2], ids=lambda number: MODELS[number].name)
def test_weights_are_what_a_change_of_a_voxel_does_to_the_log_odds(which, num_classes):
    model, volumes, baseline = fit(which, num_classes)
    assert model.heatmaps == WAYS
    change = np.random.default_rng(1).standard_normal(volumes.shape).astype(np.float32)
    pair = np.stack([volumes[TEST[0]], volumes[TEST[0]] + change])
    for target in range(num_classes):
        weights = model.explain(ask(volumes[TEST[0]], "weights", target=target), reference=usual(baseline)).values
        before, after = decisions_of(model, pair) @ contrast_of(model, target)
        assert (weights * change[0]).sum() == pytest.approx(after - before, rel=1e-3)
        if num_classes == 2:
            odds = [np.log(proba[target] / proba[1 - target]) for proba in model.predict(InMemory(pair), np.arange(2))]
            assert after - before == pytest.approx(odds[1] - odds[0], rel=1e-3)


@pytest.mark.parametrize(
    ("which", "num_classes"),
    [
        (which, num)
        for num in (0, 2, 3)
        for which in range(len(MODELS))
        if num or not isinstance(MODELS[which], Logistic)
    ],
)
def test_the_pattern_is_how_the_training_volumes_change_with_the_decision(which, num_classes):
    model, volumes, baseline = fit(which, num_classes)
    prepared = InMemory(volumes.volumes[TRAIN]).smoothed(model.smoothing_)
    rows = np.stack([prepared[row].ravel() for row in range(len(TRAIN))]).astype(np.float64)
    if model.normalize:
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    for target in range(max(1, num_classes)):
        decided = decisions_of(model, volumes.volumes[TRAIN]) @ contrast_of(model, target)
        decided -= decided.mean()
        expected = ((rows - rows.mean(axis=0)).T @ decided / (decided @ decided)).reshape(SHAPE)
        pattern = model.explain(ask(volumes[TEST[0]], "pattern", target=target), reference=usual(baseline)).values
        assert pattern.dtype == np.float32
        assert_allclose(pattern, expected, atol=1e-4 * np.abs(expected).max())
        other = model.explain(ask(volumes[TEST[1]], "pattern", target=target), reference=usual(0 * baseline)).values
        assert_array_equal(other, pattern, "it is of the model, not of a scan")
    assert model.smoothing_ or not pattern[0].any(), "no training volume differs there"


def test_the_pattern_of_a_corrected_measure_is_per_year_as_predicted():
    volumes, ages = measured_cohort(63, seed=9)
    training = training_of((volumes, ages), outcome=AGE)
    model = fitted(Ridge(num_components=None, alpha=1.0, inner_folds=3, debias=True), training)
    predicted = model.predict(volumes, TRAIN)
    predicted -= predicted.mean()
    rows = volumes.volumes[TRAIN].reshape(len(TRAIN), -1).astype(np.float64)
    expected = ((rows - rows.mean(axis=0)).T @ predicted / (predicted @ predicted)).reshape(SHAPE)
    pattern = model.explain(ask(volumes[TEST[0]], "pattern"), reference=usual(volumes[TEST[1]])).values
    assert_allclose(pattern, expected, atol=1e-4 * np.abs(expected).max())


def test_the_pattern_shows_where_the_signal_is_and_the_weights_what_cancels_noise():
    random = np.random.default_rng(2)
    signal, noise = random.standard_normal((2, 400))
    arrays = 0.01 * random.standard_normal((400, 1, 2, 2, 2)).astype(np.float32)
    arrays[:, 0, 0, 0, 0] += signal + 2 * noise
    arrays[:, 0, 1, 1, 1] += noise  # tells nothing of the measure, but of what hides it
    volumes = InMemory(arrays)
    training = training_of((volumes, signal), outcome=AGE, train_rows=np.arange(400))
    model = fitted(Ridge(num_components=None, alpha=1e-4), training)
    weights, pattern = (
        model.explain(ask(volumes[0], way), reference=usual(volumes[1])).values for way in ("weights", "pattern")
    )
    assert weights[1, 1, 1] == pytest.approx(-2 * weights[0, 0, 0], rel=0.05)
    assert pattern[0, 0, 0] == pytest.approx(1, rel=0.15)
    assert abs(pattern[1, 1, 1]) < 0.1


def test_covariates_have_no_part_in_the_pattern_of_the_image():
    study = study_of(image=1.0)
    ridge = Ridge(num_components=None, alpha=1.0, inner_folds=2, covariates=("age", "site"), covariate_weight=1.0)
    model = fit_study(study, ridge).members[0].model
    volumes = np.stack([study.volumes[row] for row in range(len(study.volumes))])
    decided = decisions_of(model, volumes) @ contrast_of(model, 1)
    decided -= decided.mean()
    flat = volumes.reshape(len(volumes), -1).astype(np.float64)
    expected = ((flat - flat.mean(axis=0)).T @ decided / (decided @ decided)).reshape(volumes.shape[2:])
    pattern = model.explain(ask(volumes[0], "pattern", target=1), reference=usual(volumes[1])).values
    assert_allclose(pattern, expected, atol=1e-4 * np.abs(expected).max())


@pytest.fixture
def saved(tmp_path):
    """Write a model of three classes; return it with a scan, the average and its folder."""
    model, volumes, baseline = fit(1, 3)
    card = Card(model.outcome_, None, Reference.fit(volumes, TRAIN))
    write_model(tmp_path / "model", model.contents(card))
    return model, volumes[TEST[0]], baseline, tmp_path / "model"


def test_saved_and_loaded_again_it_explains_the_same(saved):
    model, volume, baseline, folder = saved
    again = load(folder).members[0].model
    assert again.heatmaps == WAYS
    regions = np.indices(SHAPE).sum(axis=0) // 6
    for way in WAYS:
        asked = ask(volume, way, target=2, regions=regions)
        one, other = (each.explain(asked, reference=usual(baseline)) for each in (model, again))
        assert_array_equal(one.values, other.values)
        assert one.values.any()
        assert one.facts == other.facts


def written_without(saved, names):
    """Write the model of a folder again, without some tensors."""
    folder = saved[-1]
    contents = read_model(folder)
    kept = {name: tensor for name, tensor in contents.tensors.items() if name not in names}
    assert len(kept) == len(contents.tensors) - len(names)
    write_model(folder.with_name("other"), replace(contents, tensors=kept))
    return folder.with_name("other")


def test_a_folder_without_patterns_has_all_but_these(saved):
    model, volume, baseline, _ = saved
    trained = load(written_without(saved, ["pattern.covariances", "pattern.decisions"]))
    assert trained.heatmaps == tuple(way for way in WAYS if way != "pattern")
    one, other = (
        each.explain(ask(volume, "weights", target=1), reference=usual(baseline))
        for each in (model, trained.members[0].model)
    )
    assert_array_equal(one.values, other.values)
    with pytest.raises(UserError, match=r"method='pattern' is none of this model's\. Give one of integrated_gradients"):
        trained.explain_arrays(volume[None], method="pattern")
    assert load(FOLDERS / "linear_svm").heatmaps == trained.heatmaps


@pytest.mark.parametrize("name", ["pattern.covariances", "pattern.decisions"])
def test_half_a_pattern_is_refused(saved, name):
    with pytest.raises(UserError, match="does not fit this version of mri3d"):
        load(written_without(saved, [name]))


@pytest.mark.parametrize("name", ["pattern.covariances", "pattern.decisions"])
def test_a_pattern_of_other_sizes_is_refused(saved, name):
    contents = read_model(saved[-1])
    write_model(saved[-1], replace(contents, tensors=contents.tensors | {name: contents.tensors[name][:, :-1]}))
    with pytest.raises(UserError, match=rf"ValueError: {name} has \d+ where \d+ are needed"):
        load(saved[-1])


@EACH
def test_a_region_is_worth_what_the_decision_loses_without_it(which):
    model, _, baseline = fit(which, 2)
    volume, regions = baseline.copy(), np.zeros(SHAPE, int)
    regions[REGION], regions[OTHER_REGION] = 3, 5
    volume[0, regions == 3] += 4  # as in the second class
    volume[0, regions == 5] += 1
    evidence = model.explain(ask(volume, "region_occlusion", target=1, regions=regions), reference=usual(baseline))
    for label in (3, 5):
        without = np.where(regions == label, baseline, volume)
        whole, rest = decisions_of(model, np.stack([volume, without])) @ contrast_of(model, 1)
        assert_allclose(evidence.values[regions == label], whole - rest, rtol=1e-3, atol=1e-4)
    assert not evidence.values[regions == 0].any()
    blocks = model.explain(ask(volume, "occlusion", target=1), reference=usual(baseline)).values
    against = model.explain(ask(volume, "occlusion", target=0), reference=usual(baseline)).values
    assert_allclose(against, -blocks, atol=1e-5)
    assert blocks[regions == 3].mean() > 5 * np.abs(blocks[regions != 3]).mean()


def test_models_that_are_not_linear_have_no_pattern():
    targets = np.arange(63) % 2
    cohort = InMemory(planted_arrays(targets, seed=5)[:, None]), targets
    for model in (RBFSVM(C=1.0, num_components=5, inner_folds=2), KNN(k=3, num_components=5, inner_folds=2)):
        fitted(model, training_of(cohort))
        assert model.pattern_ is None
        assert model.heatmaps == ()
        assert not [name for name in model.contents(None).tensors if name.startswith("pattern")]
