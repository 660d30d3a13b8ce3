"""Check the arguments of networks at construction, so that a typing error ends before the first epoch."""

from collections.abc import Sequence

from mri3d.errors import UserError


def positive_integers(name: str, value: int | Sequence[int], *, length: int) -> tuple[int, ...]:
    """Read one positive integer for each of `length` places; a single integer stands for all of them.

    Args:
        name: The argument's name, for the message.
        value: An integer, or a list with one integer for each place.
        length: Number of places.

    Raises:
        UserError: Not an integer or a list of `length` integers, or one of them below 1.

    >>> positive_integers("pooling", 2, length=3)
    (2, 2, 2)
    """
    values = [value] * length if isinstance(value, int) else list(value)
    if len(values) != length:
        raise UserError(f"{name}={list(values)} has {len(values)} numbers where {length} are needed.")
    if not all(isinstance(v, int) and not isinstance(v, bool) and v >= 1 for v in values):
        raise UserError(f"{name}={value!r} is not made of whole numbers of at least 1.")
    return tuple(values)


def at_least_one(name: str, values: Sequence[int]) -> tuple[int, ...]:
    """Read a list of positive integers that must not be empty.

    >>> at_least_one("channels", [8, 16])
    (8, 16)
    """
    if isinstance(values, str | int) or not len(values):
        raise UserError(f"{name}={values!r} is not a list of whole numbers. Give one for each layer.")
    return positive_integers(name, values, length=len(values))


def probability(name: str, value: float) -> float:
    """Read a number in [0, 1).

    >>> probability("dropout", 0.5)
    0.5
    """
    if not 0.0 <= value < 1.0:
        raise UserError(f"{name}={value!r} is not in [0, 1). It is the share of activations to drop.")
    return float(value)


def volume_and_outputs(network: str, volume_shape: Sequence[int], num_outputs: int) -> tuple[int, int, int]:
    """Check the two arguments that every network has, and give the volume's shape as a tuple."""
    if num_outputs < 1:
        raise UserError(f"{network}: num_outputs={num_outputs} leaves nothing to predict. Give at least 1.")
    x, y, z = positive_integers(f"{network}: volume_shape", volume_shape, length=3)
    return x, y, z


def too_small(network: str, volume_shape: Sequence[int], remedy: str) -> UserError:
    """Make the error for a volume of which the network's strides and pooling leave nothing."""
    shape = " x ".join(map(str, volume_shape))
    return UserError(f"{network}: a volume of {shape} voxels is too small for this network. {remedy}")
