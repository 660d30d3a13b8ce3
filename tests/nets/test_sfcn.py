"""The Simple Fully Convolutional Network."""

import pytest
import torch
from torch import nn

from mri3d.errors import UserError
from mri3d.nets.sfcn import SFCN
from mri3d.nets.shapes import output_shapes


def test_the_papers_network_has_the_papers_weights():
    net = SFCN((160, 192, 160), 40, channels=[32, 64, 128, 256, 256, 64], stride=1, dropout=0.5)
    weights = 27 * (32 + 32 * 64 + 64 * 128 + 128 * 256 + 256 * 256) + 256 * 64  # convolutions
    norms = 2 * (32 + 64 + 128 + 256 + 256 + 64)
    head = 64 * 40 + 40
    assert sum(weight.numel() for weight in net.parameters()) == weights + norms + head
    assert output_shapes(net, (160, 192, 160))["blocks"] == (64, 5, 6, 5)


@pytest.mark.parametrize("norm", ["batch", "instance", "group", "none"])
def test_logits_and_gradients(norm):
    net = SFCN((17, 18, 19), 2, channels=[4, 6, 5], kernel_size=[5, 3], pooling=[2, 1], norm=norm)
    logits = net(torch.randn(2, 1, 17, 18, 19))
    assert logits.shape == (2, 2)
    logits.square().sum().backward()
    assert all(weight.grad is not None for weight in net.parameters())


def test_dropout_works_in_training_only():
    net = SFCN((17, 18, 19), 1, channels=[4, 64], dropout=0.9)
    volumes = torch.randn(2, 1, 17, 18, 19)
    assert not torch.equal(net(volumes), net(volumes))
    net.eval()
    assert torch.equal(net(volumes), net(volumes))


def test_map_for_activation_is_the_deepest_with_four_voxels_on_each_axis():
    net = SFCN((50, 50, 50), 1)
    assert net.cam_layer is net.blocks[2][2]  # maps of 25, 12, 6 and 3 voxels
    assert isinstance(net.cam_layer, nn.ReLU)


def test_building_leaves_the_network_in_training_with_its_weights_in_place():
    net = SFCN((17, 18, 19), 1, channels=[4, 6])
    assert all(module.training for module in net.modules())
    assert not any(tensor.is_meta for tensor in net.state_dict().values())


def test_a_volume_too_small_is_told_by_name():
    with pytest.raises(UserError, match=r"sfcn: a volume of 6 x 7 x 8 voxels is too small.* smaller strides"):
        SFCN((6, 7, 8), 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"norm": "layer"}, "norm='layer' is not one of batch, instance, group, none"),
        ({"channels": [8]}, r"channels=\[8\] names one block"),
        ({"stride": -1}, "stride=-1 is not made of whole numbers"),
        ({"kernel_size": [3, 3]}, r"kernel_size=\[3, 3\] has 2 numbers where 3 are needed"),
        ({"dropout": -0.1}, r"dropout=-0.1 is not in \[0, 1\)"),
        ({"pooling": [2, 2, 2.5]}, r"pooling=\[2, 2, 2.5\] is not made of whole numbers"),
    ],
)
def test_arguments_out_of_range_are_told_with_their_value(arguments, message):
    with pytest.raises(UserError, match=message):
        SFCN((50, 50, 50), 1, **arguments)


def test_on_the_command_line_arguments_are_told_with_their_path():
    with pytest.raises(UserError) as caught:
        SFCN((50, 50, 50), 1, channels=(8, 0))
    assert caught.value.on_command_line() == "model.network.channels=[8,0] is not made of whole numbers of at least 1."
