"""What raises and what lowers a linear model's prediction of a measure, in one channel and in two."""

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import linear_model

from mri3d.explain import contrasted
from mri3d.model_folder import Card, write_model
from mri3d.models.classical.models import LinearSVM, Ridge
from mri3d.models.loading import load
from mri3d.outcome import Measure
from mri3d.volumes.reference import Reference
from mri3d.volumes.sequence import InMemory
from tests.explain.asked import ask, usual
from tests.models.peers import pipeline
from tests.models.planted import (
    AGE,
    OTHER_REGION,
    REGION,
    SHAPE,
    TEST,
    TRAIN,
    brains,
    fitted,
    flat,
    measured_arrays,
    training_of,
)
from tests.models.refusals import refused


def training(cohort):
    return training_of(cohort, outcome=AGE)


@pytest.mark.parametrize("model_type", [LinearSVM, Ridge])
@pytest.mark.parametrize("debias", [False, True])
def test_map_of_weights_is_the_model_and_has_the_planted_signs(model_type, debias, measured):
    volumes, _ = measured
    model = fitted(model_type(num_components=None, standardize=True, debias=debias), training(measured))
    weights = model.maps()
    assert weights.shape == (1, *SHAPE)
    whole = flat(volumes)
    decisions = (whole[TEST] - whole[TRAIN].mean(axis=0)) @ weights.reshape(-1)
    scale = measured[1][TRAIN].std()  # what the map's caption says, corrected or not
    predictions = model.predict(volumes, TEST)
    assert_allclose(predictions - predictions[0], scale * (decisions - decisions[0]), atol=0.01)
    size = np.abs(weights).mean()
    assert weights[0][REGION].mean() > 3 * size
    assert weights[0][OTHER_REGION].mean() < -3 * size


@pytest.mark.parametrize("options", [{}, {"debias": True}, {"normalize": True}, {"standardize": True, "debias": True}])
def test_evidence_adds_up_to_the_difference_in_years(options, measured, monkeypatch):
    monkeypatch.setattr(contrasted, "SMOOTHING", 0)
    volumes, _ = measured
    model = fitted(Ridge(num_components=None, **options), training(measured))
    baseline = volumes.volumes[TRAIN].mean(axis=0)
    for row in TEST[:3]:
        heat = model.explain(ask(volumes[row]), reference=usual(baseline)).values
        alone, average = model.predict(InMemory(np.stack([volumes[row], baseline])), np.arange(2))
        assert heat.shape == SHAPE
        assert heat.sum() == pytest.approx(alone - average, abs=0.01)


def test_heatmaps_show_what_raises_and_what_lowers_the_prediction(measured):
    volumes, _ = measured
    model = fitted(Ridge(num_components=None), training(measured))
    baseline = volumes.volumes[TRAIN].mean(axis=0)
    both = baseline.copy()
    both[(0, *REGION)] += 3  # as in the old
    both[(0, *OTHER_REGION)] += 3  # as in the young
    heat = model.explain(ask(both), reference=usual(baseline)).heat
    assert np.abs(heat).max() == pytest.approx(1)
    assert heat[REGION].mean() > 0.2
    assert heat[OTHER_REGION].mean() < -0.2
    away = np.ones(SHAPE, dtype=bool)
    away[1:5, 2:7, 3:8] = away[3:7, 0:4, 0:7] = False
    assert np.abs(heat[away]).mean() < 0.05


def test_two_channels_are_one_long_volume(tmp_path, monkeypatch):
    monkeypatch.setattr(contrasted, "SMOOTHING", 0)
    ages = np.random.default_rng(2).uniform(20, 80, 63).round(1)
    both = np.stack([brains(63, seed=4), measured_arrays(ages, seed=5)], axis=1)  # only the second tells
    volumes = InMemory(both)
    model = fitted(Ridge(num_components=None, alpha=0.3), training((volumes, ages)))
    whole = both.reshape(63, -1).astype(np.float64)
    mean, deviation = ages[TRAIN].mean(), ages[TRAIN].std()
    peer = pipeline(linear_model.Ridge(0.3), None).fit(whole[TRAIN], (ages[TRAIN] - mean) / deviation)
    expected = peer.predict(whole[TEST]) * deviation + mean
    assert_allclose(model.predict(volumes, TEST), expected, atol=1e-4)
    assert model.maps().shape == (1, *SHAPE)
    baseline = both[TRAIN].mean(axis=0)
    heat = model.explain(ask(volumes[TEST[0]]), reference=usual(baseline)).values
    alone, average = model.predict(InMemory(np.stack([volumes[TEST[0]], baseline])), np.arange(2))
    assert heat.shape == SHAPE
    assert heat.sum() == pytest.approx(alone - average, abs=0.01)
    write_model(Path(tmp_path), model.contents(Card(Measure("age"), None, Reference.fit(volumes, TRAIN))))
    loaded = load(tmp_path)
    assert_array_equal(loaded.predict_arrays(both[TEST]), model.predict(volumes, TEST))
    with refused(r"volumes of 1 x 7 x 8 x 9 \(channels, X, Y, Z\) do not fit a model of 2 x 7 x 8 x 9"):
        loaded.predict_arrays(both[TEST, 1])
