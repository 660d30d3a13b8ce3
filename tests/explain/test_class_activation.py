"""Grad-CAM and HiResCAM of hand-built networks whose maps are known by formula."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from mri3d.errors import UserError
from mri3d.explain.class_activation import grad_cam, hires_cam
from mri3d.explain.contrasted import Contrasted
from mri3d.explain.layers import Layers
from mri3d.nets.monai_nets import ResNet18
from mri3d.nets.sfcn import SFCN

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
