"""The scores of a model's own test: from its run, else from its cards, else none."""

import dataclasses
import json

import pytest

from mri3d import KFold, evaluate, fit, models
from mri3d.evaluation.own_tests import own_scores
from mri3d.models.loading import load
from mri3d.models.trained import TrainedModel
from tests.finished_runs import write_run
from tests.studies import age_study, class_study

RIDGE = models.Ridge(num_components=0.9, inner_folds=2)


@pytest.fixture(scope="module")
def results():
    return evaluate(class_study(effect=0.5), RIDGE, KFold(folds=3))


@pytest.fixture
def run(results, tmp_path):
    results.model.save(write_run(tmp_path / "run", results) / "model")
    return tmp_path / "run"


def test_cards_have_the_values(results):
    found = own_scores(results.model)
    for name in ("auc", "auc_pooled", "accuracy", "log_loss"):
        ours, theirs = found[name], results.scores[name]
        assert (ours.value, ours.low, ours.high) == pytest.approx(
            (theirs.value, theirs.low, theirs.high), rel=0.02
        )  # other draws


def test_repeats_count_once(results):
    twice = evaluate(class_study(effect=0.5), RIDGE, KFold(folds=3, repeats=2))
    assert own_scores(twice.model) == own_scores(results.model)


@pytest.mark.parametrize("place", ["", "model"])
def test_a_run_has_their_intervals_too(results, run, place):
    found = own_scores(load(run / place), run / place)
    assert found["auc"] == pytest.approx(results.scores["auc"])
    assert found["auc"].low is not None


def test_one_fold_of_a_run_has_its_own_test(results, run):
    folder = run / "model/fold_1"
    found = own_scores(load(folder), folder)
    assert found["accuracy"].value == results.folds[1].scores["accuracy"]
    assert found["accuracy"].low < found["accuracy"].value < found["accuracy"].high


def test_a_model_that_was_not_tested_has_none(results):
    assert own_scores(fit(class_study(), RIDGE)) == {}
    members = [
        dataclasses.replace(one, card=dataclasses.replace(one.card, tested=None)) for one in results.model.members
    ]
    assert own_scores(TrainedModel(tuple(members))) == {}  # of an earlier version


def test_a_damaged_or_foreign_run_shows_none(results, run, caplog):
    other = fit(age_study(), RIDGE)
    assert own_scores(other, run) == {}
    content = json.loads((run / "metrics.json").read_text())
    (run / "metrics.json").write_text(json.dumps(content | {"test": {"auc": {"value": "high"}}}))
    assert own_scores(results.model, run) == {}
    assert "the scores of the model's own test are not shown: " in caplog.text
    (run / "metrics.json").unlink()
    assert own_scores(results.model, run) == own_scores(results.model)
