"""Convolutions with very large 3D kernels: exact, in seconds where direct convolution takes hours.

`FFTConv3d` takes the place of `torch.nn.Conv3d`; `fft_conv3d` and `fast_conv3d` that of `torch.nn.functional.conv3d`.
"""

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch._compile import _disable_dynamo
from torch.nn import functional

from mri3d.errors import UserError
from mri3d.nets.fft.cost import fft_is_faster
from mri3d.nets.fft.function import Convolution, FFTConvolution
from mri3d.nets.fft.geometry import Geometry, Size

Method = Literal["auto", "fft", "direct"]


def fft_conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
    *,
    keep_spectrum: bool = True,
    memory_budget: int | None = None,
) -> Tensor:
    """Convolve by Fourier transforms: the values of `torch.nn.functional.conv3d` with the same arguments.

    Transforms are made in float32 (float64 for float64), whatever the precision of the tensors or of autocast; the
    output has the type that `conv3d` would give. Gradients are exact too, but cannot be differentiated again.

    Args:
        input: [B, C, X, Y, Z].
        weight: [D, C / groups, kX, kY, kZ].
        bias: [D].
        stride: Step of the output.
        padding: Zeros on both sides of each axis, `valid` for none, or `same`, which makes the output as large as the
            input (an even kernel pads one voxel more on the high side).
        dilation: Step of the taps.
        groups: Number of groups of channels.
        keep_spectrum: Keep the input's spectrum for the backward pass, 1.5 to 4 times the input's memory; otherwise it
            is made again there.
        memory_budget: Bytes for one chunk of output channels; None for 64 MiB on a CPU and 1 GiB elsewhere.

    Returns:
        [B, D, X', Y', Z'].

    Raises:
        UserError: Tensors and arguments do not go together.

    >>> volume, kernels = torch.ones(1, 1, 9, 10, 11), torch.ones(2, 1, 3, 4, 5)
    >>> convolved = fft_conv3d(volume, kernels, padding="same")  # counts the voxels that each kernel meets
    >>> convolved.shape, convolved[0, 0, 4, 4, 4].round()
    (torch.Size([1, 2, 9, 10, 11]), tensor(60.))
    """
    geometry = Geometry.of(input.shape, weight.shape, stride=stride, padding=padding, dilation=dilation, groups=groups)
    return _by_fft(input, weight, bias, geometry, keep_spectrum, memory_budget)


def fast_conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
    *,
    method: Method = "auto",
    keep_spectrum: bool = True,
    memory_budget: int | None = None,
) -> Tensor:
    """Convolve directly or by Fourier transforms.

    Args:
        input: [B, C, X, Y, Z].
        weight: [D, C / groups, kX, kY, kZ].
        bias: [D].
        stride: Step of the output.
        padding: As in `fft_conv3d`.
        dilation: Step of the taps.
        groups: Number of groups of channels.
        method: `fft`, `direct`, or `auto` for the one that the cost model expects to be faster.
        keep_spectrum: As in `fft_conv3d`.
        memory_budget: As in `fft_conv3d`.

    Returns:
        [B, D, X', Y', Z'].

    Raises:
        UserError: Tensors and arguments do not go together.

    >>> volume, kernels = torch.ones(1, 1, 9, 10, 11), torch.ones(2, 1, 3, 4, 5)
    >>> torch.equal(fast_conv3d(volume, kernels), functional.conv3d(volume, kernels))  # so small a kernel goes directly
    True
    """
    geometry = Geometry.of(input.shape, weight.shape, stride=stride, padding=padding, dilation=dilation, groups=groups)
    by_shape_only = input.is_meta or torch.compiler.is_exporting()  # a graph for others says what, not how
    if by_shape_only or method == "direct" or (method == "auto" and not expects_fft(input, weight, geometry)):
        return _directly(input, weight, bias, geometry)
    return _by_fft(input, weight, bias, geometry, keep_spectrum, memory_budget)


def expects_fft(input: Tensor, weight: Tensor, geometry: Geometry) -> bool:
    """Predict which way `fast_conv3d` goes by itself: True for Fourier transforms."""
    differentiated = torch.is_grad_enabled() and weight.requires_grad
    needs_input = torch.is_grad_enabled() and input.requires_grad
    return fft_is_faster(geometry, input.device.type, weight_gradient=differentiated, input_gradient=needs_input)


