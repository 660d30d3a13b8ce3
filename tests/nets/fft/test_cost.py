"""The choice between direct convolution and Fourier transforms."""

import pytest
import torch
from torch.nn import functional

from mri3d.nets.fft import conv
from mri3d.nets.fft.conv import FFTConv3d, fast_conv3d
from mri3d.nets.fft.cost import _num_taps_inside, fft_is_faster
from mri3d.nets.fft.geometry import Geometry


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("padding", [0, 2])
def test_taps_inside_are_those_that_a_convolution_of_ones_counts(stride, dilation, padding):
    options = {"stride": stride, "padding": padding, "dilation": dilation}
    geometry = Geometry.of((1, 1, 7, 8, 9), (1, 1, 2, 3, 4), **options)
    counts = functional.conv3d(torch.ones(1, 1, 7, 8, 9), torch.ones(1, 1, 2, 3, 4), **options)
    assert _num_taps_inside(geometry) == counts.sum()
    assert geometry.output_size == counts.shape[2:]


@pytest.mark.parametrize(
    ("size", "channels", "kernel_size", "faster"),
    [
        ((155, 165, 195), (1, 8), 60, True),  # the seed study's layers, by the times in docs/performance.md
        ((51, 55, 65), (8, 16), 25, True),
        ((25, 27, 32), (16, 32), 15, True),
        ((6, 6, 8), (64, 128), 5, False),
        ((48, 48, 48), (16, 32), 3, False),
        ((24, 24, 24), (64, 64), 5, False),
        ((32, 32, 32), (1, 8), 15, True),
    ],
)
@pytest.mark.parametrize("training", [True, False])
def test_large_kernels_go_by_fourier_transforms_and_small_ones_do_not(size, channels, kernel_size, faster, training):
    geometry = Geometry.of((1, channels[0], *size), (channels[1], channels[0], *[kernel_size] * 3), padding="same")
    assert fft_is_faster(geometry, "cpu", weight_gradient=training, input_gradient=training) == faster


def test_the_choice_is_followed(monkeypatch):
    taken = []
    monkeypatch.setattr(conv, "_by_fft", lambda *_: taken.append("fft"))
    monkeypatch.setattr(conv, "_directly", lambda *_: taken.append("direct"))
    small, large = torch.zeros(8, 8, 3, 3, 3), torch.zeros(8, 8, 25, 25, 25)
    volume = torch.zeros(2, 8, 32, 33, 34)
    for weight in (small, large):
        fast_conv3d(volume, weight, padding="same")
    fast_conv3d(volume, large, padding="same", method="direct")
    fast_conv3d(volume, small, padding="same", method="fft")
    fast_conv3d(volume.to("meta"), large.to("meta"), padding="same")
    assert taken == ["direct", "fft", "direct", "fft", "direct"]


def test_shapes_on_the_meta_device():
    layer = FFTConv3d(2, 3, (4, 5, 6), padding="same", device="meta", method="fft")
    assert layer(torch.empty(1, 2, 7, 8, 9, device="meta")).shape == (1, 3, 7, 8, 9)
