"""Layers by name: their maps, known by hand, where their cells lie, and the first kernels."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from mri3d.errors import UserError
from mri3d.explain.layers import Layers
from mri3d.nets.fused import NUM_FEATURES, Fused
from mri3d.nets.networks import NETWORKS
from mri3d.nets.sfcn import SFCN
from tests.nets.test_centres import SMALL

SHAPE = (1, 7, 8, 9)
VOLUME = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)


class Own(nn.Module):
    """A network that makes its layers in another order than it calls them, and calls one of them twice."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(2, 1)
        self.late = nn.Conv3d(2, 2, 1)
        self.halved = nn.AvgPool3d(2)
        self.negative = nn.ReLU(inplace=True)
        self.first = nn.Conv3d(1, 2, 1, bias=False)
        self.first.weight.data = torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1, 1)

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        """Return outputs [B, 1]."""
        maps = self.negative(self.first(volumes))  # max(v, 0) and max(-v, 0)
        return self.head(self.late(self.halved(self.halved(maps))).mean(dim=(2, 3, 4)))


def test_maps_are_what_the_layers_give_even_where_they_are_written_over():
    network = Own().train()
    maps = Layers.of(network, SHAPE).maps(VOLUME, ["first", "negative", "halved"])
    np.testing.assert_array_equal(maps["first"], [VOLUME[0], -VOLUME[0]])
    np.testing.assert_array_equal(maps["negative"], np.maximum([VOLUME[0], -VOLUME[0]], 0))
    quarter = functional.avg_pool3d(torch.from_numpy(maps["negative"]), 4).numpy()
    np.testing.assert_allclose(maps["halved"], quarter, rtol=1e-5)
    assert not any(module._forward_hooks for module in network.modules())


def test_of_a_layer_that_is_called_twice_the_last_map_and_its_cells_are_taken():
    layers = Layers.of(Own(), SHAPE)
    assert layers.shapes["halved"] == (2, 1, 2, 2)
    cells = layers.cells(layers.named("halved"))
    np.testing.assert_array_equal([cells.starts, cells.steps], [[1.5] * 3, [4] * 3])
    np.testing.assert_array_equal(cells.to_volume @ [0, 1, 1, 1], [1.5, 5.5, 5.5, 1])
    np.testing.assert_allclose(cells.in_volume(np.array([[[0.0], [4.0]]]))[3, :, 5], [0, 0, 0.5, 1.5, 2.5, 3.5, 4, 4])


def test_the_first_convolution_is_the_one_that_is_called_first():
    kernels = Layers.of(Own(), SHAPE).first_kernels()
    assert (kernels.layer, kernels.pairs) == ("first", [(0, 0), (1, 0)])
    np.testing.assert_array_equal(kernels.weights.ravel(), [1, -1])
    assert Layers.of(nn.Flatten(), SHAPE).first_kernels() is None


def test_kernels_of_several_channels_and_groups_know_their_inputs():
    convolution = nn.Conv3d(4, 6, (2, 3, 4), groups=2, dilation=(1, 2, 3))
    kernels = Layers.of(nn.Sequential(convolution), (4, 17, 18, 19)).first_kernels()
    assert kernels.pairs == [(d, c) for d in range(6) for c in ((0, 1) if d < 3 else (2, 3))]
    assert kernels.dilation == (1, 2, 3)
    assert str(kernels) == "6 kernels of 2 x 3 x 4 voxels for each of 2 channels"
    for number, (output, given) in enumerate(kernels.pairs):  # a volume of that channel alone meets that kernel
        volume = torch.zeros(1, 4, 17, 18, 19)
        volume[0, given] = torch.rand(17, 18, 19)
        weight = torch.from_numpy(kernels.weights.reshape(12, 1, 1, 2, 3, 4)[number])
        with torch.no_grad():
            alone = functional.conv3d(volume[:, given : given + 1], weight, dilation=(1, 2, 3))
            both = convolution(volume) - convolution.bias[:, None, None, None]
        torch.testing.assert_close(both[:, output : output + 1], alone)


