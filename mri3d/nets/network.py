"""What a network is to the rest of the package, whoever wrote it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from mri3d.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor, nn

FAILURES = (RuntimeError, ValueError, TypeError)
"""What layers raise when a volume does not suit them, or has no values though they need some."""


class Network(Protocol):
    """A `torch.nn.Module` that maps volumes to outputs; one of your own trains, saves and predicts like ours.

    It is built as `MyNet(volume_shape, num_outputs, **options)`, where `volume_shape` is X, Y, Z and the options are
    keyword arguments of its own with plain values (numbers, texts, lists), which the model folder keeps. For volumes
    of C > 1 channels it is given `num_channels=C` too. For two classes and for a measure `num_outputs` is 1.

    A property `cam_layer`, the module whose feature map [B, D, X', Y', Z'] Grad-CAM weighs, is optional: without it
    Grad-CAM is only offered for a layer that is named. No operation in place may follow that module. Grad-CAM's
    strongest place can lie far from what decided, see `mri3d.explain.class_activation.grad_cam`.

    A package offers its networks by name as entry points of the group `mri3d.networks`, in its `pyproject.toml`:

        [project.entry-points."mri3d.networks"]
        my_net = "my_package:MyNet"

    >>> import torch
    >>> class Average(torch.nn.Module):
    ...     def __init__(self, volume_shape, num_outputs, *, num_channels=1):
    ...         super().__init__()
    ...         self.head = torch.nn.Linear(num_channels, num_outputs)
    ...     def forward(self, volumes):
    ...         return self.head(volumes.mean(dim=(2, 3, 4)))
    >>> network: Network = Average((7, 8, 9), 1)
    >>> network(torch.zeros(2, 1, 7, 8, 9)).shape
    torch.Size([2, 1])
    """

    def __init__(self, volume_shape: tuple[int, int, int], num_outputs: int) -> None:
        """Build the layers for volumes of X, Y, Z voxels."""
        ...

    def __call__(self, volumes: "Tensor") -> "Tensor":
        """Map volumes [B, C, X, Y, Z] to outputs [B, num_outputs]: logits of classes, or the standardised measure."""
        ...


def check_network(
    network: "nn.Module", volume_shape: Sequence[int], num_outputs: int, *, num_channels: int = 1
) -> None:
    """Check that a network takes the volumes and returns as many outputs as it should.

    Shapes are traced without values where that is possible; else one volume of zeros is put through.

    Args:
        network: The network; it is left as it was.
        volume_shape: X, Y, Z.
        num_outputs: How many outputs it was asked to have.
        num_channels: C.

    Raises:
        UserError: The network fails on such a volume, or returns something else than [B, num_outputs].

    >>> import torch
    >>> check_network(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(504, 2)), (7, 8, 9), 2)
    >>> check_network(torch.nn.Flatten(), (7, 8, 9), 2)
    Traceback (most recent call last):
    mri3d.errors.UserError: the network Flatten returns [1, 504] for one volume where [1, 2] is needed.
    """
    import torch

    from mri3d.nets.shapes import run_on_meta

    name = type(network).__name__
    try:
        output = run_on_meta(network, torch.empty(1, num_channels, *volume_shape, device="meta"))
    except FAILURES:
        output = _output_of_zeros(network, (1, num_channels, *volume_shape))
    returned = list(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
    if returned != [1, num_outputs]:
        raise UserError(f"the network {name} returns {returned} for one volume where [1, {num_outputs}] is needed.")


def _output_of_zeros(network: "nn.Module", shape: tuple[int, ...]) -> object:
    """Put zeros through a network in evaluation mode."""
    import torch

    training = [module for module in network.modules() if module.training]
    network.eval()
    try:
        with torch.inference_mode():
            return network(torch.zeros(shape))
    except FAILURES as error:
        sides = " x ".join(map(str, shape[1:]))
        reason = str(error).partition("\n")[0]
        raise UserError(
            f"the network {type(network).__name__} fails on a volume of {sides} voxels: {reason}"
        ) from error
    finally:
        for module in training:
            module.training = True
