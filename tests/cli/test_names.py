"""Names of options are read from the source of what takes them, and misspelt ones told before anything is imported."""

import importlib
import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

from mri3d.cli.places import PLACES
from mri3d.cli.signatures import read_signature

ROOT = Path(__file__).parents[2]
OFFERED = sorted({target for place in PLACES.values() for target in place.targets})
BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@pytest.mark.parametrize("target", OFFERED)
def test_source_shows_the_names_that_python_has(target):
    module, _, name = target.rpartition(".")
    parameters = inspect.signature(getattr(importlib.import_module(module), name)).parameters.values()
    assert all(each.kind in BY_NAME for each in parameters), "takes options of any name: it cannot be checked by source"
    expected = {each.name: each.default is inspect.Parameter.empty for each in parameters}
    assert {each.name: each.default is None for each in read_signature(target).arguments} == expected


MISTAKES = (
    (["modle=sfcn"], "Did you mean 'model'?"),
    (["trainer.max_epoch=3"], "trainer.max_epoch is no option of default_trainer. Did you mean 'max_epochs'?"),
    (["model.batchsize=3"], "model.batchsize is no option of CNN. Did you mean 'batch_size'?"),
    (["model.network.chanels=[2]"], "model.network.chanels is no option of SFCN. Did you mean 'channels'?"),
    (["model.optimizer.Lr=3"], "model.optimizer.Lr is no option of adamw. Did you mean 'lr'?"),
    (["model=knn", "model.kk=3"], "model.kk is no option of KNN"),
    (["evaluation.tests=3"], "evaluation.tests is no option of Holdout. Did you mean 'test'?"),
    (["data=table"], "data.root and data.table are not set. Give data.root=... data.table=...\n"),
)
COMMANDS = """
import json, os, sys
from mri3d.cli.main import main
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["train.py", *arguments]
    status = main("train")
    print(file=sys.stderr, end="\\0")
    print(json.dumps([status, sorted({"torch", "monai", "pytorch_lightning"} & {*sys.modules})]))
"""
"""Runs `train` with each of some lists of arguments; prints its status and what is imported by then."""


@pytest.fixture(scope="module")
def ends(tmp_path_factory):
    """Return status, imported libraries and standard error of each mistake, all made in one fresh process."""
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS, json.dumps([arguments for arguments, _ in MISTAKES])],
        cwd=tmp_path_factory.mktemp("mistakes"),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return [
        (*json.loads(line), said)
        for line, said in zip(done.stdout.splitlines(), done.stderr.split("\0")[:-1], strict=True)
    ]


@pytest.mark.parametrize("number", range(len(MISTAKES)), ids=[" ".join(arguments) for arguments, _ in MISTAKES])
def test_misspelt_and_missing_options_are_told_before_torch_is_imported(ends, number):
    status, imported, said = ends[number]
    assert status == 2, said
    assert imported == []
    assert MISTAKES[number][1] in said