USUAL = {
    "seed": ["stages.0.0", "stages.1.1", "stages.3.1"],
    "sfcn": ["blocks.0.0", "blocks.1.2", "blocks.2.2"],
    "resnet18": ["net.conv1", "net.layer2", "net.layer3"],
    "resnet50": ["net.conv1", "net.layer2", "net.layer3"],
    "densenet121": ["net.features.conv0", "net.features.denseblock1", "net.features.denseblock2"],
    "efficientnet-b0": ["net._conv_stem", "net._blocks.1", "net._blocks.2"],
}


@pytest.mark.parametrize("name", NETWORKS)
def test_usual_layers_are_the_first_the_last_that_is_fine_enough_and_one_between(name):
    network = NETWORKS[name]((50, 53, 58), 1, num_channels=2, **SMALL[name]).eval()
    layers = Layers.of(network, (2, 50, 53, 58))
    assert layers.usual == USUAL[name]
    assert layers.named(layers.usual[-1]) is network.cam_layer
    assert layers.first_kernels().layer == USUAL[name][0]
    assert layers.first_kernels().weights.shape[1] == 2
    maps = layers.maps(np.ones((2, 50, 53, 58), np.float32), layers.usual)
    assert {each: values.shape for each, values in maps.items()} == {each: layers.shapes[each] for each in USUAL[name]}
    for each in layers.usual:
        cells = layers.cells(layers.named(each))
        last = cells.starts + cells.steps * (np.array(layers.shapes[each][1:]) - 1)
        assert (cells.starts > -cells.steps).all()
        assert (last < np.array([50, 53, 58]) - 1 + cells.steps).all()


def test_without_a_cam_layer_the_last_fine_map_is_usual():
    layers = Layers.of(Own(), (1, 17, 18, 19))
    assert layers.usual == ["first", "halved", "late"]
    assert Layers.of(Own(), (1, 9, 9, 9)).usual == ["first", "negative"]  # the others have 2 cells


def test_layers_of_a_network_with_covariates_are_those_of_the_volumes():
    fused = Fused(SFCN((16, 16, 16), NUM_FEATURES, channels=[2, 2]), 3, 1)
    layers = Layers.of(fused, (1, 16, 16, 16))
    assert layers.usual == ["blocks.0.0", "blocks.0.2", "blocks.1.2"]
    assert layers.maps(np.ones((1, 16, 16, 16), np.float32), ["blocks.0"])["blocks.0"].shape == (2, 4, 4, 4)


class Picky(Own):
    """Looks at values, so that it cannot be traced without them."""

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        """Return outputs [B, 1]."""
        return super().forward(volumes if volumes.max().item() > 0 else -volumes)


def test_a_network_that_needs_values_has_kernels_and_says_that_its_maps_are_not_known():
    layers = Layers.of(Picky(), SHAPE)
    assert layers.names == []
    assert layers.first_kernels().layer == "late", "which is called first is not known"
    with pytest.raises(
        UserError, match=r"^no layer of the network Picky is known to give a map: there is none, or its"
    ):
        _ = layers.usual
    with pytest.raises(UserError, match=r"^the cells of the layer first of the network Picky cannot be placed in the"):
        layers.cells(layers.named("first"))


def test_an_unknown_layer_is_told_with_those_that_there_are():
    layers = Layers.of(SFCN((16, 16, 16), 1, channels=[2, 2]), (1, 16, 16, 16))
    told = (
        r"^layer='block\.0' is no layer of the network SFCN\. Did you mean 'blocks.0'\? Its layers with maps: blocks\.0"
    )
    with pytest.raises(UserError, match=rf"{told}.*, and \d+ more\. The command layers lists all of them\.$"):
        layers.named("block.0")
