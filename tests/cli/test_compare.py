"""`mri3d compare`: what it prints and writes, how it names runs, and what it refuses."""

import csv
import os
import shutil

import pytest

from mri3d import KFold, Study, compare, evaluate, models
from mri3d.cli.compare import run_names
from tests.finished_runs import write_run
from tests.report.reader import read
from tests.studies import age_study, class_study

RIDGE, KNN = models.Ridge(num_components=0.9, inner_folds=2), models.KNN(k=3, num_components=0.9, inner_folds=2)
TARGETS = {"knn": "mri3d.models.classical.models.KNN", "ridge": "mri3d.models.classical.models.Ridge"}
FOLDS = KFold(folds=3)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Results, and the runs that they leave, by name."""
    study = class_study(effect=0.6)
    results = {name: evaluate(study, model, FOLDS, seed=1) for name, model in (("knn", KNN), ("ridge", RIDGE))}
    results["plain"] = evaluate(study, models.KNN(k=1, num_components=0.9, inner_folds=2), FOLDS, seed=1)
    results["seed 2"] = evaluate(study, RIDGE, FOLDS, seed=2)
    results["age knn"], results["age"] = (evaluate(age_study(), model, FOLDS, seed=1) for model in (KNN, RIDGE))
    runs = tmp_path_factory.mktemp("runs")
    targets = {name: TARGETS["knn" if name in ("knn", "plain", "age knn") else "ridge"] for name in results}
    return results, {
        name: write_run(runs / f"demo-{name}/2030", each, model=targets[name]) for name, each in results.items()
    }


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_two_runs_are_compared_as_their_results(finished, shows, tmp_path):
    results, runs = finished
    status, out, said = shows("mri3d", "compare", str(runs["knn"]), str(runs["ridge"]), "out=found")
    assert (status, said) == (0, "")
    expected = compare(results["knn"], results["ridge"])
    rows = rows_of(tmp_path / "found/comparison.csv")
    assert [row["score"] for row in rows] == list(expected.index)
    columns = {"value_first": "first", "value_second": "second"} | {
        name: name for name in expected.columns if name not in ("first", "second")
    }
    for row in rows:
        assert (row["first"], row["second"]) == ("KNN", "Ridge")
        assert (row["run_first"], row["run_second"]) == (str(runs["knn"]), str(runs["ridge"]))
        for column, name in columns.items():
            value = expected.loc[row["score"], name]
            assert row[column] == ("" if value != value else str(value)), column
    assert [row["p_holm"] for row in rows[:2]] == [rows[0]["p"], ""]
    lines, auc = out.splitlines(), expected.loc["auc"]
    assert lines[0].split("  ")[0] == "Models"
    values = f"{auc['second']:.3f} against {auc['first']:.3f}"
    assert lines[1].startswith(f"Ridge against KNN  AUC (primary)      {values}  {auc['difference']:.3f} (")
    assert [line.split("  ")[1].strip() for line in lines[1:4]] == ["AUC (primary)", "Accuracy", "Balanced accuracy"]
    assert lines[5].startswith(f"The AUC of Ridge is {auc['difference']:.3f} higher than that of KNN (95 % interval ")
    assert f"; p = {auc['p']:.3g} by DeLong's test within folds, widened because folds share training" in lines[5]
    assert lines[5].endswith("): no evidence of a difference.")
    assert lines[7:] == ["table  found/comparison.csv", "report found/report.html"]
    page = read(tmp_path / "found/report.html")
    assert lines[5] in page.texts
    assert len(page.images) == 2
    for name in ("knn", "ridge"):
        link = os.path.relpath(runs[name] / "report.html", tmp_path / "found")
        assert f'href="{link}"' in (tmp_path / "found/report.html").read_text()


def test_several_runs_have_adjusted_p_and_a_folder_of_their_own(finished, shows, tmp_path):
    results, runs = finished
    status, out, _ = shows("mri3d", "compare", *(str(runs[name]) for name in ("knn", "ridge", "plain")))
    assert status == 0
    (folder,) = (tmp_path / "runs").glob("*-comparison")
    rows = [row for row in rows_of(folder / "comparison.csv") if row["score"] == "auc"]
    names = ["demo-knn", "demo-ridge", "demo-plain"]  # two of them are of one model
    assert [(row["first"], row["second"]) for row in rows] == [
        (names[0], names[1]), (names[0], names[2]), (names[1], names[2]),
    ]  # fmt: skip
    expected = compare(*(results[name] for name in ("knn", "ridge", "plain")))
    p_holm = [expected.loc[(*pair, "auc"), "p_holm"] for pair in (("1", "2"), ("1", "3"), ("2", "3"))]
    assert [float(row["p_holm"]) for row in rows] == p_holm
    best = max(names, key=lambda name: results[name.removeprefix("demo-")].scores["auc"].value)
    told = out.splitlines()[11:-3]
    assert told[0].startswith(f"The highest AUC of 3 models is that of {best}: ")
    assert len(told) == 3
    assert all("adjusted for 3 pairs by Holm's method p " in line for line in told[1:])


def test_a_measure_is_compared_by_its_error(finished, shows):
    results, runs = finished
    status, out, _ = shows("mri3d", "compare", str(runs["age knn"]), str(runs["age"]), "out=found")
    assert status == 0
    table = compare(results["age knn"], results["age"]).loc["mae"]
    better, worse = ("Ridge", "KNN") if table["difference"] < 0 else ("KNN", "Ridge")
    sentence = out.splitlines()[5]
    assert sentence.startswith(
        f"The MAE of {better} is {abs(table['difference']):.3f} lower than that of {worse} (95 %"
    )
    assert f"p = {table['p']:.3g} by resampling, widened because" in sentence or "p < 0.001" in sentence
    assert "McNemar" not in out


def test_nothing_of_the_user_is_replaced(finished, here, tmp_path):
    _, runs = finished
    two = (str(runs["knn"]), str(runs["ridge"]))
    for name in ("report.html", "comparison.csv"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text("mine")
        status, said = here("mri3d", "compare", *two, f"out={name}")
        assert (status, said) == (
            2, f"error: {name}/{name} is there already, and would be replaced. Remove it, or set another out.\n",
        )  # fmt: skip
        assert [path.read_text() for path in (tmp_path / name).iterdir()] == ["mine"]
    run = shutil.copytree(runs["knn"], tmp_path / "run")
    status, said = here("mri3d", "compare", *two, "out=run")
    assert "out=run holds a run or a model, whose own files would be replaced." in said
    assert sorted(path.name for path in run.iterdir()) == [
        "cohort.csv",
        "config.yaml",
        "metrics.json",
        "predictions.csv",
    ]
    (tmp_path / "file").write_text("")
    assert "out=file cannot be written to" in here("mri3d", "compare", *two, "out=file")[1]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "no run is given. Give two or more: python -m mri3d compare runs/a runs/b"),
        (["{knn}"], "one run is given. Give two or more: python -m mri3d compare runs/a runs/b"),
        (["{knn}", "{ridge}", "{knn}/"], "{knn} is given twice. Give each run once."),
        (["{knn}", "{ridge}", "outt=x"], "there is no key 'outt'. Did you mean 'out'? The keys: out, debug."),
        (["{knn}", "{ridge}", "data.root=x"], "there is no key 'data'. The keys: out, debug."),
        (["{knn}", "{ridge}", "--out=x"], "'--out=x' is neither a run nor of the form key=value (keys: out, debug)."),
        (["{knn}", "{ridge}", "out="], "out is empty. Give the folder for the results."),
        (["{knn}", "none"], "none does not exist. Give a finished run, such as runs/demo-sfcn-50/<timestamp>."),
        (["{age}", "{ridge}"], "{age} and {ridge} are of different outcomes, and their scores cannot be compared."),
        (
            ["{ridge}", "{seed 2}"],
            "another set: evaluation.splits={ridge}.",
        ),
    ],
)  # fmt: skip
def test_mistakes_are_told_in_one_message(arguments, told, finished, here, tmp_path):
    _, runs = finished
    places = {name: str(run) for name, run in runs.items()}
    status, said = here("mri3d", "compare", *(argument.format(**places) for argument in arguments))
    assert status == 2
    if told.startswith("another set"):
        assert said.startswith(
            f"error: {places['ridge']} and {places['seed 2']} did not test the same sessions in the same folds: "
        )
        told = f"Train one of them anew on the test sets of the other: evaluation.splits={places['ridge']}."
        assert said.endswith(f" {told}\n")
    else:
        assert said == f"error: {told.format(**places)}\n"
    assert list(tmp_path.iterdir()) == []


def test_the_same_ids_with_another_truth_are_refused(finished, here, tmp_path):
    _, runs = finished
    swapped = Study.from_arrays(class_study(effect=0.6).volumes.volumes, ["patient", "control"] * 12)
    write_run(tmp_path / "other", evaluate(swapped, RIDGE, FOLDS, seed=1))
    status, said = here("mri3d", "compare", str(runs["ridge"]), "other")
    assert status == 2
    assert said.startswith(f"error: {runs['ridge']} and other have different labels for 24 sessions (0,")


def test_an_interrupted_run_and_a_traceback(finished, here, tmp_path, caplog):
    _, runs = finished
    cut_off = shutil.copytree(runs["knn"], tmp_path / "runs/cut")
    (cut_off / "metrics.json").unlink()
    status, said = here("mri3d", "compare", str(runs["ridge"]), "runs/cut", "debug=true")
    assert status == 2
    assert caplog.records[-1].exc_info
    assert said.endswith("the run was cut off, or is at work still. Wait for it, or train on with resume=runs/cut\n")


def test_runs_are_named_by_what_sets_them_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def named(**targets):
        for place, target in targets.items():
            folder = tmp_path / place.replace("__", "/")
            folder.mkdir(parents=True)
            model = (
                f"model: {{network: {{_target_: {target}}}}}" if "nets" in target else f"model: {{_target_: {target}}}"
            )
            (folder / "config.yaml").write_text(f"{model}\ntrainer: {{}}\nseed: 0\n" if target else "]")
        return run_names([tmp_path / place.replace("__", "/") for place in targets])

    assert named(a__1="mri3d.nets.SFCN", a__2="mri3d.models.classical.models.KNN") == ["SFCN", "KNN"]
    assert named(b__1="x.KNN", b__2="x.KNN") == ["1", "2"]
    assert named(c__1="x.KNN", d__1="x.KNN") == ["c", "d"]
    assert named(e__1="x.KNN", f__1="") == ["e", "f"]
    assert named(g__1="x.KNN", g__2="x.KNN", h__1="x.KNN") == [str(tmp_path / place) for place in ("g/1", "g/2", "h/1")]


def test_help_and_the_list_of_commands(shows):
    assert "is a run better than another?" in shows("mri3d", "--help")[1]
    status, out, _ = shows("mri3d", "compare", "--help")
    assert status == 0
    assert "python -m mri3d compare runs/sfcn/x runs/ridge/y runs/knn/z out=comparison" in out