class FFTConv3d(nn.Conv3d):
    """`torch.nn.Conv3d` for kernels of any size: same arguments, same values, same state dict.

    >>> layer = FFTConv3d(1, 2, kernel_size=15, padding="same")
    >>> layer(torch.zeros(1, 1, 24, 25, 26)).shape
    torch.Size([1, 2, 24, 25, 26])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int, int],
        stride: int | tuple[int, int, int] = 1,
        padding: int | tuple[int, int, int] | str = 0,
        dilation: int | tuple[int, int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: Literal["zeros", "reflect", "replicate", "circular"] = "zeros",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        method: Method = "auto",
        keep_spectrum: bool = True,
        memory_budget: int | None = None,
    ) -> None:
        """Build the layer; the arguments are those of `torch.nn.Conv3d`, and the last three.

        Args:
            in_channels: Channels of the input.
            out_channels: Channels of the output.
            kernel_size: Voxels of the kernels.
            stride: Step of the output.
            padding: Voxels put on both sides of each axis, `same` or `valid`.
            dilation: Step of the taps.
            groups: Number of groups of channels.
            bias: Whether to add a bias.
            padding_mode: What is put there.
            device: Where the weights lie.
            dtype: Type of the weights.
            method: `fft`, `direct`, or `auto` for the one that the cost model expects to be faster.
            keep_spectrum: As in `fft_conv3d`.
            memory_budget: As in `fft_conv3d`.

        Raises:
            UserError: There is no such method.
        """
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            bias=bias,
            padding_mode=padding_mode,
            device=device,
            dtype=dtype,
        )
        if method not in get_args(Method):
            raise UserError(f"method={method!r} is not one of {', '.join(get_args(Method))}.")
        self.method: Method = method
        self.keep_spectrum = keep_spectrum
        self.memory_budget = memory_budget

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Take the place of `conv3d` in the forward pass of `torch.nn.Conv3d`."""
        if input.dim() == 4:  # one volume without a batch axis, as `torch.nn.Conv3d` takes it
            return self._conv_forward(input[None], weight, bias)[0]
        padding: Size | str = self.padding
        if self.padding_mode != "zeros":
            input = functional.pad(input, self._reversed_padding_repeated_twice, mode=self.padding_mode)
            padding = "valid"
        return fast_conv3d(
            input,
            weight,
            bias,
            self.stride,
            padding,
            self.dilation,
            self.groups,
            method=self.method,
            keep_spectrum=self.keep_spectrum,
            memory_budget=self.memory_budget,
        )


def _by_fft(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    geometry: Geometry,
    keep_spectrum: bool,
    memory_budget: int | None,
) -> Tensor:
    """Convolve by Fourier transforms, in the precision that they need."""
    device = input.device.type
    output_dtype, dtype = input.dtype, torch.float32
    if input.dtype == torch.float64:
        dtype = torch.float64
    elif torch.is_autocast_enabled(device):
        output_dtype = torch.get_autocast_dtype(device)
    conv = Convolution.of(geometry, dtype, device, keep_spectrum=keep_spectrum, memory_budget=memory_budget)
    apply = _apply_opaquely if torch.compiler.is_compiling() else FFTConvolution.apply
    with torch.autocast(device, enabled=False):
        output: Tensor = apply(input.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype), conv)
        return output.to(output_dtype)


@_disable_dynamo  # torch.compiler.disable would import the compiler at once, which takes seconds
def _apply_opaquely(input: Tensor, weight: Tensor, bias: Tensor | None, conv: Convolution) -> Tensor:
    """Stay a black box to `torch.compile`, which knows no complex numbers."""
    output: Tensor = FFTConvolution.apply(input, weight, bias, conv)  # type: ignore[no-untyped-call]
    return output


def _directly(input: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry) -> Tensor:
    """Convolve as torch does."""
    low = [pair[0] for pair in geometry.padding]
    excess = [high - low for low, high in geometry.padding]
    if any(excess):  # not by padding="same", with which torch warns that it will do just this
        input = functional.pad(input, [side for size in reversed(excess) for side in (0, size)])
    return functional.conv3d(input, weight, bias, geometry.stride, low, geometry.dilation, geometry.groups)
