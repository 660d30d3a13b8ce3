"""Hand-built networks whose Grad-CAM and HiResCAM are known by formula."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from mri3d.explain.class_activation import grad_cam, hires_cam
from mri3d.explain.contrasted import Contrasted

SHAPE = (12, 14, 16)
BRIGHT, DARK = (slice(2, 6), slice(6, 10), slice(4, 8)), (slice(8, 10), slice(2, 6), slice(10, 14))
CELLS = (6, 7, 8)
WAYS = pytest.mark.parametrize("way", [grad_cam, hires_cam])


class Detector(nn.Module):
    """Average a volume over cells of 2 x 2 x 2, tell bright from dark cells, and weigh their numbers.

    Channel 0 of the map is max(v, 0), channel 1 is max(-v, 0); the logits are `weights` [K, 2] times their averages.
    """

    def __init__(self, weights) -> None:
        super().__init__()
        self.signs = nn.Conv3d(1, 2, 1, bias=False)
        self.signs.weight.data = torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1, 1)
        self.cam_layer = nn.ReLU()
        self.head = nn.Linear(2, len(weights), bias=False)
        self.head.weight.data = torch.tensor(weights)

    def forward(self, volume: torch.Tensor) -> torch.Tensor:
        """Return logits [B, K]."""
        maps = self.cam_layer(self.signs(functional.avg_pool3d(volume, 2)))  # [B, 2, X / 2, Y / 2, Z / 2]
        return self.head(maps.mean(dim=(2, 3, 4)))


class Placed(Detector):
    """Weigh each bright and each dark cell by a weight of its own, `weights` [2, X / 2, Y / 2, Z / 2]."""

    def __init__(self, weights: np.ndarray) -> None:
        super().__init__([[0.0, 0.0]])
        self.weights = nn.Parameter(torch.from_numpy(weights))

    def forward(self, volume: torch.Tensor) -> torch.Tensor:
        """Return logits [B, 1]."""
        maps = self.cam_layer(self.signs(functional.avg_pool3d(volume, 2)))
        return (self.weights * maps).flatten(1).sum(dim=1, keepdim=True)


def contrast_of(target, num_outputs):
    """Weigh outputs into what speaks for a class and against the others."""
    return np.array([2.0 * target - 1]) if num_outputs == 1 else np.eye(num_outputs)[target] - 1 / num_outputs


def volume(*, bright=3.0, dark=-2.0):
    """Draw a volume [1, X, Y, Z] with one bright and one dark box."""
    array = np.zeros((1, *SHAPE), dtype=np.float32)
    array[(0, *BRIGHT)] = bright
    array[(0, *DARK)] = dark
    return array


def heat_of(network, array, contrast=(1.0,), *, way=grad_cam, layer=None):
    return way(Contrasted(network, np.array(contrast)), array, layer=layer).values


def channels_of(array):
    """Compute a detector's map of a volume, [2, X / 2, Y / 2, Z / 2]."""
    cells = functional.avg_pool3d(torch.from_numpy(array)[None], 2)
    return torch.cat([cells.clamp(min=0), (-cells).clamp(min=0)], dim=1)[0]


def in_volume(cells):
    return functional.interpolate(cells[None, None], size=SHAPE, mode="trilinear")[0, 0].numpy()


def expected(weights, array):
    """Compute the map by the formula of Selvaraju et al., for the contrast's weights [2] of the two channels."""
    evidence = (torch.tensor(weights)[:, None, None, None] * channels_of(array)).sum(dim=0)
    return in_volume(evidence) / evidence.numel()  # averaged


def assert_close(heat, formula):
    np.testing.assert_allclose(heat, formula, atol=1e-6 * max(np.abs(formula).max(), 1e-9))


def mass_within(heat, box):
    """Compute the share of what speaks for the target that lies in a box."""
    return heat[box].clip(min=0).sum() / heat.clip(min=0).sum()
