"""One run as a whole, without the command line: what it learns from, what it tells, what a mistake leaves behind."""

import csv
import functools
import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

import mri3d
from mri3d.cohort.table import Table
from mri3d.errors import UserError
from mri3d.evaluation.nested import Nested
from mri3d.evaluation.splits import All, Holdout, KFold
from mri3d.models import CNN, Logistic, Ridge
from mri3d.nets.sfcn import SFCN
from mri3d.outcome.measure_scores import measure_scores
from mri3d.runs import run
from mri3d.study import Study
from mri3d.volumes.recipe import Recipe
from tests.commands import undrawn
from tests.scans.phantom import write_scan
from tests.studies import HEAD_SHAPE as SHAPE
from tests.studies import SPACING_MM, cnn, head, write_heads

HOLDOUT = Holdout()
SCORES = ["mae", "rmse", "r2", "pearson_r", "spearman_r", "error_slope", "gap_correlation"]


def write_study(root, label="label"):
    """Write heads of which those of class b, and of older age, are brighter in one corner."""
    write_heads(root)
    return Table(root=str(root), table="study.csv", label=label)


def run_study(source, folder, model, splits=HOLDOUT, *, resumed=False):
    task = "regression" if source.label == "age" else "classification"
    return run(
        lambda: Study.read(source, Recipe(resolution=16), task=task),
        model,
        splits,
        seed=0,
        folder=folder,
        title="a title",
        model_name="AModel",
        configuration={"kept": ["as", "it", "is"]},
        resumed=resumed,
    )


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def cohort_rows(folder):
    return {row["subject"]: row for row in rows_of(folder / "cohort.csv")}


def first_search(folder):
    """Return what led the first fold's choice, if there was one."""
    found = rows_of(folder / "search.csv") if (folder / "search.csv").exists() else []
    return [row for row in found if row["fold"] == "0"]


def steering(folder):
    """Return all of a model's card that decides a prediction, and its weights."""
    card = json.loads((folder / "card.json").read_text())
    kept = {name: card[name] for name in ("outcome", "arguments", "recipe", "reference", "fold", "num_folds")}
    return kept, (folder / "weights.safetensors").read_bytes()


logistic = Logistic(num_components=[2, 3], inner_folds=2)
learnt = cnn(epochs=30, lr=0.05, channels=(4, 4, 4), pooling=2, augmentation=None, debias=True)


@pytest.mark.parametrize(
    ("label", "model", "splits", "tested"),
    [
        ("label", logistic, HOLDOUT, "test"),
        ("label", cnn(), HOLDOUT, "test"),
        pytest.param(
            *("label", logistic, Nested(folds=3, grid={"C": [0.01, 100.0]}, inner_folds=2, validation=0.0), "0"),
            marks=pytest.mark.slow,
        ),
        pytest.param("age", Ridge(num_components=[2, 3], inner_folds=2), KFold(folds=3), "0", marks=pytest.mark.slow),
        ("age", Ridge(num_components=0.9, inner_folds=2, debias=True), HOLDOUT, "test"),
        ("age", cnn(), KFold(folds=3), "0"),
        pytest.param("age", learnt, HOLDOUT, "test", marks=pytest.mark.slow),
    ],
    ids=["logistic", "cnn", "grid", "ridge", "ridge-debias", "cnn-age", "cnn-debias"],
)
@undrawn()
def test_poisoned_test_scans_change_nothing_that_is_learnt(
    tmp_path, label, model, splits, tested, one_core, monkeypatch
):
    if model is not logistic or splits is not HOLDOUT:  # maps of the cohort take most of the time of so small a run
        monkeypatch.setattr("mri3d.runs.study_sections", lambda *given, **options: [])
    source = write_study(tmp_path, label)
    run_study(source, tmp_path / "clean", model, splits)
    poisoned_names = [name for name, row in cohort_rows(tmp_path / "clean").items() if row["fold"] == tested]
    assert 4 <= len(poisoned_names) <= 8
    for number, name in enumerate(poisoned_names):
        poison = np.random.default_rng(number).exponential(1e6, SHAPE).astype(np.float32)
        write_scan(tmp_path / f"{name}.nii", poison, np.diag([*SPACING_MM, 1.0]))
    run_study(source, tmp_path / "poisoned", model, splits)
    assert [row["fold"] for row in cohort_rows(tmp_path / "poisoned").values()] == [
        row["fold"] for row in cohort_rows(tmp_path / "clean").values()
    ]
    folder = "model" if tested == "test" else "model/fold_0"
    weights = f"{folder}/weights.safetensors"
    assert (tmp_path / "poisoned" / weights).read_bytes() == (tmp_path / "clean" / weights).read_bytes()
    assert steering(tmp_path / "poisoned" / folder) == steering(tmp_path / "clean" / folder)
    assert bool(steering(tmp_path / "clean" / folder)[0]["arguments"]["line"]) == model.debias
    clean, poisoned = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("clean", "poisoned"))
    assert first_search(tmp_path / "poisoned") == first_search(tmp_path / "clean")
    assert bool(first_search(tmp_path / "clean")) == bool(clean["folds"][0]["chosen"])
    assert clean["folds"][0]["scores"] != poisoned["folds"][0]["scores"], "the poison was not read at all"


