"""Grad-CAM and HiResCAM of layers that are named: any that gives a map, and no other."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from mri3d.errors import UserError
from mri3d.explain.class_activation import hires_cam
from mri3d.explain.layers import Layers
from mri3d.nets.sfcn import SFCN
from tests.explain.detectors import (
    CELLS,
    SHAPE,
    WAYS,
    Detector,
    Placed,
    assert_close,
    heat_of,
    in_volume,
    volume,
)


@WAYS
def test_a_layer_is_taken_by_its_name(way):
    network, array = Detector([[1.0, 0.5]]), volume()
    assert Layers.of(network, array.shape).names == ["signs", "cam_layer"]
    np.testing.assert_array_equal(heat_of(network, array, way=way, layer="cam_layer"), heat_of(network, array, way=way))
    before = heat_of(network, array, way=way, layer="signs")  # channels v and -v, one of which passes the ReLU
    cells = functional.avg_pool3d(torch.from_numpy(array)[None], 2)[0, 0]
    if way is hires_cam:
        assert_close(before, heat_of(network, array, way=way))
    else:
        passing = (cells > 0).float().mean() - 0.5 * (cells < 0).float().mean()
        assert_close(before, in_volume(passing * cells) / cells.numel())


@WAYS
def test_a_layer_whose_map_is_overwritten_is_taken_as_it_was(way):
    class Overwriting(Placed):
        def __init__(self, weights: np.ndarray) -> None:
            super().__init__(weights)
            self.cam_layer = nn.ReLU(inplace=True)

    weights = np.random.default_rng(2).uniform(-1, 1, (2, *CELLS)).astype(np.float32)
    one, other = Overwriting(weights), Placed(weights)
    assert one.cam_layer.inplace
    np.testing.assert_array_equal(
        heat_of(one, volume(), way=way, layer="signs"), heat_of(other, volume(), way=way, layer="signs")
    )


@WAYS
@pytest.mark.parametrize(
    ("layer", "told"),
    [
        ("cam_layr", r"^layer='cam_layr' is no layer of the network Detector\. Did you mean 'cam_layer'\? Its layers "),
        ("", r"^layer='' is no layer of the network Detector\. Its layers with maps: signs, cam_layer\.$"),
        ("head", r"the network Detector cannot be placed in the volume, .*has no cells that could be followed"),
    ],
)
def test_a_layer_that_is_not_there_or_has_no_map_is_refused(way, layer, told):
    with pytest.raises(UserError, match=told):
        heat_of(Detector([[1.0, 0.0]]), volume(), way=way, layer=layer)


class Unusual(Detector):
    """A detector with a module that is not called, and one that returns more than a map."""

    def __init__(self) -> None:
        super().__init__([[1.0, 0.0]])
        self.unused = nn.Conv3d(1, 2, 1)
        self.several = Several()

    def forward(self, volume: torch.Tensor) -> torch.Tensor:
        """Return logits [B, 1]."""
        return super().forward(self.several(volume)[0])


class Several(nn.Module):
    """Return two maps."""

    def forward(self, volume: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the volume twice."""
        return volume * 1, volume


@WAYS
@pytest.mark.parametrize("layer", ["unused", "several"])
def test_a_module_that_gives_no_one_map_is_refused(way, layer):
    with pytest.raises(UserError, match=r"cannot be placed in the volume|is no layer"):
        heat_of(Unusual(), volume(), way=way, layer=layer)


@WAYS
def test_a_layer_without_cells_is_refused(way):
    network = SFCN(SHAPE, 1, channels=[2, 2])
    with pytest.raises(UserError, match=r"network SFCN cannot be placed in the volume.*AdaptiveAvgPool3d has no cells"):
        heat_of(network, volume(), way=way, layer="head.0")


@WAYS
def test_a_network_without_a_layer_for_it_is_told_by_name(way):
    class Flat(nn.Sequential):
        @property
        def cam_layer(self) -> nn.Module:
            return self[0]

    layers = nn.Flatten(), nn.Linear(int(np.prod(SHAPE)), 1)
    with pytest.raises(UserError, match=r"names no layer for Grad-CAM \(cam_layer\)\. Use integrated gradients\.$"):
        heat_of(nn.Sequential(*layers), volume(), way=way)
    with pytest.raises(
        UserError, match=r"network Flat cannot be placed in the volume.*has no cells that could be followed"
    ):
        heat_of(Flat(*layers), volume(), way=way)
