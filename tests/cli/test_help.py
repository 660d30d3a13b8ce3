"""`--help` tells every argument of what is chosen, with path, default and meaning, and imports nothing heavy for it."""

import dataclasses
import inspect
import os
import subprocess
import sys

import pytest

from mri3d.cli import help
from mri3d.cli.signatures import as_typed, read_signature
from mri3d.cli.sources import constant, find
from mri3d.models.network import trainer
from mri3d.plan import _locate
from tests.cli.test_configs import PLACES
from tests.commands import ROOT

HEAVY = ("torch", "pytorch_lightning", "monai", "numpy")
READABLE = sorted({target for place in PLACES.values() for target in place.targets})


@pytest.mark.parametrize("target", READABLE)
def test_arguments_are_those_that_python_itself_tells(target):
    found = read_signature(target)
    true = {name: each for name, each in inspect.signature(_locate(target, "")).parameters.items() if name != "self"}
    assert [argument.name for argument in found.arguments] == list(true)
    for argument in found.arguments:
        default = true[argument.name].default
        if default is inspect.Parameter.empty:
            assert argument.default is None
        elif default is None or isinstance(default, bool | int | float | str | tuple):
            assert argument.default == as_typed(default)
    assert found.summary == " ".join((inspect.getdoc(_locate(target, "")) or "").partition("\n\n")[0].split()).replace(
        "`", ""
    ) or target.startswith(("torch.optim.", "mri3d.models.network.trainer."))


@pytest.mark.parametrize("target", [name for name in READABLE if name.startswith("mri3d.") and "trainer" not in name])
def test_every_argument_of_ours_has_a_meaning(target):
    found = read_signature(target)
    for argument in found.arguments:
        assert argument.meaning.endswith((".", ")")), f"{target} {argument.name}"


@dataclasses.dataclass
class Base:
    """First line, then a
    second line.

    More.

    Attributes:
        size: How large, in
            voxels; see :class:`~torch.Tensor`.
        sides: ``Which``.
    """  # noqa: D205

    size: int
    sides: tuple[int, int] | None = None


@dataclasses.dataclass
class Derived(Base):
    """Derived.

    Args:
        name: A name.
    """

    name: str = dataclasses.field(default="x")
    table: dict[str, int] = dataclasses.field(default_factory=dict)
    hidden: int = dataclasses.field(init=False, default=3)


def test_dataclasses_inherit_fields_and_meanings():
    found = read_signature(f"{__name__}.Derived")
    assert [dataclasses.astuple(argument)[:4] for argument in found.arguments] == [
        ("size", None, "whole number", "How large, in voxels; see Tensor."),
        ("sides", "null", "list of whole numbers or null", "Which."),
        ("name", "x", "text", "A name."),
        ("table", "{}", "", ""),
    ]
    assert read_signature(f"{__name__}.Base").summary == "First line, then a second line."


@pytest.mark.parametrize(
    "target", ["no.such.thing", "mri3d.cli.help.nothing", "mri3d.nothing.At", "math.sin", "Name", "."]
)
def test_what_has_no_source_is_none(target):
    assert read_signature(target) is None


def test_definitions_are_found_through_imports_and_constants_read():
    definition, module = find("pytorch_lightning.Trainer")
    assert (definition.name, module.name) == ("Trainer", "pytorch_lightning.trainer.trainer")
    assert constant("mri3d.models.network.trainer.RESERVED") == trainer.RESERVED
    assert constant("mri3d.models.network.trainer.log") is None


def listed(*arguments: str):
    """Give the lines of help that name an argument: path to the rest."""
    lines = [line.strip() for line in help.arguments_of(arguments).splitlines()]
    named = [line.partition("=") for line in lines if "=" in line.partition(" ")[0] and "." in line.partition("=")[0]]
    return {path: rest for path, _, rest in named}


