"""All ways to explain, through each of our networks."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from torch import nn

from mri3d.errors import UserError
from mri3d.explain import gradients
from mri3d.explain.contrasted import Contrasted
from mri3d.explain.gradients import midway_gradients
from mri3d.explain.layers import Layers
from mri3d.explain.of_network import explain_network, ways_of
from mri3d.nets.fused import Fused, OfOneSession
from mri3d.nets.networks import NETWORKS
from tests.explain.asked import ask, usual

SHAPE, LARGER = (20, 21, 22), (32, 33, 34)  # a first stage of stride 2 leaves efficientnet-b0 little
BOX = (slice(8, 12), slice(9, 13), slice(10, 14))
OPTIONS = {
    "seed": {"channels": [4, 4], "kernel_size": [4, 3], "pooling": [3, 2], "dense": [8]},
    "sfcn": {"channels": [4, 4, 4]},
    "resnet18": {"widths": [4, 4, 4, 4], "max_pool": False},
    "resnet50": {"widths": [2, 2, 2, 2], "max_pool": False},
    "densenet121": {"channels": 4, "growth": 2, "layers": [2, 2, 2, 2], "stride": 1},
    "efficientnet-b0": {"width": 0.1, "depth": 0.3},
}
ALL = ("integrated_gradients", "smoothgrad", "gradcam", "hirescam", "guided_backprop", "occlusion", "region_occlusion")
NETS = pytest.mark.parametrize("name", NETWORKS)


def shape_of(name: str) -> tuple[int, int, int]:
    return LARGER if name == "efficientnet-b0" else SHAPE


def build(name: str) -> nn.Module:
    """Build a small network whose statistics are those of noise."""
    torch.manual_seed(1)
    network = NETWORKS[name](shape_of(name), 1, **OPTIONS[name])
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.momentum = None  # the mean of all that it sees
    with torch.no_grad():
        network.train()(torch.randn(8, 1, *shape_of(name)))
    return network


def volumes(shape=SHAPE):
    """Draw a volume and a baseline that differ in a box alone, so that few blocks are worth occluding, and regions."""
    volume, other = np.random.default_rng(5).standard_normal((2, 1, *shape)).astype(np.float32)
    baseline = volume.copy()
    baseline[(0, *BOX)] = other[(0, *BOX)]
    return volume, baseline, np.indices(shape).sum(axis=0) // 20


def state_of(network):
    """Return all that explaining must leave as it was."""
    flags = [module.inplace for module in network.modules() if isinstance(module, nn.ReLU)]
    hooks = [
        len(module._forward_hooks) + len(module._forward_pre_hooks) + len(module._backward_hooks or ())
        for module in network.modules()
    ]
    learnt = [(weights.requires_grad, weights.grad) for weights in network.parameters()]
    return flags, hooks, learnt, [tensor.tolist() for tensor in network.state_dict().values()]


@pytest.mark.parametrize("way", ["integrated_gradients", "smoothgrad"])
def test_quick_integrated_gradients_are_those_midway_and_nothing_else_is_quicker(way):
    volume, baseline, _ = volumes()
    explained, asked = Contrasted(build("sfcn"), np.array([3.0])), ask(volume, way)
    whole, quick = (
        explain_network(explained, replace(asked, quick=each), reference=usual(baseline)) for each in (False, True)
    )
    midway = midway_gradients(explained, volume, starts=[baseline])
    assert_array_equal(quick.values, (midway if way == "integrated_gradients" else whole).values)
    assert ("completeness_error" in whole.facts, "completeness_error" in quick.facts) == (way != "smoothgrad", False)


@NETS
def test_each_way_gives_a_map_and_leaves_the_network_as_it_was(name):
    network, (volume, baseline, regions) = build(name), volumes(shape_of(name))
    ways, before = ways_of(network), state_of(network)
    assert ways == tuple(way for way in ALL if way != "guided_backprop" or name != "efficientnet-b0")
    explained, maps = Contrasted(network, np.array([-2.0])), {}
    for way in ways:
        maps[way] = explain_network(explained, ask(volume, way, regions=regions), reference=usual(baseline))
        assert maps[way].values.shape == shape_of(name), way
        assert maps[way].values.dtype == np.float32, way
        assert np.isfinite(maps[way].values).all(), way
        assert maps[way].strongest > 0, way
    assert state_of(network) == before
    assert not any(module.training for module in network.modules())
    numbers = explained.numbers(np.stack([volume, baseline]))
    assert maps["integrated_gradients"].facts["change"] == pytest.approx(numbers[0] - numbers[1], rel=1e-5)
    assert maps["region_occlusion"].facts == {"num_regions": regions.max()}
    assert maps["occlusion"].values[BOX].any()
    assert not maps["occlusion"].values[:1].any()  # no block that reaches there holds a voxel that differs


@NETS
def test_steps_along_the_gradient_raise_the_number(name, monkeypatch):
    monkeypatch.setattr(gradients, "NOISE", 1e-3)  # a step is small too
    explained, (volume, baseline, _) = Contrasted(build(name), np.array([-2.0])), volumes(shape_of(name))
    heat = explain_network(explained, ask(volume, "smoothgrad"), reference=usual(baseline)).heat
    lower, here, higher = explained.numbers(np.stack([volume + step * heat for step in np.float32([-0.01, 0, 0.01])]))
    assert lower < here < higher


@pytest.mark.parametrize("name", ["seed", "sfcn", "resnet18"])
def test_a_constant_network_has_no_evidence(name):
    network, (volume, baseline, regions) = build(name), volumes()
    with torch.no_grad():
        for weights in network.parameters():
            weights.zero_()
    for way in ways_of(network):
        evidence = explain_network(
            Contrasted(network, np.array([3.0])), ask(volume, way, regions=regions), reference=usual(baseline)
        )
        assert not evidence.values.any(), way
        assert evidence.facts.get("completeness_error", 0.0) == 0.0


def test_a_network_is_explained_by_what_it_has_layers_for():
    plain = nn.Sequential(nn.Flatten(), nn.Linear(8, 1))
    assert ways_of(plain) == ("integrated_gradients", "smoothgrad", "occlusion", "region_occlusion")
    relu = nn.Sequential(nn.ReLU(), nn.Flatten(), nn.Linear(8, 1))
    assert ways_of(relu) == ("integrated_gradients", "smoothgrad", "guided_backprop", "occlusion", "region_occlusion")
    assert ways_of(Fused(build("sfcn"), 3, 1)) == ALL
    assert "gradcam" not in ways_of(Fused(relu, 3, 1))


def test_regions_are_asked_for():
    volume, baseline, _ = volumes()
    with pytest.raises(UserError, match=r"^occlusion of regions needs regions"):
        explain_network(
            Contrasted(build("sfcn"), np.ones(1)), ask(volume, "region_occlusion"), reference=usual(baseline)
        )


@pytest.mark.parametrize("way", ["gradcam", "hirescam"])
def test_a_layer_has_one_name_with_the_covariates_of_a_session_and_without(way):
    network, (volume, baseline, _) = Fused(NETWORKS["sfcn"](SHAPE, 16, channels=[4, 4]), 2, 1), volumes()
    nn.init.ones_(network.last.weight)
    (layer,) = (name for name in Layers.of(network, volume.shape).names if name.endswith("blocks.1"))
    for one in (network, OfOneSession(network, torch.tensor([1.0, -1.0]))):
        asked = ask(volume, way, layer=layer)
        assert explain_network(Contrasted(one, np.ones(1)), asked, reference=usual(baseline)).values.any()
