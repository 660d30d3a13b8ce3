"""The arguments of a convolution, read as torch reads them and checked against the shapes of its tensors."""

from collections.abc import Sequence
from dataclasses import dataclass

from mri3d.errors import UserError

Pair = tuple[int, int]
Size = int | Sequence[int]


@dataclass(frozen=True)
class Geometry:
    """A convolution without its values: shapes, steps and padding."""

    input_shape: tuple[int, ...]
    """B, C, X, Y, Z."""
    weight_shape: tuple[int, ...]
    """D, C / groups, kX, kY, kZ."""
    stride: tuple[int, ...]
    padding: tuple[Pair, ...]
    """Zeros before and after the input on each axis."""
    dilation: tuple[int, ...]
    groups: int

    @classmethod
    def of(
        cls,
        input_shape: Sequence[int],
        weight_shape: Sequence[int],
        *,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        groups: int = 1,
    ) -> "Geometry":
        """Read the arguments of `torch.nn.functional.conv3d`.

        Args:
            input_shape: B, C, X, Y, Z.
            weight_shape: D, C / groups, kX, kY, kZ.
            stride: Step of the output.
            padding: Zeros on both sides of each axis, `valid` for none, or `same`, which makes the output as large as
                the input; where that takes an odd number of zeros, the one left over goes to the high side.
            dilation: Step of the taps.
            groups: Number of groups of channels.

        Raises:
            UserError: The shapes and arguments do not go together.
        """
        shapes = f"an input of {list(input_shape)} and kernels of {list(weight_shape)}"
        if len(input_shape) != 5 or len(weight_shape) != 5:
            raise UserError(f"{shapes} are not [B, C, X, Y, Z] and [D, C / groups, X, Y, Z].")
        if input_shape[1] != weight_shape[1] * groups or weight_shape[0] % groups:
            raise UserError(f"{shapes} do not go together with groups={groups}: the channels differ.")
        steps, spreads = three("stride", stride), three("dilation", dilation)
        extents = [spread * (size - 1) for spread, size in zip(spreads, weight_shape[2:], strict=True)]
        match padding:
            case "same":
                if max(steps) > 1:
                    raise UserError(f"padding='same' does not go with stride={stride}. Give padding as numbers.")
                pairs = tuple((extent // 2, extent - extent // 2) for extent in extents)
            case "valid":
                pairs = ((0, 0),) * 3
            case str():
                raise UserError(f"padding={padding!r} is neither 'same', 'valid' nor numbers.")
            case _:
                pairs = tuple((pad, pad) for pad in three("padding", padding, at_least=0))
        for size, extent, pair in zip(input_shape[2:], extents, pairs, strict=True):
            if size + sum(pair) <= extent:
                raise UserError(f"{shapes} with padding={padding} leave no output: the kernels are too large.")
        return cls(tuple(input_shape), tuple(weight_shape), steps, pairs, spreads, groups)

    @property
    def output_size(self) -> tuple[int, ...]:
        """X, Y, Z of the output."""
        axes = zip(self.input_shape[2:], self.weight_shape[2:], self.padding, self.dilation, self.stride, strict=True)
        return tuple((size + sum(pad) - spread * (taps - 1) - 1) // step + 1 for size, taps, pad, spread, step in axes)


def three(name: str, value: Size, *, at_least: int = 1) -> tuple[int, ...]:
    """Read one number for each axis; a single one stands for all.

    >>> three("stride", 2)
    (2, 2, 2)
    """
    numbers = (value,) * 3 if isinstance(value, int) else tuple(value)
    if len(numbers) != 3 or min(numbers) < at_least:
        raise UserError(f"{name}={value!r} is not one whole number of at least {at_least} or three, one for each axis.")
    return numbers
