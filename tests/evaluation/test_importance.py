"""What image and covariates are worth: planted, by hand, and for a model in which one of them does nothing."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mri3d import Holdout, KFold, evaluate, models
from mri3d.evaluation.exchanges import EXCHANGES
from mri3d.report.importance_section import importance_section
from tests.evaluation.confounded import tiny_network
from tests.models.test_covariates import NAMES, study_of

RIDGE = models.Ridge(covariates=NAMES, num_components=[0.5, None], alpha=[0.1, 1.0])


def test_covariates_alone_matter_and_the_image_does_not():
    study = study_of(0, number=80, covariates=3.0)
    results = evaluate(study, RIDGE, KFold(folds=4))
    image, covariates = (results.importance.worth[part] for part in ("image", "covariates"))
    assert covariates.matters(ascending=False)
    assert not image.matters(ascending=False)
    assert covariates.exchanged < 0.65 < results.scores["auc"].value
    told = results.importance.sentence(study.outcome)
    assert told.startswith("No evidence that the model goes by the image: with that of another session the AUC is 0.")
    assert "The model goes by age, site: with that of another session the AUC is 0." in told


def test_the_image_alone_matters_and_covariates_do_not():
    study = study_of(1, number=80, covariates=0.0, image=3.0)
    results = evaluate(study, RIDGE, KFold(folds=4))
    assert results.importance.worth["image"].matters(ascending=False)
    assert not results.importance.worth["covariates"].matters(ascending=False)


def test_a_measure_and_a_network_too():
    study = study_of(2, number=60, covariates=3.0, task="regression")
    found = evaluate(study, RIDGE, KFold(folds=3)).importance
    assert found.primary == "mae"
    assert found.worth["covariates"].matters(ascending=True)
    assert found.worth["covariates"].difference.value > 0
    network = evaluate(study_of(3, number=40), tiny_network(2, covariates=NAMES), Holdout(test=0.4))
    assert network.importance.worth["covariates"].exchanged < network.scores["auc"].value


def test_scores_are_those_of_pairs_made_by_hand():
    study = study_of(4, number=40, covariates=2.0, image=1.0)
    results = evaluate(study, RIDGE, Holdout(test=0.4))
    (fold,) = results.folds
    rows, known = fold.fold.test_rows, {name: [s.covariates[name] for s in study.cohort.sessions] for name in NAMES}
    volumes, truth = study.volumes.volumes, study.targets[rows]
    of_image, of_covariates = [], []
    for partners, predictions in zip(fold.exchanged.partners, fold.exchanged.predictions, strict=True):
        theirs = {name: [cells[row] for row in rows[partners]] for name, cells in known.items()}
        np.testing.assert_allclose(results.model.predict_arrays(volumes[rows], theirs), predictions, atol=1e-6)
        of_covariates.append(roc_auc_score(truth, predictions[:, 1]))
        of_image.append(roc_auc_score(truth[partners], predictions[:, 1]))
    assert results.importance.worth["covariates"].exchanged == pytest.approx(np.mean(of_covariates))
    assert results.importance.worth["image"].exchanged == pytest.approx(np.mean(of_image))
    assert len(of_image) == EXCHANGES


def test_seeds_are_exchanged_as_the_ensemble_that_they_are():
    study = study_of(5, number=40)
    results = evaluate(study, tiny_network(1, covariates=NAMES), Holdout(test=0.4, seeds=2))
    assert results.folds[0].exchanged.predictions.shape == (EXCHANGES, 16, 2)
    assert "covariates" in results.metrics(num_subjects={}, seconds={})


def test_models_of_the_image_alone_have_none():
    results = evaluate(study_of(6, number=30), models.Ridge(num_components=0.5, alpha=1.0), Holdout())
    assert results.importance is None
    assert "covariates" not in results.metrics(num_subjects={}, seconds={})
    assert importance_section(None) == []


def test_the_report_lists_them():
    study = study_of(7, number=40)
    found = evaluate(study, RIDGE, Holdout(test=0.4)).importance.to_json(study.outcome)
    text = "".join(importance_section(found))
    for told in ("Image of another session", "age, site of another session", "As it is", "Permutation importance"):
        assert told in text
