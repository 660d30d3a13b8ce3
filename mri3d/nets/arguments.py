"""Check the arguments of networks at construction, so that a typing error ends before the first epoch."""

from collections.abc import Sequence

from mri3d.errors import UserError, option


def positive_integers(name: str, value: int | Sequence[int], *, length: int) -> tuple[int, ...]:
    """Read one positive integer for each of `length` places; a single integer stands for all of them.

    Args:
        name: The network's argument, for the message.
        value: An integer, or a list with one integer for each place.
        length: Number of places.

    Raises:
        UserError: Not an integer or a list of `length` integers, or one of them below 1.

    >>> positive_integers("pooling", 2, length=3)
    (2, 2, 2)
    """
    values = [value] * length if isinstance(value, int) else list(value)
    if len(values) != length:
        raise UserError(f"{_named(name, values)} has {len(values)} numbers where {length} are needed.")
    if not all(_is_positive(v) for v in values):
        raise UserError(f"{_named(name, value)} is not made of whole numbers of at least 1.")
    return tuple(values)


def at_least_one(name: str, values: Sequence[int]) -> tuple[int, ...]:
    """Read a list of positive integers that must not be empty.

    >>> at_least_one("channels", [8, 16])
    (8, 16)
    """
    if isinstance(values, str | int) or not len(values):
        raise UserError(f"{_named(name, values)} is not a list of whole numbers. Write one for each layer.")
    return positive_integers(name, values, length=len(values))


def probability(name: str, value: float) -> float:
    """Read a number in [0, 1).

    >>> probability("dropout", 0.5)
    0.5
    """
    if not 0.0 <= value < 1.0:
        raise UserError(f"{_named(name, value)} is not in [0, 1). It is the share of activations to drop.")
    return float(value)


def check_sizes(network: str, volume_shape: Sequence[int], num_outputs: int, num_channels: int) -> tuple[int, int, int]:
    """Check the arguments that every network has, and return the volume's shape as a tuple.

    Raises:
        UserError: A size is missing or below 1.

    >>> check_sizes("sfcn", [50, 51, 52], 1, 2)
    (50, 51, 52)
    """
    if num_outputs < 1:
        raise UserError(f"{network}: num_outputs={num_outputs} leaves nothing to predict. It must be 1 or more.")
    positive_integers("num_channels", num_channels, length=1)
    if len(volume_shape) != 3 or not all(_is_positive(side) for side in volume_shape):
        raise UserError(f"{network}: volume_shape={volume_shape!r} is not made of three whole numbers of at least 1.")
    x, y, z = volume_shape
    return x, y, z


def too_small(network: str, volume_shape: Sequence[int], remedy: str) -> UserError:
    """Build the error for a volume of which the network's strides and pooling leave nothing."""
    shape = " x ".join(map(str, volume_shape))
    return UserError(f"{network}: a volume of {shape} voxels is too small for this network. {remedy}")


def _is_positive(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number >= 1


def _named(name: str, value: object) -> str:
    """Name a network's argument with its value, as it is written where the user set it."""
    return option(f"model.network.{name}", value)
