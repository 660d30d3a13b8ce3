"""`mri3d trust`: what it prints and writes, what it takes and what it refuses."""

import csv
import json
import shutil

import pytest

from tests.commands import run_here, undrawn
from tests.studies import write_heads

SMALL = ("resolution=16", "model.network.channels=[4,4]", "trainer.accelerator=cpu", "trainer.max_epochs=2")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of two folds on heads in a table, beside these heads."""
    cwd = tmp_path_factory.mktemp("trust")
    write_heads(cwd / "study", 24)
    data = ("data=table", "data.root=study", "data.table=study.csv", 'data.scan="{id}.nii"', "data.id=subject")
    folds = ("evaluation=kfold", "evaluation.folds=2", "name=heads")
    run_here("train", *data, "data.label=label", "model.covariates=[age]", *folds, *SMALL, cwd=cwd)
    (folder,) = cwd.glob("runs/heads/*")
    return folder.relative_to(cwd), cwd


@pytest.mark.slow
@undrawn()
def test_a_finished_run_is_examined_by_several_ways(run):
    folder, cwd = run
    ways = ("smoothgrad", "integrated_gradients")
    done = run_here("mri3d", "trust", f"run={folder}", f"method={','.join(ways)}", "scans=10", cwd=cwd)
    *lines, table, report = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(ways)
    assert all(": " in line and ("trusted" in line or "not judged" in line) for line in lines)
    assert (table, report) == (f"table  {folder}/trust/trust.csv", f"report {folder}/trust/report.html")
    content = json.loads((cwd / folder / "trust/trust.json").read_text())
    assert [way["method"] for way in content["ways"]] == list(ways)
    assert all(way["num_scans"] == 10 and way["agreement"] is not None for way in content["ways"])
    with (cwd / folder / "trust/trust.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    with (cwd / folder / "cohort.csv").open(newline="") as file:
        folds = {row["subject"]: row["fold"] for row in csv.DictReader(file)}
    assert len(rows) == 20
    assert all(row["fold"] == folds[row["subject"]] for row in rows)
    again = run_here("mri3d", "trust", f"run={folder}", "method=smoothgrad", "scans=5", cwd=cwd)
    assert len(again.stdout.splitlines()) == 3
    assert len(json.loads((cwd / folder / "trust/trust.json").read_text())["ways"]) == 1


@pytest.mark.slow
@undrawn()
def test_scans_that_moved_or_changed_are_told(run, tmp_path):
    folder, cwd = run
    shutil.copytree(cwd / "study", tmp_path / "new")
    shutil.copytree(cwd / folder, tmp_path / "run")
    command = ("mri3d", "trust", "run=run", "method=gradcam", "scans=5")
    told = run_here(*command, cwd=tmp_path, status=2).stderr
    assert "error: " in told
    assert "data.root=study" in told
    done = run_here(*command, "data.root=new", "out=elsewhere", cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "report elsewhere/report.html"
    shutil.copy(tmp_path / "new/s01.nii", tmp_path / "spare.nii")
    (tmp_path / "new/s01.nii").unlink()
    told = run_here(*command, "data.root=new", cwd=tmp_path, status=2).stderr
    assert "s01" in told.rpartition("error: ")[2]
    data = bytearray((tmp_path / "spare.nii").read_bytes())
    data[-40_000:] = bytes(20_000) + data[-20_000:]
    (tmp_path / "new/s01.nii").write_bytes(data)
    told = run_here(*command[:-1], "data.root=new", cwd=tmp_path, status=2).stderr
    assert "error: run cannot be examined: 1 scan that it tested has changed since (s01)." in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "run is not set. Give run=..."),
        (["run="], "run is not set. Give run=..."),
        (["run=none"], "none does not exist. Give a finished run, such as runs/demo-sfcn-50/<timestamp>."),
        (["run=[a,b]"], "run=[a,b] is no path. Give a run."),
        (["rum=x"], "there is no key 'rum'. Did you mean 'run'?"),
        (["run=x", "data.label=age"], "a run has its own data, but for where they lie (data.root, data.table, "),
        (["run=x", "scans=many"], "scans=many is no number of scans. Give one, or leave it out for all."),
        (["run=x", "scans=5.5"], "scans=5.5 is no number of scans."),
        (["run=x", "layer=3"], "layer=3 is no text."),
        (["run=x", "out="], "out is empty. Give the folder for the results."),
    ],
)
def test_mistakes_are_told_in_one_message(arguments, told, here, tmp_path):
    status, said = here("mri3d", "trust", *arguments)
    assert status == 2
    assert said.startswith(f"error: {told}"), said
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_help(shows):
    assert "can the heatmaps of a finished run be trusted?" in shows("mri3d", "--help")[1]
    status, out, _ = shows("mri3d", "trust", "--help")
    assert status == 0
    assert "python -m mri3d trust run=runs/x/y method=integrated_gradients,smoothgrad scans=50" in out
    assert max(map(len, out.splitlines())) <= 120
