"""A sweep goes on when a run fails, and ends with the table of what the runs wrote."""

import json
from pathlib import Path

import numpy as np
import pytest

from mri3d.cli.sweep import Sweep
from mri3d.errors import UserError
from tests.cli.test_train_and_predict import rows_of
from tests.commands import run_here, undrawn
from tests.report.reader import read
from tests.studies import write_heads

SCORES = ("auc", "accuracy", "balanced_accuracy")


@pytest.fixture(scope="module")
@undrawn()
def swept(tmp_path_factory):
    cwd = tmp_path_factory.mktemp("sweep")
    write_heads(cwd / "study", 16, group=["north", "south", "south", "north"] * 4)  # of which nothing tells
    table = ("data=table", "data.root=study", "data.table=study.csv", "data.id=subject", 'data.scan="{id}.nii"')
    done = run_here(
        "train", "-m", *table, "data.label=group", "resolution=12,13", "model=knn,ridge", "evaluation=nested",
        "evaluation.folds=2", "model.inner_folds=2", "model.alpha=[0.1,1.0]", cwd=cwd, status=2,
    )  # fmt: skip
    return cwd, done


def test_the_table_equals_what_each_run_wrote(swept):
    cwd, _ = swept
    rows = rows_of(*cwd.glob("runs/*-sweep/models.csv"))
    assert len(rows) == 4
    ended = [row for row in rows if not row["failure"]]
    assert {(row["model"], row["resolution"]) for row in ended} == {("ridge", "12"), ("ridge", "13")}
    assert rows[:2] == sorted(ended, key=lambda row: -float(row["auc"]))
    for row in ended:
        metrics = json.loads((cwd / row["run"] / "metrics.json").read_text())
        assert float(row["seconds"]) == metrics["seconds"]["total"]
        assert float(row["peak_memory_mb"]) == metrics["peak_memory_mb"]
        for name in SCORES:
            folds = [fold["scores"][name] for fold in metrics["folds"]]
            ends = [metrics["test"][name][end] for end in ("low", "high")]
            assert [float(row[f"{name}_{end}"]) for end in ("low", "high")] == ends
            assert float(row[name]) == metrics["test"][name]["value"]
            assert float(row[f"{name}_mean"]) == pytest.approx(np.mean(folds))
            assert float(row[f"{name}_sd"]) == pytest.approx(np.std(folds, ddof=1))


def test_a_failing_run_is_a_row_with_its_reason(swept):
    cwd, done = swept
    failed = [row for row in rows_of(*cwd.glob("runs/*-sweep/models.csv")) if row["failure"]]
    assert [(row["model"], row["auc"], row["run"]) for row in failed] == [("knn", "", "")] * 2
    assert "model.alpha is no option of KNN" in failed[0]["failure"]
    assert f"error: {failed[0]['failure']}" in done.stderr


def test_standard_output_ends_with_the_table_after_the_lines_of_the_runs(swept):
    cwd, done = swept
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines[:6]] == ["test", "run", "report"] * 2
    assert lines[6] == ""
    assert lines[7].split()[:3] == ["resolution", "model", "AUC"]
    assert [line.split()[1] for line in lines[8:12]] == ["ridge", "ridge", "knn", "knn"]
    starts = {line.index("  runs/") for line in lines[8:10]} | {line.index("  failed: ") for line in lines[10:12]}
    assert len(starts) == 1  # columns are aligned
    assert lines[12] == "There is no evidence that the best of them is better than chance."
    assert [line.split("  ")[0] for line in lines[13:15]] == ["", f"against {lines[8].split()[0]} · ridge"]
    assert lines[14].split("  ")[1:] == ["Difference in AUC (95 % interval)", "p"]
    assert lines[15].startswith(f"{lines[9].split()[0]} · ridge ")
    assert lines[16] == ""
    page = cwd / lines[17].removeprefix("sweep  ")
    assert "AUC by resolution, and what the runs took." in page.read_text()
    assert len(lines) == 18
    for folder in (line.split()[-1] for line in lines[8:10]):
        assert f'href="../{Path(folder).relative_to("runs")}/report.html"' in page.read_text()
        assert "What the inner folds chose" in (cwd / folder / "report.html").read_text()


@pytest.mark.parametrize("models", ["model=sfcn,ridge,knn,seed", "model=choice(sfcn,ridge)"])
def test_options_of_the_trainer_are_for_the_networks_among_the_models(models, here, monkeypatch):
    begun = []

    def noted(configuration, folder, **options):
        begun.append((configuration["model"]["_target_"].rpartition(".")[2], configuration["trainer"]["max_epochs"]))
        raise UserError("it is enough to have begun")

    monkeypatch.setattr("mri3d.cli.train.execute", noted)
    status, said = here("train", "-m", models, "trainer.max_epochs=5,6", "resolution=24")
    assert status == 2
    expected = ["CNN", "Ridge", "KNN", "CNN"] if "knn" in models else ["CNN", "Ridge"]
    assert begun == [(name, epochs) for name in expected for epochs in (5, 6)]
    classical = [name for name in expected if name != "CNN"]
    told = [line for line in said.splitlines() if "does nothing" in line]
    assert told == [
        f"trainer.max_epochs={epochs} does nothing for {name}, which is fitted without a trainer."
        for name in classical
        for epochs in (5, 6)
    ]


