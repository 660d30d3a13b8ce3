"""A 3D convolution and its gradients by Fourier transforms, as one autograd function.

With X, W and Y the spectra of input, kernels and output, and * the conjugate, what `torch.nn.functional.conv3d`
computes (a correlation), its gradient to the input and its gradient to the kernels are sums over channels of

    Y = X W*        dX = dY W        dW = X dY*

at each frequency. Conjugates come out of the transforms themselves (see `CircularGrid`), so each is one batched matrix
product.

Memory is bounded by two cuts. Output channels are worked on in chunks, transformed along Z and Y only ("columns"); the
full spectrum, larger by the padding of X, exists for one slab of columns at a time, and for the input as a whole.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mri3d.nets.fft.geometry import Geometry
from mri3d.nets.fft.spectra import Axis, CircularGrid, Place

BLOCK_BYTES = {"cpu": 1 << 21}
"""Blocks worked on at once: the second-level caches of two cores. Blocks 8 times larger take 1.4 times as long."""
BLOCK_BYTES_OTHER = 1 << 28
MEMORY_BUDGET = {"cpu": 1 << 26}
"""Bytes of the columns of one chunk of output channels."""
MEMORY_BUDGET_OTHER = 1 << 30


@dataclass(frozen=True)
class Convolution:
    """One convolution laid out on its circular grid: all that its autograd function knows beside the tensors."""

    geometry: Geometry
    grid: CircularGrid
    input: Place
    kernel: Place
    output: Place
    taps: Place
    """The taps that meet the input; the others only ever meet padding."""
    dtype: torch.dtype
    keep_spectrum: bool
    memory_budget: int

    @classmethod
    def of(
        cls,
        geometry: Geometry,
        dtype: torch.dtype,
        device: str,
        *,
        keep_spectrum: bool = True,
        memory_budget: int | None = None,
    ) -> "Convolution":
        """Choose the circular grid and the place of everything on it.

        Args:
            geometry: Shapes, steps and padding.
            dtype: Real type of the tensors.
            device: Type of the device that they lie on.
            keep_spectrum: Whether the input's spectrum is kept for the backward pass or made again there.
            memory_budget: Bytes for a chunk of output channels; None for the default of the device.
        """
        sizes, kernels = geometry.input_shape[2:], geometry.weight_shape[2:]
        steps = zip(sizes, kernels, geometry.padding, geometry.stride, geometry.dilation, strict=True)
        x, y, z = (
            Axis.of(size, kernel, padding, stride=stride, dilation=dilation, even=axis == 2)
            for axis, (size, kernel, padding, stride, dilation) in enumerate(steps)
        )
        return cls(
            geometry,
            CircularGrid((x.length, y.length, z.length), BLOCK_BYTES.get(device, BLOCK_BYTES_OTHER)),
            input=(x.input, y.input, z.input),
            kernel=(x.kernel, y.kernel, z.kernel),
            output=(x.output, y.output, z.output),
            taps=(x.taps, y.taps, z.taps),
            dtype=dtype,
            keep_spectrum=keep_spectrum,
            memory_budget=memory_budget or MEMORY_BUDGET.get(device, MEMORY_BUDGET_OTHER),
        )

    def chunks(self) -> Iterator[tuple[slice, slice]]:
        """Cut the output channels so that the columns of each chunk stay within the memory budget.

        Yields:
            The input channels and the output channels of a chunk, all in one group.
        """
        groups, (batch_size, *_) = self.geometry.groups, self.geometry.input_shape
        num_outputs, num_inputs = self.geometry.weight_shape[0] // groups, self.geometry.weight_shape[1]
        num_taps = self.taps[0].stop - self.taps[0].start
        rows = batch_size * self.geometry.output_size[0] + num_inputs * num_taps
        per_output = rows * self.grid.num_columns * self.dtype.to_complex().itemsize
        num_chunks = -(-num_outputs // max(1, self.memory_budget // per_output))
        step = -(-num_outputs // num_chunks)
        for group in range(groups):
            inputs = slice(group * num_inputs, (group + 1) * num_inputs)
            last = (group + 1) * num_outputs
            for start in range(group * num_outputs, last, step):
                yield inputs, slice(start, min(start + step, last))

    def slabs(self) -> list[slice]:
        """Cut the columns into slabs whose spectra are about a block."""
        (batch_size, num_channels, *_), (num_outputs, num_inputs, *_) = (
            self.geometry.input_shape,
            self.geometry.weight_shape,
        )
        largest = max(batch_size * num_channels, num_outputs // self.geometry.groups * max(batch_size, num_inputs))
        return self.grid.slabs(largest * self.dtype.to_complex().itemsize)

    def input_spectra(self, input: Tensor) -> list[Tensor]:
        """Transform the input: for each slab [frequencies of X, columns, B, C]."""
        columns = self.grid.to_columns(channels_last(input), self.input, -1)
        return [self.grid.to_spectrum(columns[:, slab], self.input, -1) for slab in self.slabs()]

    def input_from_spectra(self, spectra: Sequence[Tensor]) -> Tensor:
        """Undo `input_spectra` for spectra made with the opposite sign."""
        shape = self.geometry.input_shape
        columns = spectra[0].new_empty(shape[2], self.grid.num_columns, *shape[:2])
        for slab, spectrum in zip(self.slabs(), spectra, strict=True):
            columns[:, slab] = self.grid.from_spectrum(spectrum, self.input, +1)
        input = columns.new_empty(shape, dtype=self.dtype)
        self.grid.from_columns(columns, self.input, +1, channels_last(input))
        return input

    def kernel_columns(self, kernels: Tensor) -> Tensor:
        """Transform kernels along Z and Y: [taps of X, columns, C / groups, D]."""
        return self.grid.to_columns(channels_last(kernels[:, :, *self.taps]).mT, self.kernel, +1)

    def empty_columns(self, like: Tensor) -> Tensor:
        """Make room for the columns of as many kernels as `like` [X, columns, B, D] has channels."""
        num_taps = self.taps[0].stop - self.taps[0].start
        return like.new_empty(num_taps, self.grid.num_columns, self.geometry.weight_shape[1], like.shape[-1])


class FFTConvolution(torch.autograd.Function):
    """The convolution; call `apply(input, weight, bias, convolution)` with real tensors of one dtype."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 (torch's own context)
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        conv: Convolution,
    ) -> Tensor:
        """Convolve [B, C, X, Y, Z] with [D, C / groups, kX, kY, kZ] to [B, D, X', Y', Z']."""
        grid, slabs = conv.grid, conv.slabs()
        spectra = conv.input_spectra(input)
        output = input.new_empty(len(input), len(weight), *conv.geometry.output_size)
        for inputs, outputs in conv.chunks():
            kernels = conv.kernel_columns(weight[outputs])
            columns = kernels.new_empty(output.shape[2], grid.num_columns, len(input), kernels.shape[-1])
            for slab, spectrum in zip(slabs, spectra, strict=True):
                product = _product(spectrum[..., inputs], grid.to_spectrum(kernels[:, slab], conv.kernel, +1))
                if bias is not None and slab.start == 0:
                    product[0, 0] += bias[outputs] * prod(grid.lengths)  # frequency zero is the sum over the circle
                columns[:, slab] = grid.from_spectrum(product, conv.output, -1)
            grid.from_columns(columns, conv.output, -1, channels_last(output[:, outputs]))
        ctx.conv = conv
        ctx.kept = conv.keep_spectrum and ctx.needs_input_grad[1]
        ctx.save_for_backward(weight, *(spectra if ctx.kept else [input]))
        return output

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any,  # noqa: ANN401
        grad_output: Tensor,
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        """Compute those of the gradients to input, weight and bias that are asked for."""
        conv: Convolution = ctx.conv
        grid, slabs = conv.grid, conv.slabs()
        weight, *spectra = ctx.saved_tensors
        needs_input, needs_weight, needs_bias, _ = ctx.needs_input_grad
        if needs_weight and not ctx.kept:
            spectra = conv.input_spectra(spectra[0])
        grad_weight = torch.zeros_like(weight, memory_format=torch.contiguous_format) if needs_weight else None
        grad_bias = weight.new_empty(len(weight)) if needs_bias else None
        grad_spectra = [_zeros(conv, slab, weight) for slab in slabs] if needs_input else []
        for inputs, outputs in conv.chunks():
            columns = grid.to_columns(channels_last(grad_output[:, outputs]), conv.output, +1)
            kernels = conv.kernel_columns(weight[outputs]) if needs_input else conv.empty_columns(columns)
            for n, slab in enumerate(slabs):
                grad = grid.to_spectrum(columns[:, slab], conv.output, +1)
                if grad_bias is not None and slab.start == 0:
                    grad_bias[outputs] = grad[0, 0].real.sum(0)
                if needs_input:
                    kernel = grid.to_spectrum(kernels[:, slab], conv.kernel, +1)
                    grad_spectra[n][..., inputs] += _product(grad, kernel.mT)
                if needs_weight:  # the kernels' columns have served: their gradient's take the place
                    product = _product(spectra[n][..., inputs].mT, grad)
                    kernels[:, slab] = grid.from_spectrum(product, conv.kernel, -1)
            if grad_weight is not None:
                taps = grad_weight[outputs][:, :, *conv.taps]
                grid.from_columns(kernels, conv.kernel, -1, channels_last(taps).mT)
        grad_input = conv.input_from_spectra(grad_spectra) if needs_input else None
        return grad_input, grad_weight, grad_bias, None


def channels_last(tensor: Tensor) -> Tensor:
    """View [B, C, X, Y, Z] as [X, Y, Z, B, C]."""
    return tensor.permute(2, 3, 4, 0, 1)


def _product(left: Tensor, right: Tensor) -> Tensor:
    """Multiply the matrices [frequencies of X, columns, n, k] and [..., k, m]."""
    if left.shape[-1] == 1:  # an outer product: plain multiplication is faster
        return left * right
    product: Tensor = torch.bmm(left.flatten(0, 1), right.flatten(0, 1))
    return product.reshape(*left.shape[:3], -1)


def _zeros(conv: Convolution, slab: slice, like: Tensor) -> Tensor:
    """Make one slab of an input spectrum, filled with zeros."""
    size = (conv.grid.lengths[0], slab.stop - slab.start, *conv.geometry.input_shape[:2])
    return torch.zeros(size, dtype=conv.dtype.to_complex(), device=like.device)
