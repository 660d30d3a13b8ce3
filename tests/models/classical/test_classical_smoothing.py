"""Classical models of smoothed volumes: as if the volumes had come smoothed, explained in voxels of the volumes."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from mri3d.errors import UserError
from mri3d.model_folder import Card, write_model
from mri3d.models.classical.models import KNN, RBFSVM, LinearSVM, Ridge
from mri3d.models.loading import load
from mri3d.outcome import Classes
from mri3d.volumes.recipe import Recipe
from mri3d.volumes.reference import Reference
from mri3d.volumes.sequence import InMemory
from tests.explain.asked import ask, usual
from tests.models.planted import AGE, TEST, fitted, training_of, write_volumes

SHARE = 0.15
OPTIONS = {"num_components": 6, "inner_folds": 3}


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("model_type", [Ridge, LinearSVM, RBFSVM, KNN])
def test_predicts_as_from_volumes_that_came_smoothed(model_type, standardize, normalize, measured):
    volumes, ages = measured
    options = {**OPTIONS, "standardize": standardize, "normalize": normalize}
    model = fitted(model_type(smoothing=SHARE, **options), training_of(measured, outcome=AGE))
    beforehand = volumes.smoothed(SHARE)
    peer = fitted(model_type(**options), training_of((beforehand, ages), outcome=AGE))
    assert_array_equal(model.predict(volumes, TEST), peer.predict(beforehand, TEST))
    plain = fitted(model_type(**options), training_of(measured, outcome=AGE))
    assert not np.allclose(model.predict(volumes, TEST), plain.predict(volumes, TEST))


def test_the_weight_map_is_of_the_voxels_before_smoothing(measured):
    volumes, _ = measured
    model = fitted(Ridge(smoothing=SHARE, **OPTIONS), training_of(measured, outcome=AGE))
    (weights,) = model.maps()
    predictions = model.predict(volumes, TEST[:2])
    difference = ((volumes[TEST[0]] - volumes[TEST[1]])[0] * weights).sum() * model.scaling_[0, 0]
    assert difference == pytest.approx(predictions[0] - predictions[1], rel=1e-4)


def test_the_evidence_adds_up_to_the_difference_from_the_baseline(measured):
    volumes, _ = measured
    model = fitted(Ridge(smoothing=SHARE, **OPTIONS), training_of(measured, outcome=AGE))
    volume, baseline = volumes[TEST[0]], volumes[TEST[1]]
    heat = model.explain(ask(volume), reference=usual(baseline)).values
    predictions = model.predict(volumes, TEST[:2])
    # what is smoothed for the eye is reflected at the edges: the sum stays
    assert heat.sum() == pytest.approx(predictions[0] - predictions[1], rel=0.02)


def test_a_model_folder_smooths_as_it_did(tmp_path, measured):
    volumes, _ = measured
    model = fitted(Ridge(smoothing=SHARE, **OPTIONS), training_of(measured, outcome=AGE))
    card = Card(AGE, Recipe("native", shape=volumes.shape[1:]), Reference(volumes[0], 0.1, 0.9))
    write_model(tmp_path / "model", model.contents(card))
    loaded = load(tmp_path / "model").members[0].model
    assert_array_equal(loaded.predict(volumes, TEST), model.predict(volumes, TEST))
    new_scan = InMemory(volumes.volumes[TEST[:1]])
    assert_allclose(loaded.predict(new_scan, np.array([0])), model.predict(volumes, TEST[:1]))


def test_unless_told_a_measure_is_predicted_from_smoothed_scans_and_arrays_are_taken_as_they_are(tmp_path, measured):
    volumes, ages = measured
    scans = write_volumes(tmp_path, volumes.volumes[:, 0])

    def chosen(cohort, outcome, **options) -> float:
        return fitted(Ridge(**OPTIONS, **options), training_of(cohort, outcome=outcome)).smoothing_

    halves = (ages > np.median(ages)).astype(int)
    assert chosen((scans, ages), AGE) == 0.02
    assert chosen((scans, ages), AGE, smoothing=0) == 0
    assert chosen((scans, halves), Classes(("young", "old"))) == 0
    assert chosen((scans, halves), Classes(("young", "old")), smoothing=0.1) == 0.1
    assert chosen((volumes, ages), AGE) == 0


@pytest.mark.parametrize("value", [-0.1, 1, 4, "2 mm", float("nan"), [0.1, 0.2], True])
def test_a_smoothing_that_is_no_share_is_refused(value):
    with pytest.raises(UserError, match="smoothing"):
        Ridge(smoothing=value)
