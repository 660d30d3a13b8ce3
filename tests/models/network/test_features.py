"""What the last layer of a network is given, for cases that are alike to it."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

from mri3d.models.network.features import last_features
from mri3d.volumes.sequence import InMemory

VOLUMES = InMemory(np.random.default_rng(0).random((5, 1, 2, 3, 4)).astype(np.float32))
ROWS = np.array([4, 0, 3, 1, 2])


class Late(nn.Module):
    """Applies the layer that it names first last, and one for columns in between."""

    def __init__(self) -> None:
        super().__init__()
        self.last, self.first, self.unused = nn.Linear(2, 1), nn.Linear(24, 2), nn.Linear(1, 1)

    def forward(self, volumes, columns=None):
        """Map volumes, and columns where there are some, to outputs."""
        hidden = self.first(volumes.flatten(1))
        return self.last(hidden if columns is None else hidden + columns)


@pytest.mark.parametrize("batch_size", [1, 2, 9])
@pytest.mark.parametrize("columns", [None, np.arange(10, dtype=np.float32).reshape(5, 2)], ids=["alone", "columns"])
def test_they_are_those_of_the_layer_applied_last_row_by_row(batch_size, columns):
    network = Late().eval()
    found = last_features(network, VOLUMES, ROWS, batch_size=batch_size, columns=columns)
    flat = VOLUMES.volumes[ROWS].reshape(5, 24)
    wanted = flat @ network.first.weight.detach().numpy().T + network.first.bias.detach().numpy()
    assert_allclose(found, wanted if columns is None else wanted + columns[ROWS], rtol=1e-5, atol=1e-5)
    assert not network.last._forward_pre_hooks


@pytest.mark.parametrize(
    "network",
    [
        nn.Sequential(nn.Conv3d(1, 1, (2, 3, 4)), nn.Flatten()),
        nn.Sequential(nn.Linear(4, 4), nn.AdaptiveAvgPool3d(1), nn.Flatten()),
    ],
    ids=["no linear layer", "along an axis"],
)
def test_networks_that_decide_otherwise_have_none(network):
    assert last_features(network.eval(), VOLUMES, ROWS, batch_size=2, columns=None) is None


def test_a_failing_network_is_left_as_it_was():
    network = nn.Sequential(nn.Flatten(), nn.Linear(7, 1)).eval()
    with pytest.raises(RuntimeError):
        last_features(network, VOLUMES, ROWS, batch_size=2, columns=None)
    assert not network[1]._forward_pre_hooks
    assert torch.is_grad_enabled()
