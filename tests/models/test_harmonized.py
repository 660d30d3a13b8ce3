"""Models of harmonised volumes: what they ask of new scans, what their folders keep, and whom they refuse."""

import json
from dataclasses import replace

import numpy as np
import pytest

import mri3d
from mri3d import KFold, LeaveSiteOut, Study, UserError, evaluate, models
from mri3d.explain.evidence import Question
from mri3d.models.beside_scans import known_of_arrays
from mri3d.models.harmonized import HarmonizedModel
from mri3d.volumes.harmonization import Applied
from tests.evaluation.confounded import tiny_network

SHAPE = (7, 8, 9)


def sited(number=48, *, shift=2.0, task="classification", covariates=None, seed=0):
    """Make a cohort of two scanners, of which one adds a pattern, and a class that shows in a cube."""
    random = np.random.default_rng(seed)
    sites, labels = np.arange(number) % 2, random.permutation(np.arange(number) // 2 % 2)
    volumes = random.normal(size=(number, *SHAPE)) + shift * random.normal(size=SHAPE) * sites[:, None, None, None]
    volumes[labels == 1, 2:5, 2:5, 2:5] += 1.0
    names = ["ab"[site] for site in sites]
    labels = labels if task == "classification" else labels * 10.0 + random.normal(size=number)
    return Study.from_arrays(volumes, labels, sites=names, task=task, covariates=covariates)


MODELS = {
    "linear_svm": models.LinearSVM(num_components=0.9, C=1.0),
    "smoothed": models.Ridge(num_components=0.9, alpha=1.0, smoothing=0.1),
    "standardized": models.Ridge(num_components=0.9, alpha=1.0, standardize=True),
    "network": tiny_network(1),
}


@pytest.mark.parametrize("name", MODELS)
def test_saved_and_loaded_it_predicts_what_was_tested(name, tmp_path):
    study = sited()
    results = evaluate(study, MODELS[name], KFold(folds=3, harmonize="site"))
    results.model.save(tmp_path)
    loaded, (first, *_) = mri3d.load(tmp_path), results.folds
    assert loaded.covariates == ("site",)
    rows = first.fold.test_rows
    sites = {"site": [study.cohort.sessions[row].site for row in rows]}
    one = mri3d.load(tmp_path / "fold_0")
    found = one.predict_arrays(study.volumes.volumes[rows], sites)
    np.testing.assert_allclose(found, first.predictions, atol=1e-5)
    other = one.predict_arrays(study.volumes.volumes[rows], {"site": ["a"] * len(rows)})
    assert not np.allclose(found, other, atol=1e-3), "the site counts"
    maps = loaded.explain_arrays(study.volumes.volumes[rows][:1], covariates={"site": sites["site"][:1]})
    assert maps.shape == (1, *SHAPE)
    if name == "network":
        fitted, volume = one.members[0].model, study.volumes.volumes[rows[0]]
        (layer, *_) = fitted.layers.usual
        known = known_of_arrays(fitted.encoder, {"site": sites["site"][:1]}, 1)
        without = Applied(study.volumes, [study.cohort.sessions[row].site for row in range(48)], fitted.combats)
        seen = fitted.feature_maps(volume, [layer], covariates=known)[layer]
        np.testing.assert_array_equal(seen, fitted.layers.maps(without[int(rows[0])], [layer])[layer])
        assert not np.allclose(seen, fitted.layers.maps(volume, [layer])[layer], atol=1e-3), "the site counts"
        assert one.method("gradcam", layer).layer == layer, "a layer is checked without a session"
        usual, asked = one.members[0].card.reference, Question(volume, 1, one.method(None), known)
        inner, average = replace(asked, volume=without[int(rows[0])]), replace(usual, variations=None)
        found = fitted.explain(asked, reference=usual).values  # from no start that holds the sites' patterns
        np.testing.assert_array_equal(found, fitted.fitted.explain(inner, reference=average).values)
        others = fitted.fitted.explain(inner, reference=usual).values
        assert not np.allclose(found, others, atol=1e-3 * np.abs(found).max())


def test_a_site_that_it_was_not_harmonised_for_is_refused():
    study = sited()
    model = evaluate(study, MODELS["linear_svm"], KFold(folds=3, harmonize="site")).model
    for covariates, told in (
        ({"site": ["z"]}, r"covariates\['site'\] has z, which the model has not learnt from"),
        (None, "was trained with site beside the volumes"),
        ({"site": [None]}, "a scan has no site, and needs one"),
    ):
        with pytest.raises(UserError, match=told):
            model.predict_arrays(study.volumes.volumes[:1], covariates)


def test_a_tested_site_has_its_own_location_and_scale():
    results = evaluate(sited(60), MODELS["linear_svm"], LeaveSiteOut(validation=0, harmonize="site"))
    assert results.scores["auc"].value > 0.6
    assert all(isinstance(member.model, HarmonizedModel) for member in results.model.members)


def test_covariates_go_with_it(tmp_path):
    ages = np.random.default_rng(1).uniform(20, 80, 48)
    study = sited(covariates={"age": ages})
    results = evaluate(
        study, models.Ridge(covariates="age", num_components=0.9, alpha=1.0), KFold(folds=2, harmonize="site")
    )
    assert results.model.covariates == ("age", "site")
    assert results.importance is not None
    known = {"age": ages[:3].tolist(), "site": ["a", "b", "a"]}
    results.model.save(tmp_path)
    again = mri3d.load(tmp_path).predict_arrays(study.volumes.volumes[:3], known)
    np.testing.assert_array_equal(again, results.model.predict_arrays(study.volumes.volumes[:3], known))


def test_seeds_a_measure_and_the_metrics():
    study = sited(task="regression")
    results = evaluate(study, MODELS["smoothed"], KFold(folds=2, harmonize="site", seeds=2))
    told = json.loads(json.dumps(results.metrics(num_subjects={}, seconds={})))["harmonization"]
    assert "Harmonising by site changed the MAE from" in told["sentence"]


def test_others_are_validated_by_their_site():
    model = evaluate(sited(), MODELS["linear_svm"], KFold(folds=2, harmonize="site")).model
    found = mri3d.validate(model, sited(20, seed=5))
    assert len(found.predictions) == 20


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ({"sites": []}, "no different texts"),
        ({"sites": ["a", "a"]}, "no different texts"),
        ({"shares": []}, "no effects of sites"),
        ({"sites": ["a"]}, "not those of 1 site"),
    ],
)
def test_a_folder_that_was_tampered_with_is_refused(damage, told):
    from mri3d.models.harmonized import parted

    model = evaluate(sited(), MODELS["linear_svm"], mri3d.Holdout(harmonize="site")).model
    (member,) = model.members
    contents = member.model.contents(member.card)
    contents.arguments["harmonized"] |= damage
    with pytest.raises(ValueError, match=told):
        parted(contents)
