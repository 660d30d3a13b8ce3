"""SmoothGrad of hand-built networks whose gradients are known by formula."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.ndimage import gaussian_filter
from torch import nn

from mri3d.explain import contrasted, gradients
from mri3d.explain.contrasted import Contrasted
from mri3d.explain.gradients import NOISE, NUM_SAMPLES, smooth_grad

SHAPE = (12, 14, 16)
WEIGHTS = np.random.default_rng(1).uniform(0.5, 1.5, (2, 2, *SHAPE)).astype(np.float32)  # [D, C, X, Y, Z]
VOLUME = np.random.default_rng(2).standard_normal((2, *SHAPE)).astype(np.float32)


class Powers(nn.Module):
    """Return two outputs: the sums over the voxels of weight times a power of the value, over that power."""

    def __init__(self, power: int) -> None:
        super().__init__()
        self.weights, self.power = nn.Parameter(torch.from_numpy(WEIGHTS)), power

    def forward(self, volume: torch.Tensor) -> torch.Tensor:
        """Return outputs [B, 2]."""
        return (volume**self.power).flatten(1) @ self.weights.flatten(1).T / self.power


def map_of(power, contrast=(1.0, 0.0), volume=VOLUME, **options: int):
    return smooth_grad(Contrasted(Powers(power), np.array(contrast)), volume, **options).values


@pytest.mark.parametrize("contrast", [(1.0, 0.0), (-0.5, 0.5)])
def test_the_gradient_of_a_linear_network_is_its_weights(contrast):
    evidence = smooth_grad(Contrasted(Powers(1), np.array(contrast)), VOLUME)
    weights = np.tensordot(contrast, WEIGHTS, axes=1).sum(axis=0)
    assert evidence.values.shape == SHAPE
    assert evidence.values.dtype == np.float32
    assert_allclose(evidence.values, gaussian_filter(weights, max(SHAPE) / 25, mode="nearest"), atol=1e-5)
    assert evidence.facts == {"num_samples": NUM_SAMPLES}


@pytest.mark.parametrize("num_samples", [4, NUM_SAMPLES])
def test_the_noise_is_a_share_of_the_range_and_is_averaged(monkeypatch, num_samples):
    monkeypatch.setattr(contrasted, "SMOOTHING", 0)
    single = VOLUME.copy()
    single[1] = 0
    apart = map_of(2, volume=single, num_samples=num_samples) - (WEIGHTS[0] * single).sum(axis=0)
    noise = NOISE * np.ptp(single) * np.sqrt(np.square(WEIGHTS[0]).sum(axis=0) / num_samples)
    assert np.abs(apart.mean()) < 0.1 * noise.mean()
    assert (apart / noise).std() == pytest.approx(1, rel=0.05)


def test_without_noise_it_is_the_gradient(monkeypatch):
    monkeypatch.setattr(contrasted, "SMOOTHING", 0)
    monkeypatch.setattr(gradients, "NOISE", 0)
    assert_allclose(map_of(3), (WEIGHTS[0] * VOLUME**2).sum(axis=0), atol=1e-4)
    constant = np.full_like(VOLUME, 2.0)  # without a range there is no noise
    monkeypatch.setattr(gradients, "NOISE", NOISE)
    assert_allclose(map_of(3, volume=constant), (WEIGHTS[0] * 4).sum(axis=0), rtol=1e-5)


def test_the_same_volume_gives_the_same_map_whatever_is_drawn_elsewhere():
    first, state = map_of(2), torch.get_rng_state()
    torch.manual_seed(7)
    assert_array_equal(map_of(2), first)
    torch.set_rng_state(state)
    map_of(2)
    assert torch.equal(torch.get_rng_state(), state)


def test_opposite_contrasts_have_opposite_maps():
    assert_array_equal(map_of(2, (0.0, -1.0)), -map_of(2, (0.0, 1.0)))


def test_network_and_volume_are_left_as_they_were():
    network, before = Powers(2), VOLUME.copy()
    smooth_grad(Contrasted(network, np.array([1.0, 0.0])), VOLUME, num_samples=2)
    assert_array_equal(VOLUME, before)
    assert network.weights.grad is None
    assert_array_equal(network.weights.detach().numpy(), WEIGHTS)
