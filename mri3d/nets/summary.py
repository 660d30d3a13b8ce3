"""Describe a network as a text table: layers, output shapes, weights, multiply-adds."""

from collections.abc import Sequence
from math import prod

from torch import nn

from mri3d.nets.shapes import output_shapes

HEADINGS = ("layer", "type", "output [C, X, Y, Z]", "weights", "multiply-adds")


def multiply_adds(module: nn.Module, output_shape: Sequence[int]) -> int:
    """Count the multiplications of a layer for one volume, by the definition of the layer (not as it is computed).

    Args:
        module: A layer; other than convolutions and linear layers count as nothing.
        output_shape: Shape of its output without the batch axis.

    >>> multiply_adds(nn.Conv3d(2, 8, 3), (8, 10, 10, 10)) == 2 * 8 * 27 * 1000
    True
    """
    match module:
        case nn.Conv3d():
            return prod(output_shape) * prod(module.kernel_size) * module.in_channels // module.groups
        case nn.Linear():
            return prod(output_shape) * module.in_features
    return 0


def summarize(net: nn.Module, volume_shape: Sequence[int], *, num_channels: int = 1) -> str:
    """Describe a network layer by layer for one volume; nothing is computed.

    Args:
        net: A network that takes [B, C, X, Y, Z].
        volume_shape: X, Y, Z.
        num_channels: C.

    Returns:
        A table with a row for each layer that has weights or changes the shape, and a line of totals; only that line
        for a network that cannot be traced without values.
    """
    modules = dict(net.named_modules())
    rows: list[tuple[str, str, str, str, str]] = []
    shape: tuple[int, ...] = (num_channels, *volume_shape)
    total = 0
    for name, output_shape in _traced(net, volume_shape, num_channels).items():
        module = modules[name]
        if any(module.children()):
            continue
        num_weights = sum(weight.numel() for weight in module.parameters())
        work = multiply_adds(module, output_shape)
        total += work
        if num_weights or output_shape != shape:
            output = " x ".join(map(str, output_shape))
            rows.append((name, type(module).__name__, output, f"{num_weights:,}" if num_weights else "", _short(work)))
        shape = output_shape
    num_weights = sum(weight.numel() for weight in net.parameters())
    rows.append(("total", type(net).__name__, "", f"{num_weights:,}", _short(total)))
    lines = aligned([HEADINGS, *rows])
    rule = "-" * max(map(len, lines))
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])


def _traced(net: nn.Module, volume_shape: Sequence[int], num_channels: int) -> dict[str, tuple[int, ...]]:
    """Trace the shapes of the layers; nothing where a network of a user's own needs values to run."""
    try:
        return output_shapes(net, volume_shape, num_channels=num_channels)
    except RuntimeError:
        return {}


def aligned(rows: Sequence[Sequence[str]], *, num_left: int = 3) -> list[str]:
    """Set rows as lines with columns: the first ones, which are text, to the left, numbers to the right.

    >>> aligned([("layer", "weights"), ("head", "7")], num_left=1)
    ['layer  weights', 'head         7']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for cells in rows:
        left = [cell.ljust(width) for cell, width in zip(cells[:num_left], widths[:num_left], strict=True)]
        right = [cell.rjust(width) for cell, width in zip(cells[num_left:], widths[num_left:], strict=True)]
        lines.append("  ".join([*left, *right]).rstrip())
    return lines


def _short(count: int) -> str:
    """Write a count with a prefix: 8.6 T; nothing for zero."""
    if not count:
        return ""
    for scale, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= scale:
            return f"{count / scale:.1f} {prefix}"
    return str(count)
