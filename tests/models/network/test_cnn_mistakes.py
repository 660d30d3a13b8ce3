"""Fits that diverge or cannot be, named in words that help."""

import functools

import numpy as np
import pytest
from torch import nn

from mri3d.nets.sfcn import SFCN
from tests.models.blobs import TRAIN, VALIDATION, cnn, planted, training
from tests.models.refusals import refused

pytestmark = pytest.mark.usefixtures("one_core")


@pytest.mark.parametrize("poison", [np.inf, np.nan])
@pytest.mark.parametrize(("rows", "side"), [(TRAIN[:1], "training"), (VALIDATION[:1], "validation")])
def test_divergence_is_named(tmp_path, poison, rows, side):
    volumes, _ = planted()
    volumes[rows] = poison
    frozen = functools.partial(SFCN, channels=[4, 4], norm="none")
    told = rf"training diverged: the {side} loss is (nan|inf) in epoch 1\. Lower "
    with refused(rf"{told}model\.optimizer\.lr, set trainer\.grad", rf"{told}lr, set grad"):
        cnn(network=frozen).fit(training(tmp_path, volumes=volumes))


def test_learning_rate_that_is_far_too_large_is_named(tmp_path):
    network = functools.partial(SFCN, channels=[4, 4], norm="none")
    with refused(r"training diverged: .* Lower model\.optimizer\.lr"):
        cnn(epochs=5, lr=1e30, network=network).fit(training(tmp_path))


class Flat(nn.Sequential):
    """A network of the user's own, with an option of any kind."""

    def __init__(self, volume_shape, num_outputs, anything=None) -> None:
        super().__init__(nn.Flatten(), nn.Linear(int(np.prod(volume_shape)), num_outputs))


def network_of_a_function():
    """Give a network's class that no module has under its name."""

    class Hidden(nn.Sequential):
        def __init__(self, volume_shape, num_outputs) -> None:
            super().__init__(nn.Flatten(), nn.Linear(int(np.prod(volume_shape)), num_outputs))

    return Hidden


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, r"model\.batch_size=0 is too small"),
        ({"patience": 0}, r"model\.patience=0 is too small"),
        ({"num_workers": -1}, r"model\.num_workers=-1 is negative"),
        ({"trainer": {"callbacks": []}}, r"trainer\.callbacks is set by mri3d itself"),
        ({"trainer": {"fast_dev_run": True}}, r"trainer\.fast_dev_run is set by mri3d itself"),
        ({"trainer": {"overfit_batches": 1}}, r"trainer\.overfit_batches is set by mri3d itself"),
        ({"trainer": {"precision": "64-true"}}, r"trainer\.precision=.?64-true.? is not one of 32-true, 16-mixed, bf"),
        ({"trainer": {"precision": "bf16-true"}}, r"trainer\.precision=.?bf16-true.? is not one of"),
        ({"trainer": {"use_distributed_sampler": True}}, r"trainer\.use_distributed_sampler is set by mri3d"),
    ],
)
def test_options_out_of_range_are_named_at_once(options, message):
    with refused(message, message.partition(".")[2]):
        cnn(**options)


@pytest.mark.parametrize(
    ("options", "parts", "message"),
    [
        ({}, {"validation_rows": TRAIN[:0]}, r"stops by its validation rows, and there are none"),
        (
            {"network": network_of_a_function()},
            {},
            r"the network .*Hidden cannot be found as tests\..*, so it could not be loaded again from a model folder",
        ),
        (
            {"network": functools.partial(Flat, anything=nn.ReLU())},
            {},
            r"model\.network has options that no model folder can keep \(.*ReLU.*\)\. Give numbers, texts, and l",
        ),
        ({"epochs": 0}, {}, r"trainer\.max_epochs=0 leaves no time to learn"),
        (
            {"trainer": {"limit_train_batches": 0.01}},
            {},
            r"the trainer cannot train as it is set: .*limit_train_batches",
        ),
        ({"epochs": -1}, {}, r"trainer\.max_epochs=-1 has no end"),
        ({"trainer": {"limit_val_batches": 0}}, {}, r"trainer\.limit_val_batches=0 leaves nothing to stop by"),
        (
            {"trainer": {"check_val_every_n_epoch": 3}},
            {},
            r"_epoch=3 leaves none of 2 epochs to stop by",
        ),
        (
            {"trainer": {"check_val_every_n_epoch": 0}},
            {},
            r"_epoch=0 leaves none of 2 epochs",
        ),
        ({"trainer": {"max_steps": 1}}, {}, r"no epoch was completed and validated\. Give the trainer more"),
        ({"trainer": {"precision": "float99"}}, {}, r"trainer\.precision=float99 is not one of .*bf16-mixed"),
        ({"trainer": {"accelerator": "gpuu"}}, {}, r"the trainer cannot be used as it is set: .*gpuu"),
        ({"trainer": {"devices": 4}}, {"train_rows": TRAIN[:3]}, r"3 training sessions cannot be shared by 4 devices"),
        ({"trainer": {"devices": 2}}, {"validation_rows": VALIDATION[:1]}, r"1 validation session cannot be shared"),
    ],
)
def test_fits_that_cannot_be_are_named(tmp_path, options, parts, message):
    with refused(message):
        cnn(**options).fit(training(tmp_path, **parts))
