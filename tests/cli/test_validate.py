"""`mri3d validate`: what it prints and writes, what it takes and what it refuses."""

import csv
import json
import shutil

import numpy as np
import pytest

from mri3d import KFold, Recipe, Study, evaluate, load, models
from tests.commands import undrawn
from tests.finished_runs import write_run
from tests.report.reader import read
from tests.studies import write_heads

TRAINED, PEOPLE = 24, 36
TABLE = ("data=table", "data.id=subject", 'data.scan="{id}.nii"', "data.table=others.csv")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Heads in `study.csv`, and of those that are not trained on `others.csv`."""
    folder = tmp_path_factory.mktemp("heads")
    write_heads(folder, PEOPLE, clinic=["north", "south"] * (PEOPLE // 2))
    header, *rows = (folder / "study.csv").read_text().splitlines()
    (folder / "trained.csv").write_text("\n".join([header, *rows[:TRAINED]]) + "\n")
    (folder / "others.csv").write_text("\n".join([header, *rows[TRAINED:]]) + "\n")
    return folder


@pytest.fixture(scope="module")
def run(root, tmp_path_factory):
    """A run of two folds."""
    study = Study.from_table("trained.csv", root=root, id="subject", scan="{id}.nii", recipe=Recipe(16))
    results = evaluate(study, models.Ridge(num_components=0.9, inner_folds=2), KFold(folds=2))
    folder = write_run(tmp_path_factory.mktemp("runs") / "heads-ridge-16/2030", results)
    results.model.save(folder / "model")
    return folder


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_is_validated_on_a_table(root, run, shows, tmp_path):
    status, out, said = shows(
        "mri3d", "validate", f"model={run}", *TABLE, f"data.root={root}", "data.site=clinic", "prevalence=0.1", "out=v"
    )
    assert status == 0, said
    lines = out.splitlines()
    assert lines[0].startswith("test   AUC ")
    assert lines[0].endswith(" (12 subjects that the model never saw)")
    assert lines[1:] == ["table  v/predictions.csv", "report v/report.html"]
    assert "cohort: 12 sessions: 12 take part" in said
    rows = rows_of(tmp_path / "v/predictions.csv")
    assert list(rows[0]) == ["subject", "label", "prediction", "p_a", "p_b", "status", "warnings", "spread"]
    expected = load(run).predict([root / f"{row['subject']}.nii" for row in rows])
    np.testing.assert_allclose([float(row["p_b"]) for row in rows], expected["p_b"], rtol=1e-6, atol=1e-9)
    content = json.loads((tmp_path / "v/metrics.json").read_text())
    right = np.mean([row["prediction"] == row["label"] for row in rows])
    assert content["test"]["accuracy"]["value"] == pytest.approx(right)
    assert content["own_test"]["auc"] == json.loads((run / "metrics.json").read_text())["test"]["auc"]
    assert content["decisions"]["prevalence"] == {"b": 0.1, "a": 0.9}
    assert content["num_subjects"]["tested"] == 12
    page = read(tmp_path / "v/report.html")
    assert "External validation" in page.texts
    assert f" {run}" in page.texts


@undrawn()
def test_without_out_each_validation_has_a_folder_of_its_own(root, run, shows, tmp_path):
    for _ in range(2):
        assert shows("mri3d", "validate", f"model={run}/model/fold_0", *TABLE, f"data.root={root}")[0] == 0
    folders = sorted((tmp_path / "runs").glob("*-validation"))
    assert len(folders) == 2
    for folder in folders:
        assert sorted(path.name for path in folder.iterdir()) == ["metrics.json", "predictions.csv", "report.html"]


@undrawn()
def test_threshold_and_names_in_quotes(root, run, shows, tmp_path):
    options = ('prevalence={"a": 0.7, b: 0.3}', "threshold=balanced", "out=v")
    assert shows("mri3d", "validate", f"model={run}", *TABLE, f"data.root={root}", *options)[0] == 0
    content = json.loads((tmp_path / "v/metrics.json").read_text())
    assert content["decisions"]["prevalence"] == {"b": 0.3, "a": 0.7}
    assert any(text.startswith(" b from a probability of 0.5 on") for text in read(tmp_path / "v/report.html").texts)


@undrawn()
def test_seen_scans_are_refused_or_marked(root, run, shows, tmp_path):
    command = ("mri3d", "validate", f"model={run}", *TABLE[:3], "data.table=study.csv", f"data.root={root}", "out=v")
    status, out, said = shows(*command)
    assert (status, out) == (2, "")
    assert (
        "error: the model has seen the scans of 24 of 36 sessions: s00 was among the training scans of 1 of the 2"
        in said
    )
    assert said.endswith("or set allow_seen=true: then they are predicted, and left out of the scores.\n")
    assert not (tmp_path / "v").exists()
    status, out, _ = shows(*command, "allow_seen=true")
    assert "(12 subjects that the model never saw)" in out
    rows = rows_of(tmp_path / "v/predictions.csv")
    assert [row["status"] == "seen" for row in rows] == [True] * 24 + [False] * 12


def test_nothing_of_the_user_is_replaced(root, run, here, tmp_path):
    (tmp_path / "v").mkdir()
    (tmp_path / "v/report.html").write_text("mine")
    command = ("mri3d", "validate", f"model={run}", *TABLE, f"data.root={root}")
    assert here(*command, "out=v") == (
        2, "error: v/report.html is there already, and would be replaced. Remove it, or set another out.\n",
    )  # fmt: skip
    assert [path.read_text() for path in (tmp_path / "v").iterdir()] == ["mine"]
    copy = shutil.copytree(run, tmp_path / "copy")
    assert "out=copy holds a run or a model, whose own files would be replaced." in here(*command, "out=copy")[1]
    assert not (copy / "report.html").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["model={run}"], "data is not set: who the people are. Give data=table or data=bids, see --help."),
        ([*TABLE, "data.root={root}"], "model is not set. Give model=..."),
        (["model=none", *TABLE, "data.root={root}"], "none is no folder. Give a run, such as runs/demo-sfcn-50/"),
        (["model={run}", *TABLE, "data.root={root}", "preprocess=cube"], "preprocess=cube: the model has its own "),
        (["model={run}", *TABLE, "data.root={root}", "task=regression"], "task=regression: the model has its own "),
        (["model={run}", *TABLE, "data.root={root}", "outt=x"], "there is no key 'outt'. Did you mean 'out'?"),
        (["model={run}", *TABLE, "data.root={root}", "out="], "out is empty. Give the folder for the results."),
        (["model={run}", *TABLE, "data.root={root}", "allow_seen=maybe"], "allow_seen=maybe is neither true nor"),
        (["model={run}", *TABLE, "data.root={root}", "prevalence=2"], "prevalence=2: how frequent a class is, is a "),
        (["model={run}", *TABLE, "data.root={root}", "threshold=low"], "threshold=low is no threshold."),
        (["model={run}", *TABLE, "data.root={root}", "data.labl=x"], "data.labl is no option of Table. Did you mean"),
        (
            ["model={run}", *TABLE, "data.root={root}", "data.label=clinic"],
            "the model predicts a and b, and column 'clinic' of others.csv has 'north' (6 sessions), 'south' (6 ",
        ),
    ],
)  # fmt: skip
def test_mistakes_are_told_in_one_message(arguments, told, root, run, here, tmp_path):
    status, said = here(
        "mri3d",
        "validate",
        *(argument.format(root=root, run=run) if "{id}" not in argument else argument for argument in arguments),
    )
    assert status == 2
    assert said.startswith(f"error: {told}"), said
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_help(shows):
    assert "on labelled people whom it never saw" in shows("mri3d", "--help")[1]
    status, out, _ = shows("mri3d", "validate", "--help")
    assert status == 0
    assert "python -m mri3d validate model=runs/x/y data=bids data.root=/bids data.label=sex" in out
    assert "'{a: 0.2, b: 0.8}'" in out
    assert max(map(len, out.splitlines())) <= 120
    status, out, _ = shows("mri3d", "validate", "model=runs/x/y", "data=table", "--help")
    assert status == 0
    assert out.startswith("data=table: ")
    assert "model." not in out
