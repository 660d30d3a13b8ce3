"""Find out what shapes a network's layers give, without computing anything."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from mri3d.nets.arguments import too_small

REMEDY = "Choose a larger resolution, or smaller strides and pooling."
MIN_CAM_VOXELS = 4
"""A heatmap of fewer voxels on an axis says little about where the evidence lies."""


def output_shapes(net: nn.Module, volume_shape: Sequence[int], *, num_channels: int = 1) -> dict[str, tuple[int, ...]]:
    """Trace one volume through a network on the meta device, where tensors have shapes but no values.

    Args:
        net: A network that takes [B, C, X, Y, Z]; it is left as it was.
        volume_shape: X, Y, Z.
        num_channels: C.

    Returns:
        For each named module that was called and returned one tensor, in order of completion, the shape of its output
        without the batch axis.

    Raises:
        RuntimeError: The volume is too small for the network (from torch, about one of the layers).
    """
    assert len(volume_shape) == 3, f"{list(volume_shape)} is not X, Y, Z; channels are an argument of their own"
    shapes: dict[str, tuple[int, ...]] = {}

    def record(name: str) -> RemovableHandle:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            if isinstance(output, torch.Tensor):  # a layer of somebody's own may return anything
                shapes[name] = tuple(output.shape[1:])

        handle: RemovableHandle = modules[name].register_forward_hook(hook)
        return handle

    modules = dict(net.named_modules())
    handles = [record(name) for name in modules if name]
    try:
        run_on_meta(net, torch.empty(1, num_channels, *volume_shape, device="meta"))
    finally:
        for handle in handles:
            handle.remove()
    return shapes


def run_on_meta(net: nn.Module, volume: torch.Tensor) -> object:
    """Put one volume through a network in evaluation mode on the meta device; hooks and dispatch modes may look on.

    Args:
        net: A network that takes [B, C, X, Y, Z]; it is left as it was.
        volume: [1, C, X, Y, Z] on the meta device.

    Returns:
        What the network returns, on the meta device too.

    Raises:
        RuntimeError: The volume is too small for the network (from torch, about one of the layers).
    """
    training = [module for module in net.modules() if module.training]
    tensors = {**dict(net.named_parameters()), **dict(net.named_buffers())}
    weights = {name: torch.empty_like(tensor, device="meta") for name, tensor in tensors.items()}
    net.eval()  # batch norm refuses to train on one volume whose last map is one voxel
    try:
        with torch.no_grad():
            return torch.func.functional_call(net, weights, (volume,))
    finally:
        for module in training:
            module.training = True


def deepest_map(
    network: str, net: nn.Module, stages: Sequence[str], volume_shape: Sequence[int], *, num_channels: int = 1
) -> str:
    """Choose the stage whose output class-activation maps are made of.

    Args:
        network: What the user calls the network, for the message.
        net: The network.
        stages: Names of modules of `net` that give maps [B, C, X, Y, Z], from the input to the output.
        volume_shape: X, Y, Z.
        num_channels: Channels of the volumes.

    Returns:
        The name of the last stage whose map has at least `MIN_CAM_VOXELS` on each axis.

    Raises:
        UserError: No stage has such a map, or nothing of the volume is left at some layer.
    """
    try:
        shapes = output_shapes(net, volume_shape, num_channels=num_channels)
    except RuntimeError as error:
        raise too_small(network, volume_shape, REMEDY) from error
    large = [stage for stage in stages if min(shapes[stage][1:]) >= MIN_CAM_VOXELS]
    if not large:
        raise too_small(network, volume_shape, REMEDY)
    return large[-1]
