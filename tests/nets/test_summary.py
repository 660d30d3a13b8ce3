"""The table of layers."""

import torch
from torch import nn

from mri3d.nets.seed import STUDY_VOLUME, Seed
from mri3d.nets.shapes import output_shapes
from mri3d.nets.summary import multiply_adds, summarize


def test_table_of_the_study():
    lines = summarize(Seed(STUDY_VOLUME, 1), STUDY_VOLUME).splitlines()
    assert lines[0].split()[-2:] == ["weights", "multiply-adds"]
    assert lines[2].split()[2:] == ["8", "x", "155", "x", "165", "x", "195", "1,728,008", "8.6", "T"]
    assert lines[-1].split() == ["total", "Seed", "19,017,081", "9.0", "T"]


def test_multiply_adds_follow_from_the_layers_definition():
    assert multiply_adds(nn.Conv3d(4, 6, (1, 2, 3), groups=2), (6, 7, 8, 9)) == 7 * 8 * 9 * 6 * (4 // 2) * (1 * 2 * 3)
    assert multiply_adds(nn.Linear(5, 3), (3,)) == 15
    assert multiply_adds(nn.ReLU(), (3,)) == 0


def test_channels_of_the_volume_are_counted():
    lines = summarize(nn.Sequential(nn.Conv3d(3, 8, 1)), (7, 8, 9), num_channels=3).splitlines()
    assert lines[-1].split() == ["total", "Sequential", "32", "12.1", "k"]


class Picky(nn.Module):
    """Looks at the values that it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(1, 2)

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        """Return outputs [B, 2]."""
        return self.head(volumes.mean(dim=(2, 3, 4)) if volumes.max().item() >= 0 else volumes)


def test_a_network_that_needs_values_gets_the_totals_only():
    header, _, *rows = summarize(Picky(), (7, 8, 9)).splitlines()
    assert header.startswith("layer")
    assert [row.split() for row in rows if "-" not in row] == [["total", "Picky", "4"]]


def test_tracing_computes_nothing_and_changes_nothing():
    net = nn.Sequential(nn.Conv3d(1, 2, 3), nn.BatchNorm3d(2), nn.Dropout(), nn.AdaptiveAvgPool3d(1), nn.Flatten())
    net[2].eval()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    shapes = output_shapes(net, (10_000, 9_000, 8_000))  # 3 TB, were it computed
    assert shapes["0"] == (2, 9_998, 8_998, 7_998)
    assert [module.training for module in net] == [True, True, False, True, True]
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert not any(module._forward_hooks for module in net.modules())
