"""The trainer's options are told of at once; the trainer is built where it is used, and counts its own processes."""

import functools

import pytest
import pytorch_lightning as pl
from pytorch_lightning.strategies import DDPStrategy

from mri3d.errors import UserError
from mri3d.model_folder import Card, write_model
from mri3d.models.loading import load
from mri3d.models.network import devices
from mri3d.models.network.cnn import CNN
from mri3d.models.network.trainer import build_trainer, count_processes
from mri3d.volumes.reference import Reference
from tests.models.blobs import TRAIN, VALIDATION, cnn, training
from tests.models.refusals import refused

pytestmark = pytest.mark.usefixtures("one_core")


@pytest.fixture
def saved(tmp_path):
    """Give the folder of a model."""
    made = training(tmp_path / "run")
    model = cnn(epochs=1)
    model.fit(made)
    write_model(tmp_path / "model", model.contents(Card(made.outcome, None, Reference.fit(made.volumes, TRAIN))))
    return tmp_path / "model"


def test_a_batch_system_stops_neither_a_model_nor_its_loading_and_is_told_before_training(saved, tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_NTASKS", "4")
    model = CNN()
    assert load(saved).members[0].model.name == "cnn"
    with pytest.raises(UserError, match=r"^the trainer cannot be used as it is set: You set `--ntasks=4`") as raised:
        model.check(training(tmp_path))
    assert "\n" not in str(raised.value)
    with pytest.raises(UserError, match="--ntasks=4"):
        build_trainer(model.trainer, training(tmp_path), [], bar=False)


def test_neither_making_nor_loading_a_model_builds_a_trainer(saved, monkeypatch):
    built = []
    monkeypatch.setattr(pl.Trainer, "__init__", lambda trainer, **_: built.append(trainer))
    CNN(trainer=functools.partial(pl.Trainer, max_epochs=3))
    load(saved)
    assert built == []


def test_a_check_leaves_the_model_as_it_was(tmp_path):
    model = cnn()
    before = dict(vars(model))
    model.check(training(tmp_path))
    assert vars(model) == before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_epoch": 3}, r"trainer\.max_epoch is no option of Trainer\. Did you mean 'max_epochs'\?"),
        (
            {"accelerator": "gpuu"},
            r"the trainer cannot be used as it is set: trainer\.accelerator=gpuu is not one of .*cpu",
        ),
        ({"limit_train_batches": 0}, r"trainer\.limit_train_batches=0 leaves nothing to learn from"),
        ({"limit_val_batches": 0.0}, r"trainer\.limit_val_batches=0 leaves nothing to stop by"),
        ({"max_epochs": 0}, r"trainer\.max_epochs=0 leaves no time to learn"),
        ({"max_steps": 0}, r"trainer\.max_steps=0 leaves no time to learn"),
        ({"check_val_every_n_epoch": 3}, r"_epoch=3 leaves none of 2 epochs to stop by"),
        ({"check_val_every_n_epoch": 0}, r"_epoch=0 leaves none of 2 epochs to stop by"),
        ({"precision": "16-true"}, r"trainer\.precision=16-true is not one of 32-true, 16-mixed, bf16-mixed"),
    ],
)
def test_impossible_options_are_told_when_the_model_is_made(settings, message):
    with refused(message):
        cnn(trainer=settings)


def test_what_makes_no_trainer_is_told_of():
    with refused(r"^model\.trainer is <class 'dict'>, which makes no trainer", r"^trainer is <class 'dict'>"):
        CNN(trainer=dict)


@pytest.mark.parametrize("precision", [None, 32, "32", 16, "16", "bf16", "bf16-mixed"])
def test_precisions_may_be_given_in_short(precision):
    cnn(trainer={"precision": precision})


@pytest.mark.parametrize(
    ("hidden", "message"),
    [
        ({"max_epochs": 0}, r"trainer\.max_epochs=0 leaves no time to learn"),
        ({"limit_val_batches": 0}, r"trainer\.limit_val_batches=0 leaves nothing to stop by"),
        ({"precision": "64-true"}, r"trainer\.precision=64-true is not one of"),
        ({"check_val_every_n_epoch": 9, "max_epochs": 2}, r"_epoch=9 leaves none of 2 epochs to stop by"),
        ({"accelerator": "tpu"}, r"the trainer cannot be used as it is set: .*"),
        ({"devices": 0}, r"the trainer cannot be used as it is set: .*devices=0"),
    ],
)
def test_impossible_options_within_a_function_are_told_before_training(tmp_path, hidden, message):
    model = CNN(trainer=lambda **options: pl.Trainer(**{"accelerator": "cpu"} | hidden, **options))
    with refused(message):
        model.check(training(tmp_path))


@pytest.fixture
def two(monkeypatch):
    """Give a trainer that takes two devices, as Lightning's own default does on a machine that has them."""
    monkeypatch.setenv("PL_TRAINER_DEVICES", "2")
    return functools.partial(pl.Trainer, accelerator="cpu", max_epochs=3)


def test_processes_are_those_of_the_trainer_that_is_built(two):
    assert count_processes(two) == 2
    assert count_processes(functools.partial(two, devices=1)) == 1


def test_nodes_that_nothing_starts_are_not_waited_for(two, monkeypatch):
    nodes = functools.partial(two, devices=1, num_nodes=3)
    with refused(r"^trainer\.num_nodes=3 needs a launcher that starts the processes of every node, such as srun"):
        count_processes(nodes)
    monkeypatch.setenv("NODE_RANK", "0")  # as Lightning asks of those who start the processes by hand
    assert count_processes(nodes) == 3


def test_devices_that_nobody_asked_for_are_guarded_too(two, tmp_path, monkeypatch):
    made = training(tmp_path)
    strategy = build_trainer(two, made, [], bar=False).strategy
    assert isinstance(strategy, DDPStrategy)
    assert strategy._ddp_kwargs["broadcast_buffers"] is False
    model = cnn()
    model.trainer = two
    with pytest.raises(UserError, match="1 validation session cannot be shared by 2 devices"):
        model.check(training(tmp_path, validation_rows=VALIDATION[:1]))
    model.trainer = functools.partial(two, strategy="ddp_spawn")
    with refused(r"^trainer\.strategy=ddp_spawn is not one that mri3d trains by on several devices"):
        model.check(made)
    monkeypatch.setenv(devices.ENDED, "1")
    with pytest.raises(UserError, match="devices were ended with an earlier error"):
        build_trainer(two, made, [], bar=False)
    build_trainer(functools.partial(two, devices=1), made, [], bar=False)


@pytest.mark.parametrize(
    ("options", "setting"),
    [
        ({"devices": -3}, "devices=-3"),
        ({"limit_train_batches": 2.5}, r"limit_train_batches=2\.5"),
        ({"val_check_interval": 1.5, "max_epochs": 2}, r"val_check_interval=1\.5"),
        ({"gradient_clip_val": 1.0, "gradient_clip_algorithm": "foo"}, "gradient_clip_algorithm=foo"),
        ({"num_nodes": 0, "accelerator": "cpu"}, "num_nodes=0"),
        ({"profiler": "foo", "devices": 1}, "profiler=foo"),
    ],
)
def test_an_option_that_lightning_refuses_is_named(options, setting):
    make = functools.partial(pl.Trainer, **{"accelerator": "cpu"} | options)
    told = "the trainer cannot be used as it is set"
    with refused(rf"^{told}: trainer\.{setting} is refused by Lightning \(.+\)\. Change it"):
        count_processes(make)
