"""Convolution by Fourier transforms gives the values, gradients and behaviour of torch's own."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from mri3d.errors import UserError
from mri3d.nets.fft import function
from mri3d.nets.fft.conv import FFTConv3d, fast_conv3d, fft_conv3d

TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4}


def conv3d_and_gradients(convolve, input, weight, bias, **options):
    """Compute the output and, for a fixed random gradient of it, those of input, weight and bias."""
    tensors = [tensor.clone().requires_grad_() for tensor in (input, weight, bias)]
    output = convolve(*tensors, **options)
    generator = torch.Generator().manual_seed(1)
    gradient = torch.randn(output.shape, generator=generator, dtype=torch.float64).to(output.dtype)
    return [output.detach(), *torch.autograd.grad(output, tensors, gradient)]


def assert_close(ours, theirs, tolerance):
    for our, their in zip(ours, theirs, strict=True):
        assert our.shape == their.shape
        assert (our - their).abs().max() <= tolerance * max(
            their.abs().max(), 1
        )  # all tensors are drawn with a spread of 1


def random_tensors(batch_size, channels, size, kernel_size, num_outputs, groups, dtype):
    generator = torch.Generator().manual_seed(sum(size) + sum(kernel_size))
    shapes = (batch_size, channels, *size), (num_outputs, channels // groups, *kernel_size), (num_outputs,)
    return [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for shape in shapes]


def three(low, high):
    return st.tuples(*[st.integers(low, high)] * 3)


@st.composite
def convolutions(draw):
    """Draw shapes and arguments of a convolution that has an output."""
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    size, kernel_size = draw(three(1, 9)), draw(three(1, 12))
    dilation = draw(three(1, 3))
    extents = [spread * (kernel - 1) + 1 for spread, kernel in zip(dilation, kernel_size, strict=True)]
    needed = [max(0, (extent - length + 1) // 2) for extent, length in zip(extents, size, strict=True)]
    padding = tuple(need + more for need, more in zip(needed, draw(three(0, 5)), strict=True))
    channels = groups * draw(st.integers(1, 3)), groups * draw(st.integers(1, 3))
    tensors = draw(st.integers(1, 3)), channels[0], size, kernel_size, channels[1], groups
    return tensors, {"stride": draw(three(1, 3)), "padding": padding, "dilation": dilation, "groups": groups}


@given(convolutions(), st.booleans(), st.sampled_from([1, 5_000, None]))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_values_and_gradients_are_torchs(convolution, keep_spectrum, memory_budget):
    shapes, options = convolution
    for dtype, tolerance in TOLERANCE.items():
        tensors = random_tensors(*shapes, dtype)
        ours = conv3d_and_gradients(
            fft_conv3d, *tensors, **options, keep_spectrum=keep_spectrum, memory_budget=memory_budget
        )
        assert_close(ours, conv3d_and_gradients(functional.conv3d, *tensors, **options), tolerance)


@pytest.mark.parametrize("kernel_size", [(1, 1, 1), (2, 3, 4), (6, 6, 6), (9, 4, 5), (16, 11, 14)])
@pytest.mark.parametrize("dilation", [1, 2])
def test_same_padding_puts_the_odd_voxel_on_the_high_side(kernel_size, dilation):
    tensors = random_tensors(2, 3, (7, 8, 9), kernel_size, 2, 1, torch.float64)
    extents = [dilation * (kernel - 1) for kernel in kernel_size]

    def reference(input, weight, bias):
        padding = [side for extent in reversed(extents) for side in (extent // 2, extent - extent // 2)]
        return functional.conv3d(functional.pad(input, padding), weight, bias, dilation=dilation)

    theirs = conv3d_and_gradients(reference, *tensors)
    assert theirs[0].shape == (2, 2, 7, 8, 9)
    for convolve, more in ((fft_conv3d, {}), (fast_conv3d, {"method": "direct"})):
        ours = conv3d_and_gradients(convolve, *tensors, padding="same", dilation=dilation, **more)
        assert_close(ours, theirs, 1e-9)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
def test_same_padding_is_that_of_torch():
    input, weight, bias = random_tensors(1, 2, (7, 8, 9), (4, 5, 6), 2, 1, torch.float64)
    theirs = functional.conv3d(input, weight, bias, padding="same")
    assert torch.allclose(fft_conv3d(input, weight, bias, padding="same"), theirs, rtol=0, atol=1e-12)


def test_blocks_and_slabs_change_nothing(monkeypatch):
    tensors = random_tensors(2, 3, (7, 8, 9), (5, 4, 6), 4, 1, torch.float64)
    theirs = conv3d_and_gradients(functional.conv3d, *tensors, padding=3)
    for block_bytes in (1, 3_000, 50_000):
        monkeypatch.setitem(function.BLOCK_BYTES, "cpu", block_bytes)
        assert_close(conv3d_and_gradients(fft_conv3d, *tensors, padding=3, memory_budget=20_000), theirs, 1e-9)


@pytest.mark.parametrize("keep_spectrum", [True, False])
@pytest.mark.parametrize("needed", [(1, 1, 1), (1, 0, 0), (0, 1, 0), (0, 0, 1)])
def test_gradcheck(keep_spectrum, needed):
    tensors = random_tensors(2, 2, (2, 3, 4), (2, 2, 3), 2, 2, torch.float64)
    for tensor, need in zip(tensors, needed, strict=True):
        tensor.requires_grad_(bool(need))

    def convolve(input, weight, bias):
        return fft_conv3d(input, weight, bias, stride=(1, 2, 1), padding=2, groups=2, keep_spectrum=keep_spectrum)

    assert torch.autograd.gradcheck(convolve, tensors)


def test_only_what_is_needed_is_kept():
    input, weight, bias = random_tensors(1, 2, (7, 8, 9), (3, 3, 3), 2, 1, torch.float32)
    sizes = []

    def size(tensor):
        sizes.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(size, lambda tensor: tensor):
        fft_conv3d(input, weight.requires_grad_(), bias, keep_spectrum=False)
    assert sorted(sizes) == [weight.numel(), input.numel()]


def test_module_has_the_state_and_values_of_conv3d():
    for options in (
        {"padding": "same"},
        {"stride": 2, "padding": (0, 1, 2), "groups": 2, "bias": False},
        {"padding": 2, "padding_mode": "circular"},
        {"padding": "same", "padding_mode": "replicate", "dilation": 2},
        {"padding": "valid"},
    ):
        torch.manual_seed(0)
        theirs = nn.Conv3d(4, 6, (3, 5, 3), **options, dtype=torch.float64)
        ours = FFTConv3d(4, 6, (3, 5, 3), **options, dtype=torch.float64, method="fft")
        ours.load_state_dict(theirs.state_dict(), strict=True)
        for shape in ((2, 4, 9, 10, 11), (4, 9, 10, 11)):
            volume = torch.randn(shape, dtype=torch.float64)
            assert torch.allclose(ours(volume), theirs(volume), rtol=0, atol=1e-12), options


def test_module_starts_with_the_weights_of_conv3d():
    torch.manual_seed(0)
    theirs = nn.Conv3d(2, 3, 5)
    torch.manual_seed(0)
    assert torch.equal(FFTConv3d(2, 3, 5).weight, theirs.weight)


def test_autocast_transforms_in_float32_and_gives_the_type_of_conv3d():
    input, weight, bias = random_tensors(1, 2, (7, 8, 9), (4, 5, 6), 3, 1, torch.float32)
    expected = functional.conv3d(input.bfloat16().float(), weight, bias)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert functional.conv3d(input, weight, bias).dtype == torch.bfloat16
        output = conv3d_and_gradients(fft_conv3d, input.bfloat16(), weight, bias)
    assert [tensor.dtype for tensor in output] == [torch.bfloat16, torch.bfloat16, torch.float32, torch.float32]
    assert (output[0].float() - expected).abs().max() <= 2**-8 * expected.abs().max()


def test_half_precision_is_computed_in_float32():
    tensors = random_tensors(1, 2, (7, 8, 9), (4, 5, 6), 3, 1, torch.bfloat16)
    output = fft_conv3d(*tensors)
    expected = functional.conv3d(*(tensor.float() for tensor in tensors))
    assert output.dtype == torch.bfloat16
    assert (output.float() - expected).abs().max() <= 2**-8 * expected.abs().max()


def test_parts_of_a_layer_may_be_frozen():
    layer = FFTConv3d(2, 3, 4, padding="same", method="fft")
    layer.weight.requires_grad_(False)
    input = torch.randn(1, 2, 7, 8, 9, requires_grad=True)
    layer(input).sum().backward()
    assert layer.weight.grad is None
    assert torch.allclose(layer.bias.grad, torch.full((3,), 7.0 * 8 * 9))
    assert input.grad is not None


def test_a_second_derivative_is_refused():
    input = torch.randn(1, 1, 4, 5, 6, requires_grad=True)
    (gradient,) = torch.autograd.grad(
        fft_conv3d(input, torch.randn(1, 1, 2, 2, 2)).square().sum(), input, create_graph=True
    )
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_a_copied_layer_is_the_same_layer():
    layer = FFTConv3d(2, 3, 4, padding="same", method="fft")
    input = torch.randn(1, 2, 7, 8, 9)
    assert torch.equal(copy.deepcopy(layer)(input), layer(input))


@pytest.mark.parametrize(
    ("input_shape", "weight_shape", "options", "message"),
    [
        ((1, 2, 5, 5, 5), (3, 3, 3, 3, 3), {}, "do not go together with groups=1: the channels differ"),
        ((1, 4, 5, 5, 5), (3, 2, 3, 3, 3), {"groups": 2}, "do not go together with groups=2"),
        ((1, 1, 5, 5, 5), (1, 1, 3, 8, 3), {"padding": 1}, "padding=1 leave no output: the kernels are too large"),
        ((1, 1, 5, 5, 5), (1, 1, 3, 3, 3), {"padding": "full"}, "padding='full' is neither"),
        ((1, 1, 5, 5, 5), (1, 1, 3, 3, 3), {"padding": "same", "stride": 2}, "does not go with stride=2"),
        ((1, 1, 5, 5, 5), (1, 1, 3, 3, 3), {"stride": 0}, "stride=0 is not one whole number of at least 1"),
        ((1, 1, 5, 5, 5), (1, 1, 3, 3, 3), {"dilation": (1, 1)}, r"dilation=\(1, 1\) is not one whole number"),
        ((1, 5, 5, 5), (1, 1, 3, 3, 3), {}, r"are not \[B, C, X, Y, Z\]"),
    ],
)
def test_arguments_that_do_not_go_together_are_told(input_shape, weight_shape, options, message):
    with pytest.raises(UserError, match=message):
        fft_conv3d(torch.zeros(input_shape), torch.zeros(weight_shape), **options)


def test_an_unknown_method_is_told():
    with pytest.raises(UserError, match="method='winograd' is not one of auto, fft, direct"):
        FFTConv3d(1, 1, 3, method="winograd")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's compiler warns about itself
def test_compile_leaves_it_a_black_box():
    torch.manual_seed(0)
    net = nn.Sequential(FFTConv3d(1, 2, 4, padding="same", method="fft"), nn.ReLU())
    volume = torch.randn(1, 1, 7, 8, 9)
    compiled = torch.compile(net, backend="aot_eager")
    assert torch.equal(compiled(volume), net(volume))
    compiled(volume).sum().backward()
    assert net[0].weight.grad.abs().sum() > 0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's export warns about itself
def test_an_exported_graph_holds_a_plain_convolution():
    layer = FFTConv3d(1, 2, 4, padding="same", method="fft")
    volume = torch.randn(1, 1, 7, 8, 9)
    exported = torch.export.export(layer, (volume,))
    assert any("conv3d" in str(node.target) for node in exported.graph.nodes)
    assert torch.allclose(exported.module()(volume), layer(volume), atol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_gives_the_values_of_the_cpu():
    tensors = random_tensors(2, 3, (7, 8, 9), (5, 4, 6), 4, 1, torch.float64)
    theirs = conv3d_and_gradients(functional.conv3d, *tensors, padding=3)
    ours = conv3d_and_gradients(
        lambda *tensors: fft_conv3d(*(tensor.cuda() for tensor in tensors), padding=3).cpu(), *tensors
    )
    assert_close(ours, theirs, 1e-9)
