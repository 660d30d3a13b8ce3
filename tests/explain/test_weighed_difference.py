"""The evidence of a linear model is what each voxel adds to the decision, and lies on what makes the classes differ."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.ndimage import gaussian_filter
from sklearn.linear_model import LogisticRegression, Ridge

from mri3d.explain import contrasted
from mri3d.explain.linear import LinearModel, weighed_difference
from tests.explain.asked import ask, usual
from tests.models.planted import OTHER_REGION, REGION, SHAPE, planted_arrays

TRAIN = np.arange(60)


def fitted(num_classes):
    """Draw subjects of planted classes and fit a linear model to the first 60 of them.

    Returns:
        Volumes [63, 1, X, Y, Z], targets [63], scikit-learn's model.
    """
    targets = np.arange(63) % num_classes
    volumes = planted_arrays(targets, seed=5)[:, None]
    flat = volumes[TRAIN].reshape(60, -1)
    return volumes, targets, LogisticRegression(C=1e-3, max_iter=500).fit(flat, targets[TRAIN])


def evidence_of(weights, volume, mean, contrast, *, normalize=False):
    """Explain a model with weights [D, X, Y, Z] of a volume of one channel."""
    model = LinearModel(weights[:, None], 0.0, normalize, None)
    return model.explain(ask(volume), reference=usual(mean), contrast=np.array(contrast))


@pytest.mark.parametrize("num_classes", [2, 3])
def test_evidence_of_unseen_subjects_lies_where_their_class_differs(num_classes, monkeypatch):
    monkeypatch.setattr(contrasted, "SMOOTHING", 1 / 9)
    volumes, targets, model = fitted(num_classes)
    weights, mean = model.coef_.reshape(-1, *SHAPE).astype(np.float32), volumes[TRAIN].mean(axis=0)
    for row in range(60, 63):
        one = np.array([2.0 * targets[row] - 1]) if num_classes == 2 else np.eye(3)[targets[row]] - 1 / 3
        heat = evidence_of(weights, volumes[row], mean, one).values.clip(min=0)
        assert heat.shape == SHAPE
        if region := {1: REGION, 2: OTHER_REGION}.get(targets[row]):
            assert heat[region].mean() > 5 * heat.mean()


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_evidence_without_smoothing_is_what_a_change_of_each_voxel_does_to_the_log_odds(monkeypatch, sign):
    monkeypatch.setattr(contrasted, "SMOOTHING", 0)
    volumes, _, model = fitted(2)
    mean = volumes[TRAIN].mean(axis=0)
    swapped = np.repeat(mean.reshape(1, -1), mean.size, axis=0).astype(np.float64)
    np.fill_diagonal(swapped, volumes[61].reshape(-1))  # row v: the average head with voxel v of the other
    change = model.decision_function(swapped) - model.decision_function(mean.reshape(1, -1).astype(np.float64))
    weights = model.coef_.reshape(1, *SHAPE).astype(np.float32)
    evidence = evidence_of(weights, volumes[61], mean, [sign])
    assert_allclose(evidence.values, sign * change.reshape(SHAPE), atol=1e-6)
    assert evidence.facts == {"change": pytest.approx(sign * change.sum(), rel=1e-4), "completeness_error": 0.0}


@pytest.mark.parametrize("contrast", [[8.0], [-8.0]])
def test_evidence_of_a_measure_adds_up_to_the_change_of_its_prediction(monkeypatch, contrast):
    monkeypatch.setattr(contrasted, "SMOOTHING", 0)
    volumes, targets, _ = fitted(3)
    norms = np.linalg.norm(volumes.reshape(63, -1), axis=1, keepdims=True)
    model = Ridge(1e-3).fit((volumes.reshape(63, -1) / norms)[TRAIN], targets[TRAIN])
    weights, mean = model.coef_.reshape(1, *SHAPE), volumes[TRAIN].mean(axis=0)
    evidence = evidence_of(weights, volumes[62], mean, contrast, normalize=True)
    both = np.stack([(array / np.linalg.norm(array)).reshape(-1) for array in (mean, volumes[62])])
    before, after = model.predict(both) * contrast[0]
    assert evidence.values.sum() == pytest.approx(after - before, rel=1e-5)
    assert evidence.facts["change"] == pytest.approx(after - before, rel=1e-5)


def test_channels_are_added_and_smoothed_with_their_signs():
    rng = np.random.default_rng(8)
    weights = rng.standard_normal((3, 2, *SHAPE)).astype(np.float32)
    mean, volume = rng.standard_normal((2, 2, *SHAPE)).astype(np.float32)
    contrast = np.array([-1.0, 0.5, 0.5])
    per_voxel = np.einsum("d,dcxyz,cxyz->xyz", contrast, weights, volume - mean)
    one = weighed_difference(np.tensordot(contrast, weights, axes=1), volume, baseline=mean)
    other = LinearModel(weights, 0.0, False, None).explain(ask(volume), reference=usual(mean), contrast=contrast)
    for evidence in (one.values, other.values):
        assert evidence.dtype == np.float32
        assert_allclose(evidence, gaussian_filter(per_voxel, max(SHAPE) / 25, mode="nearest"), atol=1e-5)


def test_a_volume_of_zeros_stays_one_when_it_is_normalized():
    weights, zeros = np.ones((1, *SHAPE), np.float32), np.zeros((1, *SHAPE), np.float32)
    evidence = evidence_of(weights, zeros, zeros, [1.0], normalize=True)
    assert_array_equal(evidence.values, np.zeros(SHAPE))
