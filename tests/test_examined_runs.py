"""Whether maps of a run can be trusted, on all scans that it tested: by whose model, and what is written."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from mri3d import Holdout, KFold, evaluate, load, models
from mri3d.errors import UserError
from mri3d.evaluation.recorded_folds import FirstTest, first_tests
from mri3d.examinations import RESULTS
from mri3d.examined_runs import ExaminedRun
from mri3d.explain.evidence import Question
from mri3d.explain.faithfulness import curves_of
from mri3d.model_places import check_own
from mri3d.models.trained import TrainedModel
from tests.commands import undrawn
from tests.finished_runs import rewrite, write_run
from tests.studies import class_study, cnn


@pytest.fixture(scope="module")
def study():
    return class_study(24, effect=4.0)


def made(folder, study, model, splits):
    """Write a run, without its pictures."""
    results = evaluate(study, model, splits)
    results.model.save(write_run(folder, results) / "model")
    return folder


@pytest.fixture(scope="module")
def linear(study, tmp_path_factory):
    model = models.Ridge(num_components=0.9, alpha=1.0, inner_folds=2)
    return made(tmp_path_factory.mktemp("linear") / "run", study, model, KFold(folds=2))


@pytest.fixture(scope="module")
def network(study, one_core, tmp_path_factory):
    return made(tmp_path_factory.mktemp("network") / "run", study, cnn(epochs=1), KFold(folds=2))


def examined(folder, study, out, *, methods=("integrated_gradients",), scans=None):
    """Examine a run; return trust.json and the rows of trust.csv."""
    run = ExaminedRun.of(folder, load(folder), methods=methods, layer=None, scans=scans)
    with undrawn():
        found = run.examine(study, out)
    with (out / "trust.csv").open(newline="") as file:
        return found, json.loads((out / "trust.json").read_text()), list(csv.DictReader(file))


def test_each_scan_is_explained_by_the_model_that_was_tested_on_it(study, linear, tmp_path):
    found, told, rows = examined(linear, study, tmp_path, methods=("integrated_gradients", "weights"))
    folds = {name: test.fold for name, test in first_tests(linear).items()}
    assert {row["subject"]: int(row["fold"]) for row in rows} == folds
    assert len(rows) == 2 * 24
    row = next(row for row in rows if row["fold"] == "1" and row["method"] == "weights")
    member = load(linear).members[1]
    assert row["subject"] not in member.card.facts["train_subjects"]
    volume = study.volumes[study.ids.index(row["subject"])]
    target = 1 if row["evidence"] == "for patient" else 0
    question = Question(volume, target, load(linear).method("weights"))
    values = member.model.explain(question, reference=member.card.reference).values
    exact = curves_of(member.model.contrasted(question).numbers, volume, [values], baseline=member.card.reference.mean)
    assert float(row["gain"]) == pytest.approx(float(exact.gains[0]))
    assert [way["method"] for way in told["ways"]] == ["integrated_gradients", "weights"]
    assert told["ways"][0]["gain"] == pytest.approx(np.mean([float(row["gain"]) for row in rows[:24]]))
    assert told["ways"][0]["trusted"] is None
    assert told["short_form"] is None, "training does not examine maps of linear models"
    assert [fold["num_scans"] for fold in told["ways"][0]["folds"]] == [12, 12]
    assert -1 <= told["ways"][0]["agreement"] <= 1
    assert found.lines()[1].startswith("weights               not judged: These maps are what the model computes")
    curves = told["ways"][0]["curves"]
    assert set(curves["deletion"]) == {"random", "map"}
    assert curves["deletion"]["map"]["mean"][0] == pytest.approx(curves["insertion"]["map"]["mean"][-1])
    assert "Can the heatmaps be trusted?" in (tmp_path / "report.html").read_text()


def test_a_network_is_held_against_its_shuffled_weights(study, network, tmp_path):
    _, told, rows = examined(network, study, tmp_path, scans=6)
    assert len(rows) == 6
    assert sorted(int(row["fold"]) for row in rows) == [0, 0, 0, 1, 1, 1]
    (way,) = told["ways"]
    assert way["trusted"] in (True, False)
    assert way["gain_shuffled"] == pytest.approx(np.mean([float(row["gain_shuffled"]) for row in rows]))
    assert way["similarity"][-1] == pytest.approx(np.mean([float(row["similarity"]) for row in rows]))
    assert set(way["curves"]["insertion"]) == {"random", "map", "shuffled"}
    assert told["num_tested"] == 24


def test_what_training_examined_is_told_by_how_many_scans_it_was(study, network, tmp_path):
    first, second = load(network).members
    first = replace(first, card=replace(first.card, facts=first.card.facts | {"maps": {"num_scans": 4}}))
    run = ExaminedRun.of(network, TrainedModel((first, second)), methods=["gradcam"], layer=None, scans=5)
    with undrawn():
        run.examine(study, tmp_path)
    assert json.loads((tmp_path / "trust.json").read_text())["short_form"] == 4
    assert "looked at 4 scans of the first fold" in (tmp_path / "report.html").read_text()


def test_changed_and_missing_scans_are_refused(study, linear, tmp_path):
    run = ExaminedRun.of(linear, load(linear), methods=["weights"], layer=None, scans=None)
    with pytest.raises(UserError, match=r"24 scans that it tested have changed since \(0, 1, "):
        run.examine(class_study(24, seed=1), tmp_path)
    with pytest.raises(UserError, match=r"2 sessions that it tested take no part any more \(22, 23\)"):
        run.examine(class_study(22, effect=4.0), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"methods": ["weigths"]}, "method='weigths' is none of this model's. Did you mean 'weights'?"),
        ({"methods": ["region_occlusion"]}, "region_occlusion asks for regions, which a run does not have."),
        ({"layer": "blocks.1"}, "layer='blocks.1' is for gradcam and hirescam only"),
        ({"scans": 4}, "scans=4 is not possible: 24 scans were tested, and it takes 5. Give 5 to 24"),
        ({"scans": 25}, "scans=25 is not possible"),
    ],
)
def test_mistakes_are_told_before_any_scan_is_read(linear, options, told):
    with pytest.raises(UserError) as error:
        ExaminedRun.of(linear, load(linear), **{"methods": [], "layer": None, "scans": None} | options)
    assert told in str(error.value)


def test_all_ways_but_that_of_regions_are_the_default(linear):
    run = ExaminedRun.of(linear, load(linear), methods=[], layer=None, scans=None)
    assert [way.name for way in run.ways] == ["integrated_gradients", "weights", "pattern", "occlusion"]


def test_runs_that_cannot_be_examined(study, tmp_path):
    small = made(tmp_path / "a", study, models.Ridge(num_components=0.9, inner_folds=2), Holdout(test=1 / 6))
    with pytest.raises(UserError, match="tested 4 scans, too few to tell whether maps can be trusted"):
        ExaminedRun.of(small, load(small), methods=[], layer=None, scans=None)
    rewrite(small / "cohort.csv", lambda rows: [row | {"fold": "train"} for row in rows])
    with pytest.raises(UserError, match="tested nobody"):
        first_tests(small)
    rewrite(small / "cohort.csv", lambda rows: [row | {"fold": "3"} for row in rows])
    with pytest.raises(UserError, match="has no model of fold 3"):
        ExaminedRun.of(small, load(small), methods=[], layer=None, scans=None)
    other = made(tmp_path / "b", study, models.KNN(k=3, num_components=0.9, inner_folds=2), KFold(folds=2))
    with pytest.raises(UserError, match="models of this kind have no heatmaps"):
        ExaminedRun.of(other, load(other), methods=[], layer=None, scans=None)


def test_the_first_test_of_a_session_counts(tmp_path):
    (tmp_path / "cohort.csv").write_text('subject,fold,digest\na,"0 3",x\nb,4 1,y\n<script>,,z\n')
    assert first_tests(tmp_path) == {"a": FirstTest(0, "x"), "b": FirstTest(1, "y")}
    (tmp_path / "cohort.csv").write_text("subject,fold\na,one\n")
    with pytest.raises(UserError, match=r"cohort\.csv is damaged"):
        first_tests(tmp_path)


def test_a_folder_of_somebody_else_is_left_alone(tmp_path):
    (tmp_path / "report.html").write_text("mine")
    with pytest.raises(UserError, match="holds files that are of no earlier call"):
        check_own(tmp_path, RESULTS)
    (tmp_path / "trust.json").write_text("{}")
    check_own(tmp_path, RESULTS)
    (tmp_path / "config.yaml").write_text("")
    with pytest.raises(UserError, match="holds a run or a model"):
        check_own(tmp_path, RESULTS)
