"""Shuffled weights are the same numbers in another order, layer by layer from the outputs on."""

import torch
from torch import nn

from mri3d.nets.shuffled import with_shuffled_weights


def layers():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv3d(1, 4, 3), nn.BatchNorm3d(4), nn.Conv3d(4, 4, 3), nn.Flatten(), nn.Linear(64, 2))


def changed(network, share):
    other = with_shuffled_weights(network, share)
    pairs = zip(network.named_parameters(), other.named_parameters(), strict=True)
    for (_, one), (_, two) in pairs:
        assert torch.equal(one.flatten().sort().values, two.flatten().sort().values)
    pairs = zip(network.named_parameters(), other.named_parameters(), strict=True)
    return [name for (name, one), (_, two) in pairs if not torch.equal(one, two)]


def test_the_last_layers_come_first():
    network = layers()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert changed(network, 0.0) == []
    assert changed(network, 1 / 3) == ["4.weight"]
    assert changed(network, 1.0) == ["0.weight", "2.weight", "4.weight"]  # neither biases nor normalization
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_the_same_network_gives_the_same_copy():
    one, other = (with_shuffled_weights(layers()) for _ in range(2))
    assert all(torch.equal(one.state_dict()[name], tensor) for name, tensor in other.state_dict().items())
