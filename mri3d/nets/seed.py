"""The network of the seed study: five convolutions with very large kernels, then three dense layers."""

from collections.abc import Sequence
from math import prod
from typing import Literal

import torch
from torch import nn

from mri3d.errors import UserError, option
from mri3d.nets.arguments import at_least_one, check_sizes, positive_integers, probability, too_small
from mri3d.nets.fft.conv import FFTConv3d
from mri3d.nets.shapes import deepest_map

STUDY_VOLUME = (155, 165, 195)
STUDY_KERNELS = (60, 25, 15, 10, 5)
MIN_SCALED_KERNEL = 3


def scaled_kernels(volume_shape: Sequence[int]) -> tuple[int, ...]:
    """Shrink the study's kernels as the volume is smaller than the study's, so that they see as much of the head.

    >>> scaled_kernels((155, 165, 195))
    (60, 25, 15, 10, 5)
    >>> scaled_kernels((50, 50, 50))
    (18, 7, 4, 3, 3)
    """
    scale = min(1.0, (prod(volume_shape) / prod(STUDY_VOLUME)) ** (1 / 3))
    return tuple(max(MIN_SCALED_KERNEL, round(scale * kernel)) for kernel in STUDY_KERNELS)


class Seed(nn.Module):
    """The seed study's network: 19,017,081 weights on 155 x 165 x 195 voxels with one output.

    Each of the five stages is a convolution with `same` padding, ReLU and max pooling (what is left over at the high
    end is dropped); what remains is flattened and goes through the dense layers.

    >>> network = Seed((17, 18, 19), 1, channels=[2, 3], kernel_size=[6, 3], pooling=[3, 2], dense=[8])
    >>> network(torch.zeros(2, 1, 17, 18, 19)).shape
    torch.Size([2, 1])
    """

    def __init__(
        self,
        volume_shape: tuple[int, int, int],
        num_outputs: int,
        *,
        num_channels: int = 1,
        channels: Sequence[int] = (8, 16, 32, 64, 128),
        kernel_size: Sequence[int] | Literal["scaled"] = "scaled",
        pooling: int | Sequence[int] = (3, 2, 2, 2, 2),
        dense: Sequence[int] = (2048, 512),
        dropout: float = 0.0,
    ) -> None:
        """Build the layers.

        Args:
            volume_shape: X, Y, Z of the volumes.
            num_outputs: Number of outputs; 1 for two classes.
            num_channels: Channels of the volumes.
            channels: Output channels of each stage.
            kernel_size: Edge of each stage's kernels in voxels; `scaled` takes the study's 60, 25, 15, 10, 5, shrunk
                with the volume where that is smaller than the study's.
            pooling: Edge of each stage's pooling window.
            dense: Widths of the hidden dense layers.
            dropout: Share of activations dropped before each dense layer.

        Raises:
            UserError: An argument is out of range, or pooling leaves nothing of the volume.
        """
        super().__init__()
        volume_shape = check_sizes("seed", volume_shape, num_outputs, num_channels)
        channels = at_least_one("channels", channels)
        if isinstance(kernel_size, str):
            if kernel_size != "scaled":
                told = option("model.network.kernel_size", kernel_size)
                raise UserError(f"{told} is neither 'scaled' nor a list of whole numbers.")
            kernel_size = scaled_kernels(volume_shape)
        kernels = positive_integers("kernel_size", kernel_size, length=len(channels))
        windows = positive_integers("pooling", pooling, length=len(channels))
        probability("dropout", dropout)

        self.stages = nn.Sequential()
        for num_in, num_out, kernel, window in zip((num_channels, *channels), channels, kernels, windows, strict=False):
            self.stages.append(
                nn.Sequential(FFTConv3d(num_in, num_out, kernel, padding="same"), nn.ReLU(), nn.MaxPool3d(window))
            )
        self.head = nn.Sequential(nn.Flatten())
        num_features = channels[-1] * prod(size // prod(windows) for size in volume_shape)
        if num_features == 0:
            needed = prod(windows)
            raise too_small("seed", volume_shape, f"Pooling by {list(windows)} needs {needed} voxels on each axis.")
        for width in at_least_one("dense", dense):
            self.head.extend([nn.Dropout(dropout), nn.Linear(num_features, width), nn.ReLU()])
            num_features = width
        self.head.extend([nn.Dropout(dropout), nn.Linear(num_features, num_outputs)])

        activations = [f"stages.{i}.1" for i in range(len(channels))]  # before pooling: the map is finer there
        self._cam_stage = deepest_map("seed", self, activations, volume_shape, num_channels=num_channels)

    @property
    def cam_layer(self) -> nn.Module:
        """The deepest stage whose map still has 4 voxels on each axis."""
        return self.get_submodule(self._cam_stage)

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        """Map volumes [B, C, X, Y, Z] to outputs [B, num_outputs]."""
        outputs: torch.Tensor = self.head(self.stages(volumes))  # [B, num_outputs]
        return outputs
