"""Fits that predict together: means of all they give, in one model folder."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mri3d import All, evaluate, load, models
from mri3d.errors import UserError
from mri3d.explain.evidence import Evidence
from mri3d.files import digest_json
from mri3d.model_folder import CARD, SEAL
from mri3d.models.ensemble import Ensemble
from tests.explain.asked import ask, usual
from tests.studies import class_study, cnn

VOLUME = np.zeros((1, 2, 2, 2), np.float32)


def fit_of(value, *, held_out=None, weights=None):
    def predict(volumes, rows):
        return np.full((len(rows), 2), value)

    def explain(asked, *, reference):
        return Evidence(np.full((2, 2, 2), value, np.float32))

    return SimpleNamespace(
        predict=predict, explain=explain, maps=lambda: weights, held_out=held_out, heatmaps=("weights",)
    )


def test_predictions_evidence_and_weights_are_means():
    both = Ensemble((fit_of(0.2, weights=np.ones((1, 2))), fit_of(0.6, weights=3 * np.ones((1, 2)))))
    assert_array_equal(both.predict(None, np.arange(3)), np.full((3, 2), 0.4))
    evidence = both.explain(ask(VOLUME, "weights"), reference=usual(VOLUME))
    assert_array_equal(evidence.values, np.full((2, 2, 2), 0.4, "f4"))
    np.testing.assert_allclose(evidence.spread, np.full((2, 2, 2), 0.08**0.5), rtol=1e-6)
    assert_array_equal(both.maps(), [[2.0, 2.0]])
    assert both.heatmaps == ("weights",)
    assert Ensemble((fit_of(0.2), fit_of(0.6, weights=np.ones((1, 2))))).maps() is None


def test_rows_that_one_of_the_fits_learnt_from_are_not_held_out():
    first = np.array([5, 2, 9]), np.array([[0.5, 0.5], [0.2, 0.8], [0.9, 0.1]])
    second = np.array([2, 5, 7]), np.array([[0.4, 0.6], [0.7, 0.3], [0.1, 0.9]])
    rows, predictions = Ensemble((fit_of(0.0, held_out=first), fit_of(0.0, held_out=second))).held_out
    assert_array_equal(rows, [2, 5])
    np.testing.assert_allclose(predictions, [[0.3, 0.7], [0.6, 0.4]])
    assert Ensemble((fit_of(0.0, held_out=first), fit_of(0.0))).held_out is None


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ensemble")
    evaluate(class_study(), models.Ridge(num_components=0.9, inner_folds=2), All(seeds=2)).model.save(folder)
    return folder


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ({"fits": []}, r"does not fit this version of mri3d \(ValueError: an ensemble needs one set of tensors"),
        ({"fits": "ab"}, "does not fit this version"),
        ({"fits": [{}, {}]}, "does not fit this version"),
        ({"fits": None}, "does not fit this version"),
        ({"model": "ensemble"}, "holds a model 'ensemble', unknown here"),
        ({"model": ["ridge"]}, "unknown here"),
        ({"model": "cnn"}, "does not fit this version"),
    ],
)
def test_a_card_that_is_no_ensemble_is_refused(saved, tmp_path, damage, told):
    for path in saved.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    card = json.loads((tmp_path / CARD).read_bytes())
    card["arguments"] |= damage
    del card[SEAL]
    (tmp_path / CARD).write_text(json.dumps(card | {SEAL: digest_json(card)}))
    with pytest.raises(UserError, match=told):
        load(tmp_path)


def test_a_network_s_validation_rows_are_predicted_by_the_mean():
    study = class_study()
    (member,) = evaluate(study, cnn(), All(seeds=2)).model.members
    rows, predictions = member.model.held_out
    assert_array_equal(predictions, member.model.predict(study.volumes, rows))
