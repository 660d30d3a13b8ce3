"""The command that repeats a run: it means the same settings, whatever was typed, and gives the same predictions."""

import shlex

import pytest

from mri3d.cli.configuration import GROUPS, KEYS, check, make_parts
from mri3d.cli.overrides import typed_values
from mri3d.cli.repeating import needed_here, repeating_arguments, repeating_command, typed
from mri3d.cli.run_settings import read_configuration
from tests.cli.test_configs import composed
from tests.commands import run_here, undrawn

TABLE = ("data=table", "data.root=/a b", "data.table=t.csv")
STRONG = "mri3d.volumes.augmentation.StrongAugmentation"


def settings(*overrides: str):
    """Return what a run of a command line keeps."""
    return make_parts(composed(*overrides)).configuration


def repeated(*overrides: str):
    """Return the arguments that repeat a run, without those that all have."""
    return [each for each in repeating_arguments(settings(*overrides)) if each not in ("seed=0", "name=test")]


@pytest.mark.parametrize(
    ("overrides", "arguments"),
    [
        ([], []),
        (["model=ridge", "task=regression", "model.alpha=1"], ["model=ridge", "model.alpha=1", "task=regression"]),
        (
            ["preprocess=seed", "model=seed", "resolution=native"],
            ["preprocess=seed", "model=seed", "resolution=native"],
        ),
        (["model=seed", "model.optimizer.lr=3e-3"], ["model=seed", "model.optimizer.lr=0.003"]),
        ([*TABLE, "evaluation.confounds=age"], [*TABLE, "evaluation.confounds=age"]),
        (
            [*TABLE, "data.covariates=[sex]", "model.covariates=[age,'a b']"],
            [*TABLE, "data.covariates=[sex,age,a b]", "model.covariates=[age,a b]"],
        ),
        (["model.augmentation=strong"], ["model.augmentation=strong"]),
        (
            [f"model.augmentation._target_={STRONG}", "model.augmentation.gamma=0.3"],
            [f"model.augmentation._target_={STRONG}", "model.augmentation.gamma=0.3"],
        ),
        (["model.augmentation=null"], ["model.augmentation=null"]),
        (["model=ridge", "trainer.max_epochs=3"], ["model=ridge"]),
        (["trainer._target_=pytorch_lightning.Trainer"], ["trainer._target_=pytorch_lightning.Trainer"]),
        (
            ["evaluation=nested", "evaluation.grid={optimizer.lr: [1e-3, 3e-3]}"],
            ["evaluation=nested", "evaluation.grid={optimizer.lr: [0.001,0.003]}"],
        ),
        (
            ["data=bids", "data.root=/x", "data.label='1'", "data.entities={acq: mprage, run: 1, rec: null}"],
            ["data=bids", "data.root=/x", "data.label='1'", "data.entities={acq: mprage, run: 1, rec: null}"],
        ),
    ],
)
def test_what_differs_from_the_options_is_said(overrides, arguments):
    assert repeated(*overrides) == arguments
    kept = settings(*overrides)
    assert settings(*arguments) | {"trainer": kept["trainer"]} == kept


def test_the_command_is_for_a_shell():
    kept = settings(*TABLE, "data.scan=T1/{id}_O'Brien.nii", "seed=3")
    command = repeating_command(kept, "mri3d train")
    assert command.startswith("mri3d train data=table 'data.root=/a b' data.table=t.csv")
    assert settings(*shlex.split(command)[2:]) == kept


def test_the_name_is_said_where_it_is_not_the_usual_one():
    kept = settings()
    assert repeating_arguments(kept | {"name": "demo-sfcn-50"}) == ["seed=0"]
    assert repeating_arguments(kept | {"name": "x"}) == ["seed=0", "name=x"]


@pytest.mark.parametrize(
    "value",
    [
        *("", "1", "1e3", "true", "null", "a b", " x ", "a,b", "[a]", "{a: b}", "O'Brien", 'say "x"'),
        *("a\\b", "x\\", "\\'"),
        *("choice(1)", "~x", "é", "שלום", "a=b", "${x}", "$(rm -rf x)", "*", 0.1, 1e-5, -2, True, None, []),
        *([1, None, "a", "1"], ["a b", "c,d", "O'B"], [[1, 2], [3, 4]], {"a": "b c", "d": [0.5, "e"]}),
    ],
)
def test_any_value_is_read_back_as_it_is(value):
    read = typed_values([f"name={typed(value)}"], keys=KEYS)["name"]
    assert read == ("\\${x}" if value == "${x}" else value), "OmegaConf takes the backslash away"
    assert type(read) is type(value)


def test_an_interpolation_is_none():
    assert composed(f"data.root={typed('/a/${seed}')}", "data=table", "data.table=t")["data"]["root"] == "/a/${seed}"


def test_what_lies_where_the_run_was_started_is_named():
    assert needed_here(settings(*TABLE)) == []
    assert needed_here(settings("data=table", "data.root=~/x", "data.table=t.csv")) == []
    relative = settings("data=table", "data.root=study", "data.table=t.csv", "evaluation.splits=runs/x")
    assert needed_here(relative) == ["data.root", "evaluation.splits"]
    mine = settings()
    mine["model"]["network"] = {"_target_": "my_module.MyNet", "_partial_": True}
    assert needed_here(mine) == ["my_module.MyNet"]


@pytest.mark.slow
@undrawn()
@pytest.mark.parametrize(
    "options",
    [
        ["model.network.channels=[4,8]", "trainer.max_epochs=2", "evaluation=kfold", "evaluation.folds=2", "seed=5"],
        ["model=logistic", "model.C=[0.1,1]", "evaluation.test=0.4"],
    ],
)
def test_the_command_gives_the_same_predictions(tmp_path, options):
    run_here("train", "resolution=20", "data.demo.num_subjects=16", *options, cwd=tmp_path)
    (first,) = tmp_path.glob("runs/*/*/config.yaml")
    kept = check(read_configuration(first.parent), GROUPS)
    _, _, *arguments = shlex.split(repeating_command(kept, "python train.py"))
    run_here("train", *arguments, cwd=tmp_path)
    (second,) = {*tmp_path.glob("runs/*/*/config.yaml")} - {first}
    for name in ("config.yaml", "predictions.csv"):
        assert (first.parent / name).read_bytes() == (second.parent / name).read_bytes()
    assert len((first.parent / "predictions.csv").read_text().splitlines()) > 5
