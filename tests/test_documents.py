"""The documents are true: their code runs and prints what they say, their commands run, their links and paths exist."""

import contextlib
import csv
import io
import itertools
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import mri3d
from mri3d.nets.networks import GROUP
from tests.pages import (
    PAGES,
    ROOT,
    blocks,
    commands,
    write_bids,
    write_brains,
    write_seed_study,
    write_study,
)
from tests.studies import cnn

README, PYTHON_PAGE, MAP = ROOT / "README.md", ROOT / "docs" / "python.md", ROOT / "docs" / "architecture.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"

CPU = ("trainer.accelerator=cpu", "trainer.max_epochs=1", "resolution=24")
NETWORK = ("model.network.channels=[4,8,4]", *CPU)
DEMO = ("data.demo.num_subjects=28", *NETWORK)
CLASSICAL = ("model.inner_folds=2", "resolution=24")

HELP = {
    "python train.py --help": r"Groups and their options",
    "python train.py model=sfcn --help": r"model\.network\.channels=",
    "mri3d --help": r"mri3d predict",
}
MAKE = ("make demo", "make test", "make brain")
RUNS = {
    "python train.py": (
        DEMO,
        r"^test   AUC [\d.]+ \(.*\), .*\nrun    runs/demo-sfcn-24/.*\nreport runs/demo-sfcn-24/.*html$",
    ),
    "mri3d train": (DEMO, r"^test   AUC "),
    "python train.py data=table data.root=/study data.table=subjects.csv data.id=Subject data.label=class "
    "'data.scan=\"brain_nii/{id}.nii*\"' 'data.unlabelled=[0]'": (NETWORK, r"^test   AUC "),
    "python train.py data=bids data.root=/bids data.label=group": (NETWORK, r"^test   AUC "),
    "python train.py data=bids data.root=/bids data.label=age task=regression": (NETWORK, r"^test   MAE "),
    "python train.py -m model=logistic,linear_svm,rbf_svm,knn evaluation=nested": (
        ("data.demo.num_subjects=16", "evaluation.folds=2", *CLASSICAL),
        r"^model +AUC .*\n((logistic|linear_svm|rbf_svm|knn) .*\n){4}",
    ),
    "python train.py data=bids data.root=/heads data.label=group preprocess=brain": (
        ("model=ridge", *CLASSICAL),
        r"^test   AUC ",
    ),
    "python train.py data=bids data.root=/bids data.label=group evaluation=kfold evaluation.confounds=[age]": (
        ("model=ridge", "evaluation.folds=2", *CLASSICAL),
        r"^test   AUC ",
    ),
    "python -m mri3d validate model=runs/x/y data=table data.root=/study data.table=subjects.csv data.id=Subject "
    "data.label=class 'data.scan=\"brain_nii/{id}.nii*\"' 'data.unlabelled=[0]'": ((), r"^test   AUC "),
    "python -m mri3d compare runs/x/y runs/x/z": ((), r"^The AUC of y and that of z are the same \(p = 1 by DeLong's"),
    "python -m mri3d pca run=runs/x/y": (("components=2",), r"^made   principal components of 28 subjects"),
    "python -m mri3d averages run=runs/x/y": ((), r"^made   averages of -1 \(14 subjects\), 1 \(14 subjects\)"),
    "python train.py resume=runs/x/y": ((), r"^test   AUC .*\nrun    runs/x/y\n"),
    "python predict.py model=runs/x/y scans='/new/*.nii.gz' out=results": (
        (),
        r"^predictions results/predictions.csv$",
    ),
    "python -m mri3d explain model=runs/x/y scans='/new/*.nii.gz' method=smoothgrad,integrated_gradients": (
        (),
        r"^report explained/report.html$",
    ),
    "python -m mri3d layers model=runs/x/y scans='/new/*.nii.gz'": ((), r"^report layers/report.html$"),
    "python -m mri3d trust run=runs/x/y": (("method=gradcam",), r"^report runs/x/y/trust/report.html$"),
    "mri3d trust": (("run=runs/x/y", "method=gradcam"), r"^report runs/x/y/trust/report.html$"),
    "mri3d layers": (("model=runs/x/y", "scans=/new/*.nii.gz"), r"^report layers/report.html$"),
    "mri3d explain": (("model=runs/x/y", "scans=/new/*.nii.gz"), r"^report explained/report.html$"),
    "mri3d predict": (("model=runs/x/y", "scans=/new/*.nii.gz"), r"^predictions results/predictions.csv$"),
    "python predict.py": (("model=runs/x/y", "scans=/new/*.nii.gz", "heatmap=none"), r"^predictions results/"),
    "python train.py data=table data.root=ixi data.table=subjects.csv data.id=subject data.label=sex "
    "'data.scan=\"T1/{id}_T1.nii.gz\"' evaluation=kfold": ((*NETWORK, "evaluation.folds=2"), r"^test   AUC "),
    "python train.py data=table data.root=ixi data.table=subjects.csv data.id=subject data.label=age task=regression "
    "'data.scan=\"T1/{id}_T1.nii.gz\"' evaluation=kfold model=ridge": (
        (*CLASSICAL, "evaluation.folds=2"),
        r"^test   MAE [\d.]+ \(.*\), R² [\d.-]+ \(.*\), Pearson r ",
    ),
}
"""Commands of the README: what makes each small, and what it prints."""