@undrawn()
def test_scan_unlike_the_others_is_named_before_anything_is_learnt(tmp_path, caplog):
    source = write_study(tmp_path)
    noise = np.random.default_rng(5).random(SHAPE).astype(np.float32)
    write_scan(tmp_path / "s03.nii", noise, np.diag([*SPACING_MM, 1.0]))
    run_study(source, tmp_path / "run", Logistic(num_components=2, C=1.0))
    named = [name for name, row in cohort_rows(tmp_path / "run").items() if "unlike the other scans" in row["warnings"]]
    assert named == ["s03"]
    assert "subject s03 is unlike the other scans" in caplog.text


@pytest.mark.parametrize(
    ("label", "model", "message"),
    [
        ("label", Logistic(num_components=500), r"num_components=500 is impossible: PCA learns from 16 rows"),
        ("label", Logistic(C=[]), r"model\.C is an empty list"),
        ("label", CNN(functools.partial(SFCN, channels=[2] * 9, stride=2)), r"of 16 x 16 x 16 voxels is too small"),
        ("label", Ridge(debias=True), r"model\.debias=true corrects predictions of a measure, and task=classification"),
        ("age", logistic, r"model=logistic predicts classes only, and task=regression asks for a measure"),
    ],
)
def test_impossible_task_is_told_before_the_run_directory_is_made(tmp_path, label, model, message):
    with pytest.raises(UserError) as raised:
        run_study(write_study(tmp_path, label), tmp_path / "run", model)
    assert re.search(message, raised.value.on_command_line())
    assert not (tmp_path / "run").exists()


def test_configuration_is_written_as_it_is_and_the_report_has_what_it_is_told(tmp_path):
    run_study(write_study(tmp_path), tmp_path / "run", Logistic(num_components=2, C=1.0))
    assert (tmp_path / "run/config.yaml").read_text() == "kept:\n- as\n- it\n- is\n"
    page = (tmp_path / "run/report.html").read_text()
    for text in ("a title", "AModel", "resolution</b> 16"):
        assert text in page
    assert "24 scans: 0 refused, 0 used with warnings." in page
    assert 'href="scans.html"' in page
    scans = (tmp_path / "run/scans.html").read_text()
    assert [scans.count(f"<b>s{number:02}</b>") for number in range(24)] == [1] * 24


