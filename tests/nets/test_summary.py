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


def test_tracing_computes_nothing_and_changes_nothing():
    net = nn.Sequential(nn.Conv3d(1, 2, 3), nn.BatchNorm3d(2), nn.Dropout(), nn.AdaptiveAvgPool3d(1), nn.Flatten())
    net[2].eval()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    shapes = output_shapes(net, (10_000, 9_000, 8_000))  # 3 TB, were it computed
    assert shapes["0"] == (2, 9_998, 8_998, 7_998)
    assert [module.training for module in net] == [True, True, False, True, True]
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert not any(module._forward_hooks for module in net.modules())
