"""Covariates in every model: what they are multiplied by, what they teach, and what new sessions must say of them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge as PeerRidge

import mri3d
from mri3d import KFold, Study, UserError, evaluate, fit, models
from mri3d.evaluation.crossvalidation import CrossValidation
from mri3d.models.classical.decisions import fit_ridge
from mri3d.models.network.checkpoints import fit_digest
from mri3d.nets import SFCN
from mri3d.nets.fused import Fused, OfOneSession
from mri3d.plan import build, complete
from tests.evaluation.confounded import tiny_network

SHAPE = (7, 8, 9)
NAMES = ("age", "site")


def study_of(seed=0, number=60, *, image=0.0, covariates=1.5, task="classification", missing=(), visible=True):
    """Make a cohort whose outcome depends on a cube of the volumes, if that is visible, and on what the table says."""
    random = np.random.default_rng(seed)
    ages, sites, hidden = (
        random.normal(50, 10, number),
        random.choice(["x", "y", "z"], number),
        random.normal(size=number),
    )
    value = covariates * ((ages - 50) / 10 + (sites == "y")) + image * hidden + random.logistic(size=number) / 2
    volumes = random.normal(size=(number, *SHAPE))
    volumes[:, 2:5, 2:5, 2:5] += visible * hidden[:, None, None, None]
    cells = [None if row in missing else age for row, age in enumerate(ages)]
    labels = np.where(value > np.median(value), "b", "a") if task == "classification" else value
    return Study.from_arrays(
        volumes, labels, covariates={"age": cells, "site": sites, "noise": hidden * 0 + ages}, task=task
    )


def table_of(study, rows=slice(None)):
    sessions = study.cohort.sessions[rows]
    return {name: [session.covariates[name] for session in sessions] for name in NAMES}


CLASSICAL = {
    "ridge": models.Ridge(covariates=NAMES, num_components=[0.5, None], alpha=[0.1, 1.0]),
    "linear_svm": models.LinearSVM(covariates=NAMES, num_components=[0.5, None], C=[0.1, 1.0]),
    "logistic": models.Logistic(covariates=NAMES, num_components=0.5, C=[0.1, 1.0]),
    "rbf_svm": models.RBFSVM(covariates=NAMES, num_components=[0.5, None], C=[1.0, 10.0], gamma=0.3),
    "knn": models.KNN(covariates=NAMES, num_components=[0.5, None], k=[5, 9]),
}


@pytest.mark.parametrize("alpha", [0.1, 3.0])
def test_ridge_with_columns_that_are_not_orthogonal_is_scikit_learns(alpha):
    random = np.random.default_rng(0)
    scores = np.linalg.svd(random.normal(size=(30, 5)) - random.normal(size=5), full_matrices=False)[0] * [
        5,
        4,
        3,
        2,
        1,
    ]
    scores -= scores.mean(axis=0)
    scores, _, _ = np.linalg.svd(scores, full_matrices=False)
    beside = random.normal(size=(30, 2))
    beside -= beside.mean(axis=0)
    joined, wanted = np.hstack([scores, beside]), random.normal(size=(30, 3))
    (found,) = fit_ridge(joined, wanted, [alpha], memberships=False, num_beside=2)
    peer = PeerRidge(alpha=alpha).fit(joined, wanted)
    np.testing.assert_allclose(found.weights, peer.coef_, atol=1e-12)
    np.testing.assert_allclose(found.intercepts, peer.intercept_, atol=1e-12)


def regression_on_covariates(study, splits, seed=0):
    """Return the AUC of a logistic regression on the covariates alone, on the same folds."""
    plain = models.Ridge(num_components=0.5, alpha=1.0)
    found = evaluate(study, plain, replace(splits, confounds=NAMES), seed=seed)
    return found.confounds.scores["confounds"]["auc"]


@pytest.mark.parametrize("name", CLASSICAL)
def test_classical_models_learn_from_covariates_alone(name):
    found = evaluate(study_of(), CLASSICAL[name], KFold(folds=3))
    assert regression_on_covariates(study_of(), KFold(folds=3)).low <= found.scores["auc"].value
    assert found.scores["auc"].value > 0.75
    assert all("covariate_weight" in result.chosen for result in found.folds)


def test_a_network_learns_from_covariates_alone():
    network = tiny_network(4, covariates=NAMES)
    found = evaluate(study_of(number=48), network, KFold(folds=2))
    assert regression_on_covariates(study_of(number=48), KFold(folds=2)).low <= found.scores["auc"].value
    assert found.scores["auc"].value > 0.75


@pytest.mark.parametrize("name", ["ridge", "linear_svm", "rbf_svm", "knn"])
def test_a_measure_too(name):
    study = study_of(task="regression", covariates=3.0)
    found = evaluate(study, CLASSICAL[name], KFold(folds=3))
    plain = evaluate(study, type(CLASSICAL[name])(num_components=0.5), KFold(folds=3))
    assert found.scores["mae"].value < 0.8 * plain.scores["mae"].value


def test_a_network_of_a_measure_begins_with_the_regression():
    study = study_of(number=40, task="regression", covariates=3.0)
    model = fit(study, tiny_network(1, covariates=NAMES))
    predictions = model.predict_arrays(study.volumes.volumes, table_of(study))
    assert np.corrcoef(predictions, study.targets)[0, 1] > 0.9


def test_image_and_covariates_together_beat_either():
    study = study_of(1, number=100, image=1.5)
    both = evaluate(study, CLASSICAL["linear_svm"]).scores["auc"].value
    image = evaluate(study, models.LinearSVM(num_components=[0.5, None], C=[0.1, 1.0])).scores["auc"].value
    assert both > max(image, regression_on_covariates(study, KFold()).value)


@pytest.mark.parametrize("name", [*CLASSICAL, "network"])
def test_saved_and_loaded_it_predicts_the_same(name, tmp_path):
    study = study_of(2, number=40, missing=(3, 9))
    model = fit(study, CLASSICAL.get(name) or tiny_network(1, covariates=NAMES))
    model.save(tmp_path)
    again = mri3d.load(tmp_path)
    assert again.covariates == NAMES
    volumes, known = study.volumes.volumes[:7], table_of(study, slice(7))
    np.testing.assert_array_equal(again.predict_arrays(volumes, known), model.predict_arrays(volumes, known))
    if model.heatmaps:
        ours, theirs = (one.explain_arrays(volumes[:2], covariates=table_of(study, slice(2))) for one in (model, again))
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", [*CLASSICAL, "network"])
def test_a_covariate_moves_the_prediction_and_a_missing_one_is_the_average(name):
    study = study_of(3, number=60, covariates=4.0)
    model = fit(study, CLASSICAL.get(name) or tiny_network(2, covariates=NAMES))
    volume = study.volumes.volumes[:1]
    young, old, none = (model.predict_arrays(volume, {"age": [age], "site": ["x"]})[0, 1] for age in (30.0, 70.0, None))
    assert young < none < old or (name == "knn" and young < old)


def test_fits_are_those_of_the_full_grid():
    """The permuted labels of `permuted` are fitted as `fit` does: the true ones give what it predicts."""
    study = study_of(4, number=50)
    for name in ("ridge", "linear_svm", "knn"):
        model = CLASSICAL[name]
        found = evaluate(study, model, mri3d.Holdout())
        (fold,) = found.folds
        evaluation = CrossValidation.of(study, model, mri3d.Holdout(), seed=0, folder=None)
        (training,) = evaluation.trainings
        again = evaluation.model.permuted(training, fold.fold.test_rows, study.targets[None])[0]
        np.testing.assert_allclose(again, fold.predictions, atol=1e-6, err_msg=name)


def test_test_rows_have_no_part_in_the_fit():
    study = study_of(5, number=48)
    splits = mri3d.Holdout()
    results = evaluate(study, CLASSICAL["linear_svm"], splits)
    tested = results.folds[0].fold.test_rows
    covariates = {name: [session.covariates[name] for session in study.cohort.sessions] for name in NAMES}
    volumes = study.volumes.volumes.copy()
    for row in tested[1:]:
        volumes[row] *= 100
        covariates["age"][row], covariates["site"][row] = "9000", ["", "elsewhere"][row % 2]
    poisoned = Study.from_arrays(volumes, study.cohort.labels, ids=study.ids, covariates=covariates)
    again = evaluate(poisoned, CLASSICAL["linear_svm"], splits)
    assert again.folds[0].fold.test_rows.tolist() == tested.tolist()
    assert again.folds[0].fits[0].chosen == results.folds[0].fits[0].chosen
    np.testing.assert_allclose(again.folds[0].predictions[0], results.folds[0].predictions[0], rtol=1e-9)


@pytest.mark.parametrize(
    ("names", "told"),
    [("iq", "covariates='iq' is no column that the study kept"), (["label"], "is what is predicted"),
     (["age", "age"], "stands there twice")],
)  # fmt: skip
def test_columns_that_cannot_be_used_are_named_before_anything_is_fitted(names, told):
    with pytest.raises(UserError, match=told):
        evaluate(study_of(number=30), models.Ridge(covariates=names))


def test_a_model_of_ones_own_that_knows_no_covariates_is_refused():
    class Own(models.Ridge):
        def fit_decisions(self, scores, columns, settings, *, memberships):
            return super().fit_decisions(scores, columns, settings, memberships=memberships)

    with pytest.raises(UserError, match="fits scores of volumes alone"):
        evaluate(study_of(number=30), Own(covariates=NAMES))
    assert evaluate(study_of(number=30), Own(), mri3d.Holdout()).scores["auc"].value is not None


def test_models_without_covariates_are_called_as_before():
    assert models.Ridge().identity() == models.Ridge(covariates=()).identity()
    assert "covariate" not in models.Ridge().identity()
    assert "'covariates': 'age'" in models.Ridge(covariates="age").identity()
    assert models.CNN().identity() != models.CNN(covariates="age").identity()


def test_a_fused_network_begins_with_its_linear_part_and_has_maps():
    network = Fused(SFCN((24, 25, 26), 16, channels=[4, 8]), 3, 2).eval()
    volumes, columns = torch.randn(2, 1, 24, 25, 26), torch.randn(2, 3)
    torch.testing.assert_close(network(volumes, columns), network.linear(columns))
    assert network.cam_layer is network.network.cam_layer
    torch.nn.init.normal_(network.last.weight)
    alone = OfOneSession(network, columns[1])
    torch.testing.assert_close(alone(volumes[1:]), network(volumes[1:], columns[1:]))
    torch.testing.assert_close(network(volumes), network(volumes, torch.zeros(2, 3)))


def test_models_are_called_as_before_however_they_are_built():
    built = build(complete({"_target_": "mri3d.models.classical.models.Ridge"}), "model")
    assert built.covariates == []
    assert "covariate" not in built.identity()


def test_the_image_is_not_judged_where_the_model_sees_more():
    with pytest.raises(UserError, match=r"by covariates the model sees more than the image\. Ask for one of the two"):
        evaluate(study_of(number=30), CLASSICAL["ridge"], KFold(confounds=["age"]))


@pytest.mark.parametrize("settings", [{"covariates": [[], ["age"]]}, {"covariates": [["age"]], "alpha": [1.0]}])
def test_a_grid_cannot_choose_covariates(settings):
    with pytest.raises(UserError, match="grid cannot choose covariates"):
        evaluate(study_of(number=30), models.Ridge(), mri3d.Nested(folds=2, grid=settings))


def test_other_values_of_a_covariate_are_another_evaluation():
    ages = [f"{age}" for age in range(40)]
    labels, volumes = ["a", "b"] * 20, np.random.default_rng(0).random((40, *SHAPE))
    studies = [Study.from_arrays(volumes, labels, covariates={"age": each}) for each in (ages, ages[::-1])]
    found = [
        CrossValidation.of(study, models.Ridge(covariates="age"), KFold(), seed=0, folder=None) for study in studies
    ]
    assert found[0].digest != found[1].digest
    assert fit_digest(found[0].trainings[0]) != fit_digest(found[1].trainings[0])
