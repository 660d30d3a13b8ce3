"""Confounds on hundreds of cohorts whose truth is known: nothing is found beyond them, and nothing is lost."""

import logging

import numpy as np
import pytest

from mri3d import KFold, compare, evaluate, models
from mri3d.evaluation.confounds import IMAGE, LINEAR, WITHOUT
from tests.evaluation.confounded import effect_study, scaled_study, tiny_network
from tests.models.test_covariates import NAMES, regression_on_covariates, study_of

RIDGE = models.Ridge(num_components=0.9, alpha=0.1)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quiet")]


@pytest.fixture
def quiet():
    """Say nothing of hundreds of evaluations."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("half", [0, 1])
def test_where_size_is_all_there_is_nothing_is_left_and_nothing_is_found(half):
    holds, nothing, apart = [], [], []
    for seed in range(100 * half, 100 * half + 100):
        study = scaled_study(seed, number=60)
        found = evaluate(study, RIDGE, KFold(folds=4, confounds=["size"]), seed=seed).confounds
        left = found.scores[WITHOUT]["auc"]
        holds.append(left.low <= 0.5 <= left.high)
        nothing.append(found.beyond(ascending=False) is False)
        apart.append(found.scores[IMAGE]["auc"].value - found.scores[LINEAR]["auc"].value)
    assert np.mean(holds) >= 0.9
    assert np.mean(nothing) >= 0.92
    assert abs(np.mean(apart)) < 0.06, "the confounds equal the image model"


@pytest.mark.parametrize("half", [0, 1])
def test_where_site_is_all_there_is_nothing_is_found_beyond_it(half):
    nothing, image, left = [], [], []
    for seed in range(100 * half, 100 * half + 100):
        study = effect_study(seed, number=60, effect=0.0)
        found = evaluate(study, RIDGE, KFold(folds=4, confounds=["site"]), seed=seed).confounds
        nothing.append(found.beyond(ascending=False) is False)
        image.append(found.scores[IMAGE]["auc"].value)
        left.append(found.scores[WITHOUT]["auc"].value)
    assert np.mean(nothing) >= 0.92
    assert np.mean(image) > 0.58, "the image tells the site, and so the label"
    assert abs(np.mean(left) - 0.5) < 0.04


def test_an_effect_beside_a_confounded_site_is_found_within_its_interval():
    """What is left without the site is as good as where sites look alike."""
    splits = KFold(folds=4, confounds=["site"])
    pure = [evaluate(effect_study(seed, number=100, site_effect=0.0), RIDGE, splits) for seed in range(30)]
    truth = np.mean([results.confounds.scores[WITHOUT]["auc"].value for results in pure])
    holds, found = [], []
    for seed in range(30):
        confounds = evaluate(effect_study(seed, number=100), RIDGE, splits).confounds
        left = confounds.scores[WITHOUT]["auc"]
        holds.append(left.low <= truth <= left.high)
        found.append(confounds.beyond(ascending=False))
    assert truth > 0.8
    assert np.mean(holds) >= 0.9
    assert np.mean(found) >= 0.9


@pytest.mark.parametrize("kind", ["ridge", "linear_svm", "network"])
def test_covariates_that_carry_the_label_are_learnt_as_a_regression_on_them_learns(kind):
    within, nothing = [], []
    for seed in range(6 if kind == "network" else 20):
        model = {
            "ridge": models.Ridge(covariates=NAMES, num_components=[0.5, None]),
            "linear_svm": models.LinearSVM(covariates=NAMES, num_components=[0.5, None]),
            "network": tiny_network(10, covariates=NAMES),
        }[kind]
        study = study_of(seed, number=100)
        results = evaluate(study, model, KFold(), seed=seed)
        within.append(regression_on_covariates(study, KFold(), seed=seed).low <= results.scores["auc"].value)
        nothing.append(not results.importance.worth["image"].matters(ascending=False))
    assert all(within)
    assert np.mean(nothing) >= 0.9


@pytest.mark.parametrize("kind", ["linear_svm", "network"])
def test_image_and_covariates_that_carry_a_part_each_beat_either(kind):
    study = study_of(0, number=240, image=2.0, covariates=1.5)
    options = {"num_components": [0.5, None]} if kind == "linear_svm" else {}
    make = models.LinearSVM if kind == "linear_svm" else lambda **more: tiny_network(10, **more)
    both, image = (evaluate(study, make(covariates=names, **options), KFold()) for names in (NAMES, ()))
    blind = study_of(0, number=240, image=2.0, covariates=1.5, visible=False)
    alone = evaluate(blind, models.Logistic(covariates=NAMES, num_components=0.5), KFold())
    for other in (image, alone):
        row = compare(other, both).loc["auc"]
        assert row["difference"] > 0
        assert row["p"] < 0.05
