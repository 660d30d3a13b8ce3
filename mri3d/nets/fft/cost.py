"""Expect how long a convolution takes directly and by Fourier transforms, so as to choose.

The units of work follow from shapes; the seconds for each were fitted to 190 convolutions timed on one core of an AMD
EPYC (AVX-512, torch 2.13), from 8^3 to 64^3 voxels, 3^3 to 21^3 taps, 1 to 64 channels (`docs/performance.md`); for the
way by Fourier transforms they err by 9 % in the median. Both ways gain alike from more cores and from faster ones.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import prod

import torch

from mri3d.nets.fft.function import Convolution
from mri3d.nets.fft.geometry import Geometry
from mri3d.nets.fft.spectra import Place


@dataclass(frozen=True)
class Seconds:
    """Time for one unit of each kind of work."""

    multiply_add: float
    """Of direct convolution, with channels filled up to a multiple of `lanes`."""
    slow_multiply_add: float
    """In oneDNN's reference code."""
    unfolded_multiply_add: float
    """Where torch unfolds the volume and multiplies matrices."""
    unfold: float
    """Of a number unfolded; twice this beyond 32 MiB, for which memory is fetched from the system each time."""
    lanes: int
    call: float
    """What a block of work costs beside its size."""
    transform_z: float
    """Of a real number along Z."""
    transform_y: float
    transform_x: float
    """Of a complex number."""
    weight: float
    """Of one frequency of one kernel in the products: moving it through memory, ..."""
    multiply: float
    """... and multiplying it, for each volume of the batch."""


SECONDS = {
    "cpu": Seconds(
        multiply_add=1 / 105e9,
        slow_multiply_add=1 / 26e9,
        unfolded_multiply_add=1 / 50e9,
        unfold=1.2e-9,
        lanes=16,
        call=90e-6,
        transform_z=3.7e-9,
        transform_y=0.4e-9,
        transform_x=1.6e-9,
        weight=1.3e-9,
        multiply=0.3e-9,
    )
}
OTHER_SECONDS = Seconds(
    multiply_add=1 / 10e12,
    slow_multiply_add=1 / 10e12,
    unfolded_multiply_add=1 / 10e12,
    unfold=0.0,
    lanes=1,
    call=200e-6,
    transform_z=2e-11,
    transform_y=2e-11,
    transform_x=2e-11,
    weight=2e-11,
    multiply=1e-12,
)
"""For GPUs: from what a data sheet says of arithmetic and memory; how well they choose is in `docs/performance.md`."""


@lru_cache(maxsize=1024)
def fft_is_faster(geometry: Geometry, device: str, *, weight_gradient: bool, input_gradient: bool) -> bool:
    """Choose between the two ways.

    Args:
        geometry: Shapes, steps and padding.
        device: Type of the device.
        weight_gradient: Whether the gradient to the weights will be wanted.
        input_gradient: Whether that to the input will be.
    """
    wanted = {"weight_gradient": weight_gradient, "input_gradient": input_gradient}
    return fft_seconds(geometry, device, **wanted) < direct_seconds(geometry, device, **wanted)


def direct_seconds(geometry: Geometry, device: str, *, weight_gradient: bool, input_gradient: bool) -> float:
    """Expect the time of `torch.nn.functional.conv3d` and of the gradients wanted, on one core."""
    unit = SECONDS.get(device, OTHER_SECONDS)
    batch_size, num_inputs, *size = geometry.input_shape
    num_outputs, inputs_per_group, *taps = geometry.weight_shape
    work = batch_size * num_outputs * inputs_per_group * _num_taps_inside(geometry)
    wide_outputs = work * -(-num_outputs // unit.lanes) * unit.lanes / num_outputs
    if max(taps) <= 3 and batch_size == 1 and num_inputs * size[0] * size[1] <= 20480:
        # Here torch does not call oneDNN (its `use_mkldnn`) but unfolds the volume, in every pass.
        unfolded = num_inputs * prod(taps) * prod(geometry.output_size)
        unfold = unit.unfold * (1 if unfolded * 4 <= 32 * 2**20 else 2)
        return (unfolded * unfold + work * unit.unfolded_multiply_add) * (1 + weight_gradient + input_gradient)
    seconds = unit.call + wide_outputs * unit.multiply_add
    if weight_gradient:  # oneDNN's reference code takes over where channels or rows of taps do not fit its registers
        slow = taps[2] > 14 or (num_inputs > 1 and num_inputs % unit.lanes)
        seconds += wide_outputs * (unit.slow_multiply_add if slow else unit.multiply_add)
    if input_gradient:
        wide = wide_outputs * -(-num_inputs // unit.lanes) * unit.lanes / num_inputs
        seconds += wide * unit.multiply_add
    return seconds


def fft_seconds(geometry: Geometry, device: str, *, weight_gradient: bool, input_gradient: bool) -> float:
    """Expect the time of `fft_conv3d` and of the gradients wanted, on one core."""
    unit = SECONDS.get(device, OTHER_SECONDS)
    conv = Convolution.of(geometry, torch.float32, device)
    batch_size, num_inputs, *_ = geometry.input_shape
    num_outputs, inputs_per_group, *_ = geometry.weight_shape
    backward = weight_gradient or input_gradient
    passes = 1 + weight_gradient + input_gradient
    num_kernels = num_outputs * inputs_per_group
    seconds = _transform_seconds(conv, conv.input, batch_size * num_inputs, unit) * (1 + input_gradient)
    seconds += _transform_seconds(conv, conv.kernel, num_kernels, unit) * passes
    seconds += _transform_seconds(conv, conv.output, batch_size * num_outputs, unit) * (1 + backward)
    products = num_kernels * conv.grid.lengths[0] * conv.grid.num_columns
    seconds += passes * products * (unit.weight + batch_size * unit.multiply)
    return seconds + passes * unit.call * len(conv.slabs()) * len(list(conv.chunks()))


def _transform_seconds(conv: Convolution, place: Place, num_channels: int, unit: Seconds) -> float:
    """Expect the time to transform data that lie at a place of the grid, in either direction."""
    rows, lines, _ = (len(range(part.stop)[part]) for part in place)
    columns = conv.grid.num_columns
    along_z = rows * lines * conv.grid.lengths[2] * unit.transform_z
    along_y = rows * columns * unit.transform_y
    return num_channels * (along_z + along_y + conv.grid.lengths[0] * columns * unit.transform_x)


def _num_taps_inside(geometry: Geometry) -> int:
    """Count the taps that meet the input rather than padding, over all places of the kernel."""
    axes = zip(
        geometry.input_shape[2:],
        geometry.weight_shape[2:],
        geometry.output_size,
        geometry.padding,
        geometry.stride,
        geometry.dilation,
        strict=True,
    )
    return prod(
        sum(
            0 <= output * stride + tap * dilation - low < size
            for output in range(num_outputs)
            for tap in range(num_taps)
        )
        for size, num_taps, num_outputs, (low, _), stride, dilation in axes
    )