@undrawn()
def test_log_of_a_run_has_whom_the_audit_leaves_out_and_why(tmp_path, caplog):
    caplog.set_level("INFO")
    source = replace(write_study(tmp_path), skip_bad=True)
    (tmp_path / "s03.nii").write_bytes(b"no scan")
    run_study(source, tmp_path / "run", Logistic(num_components=2, C=1.0))
    lines = (tmp_path / "run/log.txt").read_text().splitlines()
    (found,) = [number for number, line in enumerate(lines) if "1 of 24 scans cannot be used and is left out" in line]
    assert "WARNING mri3d.cohort.audit:" in lines[found]
    assert lines[found + 1].startswith("  s03: ")
    assert "not a NIfTI file" in lines[found + 1]
    assert any("INFO mri3d.study: study: 24 sessions: 23 take part (a 12, b 11), 1 left out" in line for line in lines)
    assert sum("mri3d.study: study:" in line for line in lines) == 1


def test_scans_that_end_a_run_are_pictured_beside_it(tmp_path):
    source = write_study(tmp_path)
    (tmp_path / "s03.nii").write_bytes(b"no scan")
    write_scan(tmp_path / "s04.nii", (head() > 0).astype(np.uint8), np.diag([*SPACING_MM, 1.0]))
    with pytest.raises(UserError, match=r"2 of 24 scans cannot be used:(.*\n)*Pictures of them: .*run-refused\.html"):
        run_study(source, tmp_path / "run", Logistic(num_components=2, C=1.0))
    page = (tmp_path / "run-refused.html").read_text()
    assert [page.count(f"<b>s{number:02}</b>") for number in (2, 3, 4)] == [0, 1, 1]
    assert page.count("<img") == 1
    assert not (tmp_path / "run").exists()


def test_mistake_that_shows_in_training_is_in_the_log_of_the_run(tmp_path, one_core):
    model = cnn()
    model.optimizer = functools.partial(torch.optim.SGD, lr=1e38)
    with pytest.raises(UserError, match="training diverged"):
        run_study(write_study(tmp_path), tmp_path / "run", model)
    assert "ERROR mri3d.records: training diverged" in (tmp_path / "run/log.txt").read_text()
    assert not (tmp_path / "run/metrics.json").exists()


@pytest.fixture(scope="module")
def regression(tmp_path_factory):
    """Run ridge on ages with correction, and without."""
    root = tmp_path_factory.mktemp("ages")
    source, made = write_study(root, "age"), {}
    for debias in (False, True):
        model = Ridge(num_components=[3, 0.9], inner_folds=3, debias=debias)
        with undrawn(), pytest.MonkeyPatch.context() as patch:
            if debias:  # the maps of the cohort are those of the first run
                patch.setattr("mri3d.runs.study_sections", lambda *given, **options: [])
            made[debias] = run_study(source, root / f"run_{debias}", model, KFold(folds=3))
    return root, made


def test_regression_leaves_the_scores_and_predictions_of_the_contract(regression):
    root, ends = regression
    folder = root / "run_False"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert list(metrics["test"]) == SCORES
    assert list(metrics["test"]["mae"]) == ["value", "low", "high"]
    assert metrics["outcome"] == {"task": "regression", "name": "age"}
    assert "classes" not in metrics
    table = rows_of(folder / "predictions.csv")
    assert list(table[0]) == ["subject", "fold", "split", "label", "prediction", "gap"]
    assert sorted(row["subject"] for row in table) == [f"s{number:02}" for number in range(24)]
    truth = {row["subject"]: row["age"] for row in rows_of(root / "study.csv")}
    labels, predictions, gaps = (
        np.array([float(row[name]) for row in table]) for name in ("label", "prediction", "gap")
    )
    assert labels.tolist() == [float(truth[row["subject"]]) for row in table]
    np.testing.assert_allclose(gaps, predictions - labels, atol=1e-6)
    scores = measure_scores(labels, predictions)
    assert {name: entry["value"] for name, entry in metrics["test"].items()} == pytest.approx(scores, rel=1e-6)
    assert scores["r2"] > 0.5, "the planted effect is learnt"
    card = json.loads((folder / "model/fold_0/card.json").read_text())
    assert card["outcome"] == {"task": "regression", "name": "age"}
    assert card["arguments"]["line"] is None
    lines = ends[False].lines
    low, high = (f"{metrics['test']['mae'][end]:.2f}" for end in ("low", "high"))
    assert float(low) < scores["mae"] < float(high)
    assert lines[0].startswith(f"test   MAE {scores['mae']:.3f} ({low} to {high}), R² {scores['r2']:.3f} (")
    assert (folder / "report.html").read_text().startswith("<!")


