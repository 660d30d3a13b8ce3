"""The Simple Fully Convolutional Network (Peng et al. 2021, Medical Image Analysis 68, 101871), small by default."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn

from mri3d.errors import UserError, option
from mri3d.nets.arguments import at_least_one, check_sizes, positive_integers, probability
from mri3d.nets.fft.conv import FFTConv3d
from mri3d.nets.shapes import deepest_map

Norm = Literal["batch", "instance", "group", "none"]

_cam_stages: dict[tuple[str, tuple[int, int, int], int], str] = {}  # found once: all folds have the same network


def norm_layer(norm: Norm, num_channels: int) -> nn.Module:
    """Build the normalization layer of that name.

    Raises:
        UserError: There is no such normalization.
    """
    match norm:
        case "batch":
            return nn.BatchNorm3d(num_channels)
        case "instance":
            return nn.InstanceNorm3d(num_channels, affine=True)
        case "group":
            return nn.GroupNorm(max(g for g in range(1, 9) if num_channels % g == 0), num_channels)
        case "none":
            return nn.Identity()
    raise UserError(f"{option('model.network.norm', norm)} is not one of batch, instance, group, none.")


class SFCN(nn.Module):
    """Blocks of convolution, normalization, ReLU and max pooling; a 1 x 1 x 1 block; global average; linear head.

    The paper's network is `channels=[32, 64, 128, 256, 256, 64], stride=1, dropout=0.5` on 160 x 192 x 160 voxels.

    >>> network = SFCN((24, 25, 26), 3, channels=[4, 8], num_channels=2)
    >>> network(torch.zeros(5, 2, 24, 25, 26)).shape
    torch.Size([5, 3])
    """

    def __init__(
        self,
        volume_shape: tuple[int, int, int],
        num_outputs: int,
        *,
        num_channels: int = 1,
        channels: Sequence[int] = (32, 64, 128, 64),
        kernel_size: int | Sequence[int] = 3,
        stride: int = 2,
        pooling: int | Sequence[int] = 2,
        dropout: float = 0.2,
        norm: Norm = "batch",
    ) -> None:
        """Build the layers.

        Args:
            volume_shape: X, Y, Z of the volumes.
            num_outputs: Number of outputs; 1 for two classes.
            num_channels: Channels of the volumes.
            channels: Output channels of each block; the last is that of the 1 x 1 x 1 block, which does not pool.
            kernel_size: Edge of the kernels of each block but the last, in voxels.
            stride: Stride of the first convolution. Most of the time goes into the first block's maps: 2 instead of 1
                makes the whole network several times faster.
            pooling: Edge of the pooling window of each block but the last; 1 does not pool.
            dropout: Share of the averaged features dropped before the head.
            norm: Normalization after each convolution.

        Raises:
            UserError: An argument is out of range, or the volume is too small.
        """
        super().__init__()
        volume_shape = check_sizes("sfcn", volume_shape, num_outputs, num_channels)
        *widths, last = at_least_one("channels", channels)
        if not widths:
            raise UserError(
                f"{option('model.network.channels', list(channels))} names one block where at least 2 are needed."
            )
        kernels = positive_integers("kernel_size", kernel_size, length=len(widths))
        windows = positive_integers("pooling", pooling, length=len(widths))
        (stride,) = positive_integers("stride", stride, length=1)
        probability("dropout", dropout)

        self.blocks = nn.Sequential()
        num_in = num_channels
        for width, kernel, window in zip(widths, kernels, windows, strict=True):
            step = 1 if self.blocks else stride
            conv = FFTConv3d(num_in, width, kernel, stride=step, padding=kernel // 2, bias=norm == "none")
            self.blocks.append(nn.Sequential(conv, norm_layer(norm, width), nn.ReLU(), nn.MaxPool3d(window)))
            num_in = width
        self.blocks.append(
            nn.Sequential(nn.Conv3d(num_in, last, 1, bias=norm == "none"), norm_layer(norm, last), nn.ReLU())
        )
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool3d(1),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(last, num_outputs),
        )
        structure = (repr(self.blocks), volume_shape, num_channels)
        if structure not in _cam_stages:
            activations = [f"blocks.{i}.2" for i in range(len(channels))]  # before pooling: the map is finer there
            _cam_stages[structure] = deepest_map("sfcn", self, activations, volume_shape, num_channels=num_channels)
        self._cam_stage = _cam_stages[structure]

    @property
    def cam_layer(self) -> nn.Module:
        """The deepest block whose map still has 4 voxels on each axis."""
        return self.get_submodule(self._cam_stage)

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        """Map volumes [B, C, X, Y, Z] to outputs [B, num_outputs]."""
        outputs: torch.Tensor = self.head(self.blocks(volumes))  # [B, num_outputs]
        return outputs
