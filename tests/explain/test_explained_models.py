"""The heatmaps of fitted linear models lie on what makes the classes differ, and follow their calibration."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mri3d.explain import contrasted
from mri3d.models.classical.models import LinearSVM, Logistic, Ridge
from tests.explain.asked import ask, usual
from tests.models.planted import (
    AGE,
    OTHER_REGION,
    REGION,
    SHAPE,
    fitted,
    measured_cohort,
    planted_arrays,
    training_of,
    write_volumes,
)

TRAIN = np.arange(60)


def fit(model, folder, num_classes):
    """Fit a model to 60 of 63 subjects; return the volumes, the targets and the average head."""
    targets = np.arange(63) % num_classes
    volumes = write_volumes(folder, planted_arrays(targets, seed=5))
    fitted(model, training_of((volumes, targets), folder, train_rows=TRAIN))
    return volumes, targets, np.mean([volumes[row] for row in TRAIN], axis=0)


def evidence_of(model, volume, baseline, target):
    return model.explain(ask(volume, target=target), reference=usual(baseline))


@pytest.mark.parametrize(
    "model", [Logistic(), LinearSVM(standardize=True), Ridge(normalize=True)], ids=lambda m: m.name
)
@pytest.mark.parametrize("num_classes", [2, 3])
def test_heat_of_unseen_subjects_lies_where_their_class_differs(tmp_path, model, num_classes, monkeypatch):
    monkeypatch.setattr(contrasted, "SMOOTHING", 1 / 9)
    volumes, targets, mean = fit(model, tmp_path, num_classes)
    for row in range(60, 63):
        heat = evidence_of(model, volumes[row], mean, targets[row]).heat
        assert heat.shape == SHAPE
        assert -1 <= heat.min() < 0 < heat.max() == np.abs(heat).max() == 1
        heat = heat.clip(min=0)
        if region := {1: REGION, 2: OTHER_REGION}.get(targets[row]):
            assert heat[region].mean() > 5 * heat.mean()


def test_heat_without_smoothing_is_what_a_change_of_each_voxel_does_to_the_log_odds(tmp_path, monkeypatch):
    monkeypatch.setattr(contrasted, "SMOOTHING", 0)
    model = Logistic(C=1.0, num_components=0.9)
    volumes, _, mean = fit(model, tmp_path, 2)
    swapped = np.repeat(mean.reshape(1, -1), mean.size, axis=0).astype(np.float64)
    np.fill_diagonal(swapped, volumes[61].reshape(-1))  # row v: the average head with voxel v of the other
    decisions = np.concatenate([swapped, mean.reshape(1, -1)]) @ model.projection_.directions.reshape(-1)
    change = (decisions[:-1] - decisions[-1]).reshape(SHAPE)
    for target, sign in ((1, 1), (0, -1)):
        evidence = evidence_of(model, volumes[61], mean, target)
        assert_allclose(evidence.values, sign * change, atol=1e-4 * np.abs(change).max())


def test_calibration_that_trusts_nothing_leaves_no_heat_and_one_that_trusts_a_class_more_weighs_it_more(tmp_path):
    model = LinearSVM(C=1.0, num_components=0.9)
    volumes, _, mean = fit(model, tmp_path, 3)
    weights, slopes = model.maps(), np.array([0.2, 1.0, 3.0])
    model.scaling_ = np.stack([slopes, np.zeros(3)], axis=1)
    evidence = evidence_of(model, volumes[61], mean, 2)
    log_odds = slopes[:, None, None, None] * weights * (volumes[61] - mean)
    total = (log_odds - log_odds.mean(axis=0))[2].sum()  # smoothing moves it about and reflects it at the edges
    assert evidence.values.sum() == pytest.approx(total, rel=1e-3)
    model.scaling_ = np.zeros((3, 2))
    assert not evidence_of(model, volumes[61], mean, 2).values.any()


@pytest.mark.parametrize("model", [Ridge(), LinearSVM(normalize=True)], ids=lambda m: m.name)
def test_evidence_of_a_measure_adds_up_to_the_change_of_its_value(model, monkeypatch):
    monkeypatch.setattr(contrasted, "SMOOTHING", 0)
    volumes, ages = measured_cohort(63, seed=6)
    youngest, oldest = ages.argmin(), ages.argmax()
    rows = np.setdiff1d(np.arange(63), [youngest, oldest])
    fitted(model, training_of((volumes, ages), outcome=AGE, train_rows=rows))
    mean = np.mean([volumes[row] for row in rows], axis=0)
    volumes.volumes[rows[0]] = mean  # it was learnt from already
    usual, *predicted = model.predict(volumes, np.array([rows[0], youngest, oldest]))
    for row, value, sign in zip((youngest, oldest), predicted, (-1, 1), strict=True):
        evidence = evidence_of(model, volumes[row], mean, 0).values
        assert evidence.sum() == pytest.approx(value - usual, rel=1e-3)
        assert sign * (value - usual) > 5  # years
        assert sign * evidence[REGION].sum() > 0
        assert sign * evidence[OTHER_REGION].sum() > 0
