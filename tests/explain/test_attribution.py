"""Grad-CAM of hand-built networks whose maps are known by formula."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from mri3d.errors import UserError
from mri3d.explain.attribution import grad_cam
from mri3d.nets.monai_nets import ResNet18
from mri3d.nets.sfcn import SFCN

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
        """Return logits [B, K]."""
        maps = self.cam_layer(self.signs(functional.avg_pool3d(volume, 2)))  # [B, 2, X / 2, Y / 2, Z / 2]
        return self.head(maps.mean(dim=(2, 3, 4)))


def contrast_of(target, num_outputs):
    """Weigh outputs into what speaks for a class and against the others."""
    return np.array([2.0 * target - 1]) if num_outputs == 1 else np.eye(num_outputs)[target] - 1 / num_outputs


def volume(*, bright=3.0, dark=-2.0):
    """Draw a volume [1, X, Y, Z] with one bright and one dark box."""
    array = np.zeros((1, *SHAPE), dtype=np.float32)
    array[(0, *BRIGHT)] = bright
    array[(0, *DARK)] = dark
    return array


def expected(weights, array):
    """Compute the map by the formula of Selvaraju et al., for the contrast's weights [2] of the two channels."""
    cells = functional.avg_pool3d(torch.from_numpy(array)[None], 2)
    channels = torch.cat([cells.clamp(min=0), (-cells).clamp(min=0)], dim=1)[0]  # [2, X / 2, Y / 2, Z / 2]
    evidence = (torch.tensor(weights)[:, None, None, None] * channels).sum(dim=0).clamp(min=0)
    return (
        functional.interpolate(evidence[None, None], size=SHAPE, mode="trilinear")[0, 0].numpy() / evidence.numel()
    )  # averaged


def assert_close(heat, formula):
    np.testing.assert_allclose(heat, formula, atol=1e-6 * max(np.abs(formula).max(), 1e-9))


def mass_within(heat, box):
    return heat[box].sum() / heat.sum()


def test_evidence_for_the_second_class_is_the_bright_box():
    heat = grad_cam(Detector([[1.0, 0.0]]), volume(), contrast=np.array([1.0]))
    assert heat.shape == SHAPE
    assert heat.dtype == np.float32
    assert heat.max() > 0
    assert heat.min() == 0.0
    assert (heat[BRIGHT] > 0.3 * heat.max()).all()
    assert np.unravel_index(heat.argmax(), SHAPE) in {tuple(index) for index in np.argwhere(volume()[0] == 3.0)}
    assert_close(heat, expected([1.0, 0.0], volume()))


def test_nothing_speaks_for_the_first_class_where_the_one_logit_only_rises():
    heat = grad_cam(Detector([[1.0, 0.0]]), volume(), contrast=np.array([-1.0]))
    np.testing.assert_array_equal(heat, np.zeros(SHAPE))


@pytest.mark.parametrize(("target", "box"), [(1, BRIGHT), (0, DARK)])
def test_each_class_of_a_one_logit_network_has_its_own_evidence(target, box):
    sign = 1.0 if target else -1.0
    heat = grad_cam(Detector([[1.0, -1.0]]), volume(), contrast=np.array([sign]))
    assert_close(heat, expected([sign, -sign], volume()))
    assert mass_within(heat, box) > 0.5
    assert heat[BRIGHT if target == 0 else DARK].max() == 0.0


@pytest.mark.parametrize("target", [0, 1, 2])
def test_evidence_of_three_classes_is_that_of_the_margin(target):
    weights = [[2.0, 0.0], [0.0, 1.0], [0.5, 0.5]]
    margin = np.float32(weights[target]) - np.float32(weights).mean(axis=0)
    heat = grad_cam(Detector(weights), volume(), contrast=contrast_of(target, 3))
    assert_close(heat, expected(margin.tolist(), volume()))
    if target < 2:  # the third lies between the others: nothing is evidence for it alone
        assert mass_within(heat, (BRIGHT, DARK)[target]) > 0.5


def test_evidence_moves_with_the_blob():
    array, contrast = volume(dark=0.0), np.array([1.0])
    heat = grad_cam(network := Detector([[1.0, 0.0]]), array, contrast=contrast)
    for axis in (1, 2, 3):
        moved = grad_cam(network, np.roll(array, 2, axis=axis), contrast=contrast)
        assert_close(moved, np.roll(heat, 2, axis=axis - 1))
        flipped = grad_cam(network, np.ascontiguousarray(np.flip(array, axis=axis)), contrast=contrast)
        assert_close(flipped, np.flip(heat, axis=axis - 1))


@pytest.mark.parametrize("scale", [7.5, -7.5])
def test_evidence_of_a_measure_is_in_its_units_and_what_lowers_it_is_dropped(scale):
    heat = grad_cam(Detector([[1.0, -1.0]]), volume(), contrast=np.array([scale]))
    assert_close(heat, expected([scale, -scale], volume()))
    assert mass_within(heat, BRIGHT if scale > 0 else DARK) > 0.5


def test_two_channels_are_seen_both():
    class Two(Detector):
        def forward(self, volume: torch.Tensor) -> torch.Tensor:
            return super().forward(volume[:, :1] + 2 * volume[:, 1:])

    array = np.concatenate([volume(dark=0.0), volume(bright=0.0)])
    heat = grad_cam(Two([[1.0, -1.0]]), array, contrast=np.array([-1.0]))
    assert_close(heat, expected([-1.0, 1.0], array[:1] + 2 * array[1:]))
    assert mass_within(heat, DARK) > 0.5


def test_a_network_without_a_layer_for_it_is_told_by_name():
    class Flat(nn.Sequential):
        @property
        def cam_layer(self) -> nn.Module:
            return self[0]

    layers = nn.Flatten(), nn.Linear(int(np.prod(SHAPE)), 1)
    with pytest.raises(UserError, match="the network Sequential names no layer for Grad-CAM"):
        grad_cam(nn.Sequential(*layers), volume(), contrast=np.array([1.0]))
    with pytest.raises(
        UserError, match=r"network Flat's cam_layer cannot be placed in the volume.*Flatten has no cells"
    ):
        grad_cam(Flat(*layers), volume(), contrast=np.array([1.0]))


def test_network_and_volume_are_left_as_they_were():
    torch.manual_seed(0)
    network = SFCN(SHAPE, 1, channels=[2, 2]).train()
    array, contrast = volume(), np.array([1.0])
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    first = grad_cam(network, array, contrast=contrast)
    np.testing.assert_array_equal(grad_cam(network, array, contrast=contrast), first)
    np.testing.assert_array_equal(array, volume())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not network.cam_layer._forward_hooks


@pytest.mark.parametrize("num_outputs", [1, 3])
def test_our_networks_give_maps_of_the_volumes_shape(num_outputs):
    torch.manual_seed(1)
    network = SFCN(SHAPE, num_outputs, channels=[3, 4, 2]).eval()
    contrasts = [contrast_of(target, num_outputs) for target in range(max(2, num_outputs))]
    maps = [grad_cam(network, volume(), contrast=contrast) for contrast in contrasts]
    assert all(heat.shape == SHAPE and heat.min() >= 0 and np.isfinite(heat).all() for heat in maps)
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
    heat = grad_cam(network, array, contrast=np.array([1.0]))
    assert np.unravel_index(heat.argmax(), heat.shape) == blob