def test_options_of_the_trainer_are_refused_in_a_sweep_of_one_model_without(here):
    status, said = here("train", "-m", "model=ridge", "resolution=24,30", "trainer.max_epochs=5")
    assert status == 2
    told = (
        "error: trainer.max_epochs=5 does nothing for Ridge, which is fitted without a trainer. Leave it out, or choose"
    )
    assert said.count(told) == 2


def test_one_run_and_failures_alone_leave_nothing(tmp_path):
    sweep = Sweep()
    sweep.root = tmp_path
    with sweep.run(["model=knn"], tmp_path / "knn"):
        pass
    assert sweep.finish() == []
    failed = Sweep()
    failed.root = tmp_path
    for _ in range(2):
        with pytest.raises(UserError), failed.run(["model=knn"], tmp_path / "knn"):
            raise UserError("no cohort")
    assert failed.finish() == []
    assert list(tmp_path.iterdir()) == []


def test_crashes_and_interruptions_are_told_by_name(tmp_path):
    metrics = {
        "test": {name: {"value": 0.5} for name in SCORES},
        "folds": [{"scores": dict.fromkeys(SCORES, 0.5)}],
        "seconds": {"total": 3.0},
        "classes": ["F", "M"],
    }
    (tmp_path / "a").mkdir()
    (tmp_path / "a/metrics.json").write_text(json.dumps(metrics))
    sweep = Sweep()
    sweep.root = tmp_path

    def wrapped():
        try:
            raise UserError("give\nless")
        except UserError as error:
            raise RuntimeError("call failed") from error

    with sweep.run(["++model.k=[1,3]", "model=knn"], tmp_path / "a"):
        pass
    with pytest.raises(RuntimeError), sweep.run(["++model.k=5", "model=knn"], tmp_path / "b"):
        wrapped()
    with pytest.raises(MemoryError), sweep.run(["++model.k=7", "model=knn"], tmp_path / "c"):
        raise MemoryError
    with pytest.raises(KeyboardInterrupt), sweep.run(["++model.k=9", "model=knn"], tmp_path / "d"):
        raise KeyboardInterrupt
    lines = sweep.finish()
    assert lines[1].split()[0] == "model.k"
    assert [line.split()[0] for line in lines[2:6]] == ["[1,3]", "5", "7", "9"]
    assert [line.partition("failed: ")[2] for line in lines[3:6]] == ["give less", "MemoryError", "KeyboardInterrupt"]


def test_runs_of_different_tasks_are_ranked_apart(tmp_path):
    def metrics(outcome, scores):
        test = {name: {"value": value} for name, value in scores.items()}
        return {"outcome": outcome, "test": test, "folds": [{"scores": scores}], "seconds": {"total": 3.0}}

    sex = {"task": "classification", "name": "sex", "classes": ["F", "M"]}
    age = {"task": "regression", "name": "age"}
    of_ages = {"a": 9.0, "c": 7.5}
    for name, auc in {"b": 0.7, "d": 0.9}.items():
        write(tmp_path / name, metrics(sex, dict.fromkeys(SCORES, auc)))
    for name, error in of_ages.items():
        write(tmp_path / name, metrics(age, {"mae": error, "r2": 0.5, "pearson_r": 0.7}))
    sweep = Sweep()
    sweep.root = tmp_path
    for name in "abcd":
        task = "task=regression" if name in of_ages else "task=classification"
        with sweep.run([task, f"model={name}"], tmp_path / name):
            pass
    with pytest.raises(UserError), sweep.run(["task=classification", "model=e"], tmp_path / "e"):
        raise UserError("no cohort")
    lines = sweep.finish()
    assert [line.split()[0] for line in lines if line] == [
        "age", "model", "c", "a", "not", "sex", "model", "d", "b", "e", "not", "sweep",
    ]  # fmt: skip
    assert lines[2].split()[:4] == ["model", "MAE", "R²", "Pearson"]
    rows = rows_of(*tmp_path.glob("*-sweep/models.csv"))
    assert [(row["model"], row["mae"], row["auc"]) for row in rows] == [
        ("c", "7.5", ""), ("a", "9.0", ""), ("d", "", "0.9"), ("b", "", "0.7"), ("e", "", ""),
    ]  # fmt: skip


def write(folder, metrics):
    folder.mkdir()
    (folder / "metrics.json").write_text(json.dumps(metrics))


def test_a_sweep_is_compared_as_the_command_compares_its_runs(swept):
    cwd, _ = swept
    (folder,) = cwd.glob("runs/*-sweep")
    ended = [row["run"] for row in rows_of(folder / "models.csv") if row["run"]]
    run_here("mri3d", "compare", *ended, "out=again", cwd=cwd)
    found, again = (rows_of(place / "comparison.csv") for place in (folder, cwd / "again"))
    assert [row["run_first"] for row in found] == [ended[0]] * len(found)
    names = {"first", "second"}
    assert [{k: v for k, v in row.items() if k not in names} for row in found] == [
        {k: v for k, v in row.items() if k not in names} for row in again
    ]
    assert (found[0]["first"], found[0]["second"]) in {("12 · ridge", "13 · ridge"), ("13 · ridge", "12 · ridge")}
    page = read(folder / "report.html").texts
    assert "Differences" in page
    assert f"{found[0]['second']} against {found[0]['first']}" in page
