"""The seed study's network: its layers and weights are those of the study."""

import pytest
import torch
from torch import nn

from mri3d.errors import UserError
from mri3d.nets.seed import STUDY_VOLUME, Seed, scaled_kernels
from mri3d.nets.shapes import output_shapes


def num_weights(net: nn.Module) -> int:
    return sum(weight.numel() for weight in net.parameters())


def test_the_study_has_19_017_081_weights():
    net = Seed(STUDY_VOLUME, 1)
    assert num_weights(net) == 19_017_081
    convolutions = [module for module in net.modules() if isinstance(module, nn.Conv3d)]
    assert [conv.kernel_size for conv in convolutions] == [(k, k, k) for k in (60, 25, 15, 10, 5)]
    assert [conv.out_channels for conv in convolutions] == [8, 16, 32, 64, 128]
    linear = [module for module in net.modules() if isinstance(module, nn.Linear)]
    assert [layer.out_features for layer in linear] == [2048, 512, 1]


def test_maps_keep_the_volume_until_pooling():
    shapes = output_shapes(Seed(STUDY_VOLUME, 1), STUDY_VOLUME)
    assert shapes["stages.0.1"] == (8, 155, 165, 195)
    assert shapes["stages.0"] == (8, 51, 55, 65)
    assert shapes["stages.4"] == (128, 3, 3, 4)


def test_kernels_scale_down_with_the_volume_but_not_up():
    assert scaled_kernels((195, 165, 155)) == (60, 25, 15, 10, 5)
    assert scaled_kernels((300, 300, 300)) == (60, 25, 15, 10, 5)
    assert scaled_kernels((78, 83, 98)) == (30, 13, 8, 5, 3)  # half as large: half of each, at least 3


def test_logits_and_gradients_on_a_small_volume():
    net = Seed((17, 18, 19), 3, channels=[2, 3], kernel_size=[6, 3], pooling=[3, 2], dense=[8], dropout=0.5)
    logits = net(torch.randn(2, 1, 17, 18, 19))
    assert logits.shape == (2, 3)
    logits.square().sum().backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in net.stages.parameters())


def test_map_for_activation_is_the_deepest_with_four_voxels_on_each_axis():
    net = Seed(STUDY_VOLUME, 1)
    assert net.cam_layer is net.stages[4][1]  # 6 x 6 x 8
    net = Seed((50, 52, 54), 1)
    assert net.cam_layer is net.stages[3][1]  # maps of 50, 16, 8, 4 and 2 voxels
    assert not any(name.startswith("cam") for name in net.state_dict())


def test_a_volume_that_pooling_uses_up_is_told_by_name():
    with pytest.raises(UserError, match=r"seed: a volume of 50 x 50 x 40 voxels .* needs 48 voxels on each axis"):
        Seed((50, 50, 40), 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kernel_size": [60, 25]}, r"kernel_size=\[60, 25\] has 2 numbers where 5 are needed"),
        ({"kernel_size": "large"}, "kernel_size='large' is neither 'scaled' nor a list"),
        ({"channels": []}, r"channels=\[\] is not a list of whole numbers"),
        ({"channels": [8, 16, 32, 64, 0]}, r"channels=\[8, 16, 32, 64, 0\] is not made of whole numbers"),
        ({"pooling": 0}, "pooling=0 is not made of whole numbers of at least 1"),
        ({"dropout": 1.0}, r"dropout=1.0 is not in \[0, 1\)"),
        ({"num_outputs": 0}, "num_outputs=0 leaves nothing to predict"),
        ({"num_channels": 0}, "num_channels=0 is not made of whole numbers of at least 1"),
        ({"volume_shape": (50, 50)}, r"seed: volume_shape=\(50, 50\) is not made of three whole numbers"),
        ({"volume_shape": (50, 50, 0)}, r"seed: volume_shape=\(50, 50, 0\) is not made of three whole numbers"),
    ],
)
def test_arguments_out_of_range_are_told_with_their_value(arguments, message):
    with pytest.raises(UserError, match=message):
        Seed(**{"volume_shape": (50, 50, 50), "num_outputs": 1, **arguments})
