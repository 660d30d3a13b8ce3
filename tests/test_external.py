"""A finished model on scans of people whom it never saw: who is scored, who is refused, and what is read."""

import csv
import dataclasses
import json
import logging
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import mri3d
from mri3d import KFold, Recipe, Study, evaluate, fit, models, validate
from mri3d.cohort.table import Table
from mri3d.external import validate_model
from mri3d.external_people import read_people
from mri3d.models.loading import load
from mri3d.models.trained import TrainedModel
from tests.models.refusals import refused
from tests.studies import planted, write_heads

RIDGE = models.Ridge(num_components=0.9, inner_folds=2)
TRAINED, PEOPLE = 24, 40
COLUMNS = {"id": "subject", "scan": "{id}.nii"}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Forty heads: `study.csv`, and of those that are not trained on `others.csv`, of which one is upside down."""
    folder = tmp_path_factory.mktemp("heads")
    write_heads(folder, PEOPLE, clinic=["north", "south"] * (PEOPLE // 2))
    turned = nib.load(folder / "s39.nii")
    nib.save(nib.Nifti1Image(np.ascontiguousarray(turned.get_fdata()[:, :, ::-1]), turned.affine), folder / "s39.nii")
    table(folder, "study.csv", "trained.csv", lambda row: int(row["subject"][1:]) < TRAINED)
    table(folder, "study.csv", "others.csv", lambda row: int(row["subject"][1:]) >= TRAINED)
    return folder


def table(folder, source, name, keep, **cells):
    """Write the rows of a table that are to be kept, with other cells."""
    with (folder / source).open(newline="") as file:
        rows = [row | {key: change(row) for key, change in cells.items()} for row in csv.DictReader(file) if keep(row)]
    with (folder / name).open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return name


@pytest.fixture(scope="module")
def model(root):
    """A model of two folds, which vote."""
    study = Study.from_table("trained.csv", root=root, **COLUMNS, recipe=Recipe(16))
    return evaluate(study, RIDGE, KFold(folds=2, validation=0)).model


def source(root, name="others.csv", **more):
    return Table(str(root), name, **COLUMNS, **more)


@pytest.fixture(scope="module")
def validation(root, model):
    return validate_model(model, read_people(model, source(root, site="clinic")))


def test_each_session_is_predicted_as_its_scan_is(root, model, validation):
    paths = [root / f"s{number}.nii" for number in range(TRAINED, PEOPLE)]
    expected, found = model.predict(paths, force=True), validation.predictions
    assert list(found.columns) == ["subject", "label", *expected.columns[1:]]
    assert found["subject"].tolist() == [path.stem for path in paths]
    assert found["label"].tolist() == ["ab"[number % 2] for number in range(TRAINED, PEOPLE)]
    for column in ("prediction", "status", "warnings"):
        assert found[column].tolist() == expected[column].tolist()
    for column in ("p_a", "p_b", "spread"):
        assert_allclose(found[column], expected[column], rtol=1e-6, atol=1e-9)
    assert found["status"].tolist()[-1] == "outside"
    assert pd.isna(model.predict(paths)["prediction"].tolist()[-1]), "without force nothing is predicted of it"
    assert validation.num_subjects == {
        "total": 16, "unlabelled": 0, "left_out": 0, "seen": 0, "failed": 0, "participants": 16, "tested": 16,
        **{status: found["status"].tolist().count(status) for status in ("unusual", "outside")},
    }  # fmt: skip


def test_ages_that_nobody_had_in_training_are_told(root, model, caplog):
    study = read_people(model, source(root))
    sessions = [dataclasses.replace(each, usual={**each.usual, "age": "99"}) for each in study.cohort.sessions[:2]]
    older = dataclasses.replace(
        study, cohort=dataclasses.replace(study.cohort, sessions=(*sessions, *study.cohort.sessions[2:]))
    )
    validate_model(model, older)
    told = [record.getMessage() for record in caplog.records if "that nobody had in training" in record.getMessage()]
    assert len(told) == 1
    assert all(each.id in told[0] for each in sessions)


def test_scores_and_strata_are_of_all_who_were_not_seen(validation):
    found = validation.predictions
    right = (found["prediction"] == found["label"]).mean()
    assert validation.scores["accuracy"].value == pytest.approx(right)
    assert validation.headline().endswith(" (16 subjects that the model never saw)")
    assert list(validation.strata.columns[:6]) == ["variable", "level", "sessions", "auc", "auc_low", "auc_high"]
    assert validation.tests.strata.strata.num_too_small == 5  # two clinics, and three thirds of age
    own = validation.own_scores["accuracy"]
    assert own.value is not None
    assert own.low <= own.value <= own.high


def test_a_study_of_another_recipe_is_made_anew_by_the_models(root, model, validation):
    study = Study.from_table("others.csv", root=root, **COLUMNS, recipe=Recipe(12, intensity="minmax"))
    again = validate(model, study)
    assert_allclose(again.predictions["p_b"], validation.predictions["p_b"], rtol=1e-9)
    assert again.study.volumes.recipe == model.recipe
    assert again.scores == validation.scores


def test_each_scan_is_read_once_and_not_without_a_label(root, model, tmp_path, monkeypatch):
    name = table(
        root, "others.csv", "some.csv", lambda row: True, label=lambda row: row["label"] * (row["subject"] != "s30")
    )
    read, paths = mri3d.scans.scan.read_scan, []

    def noted(path):
        paths.append(Path(path).stem)
        return read(path)

    for module in ("mri3d.cohort.audit", "mri3d.volumes.cache", "mri3d.volumes.recipe"):
        monkeypatch.setattr(f"{module}.read_file", noted)
    monkeypatch.setenv("MRI3D_CACHE", str(tmp_path / "cache"))
    found = validate_model(model, read_people(model, source(root, name)))
    assert len(found.rows) == 15
    assert found.num_subjects["unlabelled"] == 1
    assert sorted(paths) == [f"s{number}" for number in range(TRAINED, PEOPLE) if number != 30]


def test_scans_that_the_model_has_seen_are_refused_by_name(root, model):
    people = read_people(model, source(root, "study.csv"))
    with refused(
        r"^the model has seen the scans of 24 of 40 sessions: s00 was among the training scans of 1 of the 2 models "
        r"that vote; s01 .*; s04 [^;]*; and 19 more\. .* or set allow_seen=true: then they are predicted, and left out",
        r"allow_seen=True",
    ):
        validate_model(model, people)


def test_or_predicted_and_not_scored(root, model, validation, caplog):
    found = validate(model, Study.from_table("study.csv", root=root, **COLUMNS), allow_seen=True)
    assert found.predictions["status"].tolist()[:TRAINED] == ["seen"] * TRAINED
    assert found.predictions["prediction"].notna().all()
    assert found.rows.tolist() == list(range(TRAINED, PEOPLE))
    assert found.scores == validation.scores
    assert found.num_subjects["seen"] == TRAINED
    assert "24 of 40 sessions are predicted and not scored, as the model has seen their scans: s00 was" in caplog.text
    with refused(r"^no session is left that could be scored: the model has seen all of them"):
        validate(model, Study.from_table("trained.csv", root=root, **COLUMNS), allow_seen=True)


def test_labels_that_the_model_does_not_know_are_refused_before_a_scan_is_read(root, model, monkeypatch):
    monkeypatch.setattr("mri3d.cohort.audit.read_file", lambda path: pytest.fail("a scan was read"))
    name = table(
        root, "others.csv", "other.csv", lambda row: True, label=lambda row: {"a": "depr", "b": "control"}[row["label"]]
    )
    told = r"^the model predicts a and b, and column 'label' of other\.csv has 'control' \(8 sessions\), 'depr' \(8 "
    with refused(told):
        read_people(model, source(root, name))
    nobody = table(root, "others.csv", "nobody.csv", lambda row: True, label=lambda row: "")
    with refused(r"^column 'label' of nobody\.csv has a label for nobody, and without labels nothing can be said"):
        read_people(model, source(root, nobody))


def test_one_class_alone_is_scored_as_far_as_it_can_be(root, model, caplog):
    name = table(root, "others.csv", "one.csv", lambda row: row["label"] == "a")
    found = validate_model(model, read_people(model, source(root, name)))
    assert (len(found.rows), found.scores["auc"].value) == (8, None)
    assert found.scores["accuracy"].value == pytest.approx((found.predictions["prediction"] == "a").mean())
    assert "no session of class 'b': scores that need it are left empty" in caplog.text
    assert caplog.text.count("scores that need it") == 1


def test_bad_scans_are_told_at_once_or_left_out(root, model):
    (root / "s90.nii").write_bytes(b"text")
    with (root / "others.csv").open() as file:
        header, *rows = file.read().splitlines()
    (root / "bad.csv").write_text("\n".join([header, *rows, "s90,a,50,north", "s91,b,50,north"]) + "\n")
    with refused(r"^2 of 18 scans cannot be used:\n  s90: .*\n  s91: .*\nMend them, or set data\.skip_bad=true"):
        read_people(model, source(root, "bad.csv"))
    found = validate_model(model, read_people(model, source(root, "bad.csv", skip_bad=True)))
    assert (len(found.rows), found.num_subjects["left_out"]) == (16, 2)


def test_a_model_of_arrays_takes_no_scans(root):
    model = fit(Study.from_arrays(planted([0, 2] * 12), ["a", "b"] * 12), RIDGE)
    with refused(r"^the model was trained on arrays, so it has no recipe"):
        read_people(model, source(root))


def test_what_is_loaded_predicts_the_same(root, model, validation, tmp_path):
    model.save(tmp_path / "model")
    found = validate_model(load(tmp_path / "model"), read_people(load(tmp_path / "model"), source(root)))
    assert_allclose(found.predictions["p_b"], validation.predictions["p_b"], rtol=1e-9)


def test_a_model_that_keeps_nothing_of_its_training_is_validated_with_a_caution(root, model, tmp_path):
    nothing = {"shares": None, "training": (), "fingerprints": None, "tested": None, "steered": None}
    cards = [dataclasses.replace(member.card, **nothing) for member in model.members]
    members = [dataclasses.replace(one, card=card) for one, card in zip(model.members, cards, strict=True)]
    study = Study.from_table("study.csv", root=root, **COLUMNS)
    found = validate(TrainedModel(tuple(members)), study, out=tmp_path)
    assert (len(found.rows), found.own_scores) == (PEOPLE, {})
    assert json.loads((tmp_path / "metrics.json").read_text())["calibration"]["prevalence"] is None
    page = (tmp_path / "report.html").read_text()
    assert "This model keeps no record of its training scans" in page
    assert "No model was tested on a scan that it was trained on" not in page


def test_near_copies_of_training_scans_are_refused(tmp_path, caplog):
    from tests.volumes.test_near_copies import heads

    affine, volumes = np.diag([6.0, 6.0, 6.0, 1.0]), heads(28)[:, 0]
    for number, volume in enumerate(volumes):
        data = np.maximum(volume - volume[0, 0, 0], 0)  # air is 0
        if number == 27:  # one that is trained on, saved anew
            first = np.maximum(volumes[3] - volumes[3][0, 0, 0], 0)
            data = np.round(900 * first / first.max()).astype(np.int16)
        nib.save(nib.Nifti1Image(data, affine), tmp_path / f"h{number:02}.nii")
    for name, numbers in (("a.csv", range(20)), ("b.csv", range(20, 28))):
        (tmp_path / name).write_text("subject,label\n" + "".join(f"h{n:02},{'ab'[n % 2]}\n" for n in numbers))
    places = {"root": tmp_path, **COLUMNS, "recipe": Recipe(32)}
    model = fit(Study.from_table("a.csv", **places), models.Ridge(num_components=2, alpha=1.0, inner_folds=2))
    others = Study.from_table("b.csv", **places)
    with refused(
        r"^the model has seen the scans of 1 of 8 sessions: h27 is a near-copy of a training scan of this model"
    ):
        validate(model, others)
    with caplog.at_level(logging.WARNING):
        found = validate(model, others, allow_seen=True)
    assert found.predictions["status"].tolist()[-1] == "seen"
    assert len(found.rows) == 7
