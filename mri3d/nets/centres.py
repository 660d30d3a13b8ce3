"""Find out where in the volume the cells of a feature map lie.

A map of 6 cells does not divide 50 voxels into 6: strides, padding, and pooling that drops what is left over at the
high end decide where the centre of each cell's receptive field lies.
"""

from collections.abc import MutableMapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from mri3d.nets.shapes import run_on_meta

Centres = tuple[np.ndarray, np.ndarray]
"""Where the first cell's centre lies [3] and how far apart the cells are [3], in voxels of the volume."""
aten = torch.ops.aten


def cell_centres(net: nn.Module, layer: nn.Module, volume_shape: Sequence[int], *, num_channels: int = 1) -> Centres:
    """Trace one volume through a network on the meta device and follow the centres of the cells to a layer's output.

    Args:
        net: A network that takes [B, C, X, Y, Z]; it is left as it was.
        layer: The module of `net` whose output [B, D, X', Y', Z'] is the map.
        volume_shape: X, Y, Z.
        num_channels: C.

    Returns:
        Where the centre of the map's first cell lies, [3], and the distance between cells, [3], both in voxels of the
        volume, whose first voxel's centre is at 0.

    Raises:
        ValueError: The layer's output is no map whose cells can be followed.

    >>> net = nn.Sequential(nn.Conv3d(1, 2, 3, stride=2, padding=1), nn.MaxPool3d(2))
    >>> cell_centres(net, net[1], (15, 16, 17))
    (array([1., 1., 1.]), array([4., 4., 4.]))
    """
    volume = torch.empty(1, num_channels, *volume_shape, device="meta")
    centres = _FollowCentres(volume)
    found: list[Centres | None] = []
    handle = layer.register_forward_hook(lambda _module, _inputs, output: found.append(centres.find(output)))
    try:
        with centres:
            run_on_meta(net, volume)
    finally:
        handle.remove()
    if not found or found[-1] is None:
        raise ValueError(f"The output of {type(layer).__name__} has no cells that could be followed from the volume.")
    return found[-1]


class _FollowCentres(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keeps the centres of the cells of every map while a network runs.

    It looks at operations rather than at modules: there padding is in numbers, whoever asked for it in whatever way,
    and each branch goes on from the tensor that it began with.
    """

    def __init__(self, volume: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.of: MutableMapping[Tensor, Centres] = WeakIdKeyDictionary()
        self.of[volume] = np.zeros(3), np.ones(3)

    def find(self, output: object) -> Centres | None:
        """Look up the centres of a layer's output, whatever that may be."""
        return self.of.get(output) if isinstance(output, Tensor) else None

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: Sequence[type],
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        """Run an operation, and note where the cells of its result lie."""
        result = func(*args, **(kwargs or {}))
        output = result[0] if isinstance(result, tuple | list) and result else result
        maps = [tensor for tensor in tree_leaves(args) if isinstance(tensor, Tensor) and tensor in self.of]
        if not maps or not isinstance(output, Tensor):
            return result
        start, step = self.of[maps[0]]
        if (window := _window(func, args)) is not None:
            first, stride = window
            self.of[output] = start + first * step, step * stride
        elif output.shape[2:] == maps[0].shape[2:]:  # neither an average over all cells nor a list of features
            self.of[output] = start, step
        return result


def _window(func: OpOverload, args: Sequence[object]) -> tuple[np.ndarray, np.ndarray] | None:
    """Read where an operation's first window is centred [3] and its stride [3], in cells of its input.

    None for an operation that has no windows.
    """
    given: dict[str, Any] = {argument.name: argument.default_value for argument in func._schema.arguments}
    given.update(zip(given, args, strict=False))
    if func is aten.constant_pad_nd.default:
        low = np.zeros(3)
        low[3 - len(given["pad"]) // 2 :] = given["pad"][-2::-2]  # torch names the last axis first, low before high
        return -low, np.ones(3)
    if func not in (aten.convolution.default, aten.max_pool3d_with_indices.default, aten.avg_pool3d.default):
        return None
    kernel = given["weight"].shape[2:] if "weight" in given else given["kernel_size"]
    extent = np.multiply(given.get("dilation", 1), np.subtract(kernel, 1))
    first, stride = extent / 2 - given["padding"], np.asarray(given["stride"] or kernel)
    return (-first / stride, 1 / stride) if given.get("transposed") else (first, stride)
