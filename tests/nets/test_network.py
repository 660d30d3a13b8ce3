"""What every network offers, and the check of one that somebody else wrote."""

import inspect

import pytest
import torch
from torch import nn

from mri3d import nets
from mri3d.errors import UserError
from mri3d.nets.network import check_network
from mri3d.nets.networks import NETWORKS


def test_public_names_are_there():
    assert set(nets.__all__) <= set(dir(nets))
    assert all(getattr(nets, name).__doc__.count(">>>") for name in nets.__all__)
    with pytest.raises(AttributeError, match=r"module 'mri3d\.nets' has no attribute 'SFNC'"):
        _ = nets.SFNC


@pytest.mark.parametrize("name", NETWORKS)
def test_ours_are_built_as_the_protocol_says(name):
    first, second, *options = inspect.signature(NETWORKS[name]).parameters.values()
    assert (first.name, second.name) == ("volume_shape", "num_outputs")
    assert all(option.kind == option.KEYWORD_ONLY and option.default is not option.empty for option in options)
    assert {option.name: option.default for option in options}["num_channels"] == 1
    assert isinstance(NETWORKS[name].cam_layer, property)


class Mean(nn.Module):
    """Weighs the averages of the channels."""

    def __init__(self, num_channels: int = 1, num_outputs: int = 1, *, picky: bool = False) -> None:
        super().__init__()
        self.head, self.picky = nn.Linear(num_channels, num_outputs), picky

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        """Return outputs [B, D]; a picky network looks at a value, which the meta device does not have."""
        if self.picky:
            assert volumes.max().item() == 0
        return self.head(volumes.mean(dim=(2, 3, 4)))


@pytest.mark.parametrize("picky", [False, True])
def test_a_network_that_suits_the_volumes_passes_and_is_left_as_it_was(picky):
    network = Mean(2, 3, picky=picky)
    check_network(network, (7, 8, 9), 3, num_channels=2)
    assert all(module.training for module in network.modules())
    assert all(weights.grad is None and not weights.is_meta for weights in network.parameters())


@pytest.mark.parametrize("picky", [False, True])
def test_a_network_that_does_not_suit_is_told_by_name(picky):
    with pytest.raises(UserError, match=r"the network Mean returns \[1, 3\] for one volume where \[1, 1\] is needed"):
        check_network(Mean(1, 3, picky=picky), (7, 8, 9), 1)
    with pytest.raises(UserError, match=r"the network Mean fails on a volume of 2 x 7 x 8 x 9 voxels: mat1 and mat2"):
        check_network(Mean(1, 3, picky=picky), (7, 8, 9), 3, num_channels=2)


def test_a_network_that_returns_no_tensor_is_told():
    class Pair(Mean):
        def forward(self, volumes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return volumes, volumes

    with pytest.raises(UserError, match=r"the network Pair returns tuple for one volume"):
        check_network(Pair(), (7, 8, 9), 1)
