"""Which optimizers train on the one-cycle schedule, and which of their options it would override."""

import functools

import numpy as np
import pytest
import torch
from torch import nn

from mri3d.cli.places import PLACES
from mri3d.models.network.cnn import CNN
from mri3d.models.network.learner import adamw, check_optimizer, one_cycle
from mri3d.nets.sfcn import SFCN
from mri3d.plan import build
from tests.models.blobs import SHAPE, cnn, training
from tests.models.refusals import refused

pytestmark = pytest.mark.usefixtures("one_core")

NETWORK = functools.partial(SFCN, channels=[4, 4])


@pytest.mark.parametrize("target", PLACES["model.optimizer"].targets)
def test_every_optimizer_that_is_offered_trains(tmp_path, target):
    model = cnn(epochs=1, network=NETWORK, augmentation=None)
    model.optimizer = build({"_target_": target, "_partial_": True, "lr": 0.01})
    made = training(tmp_path)
    model.fit(made)
    torch.manual_seed(made.seed)
    before = dict(NETWORK(SHAPE, 1).named_parameters())
    moved = {name for name, tensor in model.network_.named_parameters() if not torch.equal(tensor, before[name])}
    assert moved >= {name for name, tensor in before.items() if tensor.ndim > 1}
    assert np.isfinite(model.history()[0]["train_loss"])
    assert all(tensor.isfinite().all() for tensor in model.network_.parameters())


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        *((name, "must support momentum") for name in ("ASGD", "Adadelta", "Adafactor", "Adagrad", "Rprop")),
        ("LBFGS", "parameter groups"),
        ("Muon", "only supports 2D parameters"),
        ("SparseAdam", "does not support dense gradients"),
    ],
)
def test_an_optimizer_that_cannot_train_is_refused_by_name_at_once(name, reason):
    assert f"torch.optim.{name}" not in PLACES["model.optimizer"].targets
    told = (
        rf"optimizer cannot be used as it is set: {name} cannot train a network on the one-cycle schedule \(.*{reason}"
    )
    with refused(rf"^model\.{told}", f"^{told}"):
        CNN(optimizer=functools.partial(getattr(torch.optim, name), lr=0.01))


def groups_lost(parameters):
    """Make an optimizer of the parameters alone."""
    return torch.optim.Adam([parameter for group in parameters for parameter in group["params"]])


@pytest.mark.parametrize(
    ("make", "name", "setting", "reason"),
    [
        (functools.partial(torch.optim.Adam, differentiable=True), "Adam", "differentiable=true", "in-place operation"),
        (functools.partial(torch.optim.AdamW, capturable=True), "AdamW", "capturable=true", "supported devices"),
        (functools.partial(torch.optim.SGD, nesterov=True, lr=0.1), "SGD", "nesterov=true", "requires a momentum"),
        (functools.partial(torch.optim.AdamW, betas=(0.9, 1.5)), "AdamW", r"betas=\[0.9,1.5\]", "Invalid beta param"),
        (functools.partial(adamw, lr=-1), "adamw", "lr=-1", "Invalid learning rate: -1"),
        (functools.partial(adamw, weight_decay=-1, lr=-1), "adamw", "lr=-1", "Invalid learning rate: -1"),
        (functools.partial(torch.optim.SGD, lr=0.1, momentum=-2), "SGD", "momentum=-2", "Invalid momentum value: -2"),
        (functools.partial(torch.optim.RMSprop, eps=-1), "RMSprop", "eps=-1", "Invalid epsilon value: -1"),
    ],
)
def test_an_option_that_cannot_train_is_refused_by_name_at_once(make, name, setting, reason):
    told = rf"^model\.optimizer\.{setting} cannot be used with {name} \(.*{reason}.*\)\. Give another value"
    with refused(told):
        CNN(optimizer=make)


def test_what_no_single_option_is_to_blame_for_is_refused_at_once():
    told = r"^model\.optimizer cannot be used as it is set: groups_lost cannot train .*\(KeyError: 'scale'.*\)\. Change"
    with refused(told):
        CNN(optimizer=groups_lost)


@pytest.mark.parametrize(
    ("make", "given", "rest"),
    [
        (functools.partial(torch.optim.AdamW, betas=(0.5, 0.9)), r"betas=\(0\.5, 0\.9\)", " as the first of them"),
        (functools.partial(torch.optim.Adam, betas=[0.85, 0.999]), r"betas=[\[(]0\.85, 0\.999[\])]", " as the first"),
        (lambda parameters: torch.optim.NAdam(parameters, betas=(0.0, 0.9)), r"betas=\(0\.0, 0\.9\)", " as the first"),
        (functools.partial(torch.optim.SGD, lr=0.1, momentum=0.9), r"momentum=0\.9", r"\.$"),
        (functools.partial(torch.optim.RMSprop, momentum=0.5), r"momentum=0\.5", r"\.$"),
    ],
)
def test_a_momentum_that_the_cycle_would_override_is_refused(make, given, rest):
    told = f"{given} would not be kept: the one-cycle schedule moves the momentum from 0.95 to 0.85 and back"
    with refused(r"^model\.optimizer\.", rf"^{told}\. Leave it out, or give 0\.95{rest}"):
        CNN(optimizer=make)


@pytest.mark.parametrize(
    "make",
    [
        torch.optim.AdamW,
        functools.partial(torch.optim.AdamW, betas=(0.9, 0.9)),  # the first is the default, the second counts
        functools.partial(torch.optim.AdamW, betas=[0.95, 0.9]),  # where the cycle begins
        functools.partial(torch.optim.SGD, momentum=0),  # config.yaml has every default written out
        functools.partial(torch.optim.SGD, momentum=0.95, nesterov=True),
    ],
)
def test_options_that_are_kept_may_be_given(make):
    CNN(optimizer=make)


def test_the_cycle_moves_the_first_of_the_betas_and_keeps_the_second():
    optimizer, schedule = one_cycle(
        functools.partial(torch.optim.AdamW, betas=(0.9, 0.5)), nn.Conv3d(1, 2, 3), num_steps=10
    )
    found = []
    for _ in range(9):
        found.append(optimizer.param_groups[0]["betas"])
        optimizer.step()
        schedule.step()
    assert found[0] == (0.95, 0.5)
    assert {second for _, second in found} == {0.5}
    assert min(first for first, _ in found) == pytest.approx(0.85)


def test_the_check_draws_no_random_numbers():
    before = torch.get_rng_state()
    check_optimizer(torch.optim.AdamW)
    assert torch.equal(torch.get_rng_state(), before)