def test_correction_is_by_the_line_of_the_card_and_raw_scores_stand_beside(regression):
    root, _ = regression
    folder, plain = root / "run_True", rows_of(root / "run_False/predictions.csv")
    table = rows_of(folder / "predictions.csv")
    assert list(table[0]) == ["subject", "fold", "split", "label", "prediction", "gap", "prediction_raw"]
    for row, uncorrected in zip(table, plain, strict=True):
        card = json.loads((folder / f"model/fold_{row['fold']}/card.json").read_text())
        line = card["arguments"]["line"]
        raw = line["intercept"] + line["slope"] * float(row["prediction"])
        assert float(row["prediction_raw"]) == pytest.approx(raw, rel=1e-7)
        assert row["subject"] == uncorrected["subject"]
        assert float(row["prediction_raw"]) == pytest.approx(float(uncorrected["prediction"]), rel=1e-7)
        assert 0.2 <= line["slope"] < 1
    metrics = json.loads((folder / "metrics.json").read_text())["test"]
    assert list(metrics) == [*SCORES, *(f"{name}_raw" for name in SCORES)]
    assert metrics["mae"]["value"] != metrics["mae_raw"]["value"]
    assert abs(metrics["error_slope"]["value"]) < abs(metrics["error_slope_raw"]["value"])
    labels = np.array([float(row["label"]) for row in table])
    raw_scores = measure_scores(labels, np.array([float(row["prediction_raw"]) for row in table]))
    assert {name: metrics[f"{name}_raw"]["value"] for name in SCORES} == pytest.approx(raw_scores, rel=1e-6)


def test_a_saved_regression_predicts_what_the_run_predicted(regression):
    root, ends = regression
    for debias in (False, True):
        table = [row for row in rows_of(root / f"run_{debias}/predictions.csv") if row["fold"] == "1"]
        model = mri3d.load(root / f"run_{debias}/model/fold_1")
        frame = model.predict([root / f"{row['subject']}.nii" for row in table])
        assert frame["prediction"].tolist() == pytest.approx([float(row["prediction"]) for row in table], rel=1e-7)
        together = mri3d.load(root / f"run_{debias}")
        assert len(together.members) == 3
        assert ends[debias].results.folds[0].model is None, "a run keeps no model in memory"


@pytest.mark.parametrize(("label", "model"), [("label", logistic), ("age", cnn())], ids=["logistic", "cnn-age"])
@undrawn()
def test_a_run_on_all_rows_has_no_test_score_and_a_model_that_predicts(tmp_path, label, model, one_core):
    source = write_study(tmp_path, label)
    end = run_study(source, tmp_path / "run", model, All())
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    assert metrics["test"] == {}
    assert metrics["num_subjects"]["tested"] == 0
    assert metrics["folds"][0]["num_test"] == 0
    assert metrics["folds"][0]["num_train"] + metrics["folds"][0]["num_validation"] == 24
    cells = {"label": "p_a,p_b", "age": "gap"}[label]
    assert (tmp_path / "run/predictions.csv").read_text() == f"subject,fold,split,label,prediction,{cells}\n"
    assert end.lines[0] == "test   none: trained on all 24 subjects, so nothing says how good the model is"
    assert {row["fold"] for row in cohort_rows(tmp_path / "run").values()} == {"train", "validation"}
    assert "has no test score" in (tmp_path / "run/report.html").read_text()
    write_scan(tmp_path / "new.nii", head(seed=99), np.diag([*SPACING_MM, 1.0]))
    (row,) = mri3d.load(tmp_path / "run").predict(tmp_path / "new.nii").to_dict("records")
    assert row["status"] == "ok"
    if label == "label":
        assert row["p_a"] + row["p_b"] == pytest.approx(1)
    else:
        assert np.isfinite(row["prediction"])
