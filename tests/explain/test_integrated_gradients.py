"""Integrated gradients of hand-built networks whose evidence is known by formula."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.ndimage import gaussian_filter
from torch import nn

from mri3d.explain import contrasted, gradients
from mri3d.explain.contrasted import Contrasted
from mri3d.explain.gradients import COMPLETENESS, FEWEST, STEPS, integrated_gradients, midway_gradients
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


def evidence_of(network, volume, baseline, contrast=(1.0,)):
    return integrated_gradients(Contrasted(network, np.array(contrast)), volume, starts=[baseline])


def weights(*sides: int):
    return np.random.default_rng(4).uniform(0.5, 1.5, (*sides, *SHAPE)).astype(np.float32)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_evidence_of_a_quadratic_network_is_the_formula(sign):
    average, other = volumes()
    evidence = evidence_of(Weighted(weights()), other, average, [sign]).values
    gains = sign * weights() * (other[0] ** 2 - average[0] ** 2) / 2  # what each voxel adds to the output
    expected = gaussian_filter(gains, 16 / 25, mode="nearest")
    assert evidence.shape == SHAPE
    assert evidence.dtype == np.float32
    assert_allclose(evidence, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("contrast", [[0.0, 12.5, 0.0], [-12.5, 0.0, 0.0], [2 / 3, -1 / 3, -1 / 3]])
def test_evidence_of_a_linear_network_with_two_channels_adds_up_to_the_change_of_the_output(monkeypatch, contrast):
    monkeypatch.setattr(contrasted, "SMOOTHING", 0)
    rng, contrast = np.random.default_rng(5), np.array(contrast)
    baseline, volume = rng.standard_normal((2, 2, *SHAPE)).astype(np.float32)
    network = Linear(weights(3, 2) - 1)
    evidence = evidence_of(network, volume, baseline, contrast).values
    per_voxel = np.einsum("d,dcxyz,cxyz->xyz", contrast, weights(3, 2) - 1, volume - baseline)
    assert_allclose(evidence, per_voxel, atol=1e-5)
    with torch.no_grad():
        outputs = network(torch.from_numpy(np.stack([baseline, volume]))).numpy() @ contrast
    assert evidence.min() < 0 < evidence.max()
    assert evidence.sum() == pytest.approx(outputs[1] - outputs[0], rel=1e-4, abs=1e-3)


@pytest.mark.parametrize("contrast", [[9.0], [-9.0]])
def test_evidence_of_a_network_of_ours_adds_up_to_about_the_change_of_a_measure(monkeypatch, contrast):
    monkeypatch.setattr(contrasted, "SMOOTHING", 0)
    torch.manual_seed(1)
    network, contrast = SFCN(SHAPE, 1, channels=[4, 4], num_channels=2).eval(), np.array(contrast)
    baseline, volume = (np.concatenate([array, array**2]) for array in volumes())
    with torch.no_grad():
        outputs = network(torch.from_numpy(np.stack([baseline, volume]))).numpy() @ contrast
    for steps, within in (((64,), 0.02), ((8,), 0.2), (STEPS, COMPLETENESS)):
        monkeypatch.setattr(gradients, "STEPS", steps)
        evidence = evidence_of(network, volume, baseline, contrast)
        assert evidence.values.sum() == pytest.approx(outputs[1] - outputs[0], rel=within)
        assert evidence.facts["change"] == pytest.approx(outputs[1] - outputs[0], rel=1e-5)
        assert evidence.facts["completeness_error"] <= within


def test_evidence_from_several_starts_is_the_mean_of_that_from_each(monkeypatch):
    monkeypatch.setattr(gradients, "STEPS", (32,))
    torch.manual_seed(1)
    number = Contrasted(SFCN(SHAPE, 1, channels=[4, 4]), np.array([9.0]))
    (one, volume), other = volumes(), np.random.default_rng(5).uniform(0.5, 1.5, (1, *SHAPE)).astype(np.float32)
    both = integrated_gradients(number, volume, starts=(one, other))
    each = [integrated_gradients(number, volume, starts=(start,)) for start in (one, other)]
    assert both.facts["num_steps"] == 64
    assert both.facts["change"] == pytest.approx(np.mean([found.facts["change"] for found in each]), rel=1e-4)
    apart = np.abs(each[0].values - each[1].values).max()
    assert_allclose(both.values, np.mean([found.values for found in each], axis=0), atol=0.02 * apart)


def test_opposite_contrasts_have_opposite_evidence():
    average, other = volumes()
    torch.manual_seed(2)
    network = SFCN(SHAPE, 1, channels=[4, 4])
    raises, lowers = (evidence_of(network, other, average, [sign]).values for sign in (1.0, -1.0))
    assert raises.any()
    assert_array_equal(raises, -lowers)


def test_what_is_missing_speaks_for_the_class_that_lacks_it():
    average, other = volumes()
    heat = evidence_of(Weighted(weights()), other, average, [-1.0]).values.clip(min=0)
    assert heat[REGION].mean() > 10 * heat.mean()
    assert heat.max() == heat[REGION].max()


def test_average_head_has_no_evidence():
    average, _ = volumes()
    evidence = evidence_of(Weighted(weights()), average, average)
    assert_array_equal(evidence.values, np.zeros(SHAPE))
    assert evidence.facts == {"num_steps": FEWEST, "change": 0.0, "completeness_error": 0.0}


def test_network_and_volumes_are_left_as_they_were():
    torch.manual_seed(0)
    network = SFCN(SHAPE, 3, channels=[2, 2]).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    average, other = volumes()
    contrast = np.array([-1, -1, 2]) / 3
    first = evidence_of(network, other, average, contrast).values
    assert_array_equal(evidence_of(network, other, average, contrast).values, first)
    assert all(np.array_equal(*pair) for pair in zip((average, other), volumes(), strict=True))
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


class Kinked(nn.Module):
    """Return one output: by how much the mean of a volume exceeds a value, 0 below it."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))

    def forward(self, volume: torch.Tensor) -> torch.Tensor:
        """Return outputs [B, 1]."""
        return torch.relu(volume.flatten(1).mean(dim=1, keepdim=True) - self.value)


