"""What Lightning would stumble over once it trains is told before, and what it takes is let through."""

import functools
from datetime import timedelta

import pytest
import pytorch_lightning as pl

from mri3d.models.network.batches import check_batches
from tests.models.blobs import cnn, training
from tests.models.refusals import refused

pytestmark = pytest.mark.usefixtures("one_core")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"accumulate_grad_batches": 0}, r"trainer\.accumulate_grad_batches=0 leaves no time to learn"),
        ({"val_check_interval": 0}, r"trainer\.val_check_interval=0 leaves nothing to stop by"),
        ({"val_check_interval": 0.0}, r"trainer\.val_check_interval=0 leaves nothing to stop by"),
        ({"max_epochs": -1}, r"trainer\.max_epochs=-1 has no end, .* Give trainer\.max_epochs or trainer\.max_steps"),
        ({"max_epochs": -1, "max_steps": -1}, r"trainer\.max_epochs=-1 has no end"),
        ({"max_time": "00:00:00:00"}, r"trainer\.max_time=00:00:00:00 leaves no time to learn"),
        ({"max_time": {"minutes": 0}}, r"trainer\.max_time=.* leaves no time to learn"),
        ({"max_time": timedelta(0)}, r"trainer\.max_time=.* leaves no time to learn"),
        ({"accumulate_grad_batches": -1}, r"trainer\.accumulate_grad_batches=-1 leaves no time to learn"),
        ({"max_epochs": None, "max_time": "00:00:01:00"}, r"trainer\.max_epochs=null has no end"),
        ({"val_check_interval": "00:00:01:00"}, r"trainer\.val_check_interval=00:00:01:00 is no number"),
        ({"val_check_interval": {"minutes": 1}}, r"trainer\.val_check_interval=.* is no number"),
        ({"val_check_interval": timedelta(minutes=1)}, r"trainer\.val_check_interval=.* is no number"),
    ],
)
def test_values_that_leave_nothing_are_told_when_the_model_is_made(settings, message):
    with refused(message):
        cnn(trainer=settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"max_epochs": -1, "max_steps": 3},
        {"max_time": "00:00:01:00"},
        {"max_time": {"minutes": 1}},
        {"max_time": timedelta(minutes=1)},
        {"max_time": None},
        {"accumulate_grad_batches": 3, "val_check_interval": 0.5},
    ],
    ids=str,
)
def test_values_that_leave_something_are_taken(settings):
    cnn(trainer=settings)


def maker(**settings):
    return functools.partial(pl.Trainer, **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"limit_val_batches": 0.1}, r"trainer\.limit_val_batches=0\.1 leaves none of the 3 val batches"),
        ({"limit_train_batches": 0.09}, r"trainer\.limit_train_batches=0\.09 leaves none of the 10 train batches"),
        ({"val_check_interval": 11}, r"trainer\.val_check_interval=11 is more than the 10 batches of an epoch"),
        (
            {"val_check_interval": 11, "limit_train_batches": None},
            r"trainer\.val_check_interval=11 is more than the 10",
        ),
        (
            {"val_check_interval": 5, "limit_train_batches": 4},
            r"trainer\.val_check_interval=5 is more than the 4",
        ),
        (
            {"val_check_interval": 6, "limit_train_batches": 0.5},
            r"trainer\.val_check_interval=6 is more than the 5",
        ),
    ],
    ids=str,
)
def test_limits_that_leave_no_batch_are_told(settings, message):
    with refused(message):
        check_batches(maker(**settings), {"train": 10, "val": 3})


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"limit_val_batches": 0.34, "limit_train_batches": 0.1},
        {"limit_val_batches": 1, "limit_train_batches": 1},
        {"val_check_interval": 10},
        {"val_check_interval": 1.0},
        {"val_check_interval": 100, "check_val_every_n_epoch": None},
    ],
    ids=str,
)
def test_limits_that_leave_a_batch_are_taken(settings):
    check_batches(maker(**settings), {"train": 10, "val": 3})


NULLS = [
    *("precision", "max_epochs", "min_epochs", "min_steps", "max_time", "limit_train_batches", "limit_val_batches"),
    *("val_check_interval", "check_val_every_n_epoch", "log_every_n_steps", "enable_progress_bar", "deterministic"),
]


@pytest.mark.parametrize("name", NULLS)
def test_null_is_what_lightning_takes_it_for(tmp_path, name):
    settings = {"max_epochs": 1, "max_steps": 6 if name == "max_epochs" else -1} | {name: None}
    model = cnn(trainer=settings)
    model.check(training(tmp_path))
    model.fit(training(tmp_path))
    assert len(model.history()) == 1


@pytest.mark.parametrize("settings", [{"limit_val_batches": 0.001}, {"val_check_interval": 1000}], ids=str)
def test_batches_are_counted_before_training(tmp_path, settings):
    with refused(next(iter(settings))):
        cnn(trainer=settings).check(training(tmp_path))


@pytest.mark.parametrize("strategy", ["ddp_spawn", "fsdp", "deepspeed"])
def test_strategies_that_are_not_ours_are_told_on_one_device_too(tmp_path, strategy):
    with refused(r"(?i)strategy"):
        cnn(trainer={"strategy": strategy}).check(training(tmp_path))
