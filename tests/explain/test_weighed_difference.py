"""The heatmap of a linear model is what each voxel adds to the decision, and lies on what makes the classes differ."""

import numpy as np
import pytest

from mri3d.errors import UserError
from mri3d.explain import attribution
from mri3d.explain.attribution import as_heat, has_evidence
from mri3d.models.classical.models import KNN, LinearSVM, Logistic, Ridge
from mri3d.models.model import Task
from tests.models.planted import OTHER_REGION, REGION, SHAPE, planted_cohort


def explain(model, array, *, baseline, target):
    return as_heat(attribution.explain(model, array, baseline=baseline, target=target))


def weighed_difference(model, array, *, baseline, target):
    return as_heat(attribution.weighed_difference(model, array, baseline=baseline, target=target))


TRAIN = np.arange(60)


def fitted(model, folder, num_classes):
    volumes, targets = planted_cohort(folder, num_subjects=63, num_classes=num_classes, seed=5)
    model.fit(Task(volumes, targets, np.arange(63), tuple("abc"[:num_classes]), TRAIN, TRAIN[:0], 0, folder))
    mean = np.mean([volumes[row] for row in TRAIN], axis=0)
    return volumes, targets, mean


@pytest.mark.parametrize(
    "model", [Logistic(), LinearSVM(standardize=True), Ridge(normalize=True)], ids=lambda m: m.name
)
@pytest.mark.parametrize("num_classes", [2, 3])
def test_heat_of_unseen_subjects_lies_where_their_class_differs(tmp_path, model, num_classes, monkeypatch):
    monkeypatch.setattr(attribution, "SMOOTHING", 1 / 9)
    volumes, targets, mean = fitted(model, tmp_path, num_classes)
    for row in range(60, 63):
        region = {1: REGION, 2: OTHER_REGION}.get(targets[row])
        heat = explain(model, volumes[row], baseline=mean, target=targets[row])
        assert heat.shape == SHAPE
        assert (heat.min(), heat.max()) == (0, 1)
        if region:
            assert heat[region].mean() > 5 * heat.mean()


def test_heat_without_smoothing_is_what_a_change_of_each_voxel_does_to_the_log_odds(tmp_path, monkeypatch):
    monkeypatch.setattr(attribution, "SMOOTHING", 0)
    model = Logistic(C=1.0, num_components=0.9)
    volumes, _, mean = fitted(model, tmp_path, 2)
    volume = volumes[61].astype(np.float64)

    def log_odds(changed):
        decision = model.projection_.directions @ changed.reshape(-1)
        return decision.item()

    change = np.zeros(SHAPE)
    for voxel in np.ndindex(SHAPE):
        swapped = mean.astype(np.float64).copy()
        swapped[(0, *voxel)] = volume[(0, *voxel)]
        change[voxel] = log_odds(swapped) - log_odds(mean.astype(np.float64))
    for target, speaks_for in ((1, change.clip(min=0)), (0, (-change).clip(min=0))):
        heat = weighed_difference(model, volumes[61], baseline=mean, target=target)
        np.testing.assert_allclose(heat, speaks_for / speaks_for.max(), atol=1e-4)


def test_calibration_that_trusts_nothing_leaves_no_heat_and_one_that_trusts_a_class_more_weighs_it_more(tmp_path):
    model = LinearSVM(C=1.0, num_components=0.9)
    volumes, _, mean = fitted(model, tmp_path, 3)
    weights, slopes = model.weight_map(), np.array([0.2, 1.0, 3.0])
    model.sigmoids_ = np.stack([slopes, np.zeros(3)], axis=1)
    evidence = attribution.weighed_difference(model, volumes[61], baseline=mean, target=2)
    log_odds = slopes[:, None, None, None] * weights * (volumes[61] - mean)
    total = (log_odds - log_odds.mean(axis=0))[2].sum()  # smoothing moves it about and reflects it at the edges
    assert evidence.sum() == pytest.approx(total, rel=1e-3)
    model.sigmoids_ = np.zeros((3, 2))
    assert not weighed_difference(model, volumes[61], baseline=mean, target=2).any()


def test_models_without_a_weight_map_have_no_heat(tmp_path):
    model = KNN(k=3, num_components=5)
    volumes, _, mean = fitted(model, tmp_path, 2)
    assert not has_evidence(model)
    with pytest.raises(UserError, match="knn is not linear"):
        explain(model, volumes[0], baseline=mean, target=0)
