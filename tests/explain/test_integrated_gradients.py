"""Integrated gradients of hand-built networks whose attributions are known by formula."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.ndimage import gaussian_filter
from torch import nn

from mri3d.explain import attribution
from mri3d.explain.attribution import integrated_gradients
from mri3d.nets.sfcn import SFCN

SHAPE = (12, 14, 16)
REGION = (slice(2, 6), slice(6, 10), slice(4, 8))


class Weighted(nn.Module):
    """Return one output: half the sum over the voxels of weight times the value's square, for values above 0."""

    def __init__(self, weights: np.ndarray) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.from_numpy(weights))

    def forward(self, volume: torch.Tensor) -> torch.Tensor:
        """Return outputs [B, 1]."""
        return (self.weights * volume.clamp(min=0) ** 2).flatten(1).sum(dim=1, keepdim=True) / 2


class Linear(nn.Module):
    """Return weighted sums of the voxels of all channels, without any parameter that would say on which device."""

    def __init__(self, weights: np.ndarray) -> None:
        super().__init__()
        self.weights = torch.from_numpy(weights)  # [D, C, X, Y, Z]

    def forward(self, volume: torch.Tensor) -> torch.Tensor:
        """Return outputs [B, D]."""
        return volume.flatten(1) @ self.weights.flatten(1).T + 5.0


def volumes():
    """Draw an average head and one that is darker in a region, both [1, X, Y, Z] and noisy."""
    rng = np.random.default_rng(3)
    average, other = rng.uniform(0.9, 1.1, (2, 1, *SHAPE)).astype(np.float32)
    other[(0, *REGION)] -= 0.6
    return average, other


def weights(*sides: int):
    return np.random.default_rng(4).uniform(0.5, 1.5, (*sides, *SHAPE)).astype(np.float32)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_attribution_of_a_quadratic_network_is_the_formula(sign):
    average, other = volumes()
    evidence = integrated_gradients(Weighted(weights()), other, baseline=average, contrast=np.array([sign]))
    gains = sign * weights() * (other[0] ** 2 - average[0] ** 2) / 2  # what each voxel adds to the output
    expected = gaussian_filter(gains, 16 / 25, mode="nearest")
    assert evidence.shape == SHAPE
    assert evidence.dtype == np.float32
    assert_allclose(evidence, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("contrast", [[0.0, 12.5, 0.0], [-12.5, 0.0, 0.0], [2 / 3, -1 / 3, -1 / 3]])
def test_evidence_of_a_linear_network_with_two_channels_adds_up_to_the_change_of_the_output(monkeypatch, contrast):
    monkeypatch.setattr(attribution, "SMOOTHING", 0)
    rng, contrast = np.random.default_rng(5), np.array(contrast)
    baseline, volume = rng.standard_normal((2, 2, *SHAPE)).astype(np.float32)
    network = Linear(weights(3, 2) - 1)
    evidence = integrated_gradients(network, volume, baseline=baseline, contrast=contrast)
    per_voxel = np.einsum("d,dcxyz,cxyz->xyz", contrast, weights(3, 2) - 1, volume - baseline)
    assert_allclose(evidence, per_voxel, atol=1e-5)
    with torch.no_grad():
        outputs = network(torch.from_numpy(np.stack([baseline, volume]))).numpy() @ contrast
    assert evidence.min() < 0 < evidence.max()
    assert evidence.sum() == pytest.approx(outputs[1] - outputs[0], rel=1e-4, abs=1e-3)


@pytest.mark.parametrize("contrast", [[9.0], [-9.0]])
def test_evidence_of_a_network_of_ours_adds_up_to_about_the_change_of_a_measure(monkeypatch, contrast):
    monkeypatch.setattr(attribution, "SMOOTHING", 0)
    torch.manual_seed(1)
    network, contrast = SFCN(SHAPE, 1, channels=[4, 4], num_channels=2), np.array(contrast)
    baseline, volume = (np.concatenate([array, array**2]) for array in volumes())
    evidence = integrated_gradients(network, volume, baseline=baseline, contrast=contrast, num_steps=64)
    with torch.no_grad():
        outputs = network(torch.from_numpy(np.stack([baseline, volume]))).numpy() @ contrast
    assert evidence.sum() == pytest.approx(outputs[1] - outputs[0], rel=0.02)
    few = integrated_gradients(network, volume, baseline=baseline, contrast=contrast)
    assert few.sum() == pytest.approx(outputs[1] - outputs[0], rel=0.2)


def test_opposite_contrasts_have_opposite_evidence():
    average, other = volumes()
    torch.manual_seed(2)
    network = SFCN(SHAPE, 1, channels=[4, 4])
    raises = integrated_gradients(network, other, baseline=average, contrast=np.array([1.0]))
    lowers = integrated_gradients(network, other, baseline=average, contrast=np.array([-1.0]))
    assert raises.any()
    assert_array_equal(raises, -lowers)


def test_what_is_missing_speaks_for_the_class_that_lacks_it():
    average, other = volumes()
    evidence = integrated_gradients(Weighted(weights()), other, baseline=average, contrast=np.array([-1.0]))
    heat = evidence.clip(min=0)
    assert heat[REGION].mean() > 10 * heat.mean()
    assert heat.max() == heat[REGION].max()


def test_average_head_has_no_evidence():
    average, _ = volumes()
    evidence = integrated_gradients(Weighted(weights()), average, baseline=average, contrast=np.array([1.0]))
    assert_array_equal(evidence, np.zeros(SHAPE))


def test_network_and_volumes_are_left_as_they_were():
    torch.manual_seed(0)
    network = SFCN(SHAPE, 3, channels=[2, 2]).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    average, other = volumes()
    options = {"baseline": average, "contrast": np.array([-1, -1, 2]) / 3}
    first = integrated_gradients(network, other, **options)
    assert_array_equal(integrated_gradients(network, other, **options), first)
    assert all(np.array_equal(*pair) for pair in zip((average, other), volumes(), strict=True))
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
