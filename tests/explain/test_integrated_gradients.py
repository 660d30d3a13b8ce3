"""Integrated gradients of hand-built networks whose attributions are known by formula."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import nn

from mri3d.explain import attribution
from mri3d.explain.attribution import as_heat
from mri3d.models.network.cnn import CNN
from mri3d.nets.sfcn import SFCN


def integrated_gradients(classifier, array, *, baseline, target):
    return as_heat(attribution.integrated_gradients(classifier, array, baseline=baseline, target=target))


SHAPE = (12, 14, 16)
REGION = (slice(2, 6), slice(6, 10), slice(4, 8))


class Weighted(nn.Module):
    """Give one logit: half the sum over the voxels of weight times the value's square, for values that are positive."""

    def __init__(self, weights: np.ndarray) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.from_numpy(weights))

    def forward(self, volume: torch.Tensor) -> torch.Tensor:
        """Give logits [B, 1]."""
        return (self.weights * volume.clamp(min=0) ** 2).flatten(1).sum(dim=1, keepdim=True) / 2


def classifier(network):
    made = CNN()
    made.network_ = network
    return made


def volumes():
    """Give an average head and one that is darker in a region, both [1, X, Y, Z] and noisy."""
    rng = np.random.default_rng(3)
    average, other = rng.uniform(0.9, 1.1, (2, 1, *SHAPE)).astype(np.float32)
    other[(0, *REGION)] -= 0.6
    return average, other


def weights():
    return np.random.default_rng(4).uniform(0.5, 1.5, SHAPE).astype(np.float32)


@pytest.mark.parametrize("target", [0, 1])
def test_attribution_of_a_quadratic_network_is_the_formula(target):
    average, other = volumes()
    heat = integrated_gradients(classifier(Weighted(weights())), other, baseline=average, target=target)
    gains = weights() * (other[0] ** 2 - average[0] ** 2) / 2  # what each voxel adds to the logit
    expected = gaussian_filter(gains if target else -gains, 16 / 25, mode="nearest").clip(min=0)
    assert heat.shape == SHAPE
    assert heat.dtype == np.float32
    np.testing.assert_allclose(heat, expected / expected.max(), atol=1e-5)


def test_what_is_missing_speaks_for_the_class_that_lacks_it():
    average, other = volumes()
    heat = integrated_gradients(classifier(Weighted(weights())), other, baseline=average, target=0)
    assert heat[REGION].mean() > 10 * heat.mean()
    assert heat.max() == heat[REGION].max() == 1.0


def test_average_head_has_no_evidence():
    average, _ = volumes()
    heat = integrated_gradients(classifier(Weighted(weights())), average, baseline=average, target=1)
    np.testing.assert_array_equal(heat, np.zeros(SHAPE))


def test_network_and_volumes_are_left_as_they_were():
    torch.manual_seed(0)
    network = SFCN(SHAPE, 3, channels=[2, 2]).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    average, other = volumes()
    first = integrated_gradients(classifier(network), other, baseline=average, target=2)
    np.testing.assert_array_equal(integrated_gradients(classifier(network), other, baseline=average, target=2), first)
    assert all(np.array_equal(*pair) for pair in zip((average, other), volumes(), strict=True))
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