def start(command, *more: str, cwd):
    """Run a command as it is typed, from a folder outside the repository; return its standard output."""
    words = [*shlex.split(command), *more]
    entry = "import sys; from mri3d.cli.main import main; sys.argv[0] = 'mri3d'; sys.exit(main())"
    programs = {"python": [sys.executable], "mri3d": [sys.executable, "-c", entry]}
    script = [str(ROOT / words[1])] if words[1].endswith(".py") else words[1:2]
    done = subprocess.run(
        [*programs[words[0]], *script, *words[2:]],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=900,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# ---- commands of the README


def test_every_command_of_the_readme_is_run_here():
    assert set(commands(README)) == {*HELP, *MAKE, *RUNS}


@pytest.mark.parametrize("command", HELP)
def test_help_of_the_readme(command, tmp_path):
    assert re.search(HELP[command], start(command, cwd=tmp_path))


@pytest.mark.parametrize("command", sorted({each for page in PAGES for each in commands(page) if each[:5] == "make "}))
def test_make_has_the_targets_of_the_documents(command):
    done = subprocess.run([*shlex.split(command), "-n"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert ".venv/bin/" in done.stdout  # of which program depends on what is installed already


@pytest.fixture(scope="module")
def trained(studies):
    """A run on the demo cohort."""
    out = start("python train.py", *DEMO, "name=y", cwd=studies)
    return studies / re.search(r"^run    (.*)$", out, re.MULTILINE)[1]


def scans_of(run):
    """Return the folder of the scans that a run learnt from: a model predicts nothing of heads of another kind."""
    with (run / "cohort.csv").open(newline="") as file:
        return Path(next(csv.DictReader(file))["scan"]).parent


@pytest.mark.slow
@pytest.mark.parametrize("command", RUNS)
def test_command_of_the_readme(command, studies, trained, tmp_path):
    more, printed = RUNS[command]
    for name in "yz":
        shutil.copytree(trained, tmp_path / "runs/x" / name)
    shutil.copytree(studies / "study", tmp_path / "ixi")
    places = {
        "=/study": f"={studies}/seed_study",
        "=/bids": f"={studies}/bids",
        "=/heads": f"={studies}/heads",
        "/new/": f"{scans_of(trained)}/",
    }
    for place, ours in places.items():
        command, more = command.replace(place, ours), [each.replace(place, ours) for each in more]
    out = start(command, *more, cwd=tmp_path)
    assert re.search(printed, out, re.MULTILINE), out


@pytest.mark.slow
def test_code_of_the_readme(script, studies, monkeypatch):
    (block,) = blocks(README)
    monkeypatch.setattr(mri3d.models, "CNN", lambda: cnn(epochs=1), raising=False)
    text = block.text.replace('"/study"', '"study"').replace("/new/a.nii.gz", "study/T1/s00_T1.nii.gz")
    names = script([type(block)("python", "", text)])
    assert names["results"].scores["auc"].value > 0.9
    assert names["heatmap"].shape == (20, 22, 24)
    assert len((studies / "predictions.csv").read_text().splitlines()) == 25


@pytest.mark.slow
def test_picture_of_the_readme_can_be_drawn(trained, tmp_path):
    heads = [sys.executable, ROOT / "docs/heads.py", trained, tmp_path / "heads.png"]
    subprocess.run(heads, check=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert (tmp_path / "heads.png").read_bytes().startswith(b"\x89PNG")


# ---- the page on Python


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """A folder with `study`, `seed_study`, `bids` and `heads`."""
    folder = tmp_path_factory.mktemp("documents")
    write_study(folder / "study")
    write_seed_study(folder / "seed_study")
    write_bids(folder / "bids")
    write_brains(folder / "heads")
    return folder


@pytest.fixture
def script(studies, one_core, monkeypatch):
    """Run blocks of Python one after the other, as a script that lies beside the studies; return the names they set."""
    monkeypatch.chdir(studies)
    monkeypatch.syspath_prepend(studies)

    def run(page_blocks):
        names = {}
        for block in page_blocks:
            if block.file:
                (studies / block.file).write_text(block.text)
                continue
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(block.text, str(PYTHON_PAGE), "exec"), names)
            if block.output is not None:
                assert printed.getvalue() == block.output, block.text
        return names

    yield run
    for name in [name for name, module in sys.modules.items() if str(studies) in str(getattr(module, "__file__", ""))]:
        del sys.modules[name]


@pytest.mark.slow
def test_python_page_runs_and_prints_what_it_says(script):
    page = [block for block in blocks(PYTHON_PAGE) if block.language == "python"]
    assert len(page) >= 14
    names = script(page)
    assert names["model"].members[0].model.network_.features[0].out_channels == 6


def test_every_output_of_the_python_page_belongs_to_a_block_that_runs():
    found = blocks(PYTHON_PAGE)
    assert {block.language for block in found} == {"python", "text", "toml"}
    for before, block in itertools.pairwise(found):
        if block.language == "text":
            assert (before.language, before.output) == ("python", block.text)


def test_entry_points_of_the_python_page_are_those_that_are_looked_up():
    (block,) = [block for block in blocks(PYTHON_PAGE) if block.language == "toml"]
    assert tomllib.loads(block.text)["project"]["entry-points"] == {GROUP: {"tiny": "my_package.my_networks:Tiny"}}
