"""Guided backpropagation through hand-built networks: which ways back are open is known by formula."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.ndimage import gaussian_filter
from torch import nn

from mri3d.explain.contrasted import Contrasted
from mri3d.explain.gradients import guided_backprop, has_relu

SHAPE = (4, 5, 6)
NUM_VOXELS, NUM_HIDDEN = 120, 40
RANDOM = np.random.default_rng(3)
HIDDEN = RANDOM.standard_normal((NUM_HIDDEN, NUM_VOXELS)).astype(np.float32)
LAST = RANDOM.standard_normal((2, NUM_HIDDEN)).astype(np.float32)
VOLUME = RANDOM.standard_normal((1, *SHAPE)).astype(np.float32)


def network(*, inplace: bool = False) -> nn.Sequential:
    """Weigh voxels into hidden units, and those above 0 into two outputs."""
    made = nn.Sequential(
        nn.Flatten(),
        nn.Linear(NUM_VOXELS, NUM_HIDDEN, bias=False),
        nn.ReLU(inplace=inplace),
        nn.Linear(NUM_HIDDEN, 2, bias=False),
    )
    made[1].weight.data, made[3].weight.data = torch.from_numpy(HIDDEN), torch.from_numpy(LAST)
    return made


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("contrast", [(0.0, 1.0), (0.0, -1.0), (0.5, -0.5)])
def test_only_units_that_are_open_and_raise_the_number_lead_back(contrast, inplace):
    worth = np.array(contrast) @ LAST  # of a unit of each hidden unit
    leads = (HIDDEN @ VOLUME.ravel() > 0) & (worth > 0)
    assert 0 < leads.sum() < NUM_HIDDEN / 2
    formula = ((worth * leads) @ HIDDEN).reshape(SHAPE)
    evidence = guided_backprop(Contrasted(network(inplace=inplace), np.array(contrast)), VOLUME)
    assert evidence.values.dtype == np.float32
    assert_allclose(evidence.values, gaussian_filter(formula, 6 / 25, mode="nearest"), atol=1e-5)


def test_the_network_is_left_as_it_was():
    one = network(inplace=True)
    guided_backprop(Contrasted(one, np.array([1.0, 0.0])), VOLUME)
    assert one[2].inplace
    assert not one[2]._forward_hooks
    assert not one[2]._forward_pre_hooks
    assert not one[2]._backward_hooks
    assert all(weights.grad is None for weights in one.parameters())
    assert_array_equal(one[1].weight.detach().numpy(), HIDDEN)


def test_relus_work_in_place_again_after_a_failure():
    one = nn.Sequential(network(inplace=True), nn.ReLU())
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        guided_backprop(Contrasted(one, np.array([1.0, 0.0])), VOLUME[:, 1:])
    assert [module.inplace for module in one.modules() if isinstance(module, nn.ReLU)] == [True, False]
    assert not one[0][2]._forward_hooks
    assert not one[0][2]._forward_pre_hooks


def test_it_is_for_networks_with_modules_relu():
    class Functional(nn.Module):
        def forward(self, volume: torch.Tensor) -> torch.Tensor:
            return torch.relu(volume)

    assert has_relu(network())
    assert has_relu(nn.Sequential(nn.Sequential(nn.ReLU())))
    assert not has_relu(nn.Sequential(nn.Flatten(), nn.GELU(), nn.LeakyReLU(), Functional()))