def error_of(kink: float, num_steps: int) -> float:
    """Compute by how much of its change a sum over the points of Gauss and Legendre misses a line with a kink."""
    points, sizes = np.polynomial.legendre.leggauss(num_steps)  # on [-1, 1]
    return abs(sizes[(points + 1) / 2 > kink].sum() / 2 / (1 - kink) - 1)


KINKS = [(0.0, 8), (0.5, 8), (0.85, 16), (0.88, 32), (0.97, 64), (0.98, 64)]


@pytest.mark.parametrize(("kink", "num_steps"), KINKS)
def test_steps_grow_until_the_evidence_adds_up(kink, num_steps):
    enough = [count for count in STEPS[1:] if error_of(kink, count) <= COMPLETENESS]
    assert num_steps == next(iter(enough), STEPS[-1])
    nothing, all_of_it = np.zeros((1, 4, 5, 6), np.float32), np.ones((1, 4, 5, 6), np.float32)
    evidence = evidence_of(Kinked(kink), all_of_it, nothing, [10.0])
    assert evidence.facts == {
        "num_steps": num_steps,
        "change": pytest.approx(10 * (1 - kink), rel=1e-3),
        "completeness_error": pytest.approx(error_of(kink, num_steps), abs=1e-3),
    }
    missed = abs(evidence.values.sum() - evidence.facts["change"])  # all voxels alike: smoothing changes nothing
    assert missed == pytest.approx(evidence.facts["completeness_error"] * 10 * (1 - kink), abs=1e-4)


def test_evidence_that_cancels_adds_up_but_for_rounding():
    _, other = volumes()
    turned = np.ascontiguousarray(np.flip(other, axis=1))  # the same values elsewhere: the output stays
    evidence = evidence_of(Weighted(np.ones(SHAPE, np.float32)), turned, other)
    assert np.abs(evidence.values).max() > 0.01
    assert evidence.facts["change"] == pytest.approx(0, abs=1e-3)
    assert evidence.facts["num_steps"] == FEWEST
    assert evidence.facts["completeness_error"] <= COMPLETENESS


@pytest.mark.parametrize("contrast", [1.0, -2.0])
def test_one_gradient_midway_is_exact_where_the_network_is_quadratic(contrast):
    average, other = volumes()
    network, of_voxels, starts = Weighted(weights()), weights(), (average, 3 * average)
    evidence = midway_gradients(Contrasted(network, np.array([contrast])), other, starts=starts)
    expected = contrast * of_voxels * (other[0] ** 2 - 5 * average[0] ** 2) / 2
    assert_allclose(evidence.values, contrasted.smoothed(expected), atol=1e-5)
    assert network.weights.grad is None
