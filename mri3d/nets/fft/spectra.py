"""Discrete Fourier transforms of zero-padded blocks, axis by axis, without transforming the zeros.

A convolution by Fourier transforms puts volume, kernels and output on one circular grid. Most rows of it are zero on
the way in (a kernel of 60 voxels on a grid of 192) and most are not wanted on the way out (the gradient of the kernel).
So each axis is transformed by itself, in the order Z, Y, X, and only along rows that are not zero; backwards in the
order X, Y, Z, along rows that are wanted. The work is cut into blocks that stay in the processor's cache.

Arrays are laid out [X, Y, Z, ...channels]: with channels innermost, frequencies come first, and the product over
channels is a batched matrix product.
"""

from dataclasses import dataclass

from torch import Tensor, fft

SMALL_PRIMES = (2, 3, 5, 7)


def fast_length(minimum: int, *, even: bool = False) -> int:
    """Find the shortest length of at least `minimum` that Fourier transforms like: factors 2, 3, 5 and 7 only.

    Args:
        minimum: Shortest length that will do.
        even: Whether it must be even, which halves the time of transforms of real numbers.

    >>> fast_length(185), fast_length(225), fast_length(225, even=True)
    (189, 225, 240)
    """
    length = max(1, minimum)
    while (even and length % 2) or not _is_smooth(length):
        length += 1
    return length


def _is_smooth(number: int) -> bool:
    for prime in SMALL_PRIMES:
        while number % prime == 0:
            number //= prime
    return number == 1


@dataclass(frozen=True)
class Axis:
    """One axis of a convolution on a circle: where the input, the kernel and the output lie.

    With w the kernel, output i is the sum over taps j of w[j] * input[i * stride + j * dilation - padding]. On the
    circle, input voxel m lies at m + padding, tap j at j * dilation, output i at i * stride.
    """

    taps: slice
    """Taps that meet the input; those before and after only ever meet padding, and are left out."""
    input: slice
    kernel: slice
    output: slice
    length: int
    """Of the circle: what wraps around falls on zeros, or where no output is read."""

    @staticmethod
    def of(size: int, kernel: int, padding: tuple[int, int], *, stride: int, dilation: int, even: bool) -> "Axis":
        """Lay out one axis.

        Args:
            size: Voxels of the input.
            kernel: Taps of the kernel.
            padding: Zeros before and after the input.
            stride: Step of the output.
            dilation: Step of the taps.
            even: Whether the length must be even.
        """
        low, high = padding
        num_outputs = (size + low + high - dilation * (kernel - 1) - 1) // stride + 1
        reach = (num_outputs - 1) * stride
        first = min(kernel - 1, max(0, (low - reach) // dilation))
        last = max(first, min(kernel - 1, (low + size - 1) // dilation))
        low -= first * dilation
        extent = (last - first) * dilation
        length = max(size + low, reach + extent + 1 - low, reach + 1, extent + 1)
        return Axis(
            taps=slice(first, last + 1),
            input=slice(low, low + size),
            kernel=slice(0, extent + 1, dilation),
            output=slice(0, reach + 1, stride),
            length=fast_length(length, even=even),
        )


Place = tuple[slice, slice, slice]
"""Where a block of data lies on the circular grid."""


@dataclass(frozen=True)
class CircularGrid:
    """A circular grid of X, Y, Z and the pruned transforms on it.

    A transform is named by the sign of its exponent: -1 is the usual one, +1 gives its complex conjugate for real data
    (which is what correlations multiply with, so that nothing need be conjugated afterwards).
    """

    lengths: tuple[int, int, int]
    block_bytes: int
    """Blocks of about this size are worked on at once: the cache on a CPU, as much as memory allows on a GPU."""

    @property
    def num_columns(self) -> int:
        """Frequencies of the Y and Z axes together; the Z axis has half, since data are real."""
        return self.lengths[1] * (self.lengths[2] // 2 + 1)

    def to_columns(self, data: Tensor, place: Place, sign: int) -> Tensor:
        """Transform along Z and Y.

        Args:
            data: Real [X, Y, Z, ...]; any strides.
            place: Where it lies on the grid.
            sign: Of the exponent.

        Returns:
            Complex [X, columns, ...], with X still in space and no larger than that of `data`.
        """
        num_rows, num_lines, _, *channels = data.shape
        num_half = self.lengths[2] // 2 + 1
        columns = data.new_empty(num_rows, self.lengths[1], num_half, *channels, dtype=data.dtype.to_complex())
        per_row = columns[0].nbytes
        step = min(num_rows, max(1, self.block_bytes // per_row))
        lines = data.new_zeros(step, num_lines, self.lengths[2], *channels)
        planes = columns.new_zeros(step, *columns.shape[1:])
        for start in range(0, num_rows, step):
            count = min(step, num_rows - start)
            lines[:count, :, place[2]] = data[start : start + count]
            half = fft.rfft(lines[:count], dim=2)
            planes[:count, place[1]] = half.conj() if sign > 0 else half
            columns[start : start + count] = _transform(planes[:count], 1, sign)
        return columns.flatten(1, 2)

    def from_columns(self, columns: Tensor, place: Place, sign: int, out: Tensor) -> None:
        """Undo the transforms along Y and Z where data are wanted.

        Args:
            columns: Complex [X, columns, ...].
            place: The part of the grid that is wanted along Y and Z.
            sign: Of the exponent with which the columns were made.
            out: Real [X, Y, Z, ...], any strides; filled.
        """
        planes = columns.view(len(columns), self.lengths[1], -1, *columns.shape[2:])
        step = max(1, self.block_bytes // planes[0].nbytes)
        for start in range(0, len(planes), step):
            block = _inverse(planes[start : start + step], 1, sign)[:, place[1]]
            lines = fft.irfft(block.conj() if sign > 0 else block, n=self.lengths[2], dim=2)
            out[start : start + step] = lines[:, :, place[2]]

    def slabs(self, bytes_per_frequency: int) -> list[slice]:
        """Cut the columns into slabs of which a spectrum is about a block."""
        step = max(1, self.block_bytes // (self.lengths[0] * bytes_per_frequency))
        return [slice(start, min(start + step, self.num_columns)) for start in range(0, self.num_columns, step)]

    def to_spectrum(self, columns: Tensor, place: Place, sign: int) -> Tensor:
        """Transform a slab of columns [X, S, ...] along X: [frequencies of X, S, ...]."""
        rows = columns.new_zeros(self.lengths[0], *columns.shape[1:])
        rows[place[0]] = columns
        return _transform(rows, 0, sign)

    def from_spectrum(self, spectrum: Tensor, place: Place, sign: int) -> Tensor:
        """Undo `to_spectrum` and keep the rows that are wanted: [X, S, ...]."""
        return _inverse(spectrum, 0, sign)[place[0]]


def _transform(data: Tensor, dim: int, sign: int) -> Tensor:
    """Unscaled transform along one axis."""
    transformed: Tensor = fft.ifft(data, dim=dim, norm="forward") if sign > 0 else fft.fft(data, dim=dim)
    return transformed


def _inverse(data: Tensor, dim: int, sign: int) -> Tensor:
    """Undo `_transform`."""
    restored: Tensor = fft.fft(data, dim=dim, norm="forward") if sign > 0 else fft.ifft(data, dim=dim)
    return restored
