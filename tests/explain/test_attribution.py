"""Grad-CAM of hand-built networks whose maps are known by formula."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from mri3d.explain import attribution
from mri3d.explain.attribution import as_heat
from mri3d.models.network.cnn import CNN
from mri3d.nets.monai_nets import ResNet18
from mri3d.nets.sfcn import SFCN


def grad_cam(classifier, array, *, target):
    return as_heat(attribution.grad_cam(classifier, array, target=target))


SHAPE = (12, 14, 16)
BRIGHT, DARK = (slice(2, 6), slice(6, 10), slice(4, 8)), (slice(8, 10), slice(2, 6), slice(10, 14))


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
        """Give logits [B, K]."""
        maps = self.cam_layer(self.signs(functional.avg_pool3d(volume, 2)))  # [B, 2, X / 2, Y / 2, Z / 2]
        return self.head(maps.mean(dim=(2, 3, 4)))


def classifier(network):
    made = CNN()
    made.network_ = network
    return made


def volume(*, bright=3.0, dark=-2.0):
    """Give a volume [1, X, Y, Z] with one bright and one dark box."""
    array = np.zeros((1, *SHAPE), dtype=np.float32)
    array[(0, *BRIGHT)] = bright
    array[(0, *DARK)] = dark
    return array


def expected(weights, array):
    """Give the map of a class by the formula of Selvaraju et al., for the margin's weights [2] of the two channels."""
    cells = functional.avg_pool3d(torch.from_numpy(array)[None], 2)
    channels = torch.cat([cells.clamp(min=0), (-cells).clamp(min=0)], dim=1)[0]  # [2, X / 2, Y / 2, Z / 2]
    evidence = (torch.tensor(weights)[:, None, None, None] * channels).sum(dim=0).clamp(min=0)
    fine = functional.interpolate(evidence[None, None], size=SHAPE, mode="trilinear")[0, 0].numpy()
    return fine / fine.max() if fine.max() > 0 else fine


def mass_within(heat, box):
    return heat[box].sum() / heat.sum()


def test_evidence_for_the_second_class_is_the_bright_box():
    heat = grad_cam(classifier(Detector([[1.0, 0.0]])), volume(), target=1)
    assert heat.shape == SHAPE
    assert heat.dtype == np.float32
    assert heat.max() == 1.0
    assert heat.min() == 0.0
    assert (heat[BRIGHT] > 0.3).all()
    assert np.unravel_index(heat.argmax(), SHAPE) in {tuple(index) for index in np.argwhere(volume()[0] == 3.0)}
    np.testing.assert_allclose(heat, expected([1.0, 0.0], volume()), atol=1e-6)


def test_nothing_speaks_for_the_first_class_where_the_one_logit_only_rises():
    heat = grad_cam(classifier(Detector([[1.0, 0.0]])), volume(), target=0)
    np.testing.assert_array_equal(heat, np.zeros(SHAPE))


@pytest.mark.parametrize(("target", "box"), [(1, BRIGHT), (0, DARK)])
def test_each_class_of_a_one_logit_network_has_its_own_evidence(target, box):
    heat = grad_cam(classifier(Detector([[1.0, -1.0]])), volume(), target=target)
    sign = 1.0 if target else -1.0
    np.testing.assert_allclose(heat, expected([sign, -sign], volume()), atol=1e-6)
    assert mass_within(heat, box) > 0.5
    assert heat[BRIGHT if target == 0 else DARK].max() == 0.0


@pytest.mark.parametrize("target", [0, 1, 2])
def test_evidence_of_three_classes_is_that_of_the_margin(target):
    weights = [[2.0, 0.0], [0.0, 1.0], [0.5, 0.5]]
    margin = np.float32(weights[target]) - np.float32(weights).mean(axis=0)
    heat = grad_cam(classifier(Detector(weights)), volume(), target=target)
    np.testing.assert_allclose(heat, expected(margin.tolist(), volume()), atol=1e-6)
    if target < 2:  # the third lies between the others: nothing is evidence for it alone
        assert mass_within(heat, (BRIGHT, DARK)[target]) > 0.5


def test_evidence_moves_with_the_blob():
    network = classifier(Detector([[1.0, 0.0]]))
    array = volume(dark=0.0)
    for axis in (1, 2, 3):
        moved = grad_cam(network, np.roll(array, 2, axis=axis), target=1)
        np.testing.assert_allclose(moved, np.roll(grad_cam(network, array, target=1), 2, axis=axis - 1), atol=1e-6)
        flipped = grad_cam(network, np.ascontiguousarray(np.flip(array, axis=axis)), target=1)
        np.testing.assert_allclose(flipped, np.flip(grad_cam(network, array, target=1), axis=axis - 1), atol=1e-6)


def test_network_and_volume_are_left_as_they_were():
    torch.manual_seed(0)
    network = SFCN(SHAPE, 1, channels=[2, 2]).train()
    made, array = classifier(network), volume()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    first = grad_cam(made, array, target=1)
    np.testing.assert_array_equal(grad_cam(made, array, target=1), first)
    np.testing.assert_array_equal(array, volume())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not network.cam_layer._forward_hooks


@pytest.mark.parametrize("num_outputs", [1, 3])
def test_our_networks_give_maps_of_the_volumes_shape(num_outputs):
    torch.manual_seed(1)
    network = SFCN(SHAPE, num_outputs, channels=[3, 4, 2]).eval()
    maps = [grad_cam(classifier(network), volume(), target=target) for target in range(max(2, num_outputs))]
    assert all(heat.shape == SHAPE and heat.min() >= 0 and heat.max() in (0.0, 1.0) for heat in maps)
    assert len({heat.tobytes() for heat in maps}) == len(maps)


@pytest.mark.parametrize(
    ("network", "blob"),  # blobs lie in the middle of what a cell of the map sees: at 3 + 8 i and at 16 i
    [
        (SFCN((50, 50, 50), 1, channels=[2, 2, 2, 2]), (43, 11, 27)),
        (ResNet18((50, 50, 50), 1, widths=[2, 2, 2, 2]), (48, 16, 32)),
    ],
    ids=["sfcn", "resnet18"],
)
def test_heat_peaks_where_the_blob_is(network, blob):
    for layer in network.modules():
        if isinstance(layer, nn.Conv3d):  # passes on what lies in the middle of its kernel
            layer.weight.data.zero_()
            layer.weight.data[(..., *(size // 2 for size in layer.kernel_size))] = 1.0
        elif isinstance(layer, nn.Linear):
            layer.weight.data.fill_(1.0)
    array = np.zeros((1, 50, 50, 50), dtype=np.float32)
    array[(0, *(slice(at - 1, at + 2) for at in blob))] = 1.0
    heat = grad_cam(classifier(network), array, target=1)
    assert np.unravel_index(heat.argmax(), heat.shape) == blob
