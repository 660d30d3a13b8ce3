"""The wheel holds all that a run needs, and gives the command `mri3d` that works from any folder."""

import csv
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PARTS = {".html", ".js", ".css", ".txt"}  # of pages
SMALL = ("data.demo.num_subjects=16", "resolution=24", "model.network.channels=[4,8,4]", "trainer.max_epochs=1")


def packages():
    return {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "mri3d").rglob("__init__.py")}


def test_every_package_is_named_in_pyproject():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert set(settings["packages"]) == packages() | {"mri3d.conf"}
    assert settings["package-dir"] == {"mri3d.conf": "conf"}


def call(*command: object, cwd, **environment: str):
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=900,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | environment,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build the wheel from a copy: nothing is left in the repository, and nothing of an earlier build gets in."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("mri3d", "conf"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    call(sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation", "-w", out, cwd=source)
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def fresh(wheel, tmp_path_factory):
    """Install the wheel into an environment of its own, which borrows everything but mri3d from this one."""
    folder = tmp_path_factory.mktemp("fresh")
    call(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    python = folder / "bin" / "python"
    call(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=folder)
    site = sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)})
    (Path(site) / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "bin"


@pytest.mark.slow
def test_wheel_holds_every_option_and_nothing_else_than_the_package(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    options = {f"mri3d/{path.relative_to(ROOT)}" for path in (ROOT / "conf").rglob("*.yaml")}
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "mri3d").rglob("*.py")}
    inside = {name for name in names if ".dist-info/" not in name}
    parts = {str(path.relative_to(ROOT)) for path in (ROOT / "mri3d/report").iterdir() if path.suffix in PARTS}
    assert len(parts) == 6
    assert inside == options | modules | parts


@pytest.mark.slow
def test_installed_command_trains_and_predicts_outside_the_repository(fresh, tmp_path):
    where = call(fresh / "python", "-c", "import mri3d; print(mri3d.__file__)", cwd=tmp_path).stdout
    assert Path(where.strip()).is_relative_to(fresh.parent)
    assert "mri3d train" in call(fresh / "mri3d", "--help", cwd=tmp_path).stdout
    assert "mri3d train -m model=sfcn,linear_svm" in call(fresh / "mri3d", "train", "--help", cwd=tmp_path).stdout
    told = call(fresh / "mri3d", "train", "model=sfcn", "--help", cwd=tmp_path).stdout
    assert "model.network.channels=[32,64,128,64]" in told
    settings = {"OMP_NUM_THREADS": "1"}
    done = call(fresh / "mri3d", "train", *SMALL, "trainer.accelerator=cpu", cwd=tmp_path, **settings)
    metric, run, report = done.stdout.splitlines()
    assert metric.startswith("test   AUC")
    folder = tmp_path / run.split()[1]
    assert (tmp_path / report.split()[1]).is_file()
    with (folder / "cohort.csv").open(newline="") as file:
        scan = next(csv.DictReader(file))["scan"]
    call(fresh / "mri3d", "predict", f"model={folder}", f"scans={scan}", "out=new", cwd=tmp_path, **settings)
    with (tmp_path / "new/predictions.csv").open(newline="") as file:
        assert next(csv.DictReader(file))["prediction"] in ("-1", "1")
    made = call(fresh / "mri3d", "averages", f"run={folder}", "out=maps", cwd=tmp_path, **settings).stdout
    assert made.startswith("made   averages of -1 (8 subjects), 1 (8 subjects)")


@pytest.mark.slow
def test_installed_command_starts_its_other_devices(fresh, tmp_path):
    options = ("trainer.accelerator=cpu", "trainer.devices=2", "name=two")
    done = call(fresh / "mri3d", "train", *SMALL, *options, cwd=tmp_path, OMP_NUM_THREADS="1")
    assert len(done.stdout.splitlines()) == 3
    assert len(list(tmp_path.glob("runs/two/*/metrics.json"))) == 1
    assert len(list(tmp_path.glob("runs/*/*"))) == 1
