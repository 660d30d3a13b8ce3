"""Grad-CAM and HiResCAM of hand-built networks whose maps are known by formula."""

import numpy as np
import pytest
import torch
from torch import nn

from mri3d.explain.class_activation import hires_cam
from mri3d.nets.monai_nets import ResNet18
from mri3d.nets.sfcn import SFCN
from tests.explain.detectors import (
    BRIGHT,
    CELLS,
    DARK,
    SHAPE,
    WAYS,
    Detector,
    Placed,
    assert_close,
    channels_of,
    contrast_of,
    expected,
    heat_of,
    in_volume,
    mass_within,
    volume,
)


@WAYS
def test_evidence_for_the_second_class_is_the_bright_box(way):
    heat = heat_of(Detector([[1.0, 0.0]]), volume(), way=way)
    assert heat.shape == SHAPE
    assert heat.dtype == np.float32
    assert heat.max() > 0
    assert heat.min() == 0.0
    assert (heat[BRIGHT] > 0.3 * heat.max()).all()
    assert np.unravel_index(heat.argmax(), SHAPE) in {tuple(index) for index in np.argwhere(volume()[0] == 3.0)}
    assert_close(heat, expected([1.0, 0.0], volume()))


@WAYS
def test_what_speaks_for_a_class_speaks_against_the_other(way):
    heat = heat_of(Detector([[1.0, 0.0]]), volume(), [-1.0], way=way)
    assert_close(heat, expected([-1.0, 0.0], volume()))
    assert heat.max() == 0.0 > heat[BRIGHT].max()


@WAYS
@pytest.mark.parametrize(("target", "box", "other"), [(1, BRIGHT, DARK), (0, DARK, BRIGHT)])
def test_each_class_of_a_one_logit_network_has_its_own_evidence(target, box, other, way):
    sign = 1.0 if target else -1.0
    heat = heat_of(Detector([[1.0, -1.0]]), volume(), [sign], way=way)
    assert_close(heat, expected([sign, -sign], volume()))
    assert mass_within(heat, box) > 0.5
    assert heat[other].max() < 0.0


@WAYS
@pytest.mark.parametrize("target", [0, 1, 2])
def test_evidence_of_three_classes_is_that_of_the_margin(target, way):
    weights = [[2.0, 0.0], [0.0, 1.0], [0.5, 0.5]]
    margin = np.float32(weights[target]) - np.float32(weights).mean(axis=0)
    heat = heat_of(Detector(weights), volume(), contrast_of(target, 3), way=way)
    assert_close(heat, expected(margin.tolist(), volume()))
    if target < 2:  # the third lies between the others: nothing is evidence for it alone
        assert mass_within(heat, (BRIGHT, DARK)[target]) > 0.5


@WAYS
def test_evidence_moves_with_the_blob(way):
    array = volume(dark=0.0)
    heat = heat_of(network := Detector([[1.0, 0.0]]), array, way=way)
    for axis in (1, 2, 3):
        moved = heat_of(network, np.roll(array, 2, axis=axis), way=way)
        assert_close(moved, np.roll(heat, 2, axis=axis - 1))
        flipped = heat_of(network, np.ascontiguousarray(np.flip(array, axis=axis)), way=way)
        assert_close(flipped, np.flip(heat, axis=axis - 1))


@WAYS
@pytest.mark.parametrize("scale", [7.5, -7.5])
def test_evidence_of_a_measure_is_in_its_units_with_what_raises_and_what_lowers_it(scale, way):
    heat = heat_of(Detector([[1.0, -1.0]]), volume(), [scale], way=way)
    assert_close(heat, expected([scale, -scale], volume()))
    assert mass_within(heat, BRIGHT if scale > 0 else DARK) > 0.5


@WAYS
def test_two_channels_are_seen_both(way):
    class Two(Detector):
        def forward(self, volume: torch.Tensor) -> torch.Tensor:
            return super().forward(volume[:, :1] + 2 * volume[:, 1:])

    array = np.concatenate([volume(dark=0.0), volume(bright=0.0)])
    heat = heat_of(Two([[1.0, -1.0]]), array, [-1.0], way=way)
    assert_close(heat, expected([-1.0, 1.0], array[:1] + 2 * array[1:]))
    assert mass_within(heat, DARK) > 0.5


def test_a_gradient_for_each_cell_shows_nothing_that_the_output_does_not_depend_on_and_adds_up_to_it():
    weights = np.random.default_rng(1).uniform(0.5, 1.5, (2, *CELLS)).astype(np.float32)
    weights[:, 4:, :, 5:] = 0  # the dark box: the network does not look there
    network, channels = Placed(weights), channels_of(volume())
    exact = heat_of(network, volume(), way=hires_cam)
    assert_close(exact, in_volume((torch.from_numpy(weights) * channels).sum(dim=0)))
    assert exact[DARK].max() == 0.0 < exact[BRIGHT].max()
    means = torch.from_numpy(weights.mean(axis=(1, 2, 3)))[:, None, None, None]
    smeared = heat_of(network, volume())
    assert_close(smeared, in_volume((means * channels).sum(dim=0)))
    assert smeared[DARK].max() > 0.1
    with torch.no_grad():  # a cell is 2 x 2 x 2 voxels, and none lies at the edge
        assert exact.sum() == pytest.approx(8 * network(torch.from_numpy(volume())[None]).item(), rel=1e-5)


@WAYS
def test_network_and_volume_are_left_as_they_were(way):
    network = SFCN(SHAPE, 1, channels=[2, 2]).train()
    array = volume()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    first = heat_of(network, array, way=way)
    np.testing.assert_array_equal(heat_of(network, array, way=way), first)
    np.testing.assert_array_equal(array, volume())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not network.cam_layer._forward_hooks


@pytest.mark.parametrize("num_outputs", [1, 3])
def test_our_networks_give_maps_of_the_volumes_shape(num_outputs):
    torch.manual_seed(1)
    network = SFCN(SHAPE, num_outputs, channels=[3, 4, 2]).eval()
    contrasts = [contrast_of(target, num_outputs) for target in range(max(2, num_outputs))]
    maps = [heat_of(network, volume(), contrast) for contrast in contrasts]
    assert all(heat.shape == SHAPE and np.isfinite(heat).all() for heat in maps)
    assert len({heat.tobytes() for heat in maps}) == len(maps)


@pytest.mark.parametrize(
    ("network", "blob"),  # blobs lie in the middle of what a cell of the map sees: at 3 + 8 i and at 16 i
    [
        (lambda: SFCN((50, 50, 50), 1, channels=[2, 2, 2, 2]), (43, 11, 27)),
        (lambda: ResNet18((50, 50, 50), 1, widths=[2, 2, 2, 2]), (48, 16, 32)),
    ],
    ids=["sfcn", "resnet18"],
)
def test_heat_peaks_where_the_blob_is(network, blob):
    network = network()
    for layer in network.modules():
        if isinstance(layer, nn.Conv3d):  # passes on what lies in the middle of its kernel
            layer.weight.data.zero_()
            layer.weight.data[(..., *(size // 2 for size in layer.kernel_size))] = 1.0
            if layer.bias is not None:  # no ReLU is shut, through which no gradient would come back
                layer.bias.data.fill_(1.0)
        elif isinstance(layer, nn.Linear):
            layer.weight.data.fill_(1.0)
    array = np.zeros((1, 50, 50, 50), dtype=np.float32)
    array[(0, *(slice(at - 1, at + 2) for at in blob))] = 1.0
    heat = heat_of(network, array)
    assert np.unravel_index(heat.argmax(), heat.shape) == blob
