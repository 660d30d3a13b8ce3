"""Predicting scans by a model that learnt from covariates: what the table says of each, and what is told before."""

import csv
import logging

import numpy as np
import pytest

import mri3d
from mri3d import Study, UserError, fit, models
from mri3d.inference import predict_scans
from mri3d.scans.scan import write_image
from tests.studies import head

AGES = [20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75]


def write_head(path, *, seed):
    path.parent.mkdir(exist_ok=True)
    write_image(path, head(seed=seed), np.diag([8.0, 8.0, 8.0, 1.0]))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return a folder of heads of which age says the class, and a model that knows it."""
    root = tmp_path_factory.mktemp("study")
    rows = ["subject,dx,age,sex"]
    for number, age in enumerate(AGES):
        write_head(root / f"s{number:02d}.nii.gz", seed=number)
        rows.append(f"s{number:02d},{'old' if age > 47 else 'new'},{age},{'FM'[number % 2]}")
    (root / "subjects.csv").write_text("\n".join(rows) + "\n")
    study = Study.from_table("subjects.csv", root=root, label="dx", covariates=["age", "sex"], resolution=12)
    model = fit(study, models.Ridge(covariates=["age", "sex"], num_components=0.5, alpha=0.1), validation=0)
    model.save(root / "model")
    for name in ("n1", "n2", "n3"):
        write_head(root / "new" / f"{name}_T1.nii.gz", seed=50 + ord(name[1]))
    return root


def table_in(folder, text):
    (folder / "new.csv").write_text(text)
    return folder / "new.csv"


def rows_of(out):
    with (out / "predictions.csv").open() as file:
        return {row["scan"]: row for row in csv.DictReader(file)}


def test_what_the_table_says_decides(trained, tmp_path):
    table = table_in(tmp_path, "subject,age,sex\nn1,22,F\nn2,78,M\nn3,,F\n")
    assert predict_scans(trained / "model", str(trained / "new"), tmp_path / "out", table=str(table)) == 0
    found = rows_of(tmp_path / "out")
    assert (found["n1_T1"]["prediction"], found["n2_T1"]["prediction"]) == ("new", "old")
    assert "age is not known: the average of the training sessions is taken" in found["n3_T1"]["warnings"]
    assert "is not known" not in found["n1_T1"]["warnings"]
    frame = mri3d.load(trained / "model").predict(trained / "new", table=table)
    assert frame["p_old"].tolist() == pytest.approx([float(row["p_old"]) for row in found.values()])
    assert (tmp_path / "out/heatmaps/n1_T1_heatmap.nii.gz").exists()


def test_another_table_is_another_call(trained, tmp_path, caplog):
    first = table_in(tmp_path, "subject,age,sex\nn1,22,F\nn2,78,M\nn3,40,F\n")
    arguments = trained / "model", str(trained / "new"), tmp_path / "out"
    predict_scans(*arguments, table=str(first), heatmap="none")
    before = rows_of(tmp_path / "out")
    with caplog.at_level(logging.INFO):
        predict_scans(*arguments, table=str(first), heatmap="none")
    assert "3 of 3 were predicted by an earlier call" in caplog.text
    changed = table_in(tmp_path, "subject,age,sex\nn1,72,F\nn2,78,M\nn3,40,F\n")
    predict_scans(*arguments, table=str(changed), heatmap="none")
    after = rows_of(tmp_path / "out")
    assert float(after["n1_T1"]["p_old"]) > float(before["n1_T1"]["p_old"])


def test_scans_without_what_is_asked_for_are_told_before_any_prediction(trained, tmp_path, caplog):
    table = table_in(tmp_path, "subject,age,sex\nn1,22,X\nn2,78,M\n")
    with caplog.at_level(logging.INFO):
        status = predict_scans(trained / "model", str(trained / "new"), tmp_path / "out", table=str(table))
    assert status == 1
    told = (
        "n1_T1: sex is 'X', which the model has not learnt from (F, M); n3_T1: new.csv has no row for it (its rows are"
    )
    assert caplog.text.index(told) < caplog.text.index("1 of 3")
    found = rows_of(tmp_path / "out")
    assert [found[name]["status"] for name in ("n1_T1", "n2_T1", "n3_T1")] == ["failed", "ok", "failed"]
    assert (
        "has no row for it (its rows are called n1, n2), and the model asks for age, sex" in found["n3_T1"]["warnings"]
    )
    assert found["n3_T1"]["p_old"] == ""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "was trained with age, sex beside the image. Give table: a CSV or TSV file"),
        ("subject,age\nn1,22\n", "has no column 'sex', which the model was trained with"),
        ("subject,age,sex\nother,22,F\n", "no scan can be predicted: n1_T1: new.csv has no row for it"),
        ("subject,age,sex\nn1,old,F\nn2,old,F\nn3,old,F\n", "age is 'old', and the model has learnt from numbers"),
    ],
)
def test_a_table_that_cannot_be_used_ends_the_call(trained, tmp_path, text, told):
    table = None if text is None else str(table_in(tmp_path, text))
    with pytest.raises(UserError, match=told):
        predict_scans(trained / "model", str(trained / "new"), tmp_path / "out", table=table)
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_a_model_without_covariates_takes_no_table(trained, tmp_path):
    study = Study.from_table("subjects.csv", root=trained, label="dx", resolution=12)
    fit(study, models.Ridge(num_components=0.5, alpha=0.1), validation=0).save(tmp_path / "plain")
    table = table_in(tmp_path, "subject,age,sex\nn1,22,F\n")
    with pytest.raises(UserError, match=r"was trained without covariates\. Leave it out"):
        predict_scans(tmp_path / "plain", str(trained / "new"), tmp_path / "out", table=str(table))


def test_explain_takes_the_table_too(trained):
    model, scan = mri3d.load(trained / "model"), trained / "new/n1_T1.nii.gz"
    known = {"subject": ["n1"], "age": [22], "sex": ["F"]}
    assert np.abs(model.explain(scan, table=known).get_fdata()).max() > 0.5
    with pytest.raises(UserError, match=r"beside the image\. Give table"):
        model.explain(scan)
