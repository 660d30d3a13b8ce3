"""The adapters around MONAI's networks."""

import pytest
import torch
from torch import nn

from mri3d.errors import UserError
from mri3d.nets.monai_nets import DenseNet121, EfficientNetB0, ResNet18, ResNet50
from mri3d.nets.networks import NETWORKS
from mri3d.nets.shapes import MIN_CAM_VOXELS, output_shapes

SMALL = {
    "seed": {"channels": [2, 3], "kernel_size": [5, 3], "pooling": 2, "dense": [4]},
    "sfcn": {"channels": [4, 6]},
    "resnet18": {"widths": [4, 6, 8, 10], "dropout": 0.5},
    "resnet50": {"widths": [2, 3, 4, 5], "kernel_size": 3, "stride": 1},
    "densenet121": {"channels": 4, "growth": 2, "layers": [2, 2, 2, 2], "stride": 1},
    "efficientnet-b0": {"width": 0.1, "depth": 0.3, "kernel_size": 5},
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("num_outputs", [1, 3])
def test_every_network_gives_logits_and_a_map_with_a_gradient(name, num_outputs):
    shape = (33, 34, 35)
    torch.manual_seed(0)  # of so few units all can be dead by chance
    net = NETWORKS[name](shape, num_outputs, **SMALL[name])
    seen = []
    net.cam_layer.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    logits = net(torch.randn(2, 1, *shape))
    assert logits.shape == (2, num_outputs)
    (gradient,) = torch.autograd.grad(logits[:, 0].sum(), seen[0])
    assert min(gradient.shape[2:]) >= MIN_CAM_VOXELS
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize("name", NETWORKS)
def test_a_channel_of_no_weight_changes_nothing_and_one_of_some_does(name):
    shape = (33, 34, 35)
    torch.manual_seed(0)
    one, two = (NETWORKS[name](shape, 2, num_channels=count, **SMALL[name]).eval() for count in (1, 2))
    state, planted = one.state_dict(), two.state_dict()
    (first,) = [key for key, tensor in planted.items() if tensor.shape != state[key].shape]
    planted.update(state | {first: torch.cat([state[first], torch.zeros_like(state[first])], dim=1)})
    two.load_state_dict(planted)
    volumes = torch.randn(2, 2, *shape)
    with torch.no_grad():
        torch.testing.assert_close(two(volumes), one(volumes[:, :1]))
        planted[first][:, 1] = planted[first][:, 0]
        two.load_state_dict(planted)
        torch.testing.assert_close(two(volumes), one(volumes.sum(dim=1, keepdim=True)))


def test_resnets_have_their_depth():
    for network, depth in ((ResNet18, 18), (ResNet50, 50)):
        layers = dict(network((33, 34, 35), 1, widths=[2, 2, 2, 2]).named_modules())
        weighted = [name for name, layer in layers.items() if isinstance(layer, nn.Conv3d | nn.Linear)]
        assert len([name for name in weighted if "downsample" not in name]) == depth


def test_first_layer_is_as_asked():
    net = DenseNet121((33, 34, 35), 1, channels=4, growth=2, layers=[1, 1, 1, 1], kernel_size=5, stride=1)
    assert output_shapes(net, (33, 34, 35))["net.features.conv0"] == (4, 33, 34, 35)
    net = EfficientNetB0((33, 34, 35), 1, width=0.1, depth=0.3, kernel_size=7, stride=1)
    assert output_shapes(net, (33, 34, 35))["net._conv_stem"][1:] == (33, 34, 35)
    net = ResNet18((33, 34, 35), 1, widths=[2, 2, 2, 2], kernel_size=3, stride=1, max_pool=False)
    assert output_shapes(net, (33, 34, 35))["net.layer1"] == (2, 33, 34, 35)


def test_map_for_activation_is_the_deepest_with_four_voxels_on_each_axis():
    net = ResNet18((50, 50, 50), 1, widths=[2, 2, 2, 2])
    assert net.cam_layer is net.net.layer3  # maps of 13, 7, 4 and 2 voxels
    net = DenseNet121((50, 50, 50), 1, channels=4, growth=2, layers=[1, 1, 1, 1])
    assert net.cam_layer is net.net.features.denseblock2  # maps of 13, 6, 3 and 1 voxels


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "densenet121", "efficientnet-b0"])
def test_a_volume_too_small_is_told_by_name(name):
    with pytest.raises(UserError, match=f"{name}: a volume of 5 x 6 x 7 voxels is too small"):
        NETWORKS[name]((5, 6, 7), 1)


@pytest.mark.parametrize(
    ("network", "arguments", "message"),
    [
        (ResNet18, {"widths": [8, 8]}, r"widths=\[8, 8\] has 2 numbers where 4 are needed"),
        (ResNet50, {"dropout": 2}, r"dropout=2 is not in \[0, 1\)"),
        (DenseNet121, {"stride": 0}, "stride=0 is not made of whole numbers"),
        (EfficientNetB0, {"width": 0}, "width=0 is not above 0"),
    ],
)
def test_arguments_out_of_range_are_told_with_their_value(network, arguments, message):
    with pytest.raises(UserError, match=message):
        network((50, 50, 50), 1, **arguments)
