"""Build a network from a model folder: none that asks for more than the weights that lie there."""

import functools
import os
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from mri3d.model_folder import Contents
from mri3d.models.network.building import call_maker
from mri3d.nets.networks import NETWORKS, find_network
from mri3d.nets.shapes import output_shapes

_SPARE_PARAMETERS = 100  # of layers that a network makes and then replaces


def load_network(contents: Contents, *, trust: Sequence[str] = ()) -> tuple[functools.partial[nn.Module], nn.Module]:
    """Build a network and put its weights into it.

    Args:
        contents: Of a model folder; its arguments are those of `build_network`.
        trust: Dotted names of networks of the user's own that may be imported.

    Returns:
        The network's maker, and the network.

    Raises:
        UserError: The network is not known here, or is one of the user's own that is not trusted.
        KeyError, TypeError, ValueError, RuntimeError: The arguments do not fit the weights or the average volume.
    """
    arguments = contents.arguments
    kind = find_network(arguments["network"], trust=trust)
    maker = functools.partial(kind, **arguments["options"])
    channels, *sides = contents.card.reference.mean.shape
    if arguments["volume_shape"] != sides or arguments.get("num_channels", 1) != channels:
        raise ValueError("the network is for volumes of another shape than the average training volume's")
    if arguments["num_outputs"] != contents.card.outcome.num_outputs:
        raise ValueError("the network has not as many outputs as the outcome needs")
    tensors = {name: torch.from_numpy(tensor) for name, tensor in contents.tensors.items()}
    if kind in NETWORKS.values():  # what the user installed or trusts may be built in any way
        _check_size(maker, arguments, tensors)
    network = call_maker(maker, arguments)
    network.load_state_dict(tensors)
    return maker, network


def _check_size(
    maker: functools.partial[nn.Module], arguments: dict[str, Any], tensors: Mapping[str, torch.Tensor]
) -> None:
    """Build a network of shapes without values, and hold it against the weights before any memory is asked for.

    Raises:
        ValueError: It has more layers than there are weights, or weights of another type, or its maps would not fit
            into the memory of this machine.
        RuntimeError: It has weights of other shapes (from torch, which names them).
    """
    most, count = 2 * len(tensors) + _SPARE_PARAMETERS, 0

    def look(_: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal count
        count += 1
        if count > most:
            raise ValueError(f"the network would have more layers than the {len(tensors)} weights are for")

    handle = register_module_parameter_registration_hook(look)
    try:
        with torch.device("meta"):
            network = call_maker(maker, arguments)
    finally:
        handle.remove()
    types = {name: tensor.dtype for name, tensor in network.state_dict().items()}
    network.load_state_dict(tensors, assign=True)  # the weights themselves: nothing is copied
    if wrong := [name for name, kind in types.items() if tensors[name].dtype != kind]:
        raise ValueError(f"the weights {wrong[0]!r} are of type {tensors[wrong[0]].dtype}, not {types[wrong[0]]}")
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    channels = arguments.get("num_channels", 1)
    maps = output_shapes(network, arguments["volume_shape"], num_channels=channels).values()
    if max(4 * prod(shape) for shape in maps) > memory // 4:  # a convolution holds several such maps at once
        raise ValueError("the network's maps would not fit into the memory of this machine")
