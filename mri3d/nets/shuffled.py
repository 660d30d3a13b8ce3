"""A network that has the weights of a trained one in another order, and so has learnt nothing."""

import copy

import torch
from torch import nn


def layer_weights(network: nn.Module) -> list[nn.Parameter]:
    """Return the weights of each layer, in order; neither biases nor what normalizes.

    >>> len(layer_weights(nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 4))))
    2
    """
    return [parameter for parameter in network.parameters() if parameter.ndim > 1]


def with_shuffled_weights(network: nn.Module, share: float = 1.0) -> nn.Module:
    """Copy a network, and shuffle the weights within each of its last layers.

    Their sizes and spreads stay, so that signals do; which weight goes where does not. The same network gives the same
    copy.

    Args:
        network: It is left as it was.
        share: Of the layers with weights, from the outputs on: 0 for none, 1 for all.

    >>> other = with_shuffled_weights(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)), 0.5)
    """
    other, random = copy.deepcopy(network), torch.Generator().manual_seed(0)
    weights = layer_weights(other)
    with torch.no_grad():
        for weight in weights[len(weights) - round(share * len(weights)) :]:
            order = torch.randperm(weight.numel(), generator=random).to(weight.device)
            weight.copy_(weight.flatten()[order].reshape(weight.shape))
    return other
