"""Build a network from its maker and what a model folder keeps of it."""

from collections.abc import Callable
from typing import Any

from torch import nn

from mri3d.errors import UserError, option


def check_maker(maker: Callable[..., nn.Module]) -> None:
    """Refuse a network in place of what builds one.

    Raises:
        UserError: It is built already.
    """
    if isinstance(maker, nn.Module):
        raise UserError(
            f"{option('model.network')} is a network that was built already, and each fold needs one of its own. "
            f"Give its class, {type(maker).__name__}, or a functools.partial of it."
        )


def build_network(maker: Callable[..., nn.Module], arguments: dict[str, Any]) -> nn.Module:
    """Build a network of the user's choice.

    Args:
        maker: A network class with its options bound.
        arguments: `volume_shape` X, Y, Z, `num_outputs`, and `num_channels` where it is not 1, as model folders keep
            them.

    Raises:
        UserError: It cannot be called so.
    """
    try:
        return call_maker(maker, arguments)
    except UserError:
        raise
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{option('model.network')} cannot be built: {error}. It is called with the volume's shape and the number "
            "of outputs, and with num_channels where the volumes have several."
        ) from error


def call_maker(maker: Callable[..., nn.Module], arguments: dict[str, Any]) -> nn.Module:
    """Call a maker of networks; of the volumes' channels only those beyond one need be known to it."""
    channels = {"num_channels": number} if (number := arguments.get("num_channels", 1)) > 1 else {}
    return maker(tuple(arguments["volume_shape"]), arguments["num_outputs"], **channels)
