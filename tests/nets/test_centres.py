"""Centres of cells against the gradients of networks whose kernels are planted."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from mri3d.nets.centres import cell_centres
from mri3d.nets.networks import NETWORKS
from mri3d.nets.seed import Seed

SHAPE = (50, 53, 58)
SMALL = {
    "seed": {"channels": [2, 2, 2, 2, 2], "dense": [2]},  # kernels of 19, 8, 5, 3 and 3 voxels, pooling by 3
    "sfcn": {"channels": [2, 2, 2, 2]},
    "resnet18": {"widths": [2, 2, 2, 2]},
    "resnet50": {"widths": [2, 2, 2, 2]},
    "densenet121": {"channels": 4, "growth": 2, "layers": [2, 2, 2, 2]},
    "efficientnet-b0": {"width": 0.1, "depth": 0.3},
}
OTHER = {
    "seed": {"kernel_size": [6, 4, 3, 5, 2], "pooling": [2, 2, 2, 1, 2], **SMALL["seed"]},
    "sfcn": {"channels": [2, 2, 2, 2], "kernel_size": [5, 7, 3], "stride": 3, "pooling": [1, 3, 1]},
    "resnet18": {"widths": [2, 2, 2, 2], "kernel_size": 3, "stride": 1, "max_pool": False},
    "resnet50": {"widths": [2, 2, 2, 2], "kernel_size": 5, "stride": 3},
    "densenet121": {"channels": 4, "growth": 2, "layers": [2, 2, 2, 2], "kernel_size": 3, "stride": 1},
    "efficientnet-b0": {"width": 0.1, "depth": 0.3, "kernel_size": 5, "stride": 1},
}


def make_linear(net):
    """Let a network average: kernels are 1 in the middle and 0 elsewhere, maxima are means, the rest does nothing."""
    for module in net.modules():
        if hasattr(module, "has_se"):  # squeeze and excitation looks at all of the map
            module.has_se = False
        for name, child in module.named_children():
            if isinstance(child, nn.MaxPool3d):
                setattr(module, name, nn.AvgPool3d(child.kernel_size, child.stride, child.padding))
            elif isinstance(child, nn.Conv3d):
                plant(child)
            elif "norm" in type(child).__name__.lower() or "swish" in type(child).__name__.lower():
                setattr(module, name, nn.Identity())
    return net.eval().requires_grad_(False)


def plant(conv):
    middle = tuple(slice((size - 1) // 2, size // 2 + 1) for size in conv.kernel_size)  # two voxels of an even kernel
    conv.weight.data.zero_()
    conv.weight.data[(..., *middle)] = 1 / conv.in_channels
    if conv.bias is not None:
        conv.bias.data.zero_()


def probe(net):
    """Return, for the cells (i, i, i) of the map, what they see of the volume [cells, X, Y, Z]."""
    seen = []
    net.cam_layer.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    volume = torch.ones(1, 1, *SHAPE, requires_grad=True)
    net(volume)
    cells = [seen[0][0, :, i, i, i].sum() for i in range(min(seen[0].shape[2:]))]
    return [torch.autograd.grad(cell, volume, retain_graph=True)[0][0, 0].numpy().astype(float) for cell in cells]


@pytest.mark.parametrize("arguments", [SMALL, OTHER], ids=["usual", "other"])
@pytest.mark.parametrize("name", NETWORKS)
def test_centres_are_those_of_what_the_cells_see(name, arguments):
    net = NETWORKS[name](SHAPE, 1, **arguments[name])
    start, step = cell_centres(net, net.cam_layer, SHAPE)
    fields = probe(make_linear(net))
    mass = np.array([field.sum() for field in fields])
    inner = np.flatnonzero(mass > 0.999 * mass.max())  # the others see some of the padding
    assert len(inner) >= 2
    for i in inner:
        centre = [
            np.average(np.arange(size), weights=fields[i].sum(axis=others))
            for size, others in zip(SHAPE, [(1, 2), (0, 2), (0, 1)], strict=True)
        ]
        np.testing.assert_allclose(start + i * step, centre, atol=1e-3)


@pytest.mark.parametrize(("name", "start", "step"), [("sfcn", 3, 8), ("resnet18", 0, 16)])
def test_centres_worked_out_by_hand(name, start, step):
    net = NETWORKS[name]((50, 50, 50), 1, **SMALL[name])
    np.testing.assert_array_equal(cell_centres(net, net.cam_layer, (50, 50, 50)), [[start] * 3, [step] * 3])


def test_each_axis_has_its_own_geometry():
    conv = nn.Conv3d(1, 1, (3, 4, 5), stride=(1, 2, 3), padding=(0, 1, 4), dilation=(2, 1, 1))
    start, step = cell_centres(conv, conv, (20, 21, 22))
    np.testing.assert_array_equal(start, [2, 0.5, -2])
    np.testing.assert_array_equal(step, [1, 2, 3])
    pad = nn.Sequential(nn.ConstantPad3d((1, 0, 2, 0, 3, 9), 0.0), nn.MaxPool3d((1, 2, 3), stride=1, dilation=2))
    np.testing.assert_array_equal(cell_centres(pad, pad, (20, 21, 22)), [[-3, -1, 1], [1, 1, 1]])


def test_transposed_convolutions_and_channels_are_followed():
    down = nn.Conv3d(3, 2, 4, stride=2, padding=1)  # cells at 0.5, 2.5, ...
    up = nn.ConvTranspose3d(2, 1, 2, stride=2)  # of each cell two, a quarter of a cell to both sides
    net = nn.Sequential(down, up)
    start, step = cell_centres(net, net, (20, 22, 24), num_channels=3)
    np.testing.assert_array_equal(start, [0.0] * 3)
    np.testing.assert_array_equal(step, [1.0] * 3)


def test_network_is_left_as_it_was():
    net = Seed(SHAPE, 1, **SMALL["seed"]).train()
    cell_centres(net, net.cam_layer, SHAPE)
    assert all(module.training and not module._forward_hooks for module in net.modules())
    assert all(parameter.device.type == "cpu" for parameter in net.parameters())


class Averaged(nn.Module):
    """Forgets where things were."""

    def forward(self, volume: torch.Tensor) -> torch.Tensor:
        """Return the average [B, 1, 1, 1, 1]."""
        return functional.adaptive_avg_pool3d(volume, 1)


def test_a_layer_without_cells_is_told():
    with pytest.raises(ValueError, match="The output of Averaged has no cells"):
        cell_centres(net := Averaged(), net, SHAPE)