def test_everything_that_is_chosen_is_listed_and_nothing_else(monkeypatch):
    found = listed("model=sfcn")
    assert found["model.batch_size"] == "8  (whole number)"
    assert found["model.network.channels"] == "[32,64,128,64]  (list of whole numbers)"
    assert found["model.network.norm"] == "batch  (batch, instance, group or none)"
    assert found["model.optimizer.lr"] == "0.003  (number)"
    assert found["model.augmentation.flip"] == "false  (true or false)"
    assert found["model.augmentation.bias_field"] == "0.0  (number)"
    assert all(path.startswith("model.") for path in found)
    assert not {
        "model.trainer",
        "model.network.volume_shape",
        "model.network.num_outputs",
        "model.optimizer.parameters",
    } & set(found)


def test_values_are_those_that_would_be_used():
    assert listed("model=seed")["model.optimizer.lr"] == "0.0003  (number)"
    assert listed("model.batch_size=3")["model.batch_size"] == "3  (whole number)"
    assert listed("-m", "model=knn,sfcn")["model.k"].startswith("[1,3,5,9,15,25]")
    found = listed("data=table", "data.root=/study", "evaluation=kfold", "trainer.devices=2", "preprocess=seed")
    assert found["data.root"] == "/study  (text)"
    assert found["data.table"] == "...  (text)  must be given"
    assert found["evaluation.folds"] == "5  (whole number)"
    assert found["trainer.devices"].startswith("2")
    assert found["trainer.max_epochs"] == "30  (whole number or null)"
    assert found["preprocess.crop"].startswith("[[50,205],[60,225],[30,225]]")
    assert not {"preprocess.resolution", "resolution"} & set(found)
    assert "\n  resolution=50  (whole number or text)\n" in help.arguments_of(["preprocess=seed", "resolution=50"])
    assert "\n  trainer.*  listed by trainer=default --help\n" in help.arguments_of(["model=sfcn", "resolution=50"])
    assert not {f"trainer.{name}" for name in trainer.RESERVED} & set(found)


def test_network_of_ones_own_is_listed_too(tmp_path, monkeypatch):
    (tmp_path / "own_nets.py").write_text(
        "class Own:\n    def __init__(self, volume_shape, num_outputs, *, width: int = 4):\n        '''Args:\n"
        "            width: Of it all.\n        '''\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert listed("model.network._target_=own_nets.Own")["model.network.width"] == "4  (whole number)"
    assert "own_nets" not in sys.modules
    assert listed("model.network._target_=nowhere.Own", "model.network.width=5")["model.network.width"].startswith("5")


@pytest.mark.parametrize(
    ("command", "seconds"),
    [
        (["train.py", "--help"], 0.5),
        (["predict.py", "--help"], 0.5),
        (["-m", "mri3d", "--help"], 0.5),
        (["-m", "mri3d", "pca", "--help"], 0.5),
        (["train.py", "model=sfcn", "data=table", "evaluation=kfold", "trainer=default", "--help"], 3.0),
    ],
)
def test_help_takes_no_time_because_nothing_heavy_is_imported(command, seconds):
    script = [str(ROOT / command[0]), *command[1:]] if command[0].endswith(".py") else command
    code = (
        "import runpy, sys\n"
        "name, *rest = sys.argv[1:]\n"
        "sys.argv = rest if name == '-m' else [name, *rest]\n"
        "try:\n"
        "    if name == '-m': runpy.run_module(rest[0], run_name='__main__', alter_sys=True)\n"
        "    else: runpy.run_path(name, run_name='__main__')\n"
        f"finally: print('heavy:', [name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    best = float("inf")
    for _ in range(3):  # of the process itself, since others may be at work; the first that is fast enough will do
        start = os.times()
        done = subprocess.run(
            [sys.executable, "-c", code, *script], capture_output=True, text=True, check=True, cwd=ROOT
        )
        end = os.times()
        best = min(best, end.children_user + end.children_system - start.children_user - start.children_system)
        assert "heavy: []" in done.stderr
        if best < seconds:
            break
    assert len(done.stdout.splitlines()) > 5
    assert best < seconds


def test_mistake_beside_help_is_told(here):
    status, said = here("train", "model=sfnc", "--help")
    assert status == 2
    assert "Did you mean 'sfcn'?" in said
