"""What a page shows of each tested scan: what was predicted, by what evidence, and which training scans are like it."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

from mri3d import tested_scans
from mri3d.errors import UserError
from mri3d.evaluation.fold_result import FoldResult
from mri3d.evaluation.folds import Fold
from mri3d.explain.evidence import Evidence
from mri3d.explain.trust import NO_BETTER_THAN_CHANCE
from mri3d.group_maps import GroupedEvidence
from mri3d.model_folder import Card
from mri3d.models.member import Member
from mri3d.models.trained import TrainedModel
from mri3d.report.picture import Picture
from mri3d.tested_scans import NUM_VIEWED
from mri3d.volumes.reference import Reference
from tests.studies import SHAPE, class_study

STUDY = class_study(24)
TEST = np.array([3, 8, 11])
LEARNT = np.array([0, 1, 2, 4, 5, 6])
BASELINE = Reference(np.zeros((1, *SHAPE), np.float32), 0.0, 1.0)
PROBA = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]])  # true: patient, control, patient


def fitted(*, heatmaps=("integrated_gradients",), failing=()):
    """A model to which row 3 is like 5, 8 like 0 and 11 like 2, and whose evidence is a voxel for each class."""
    angles = {0: 0.0, 8: 0.1, 5: 2.0, 3: 2.1, 2: 4.0, 11: 4.1, 1: 1.0, 4: 3.0, 6: 5.0}

    def features(volumes, rows):
        return np.array([[np.cos(angles[row]), np.sin(angles[row])] for row in rows])

    def explain(asked, *, reference):
        if any(np.array_equal(asked.volume, STUDY.volumes[row]) for row in failing):
            raise UserError("there is no such site. Train again.")
        values = np.zeros(SHAPE, np.float32)
        values[2 + asked.target, 3, 4] = 2.0
        return Evidence(values)

    return SimpleNamespace(features=features, explain=explain, heatmaps=heatmaps, encoder=None)


def result_of(model, *, number=0, rows=TEST, proba=PROBA, seconds=1.0, repeat=0):
    fold = Fold(number, repeat, LEARNT, LEARNT[:0], rows)
    return FoldResult(fold, proba, None, {}, [SimpleNamespace(seconds=seconds)], None, model=model)


def shown(model, *, mapped=True, num_folds=1, results=None, study=STUDY):
    """Add folds, and return what was gathered with the results to be laid out."""
    tested, card = tested_scans.TestedScans(study, num_folds), Card(study.outcome, None, BASELINE)
    results = results or [result_of(model)]
    for result in results:
        tested.add(result, TrainedModel((Member(model, card),)), mapped=mapped)
    rows = np.concatenate([result.fold.test_rows for result in results])
    numbers = np.repeat([result.fold.number for result in results], [len(result.fold.test_rows) for result in results])
    laid_out = SimpleNamespace(
        rows=rows,
        fold_numbers=numbers,
        targets=study.targets[rows],
        predicted=np.concatenate([result.predictions for result in results]),
        better_than_chance=False,
    )
    return tested, laid_out


def test_each_test_stands_with_its_truth_and_the_scans_that_the_model_finds_alike():
    tested, results = shown(fitted())
    first, second, third = tested._subjects(results)
    assert (first.name, first.truth, first.prediction, first.correct) == ("3", "patient", "control", False)
    assert first.values == {"Probability of control": 0.9, "Probability of patient": 0.1}
    assert first.wrongness == pytest.approx(0.9)
    assert (second.truth, second.correct, second.wrongness) == ("control", False, pytest.approx(0.6))
    assert (third.correct, third.wrongness) == (True, pytest.approx(0.2))
    assert [each.similar[0].name for each in (first, second, third)] == ["5", "0", "2"]
    assert [each.similar[0].label for each in (first, second, third)] == ["patient", "control", "control"]
    assert {scan.name for each in (first, second, third) for scan in each.similar} <= {str(row) for row in LEARNT}
    assert all(
        len(each.similar) == 3 and each.picture.heatmap and each.viewed == each.name for each in (first, second, third)
    )


def test_evidence_is_that_for_the_predicted_class():
    tested, _ = shown(fitted())
    words = {scan.name: (scan.high, scan.low) for scan in tested.viewed}
    assert words == {
        "3": ("for control", "against control"),
        "8": ("for patient", "against patient"),
        "11": ("for patient", "against patient"),
    }
    assert {scan.name: scan.volumes.peak_mm[0] for scan in tested.viewed} == {"3": 2.0, "8": 3.0, "11": 3.0}
    assert tested.viewed[0].caption.startswith("\u20683\u2069: label patient, predicted control 0.900.")


def test_at_chance_every_map_says_so():
    tested, results = shown(fitted())
    page = "".join(tested.viewer(False, faces=False))
    assert page.count(NO_BETTER_THAN_CHANCE) == 3
    assert NO_BETTER_THAN_CHANCE in "".join(tested.table(results))
    results.better_than_chance = True
    assert NO_BETTER_THAN_CHANCE not in "".join([*tested.viewer(True, faces=False), *tested.table(results)])


def test_there_is_no_evidence_around_a_brain_in_any_picture_or_map(monkeypatch):
    model, study = fitted(), class_study(24)
    for row in TEST:
        study.volumes.volumes[row][:, 3, 3, 4] = 0  # where the evidence for patients is
    monkeypatch.setattr(tested_scans, "upright", lambda study, row: np.eye(4))
    monkeypatch.setattr(tested_scans, "scan_of", lambda study, row: None)
    monkeypatch.setattr(tested_scans, "example_picture", lambda *given, **named: None)
    drawn = []
    monkeypatch.setattr(tested_scans, "embedded_scan", lambda scan, recipe, heat, affine: drawn.append(heat))
    recipe = SimpleNamespace(shows="brains", affine=lambda scan: np.eye(4))
    study.volumes.recipe = recipe
    monkeypatch.setattr(tested_scans.TestedScans, "_similar", lambda self, result: [[]] * len(TEST))
    tested, _ = shown(model, study=study)
    assert {row: float(values.max()) for row, values in tested._grouped.maps.items()} == {3: 2.0, 8: 0.0, 11: 0.0}
    assert [float(heat.max()) for heat in drawn] == [1.0, 0.0, 0.0]


def test_maps_that_cannot_be_trusted_or_made_are_not_shown():
    tested, results = shown(fitted(), mapped=False)
    assert not any(each.picture.heatmap or each.notes for each in tested._subjects(results))
    assert "warm colours" not in "".join(tested.table(results))
    tested, results = shown(fitted(failing=[8]))
    assert [each.notes for each in tested._subjects(results)] == [(), ("No heatmap: there is no such site.",), ()]
    assert tested.viewed[1].volumes.heatmap is None


def test_when_time_is_over_the_less_wrong_have_no_map(monkeypatch, tmp_path):
    clock = iter(range(0, 1000, 15))
    monkeypatch.setattr(tested_scans.time, "monotonic", lambda: next(clock))
    tested, results = shown(fitted(), results=[result_of(fitted(), seconds=100.0)])  # 20 s and 5 s: two maps of 15 s
    maps = {each.name: each.picture.heatmap for each in tested._subjects(results)}
    assert maps == {"3": True, "8": True, "11": False}
    assert "took all the time" in tested._subjects(results)[2].notes[0]
    monkeypatch.setattr(GroupedEvidence, "write", lambda self, folder: [Picture(b"", "image/png", "mean", "mean.")])
    told = "Of 3 tested scans 1 had no heatmap for want of time; the most wrong predictions of each fold came first."
    assert [each.caption for each in tested.group(True, tmp_path)] == [f"mean. {told}"]
    tested, _ = shown(fitted(failing=[8]), results=[result_of(fitted(failing=[8]), seconds=10_000.0)])
    assert [each.caption for each in tested.group(True, tmp_path)] == ["mean."], "time is not what was wanting"


def test_models_that_decide_by_voxels_are_shown_scans_of_like_volumes():
    model = fitted()
    model.features = lambda volumes, rows: None
    volumes = [STUDY.volumes[row] for row in range(24)]
    volumes[5] = volumes[3] + 0.01 * volumes[7]
    study = class_study(24)
    study.volumes.volumes[5] = volumes[5]
    tested, results = shown(model, study=study)
    assert tested._subjects(results)[0].similar[0].name == "5"
    assert "coarse copies of their volumes" in "".join(tested.table(results))


def test_a_model_that_does_not_know_the_site_of_a_test_leaves_the_rest_of_the_page():
    def unknown(*given: object, **named: object):
        raise UserError("there is no such site.")

    model = fitted()
    model.features = model.explain = unknown
    tested, results = shown(model)
    subjects = tested._subjects(results)
    assert [each.notes for each in subjects] == [("No heatmap: there is no such site.",)] * 3
    assert all(len(each.similar) == 3 and each.picture and each.viewed for each in subjects)
    assert "coarse copies of their volumes" in "".join(tested.table(results))


def test_where_models_of_folds_differ_the_page_says_by_what_scans_are_alike_in_each():
    def unknown(*given: object, **named: object):
        raise UserError("there is no such site.")

    model, other = fitted(), fitted()
    other.features = unknown
    for models, told in (
        ([model, other, model], "what their last layer is given (of fold 1: coarse copies of their volumes) make"),
        ([other, other], "that coarse copies of their volumes make"),
        ([other, model], "what their last layer is given (of fold 0: coarse copies of their volumes) make"),
    ):
        found = [result_of(each, number=number, repeat=number) for number, each in enumerate(models)]
        tested, results = shown(model, num_folds=len(models), results=found)
        assert told in "".join(tested.table(results))


def test_a_scan_that_cannot_be_turned_upright_any_more_costs_its_own_picture_only(monkeypatch):
    monkeypatch.setattr(tested_scans, "upright", lambda study, row: None if row in (3, 0) else np.eye(4))
    tested, results = shown(fitted())
    page = "".join(tested.table(results))
    pictured = {each.name: each.picture is not None for each in tested._subjects(results)}
    assert pictured == {"3": False, "8": True, "11": True}
    assert [scan.name for each in tested._subjects(results) for scan in each.similar if not scan.picture] == ["0"]
    assert page.count("No picture") == 1


@pytest.mark.parametrize("num_folds", [1, 3, 15])
def test_the_most_wrong_of_all_folds_are_viewed_and_no_more_than_a_page_holds(num_folds):
    random = np.random.default_rng(0)
    model, results = fitted(), []
    model.features = lambda volumes, rows: None
    for number in range(num_folds):
        rows, sure = np.arange(24), random.random(24)
        told = {"number": number, "repeat": number, "rows": rows}
        results.append(result_of(model, proba=np.c_[sure, 1 - sure], **told))
    tested, laid_out = shown(model, num_folds=num_folds, results=results)
    examples = 2
    assert len({scan.name for scan in tested.viewed}) == len(tested.viewed) <= NUM_VIEWED + examples
    subjects = tested._subjects(laid_out)
    worst = max((each for each in subjects if each.fold == num_folds - 1), key=lambda each: each.wrongness)
    assert worst.viewed
    assert re.search("<script", "".join(tested.viewer(True, faces=False)))


def test_each_of_several_tests_of_a_subject_is_viewed_with_what_was_predicted_then():
    model = fitted()
    again = result_of(model, number=1, proba=PROBA[:, ::-1], repeat=1)
    tested, results = shown(model, num_folds=2, results=[result_of(model), again])
    viewed = {scan.name: scan.caption for scan in tested.viewed}
    assert "predicted control 0.900" in viewed["3"]
    assert "predicted patient 0.900" in viewed["3, repeat 2"]
    assert [each.viewed for each in tested._subjects(results) if each.name == "3"] == ["3", "3, repeat 2"]


def test_a_network_that_cannot_be_explained_loses_its_maps_alone():
    model = fitted()

    def explain(asked, *, reference):
        raise KeyError("no such thing")

    model.explain = explain
    tested, results = shown(model)
    assert all(each.notes == ("No heatmap: 'no such thing'.",) and each.similar for each in tested._subjects(results))
