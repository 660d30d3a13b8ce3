"""Networks of MONAI as this package's: built from the volumes' shape, with a layer for class-activation maps.

MONAI is imported when a network is built: the import takes seconds, which the commands that build none should not pay.
"""

from collections.abc import Sequence

import torch
from torch import nn

from mri3d.errors import UserError, option
from mri3d.nets.arguments import check_sizes, positive_integers, probability
from mri3d.nets.fft.conv import FFTConv3d
from mri3d.nets.shapes import deepest_map

B0_STAGES = [  # r repeats, k kernel, s strides, e expansion, i and o channels, se squeeze-and-excitation
    "r1_k3_s11_e1_i32_o16_se0.25",
    "r2_k3_s22_e6_i16_o24_se0.25",
    "r2_k5_s22_e6_i24_o40_se0.25",
    "r3_k3_s22_e6_i40_o80_se0.25",
    "r3_k5_s11_e6_i80_o112_se0.25",
    "r4_k5_s22_e6_i112_o192_se0.25",
    "r1_k3_s11_e6_i192_o320_se0.25",
]


def first_convolution(num_in: int, num_out: int, kernel_size: int, stride: int) -> nn.Conv3d:
    """Build a first layer of any stride, and of a kernel of any size.

    Raises:
        UserError: Kernel or stride below 1.
    """
    (kernel_size,) = positive_integers("kernel_size", kernel_size, length=1)
    (stride,) = positive_integers("stride", stride, length=1)
    conv = FFTConv3d(num_in, num_out, kernel_size, stride=stride, padding=kernel_size // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv


class MonaiNet(nn.Module):
    """What the adapters have in common: the wrapped network, and the choice of the layer for class-activation maps."""

    def __init__(
        self,
        name: str,
        net: nn.Module,
        stages: Sequence[str],
        volume_shape: tuple[int, int, int],
        num_channels: int,
    ) -> None:
        """Wrap a network.

        Args:
            name: What the user calls it.
            net: Maps [B, C, X, Y, Z] to outputs [B, num_outputs].
            stages: Names of the modules of `net` that give maps, from the input to the output. None of them may be
                followed by an operation in place, which would change the map that a hook has seen.
            volume_shape: X, Y, Z.
            num_channels: C.

        Raises:
            UserError: The volume is too small.
        """
        super().__init__()
        self.net = net
        paths = [f"net.{stage}" for stage in stages]
        self._cam_stage = deepest_map(name, self, paths, volume_shape, num_channels=num_channels)

    @property
    def cam_layer(self) -> nn.Module:
        """The deepest stage whose map still has 4 voxels on each axis."""
        return self.get_submodule(self._cam_stage)

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        """Map volumes [B, C, X, Y, Z] to outputs [B, num_outputs]."""
        outputs: torch.Tensor = self.net(volumes)  # [B, num_outputs]
        return outputs


class ResNet(MonaiNet):
    """A residual network of four stages (He et al. 2016; in 3D Hara et al. 2018); subclasses say how deep."""

    name: str
    block: str
    layers: tuple[int, int, int, int]

    def __init__(
        self,
        volume_shape: tuple[int, int, int],
        num_outputs: int,
        *,
        num_channels: int = 1,
        widths: Sequence[int] = (64, 128, 256, 512),
        kernel_size: int = 7,
        stride: int = 2,
        max_pool: bool = True,
        dropout: float = 0.0,
    ) -> None:
        """Build the network.

        Args:
            volume_shape: X, Y, Z of the volumes.
            num_outputs: Number of outputs; 1 for two classes.
            num_channels: Channels of the volumes.
            widths: Channels of the four stages (of their inner convolutions where blocks are bottlenecks).
            kernel_size: Edge of the first convolution's kernels in voxels.
            stride: Stride of the first convolution.
            max_pool: Whether max pooling by 2 follows the first convolution; for small volumes switch it off.
            dropout: Share of the averaged features dropped before the last layer.

        Raises:
            UserError: An argument is out of range, or the volume is too small.
        """
        from monai.networks.nets.resnet import ResNet as MonaiResNet

        volume_shape = check_sizes(self.name, volume_shape, num_outputs, num_channels)
        probability("dropout", dropout)
        net = MonaiResNet(
            self.block,
            list(self.layers),
            list(positive_integers("widths", widths, length=4)),
            spatial_dims=3,
            n_input_channels=num_channels,
            no_max_pool=not max_pool,
            num_classes=num_outputs,
        )
        net.conv1 = first_convolution(num_channels, net.conv1.out_channels, kernel_size, stride)
        net.fc = nn.Sequential(nn.Dropout(dropout), net.fc)
        super().__init__(self.name, net, ["layer1", "layer2", "layer3", "layer4"], volume_shape, num_channels)


class ResNet18(ResNet):
    """ResNet with 18 layers of weights (He et al. 2016).

    >>> network = ResNet18((33, 34, 35), 1, widths=[2, 2, 2, 2])
    >>> network(torch.zeros(2, 1, 33, 34, 35)).shape
    torch.Size([2, 1])
    """

    name = "resnet18"
    block = "basic"
    layers = (2, 2, 2, 2)


class ResNet50(ResNet):
    """ResNet with 50 layers of weights, in bottleneck blocks (He et al. 2016).

    >>> network = ResNet50((33, 34, 35), 1, widths=[2, 2, 2, 2])
    >>> network(torch.zeros(2, 1, 33, 34, 35)).shape
    torch.Size([2, 1])
    """

    name = "resnet50"
    block = "bottleneck"
    layers = (3, 4, 6, 3)


class DenseNet121(MonaiNet):
    """DenseNet with 121 layers of weights (Huang et al. 2017).

    >>> network = DenseNet121((33, 34, 35), 1, channels=4, growth=2, layers=[2, 2, 2, 2], stride=1)
    >>> network(torch.zeros(2, 1, 33, 34, 35)).shape
    torch.Size([2, 1])
    """

    def __init__(
        self,
        volume_shape: tuple[int, int, int],
        num_outputs: int,
        *,
        num_channels: int = 1,
        channels: int = 64,
        growth: int = 32,
        layers: Sequence[int] = (6, 12, 24, 16),
        kernel_size: int = 7,
        stride: int = 2,
        dropout: float = 0.0,
    ) -> None:
        """Build the network.

        Args:
            volume_shape: X, Y, Z of the volumes.
            num_outputs: Number of outputs; 1 for two classes.
            num_channels: Channels of the volumes.
            channels: Output channels of the first convolution.
            growth: Channels that each dense layer adds.
            layers: Number of dense layers in each block.
            kernel_size: Edge of the first convolution's kernels in voxels.
            stride: Stride of the first convolution.
            dropout: Share of each dense layer's channels dropped.

        Raises:
            UserError: An argument is out of range, or the volume is too small.
        """
        from monai.networks.nets.densenet import DenseNet

        volume_shape = check_sizes("densenet121", volume_shape, num_outputs, num_channels)
        (channels,) = positive_integers("channels", channels, length=1)
        net = DenseNet(
            spatial_dims=3,
            in_channels=num_channels,
            out_channels=num_outputs,
            init_features=channels,
            growth_rate=positive_integers("growth", growth, length=1)[0],
            block_config=positive_integers("layers", layers, length=len(layers)),
            dropout_prob=probability("dropout", dropout),
        )
        net.features.conv0 = first_convolution(num_channels, channels, kernel_size, stride)
        blocks = [f"features.denseblock{i + 1}" for i in range(len(layers))]
        super().__init__("densenet121", net, blocks, volume_shape, num_channels)


class EfficientNetB0(MonaiNet):
    """EfficientNet-B0 (Tan and Le 2019) with its 2D kernels turned into 3D ones; weights start at random.

    >>> network = EfficientNetB0((33, 34, 35), 1, width=0.1, depth=0.3)
    >>> network(torch.zeros(2, 1, 33, 34, 35)).shape
    torch.Size([2, 1])
    """

    def __init__(
        self,
        volume_shape: tuple[int, int, int],
        num_outputs: int,
        *,
        num_channels: int = 1,
        width: float = 1.0,
        depth: float = 1.0,
        kernel_size: int = 3,
        stride: int = 2,
        dropout: float = 0.2,
        drop_path: float = 0.2,
    ) -> None:
        """Build the network.

        Args:
            volume_shape: X, Y, Z of the volumes.
            num_outputs: Number of outputs; 1 for two classes.
            num_channels: Channels of the volumes.
            width: Factor on the number of channels of every stage.
            depth: Factor on the number of blocks of every stage.
            kernel_size: Edge of the first convolution's kernels in voxels.
            stride: Stride of the first convolution.
            dropout: Share of the averaged features dropped before the last layer.
            drop_path: Share of subjects for which the last residual block is skipped in training; less in earlier ones.

        Raises:
            UserError: An argument is out of range, or the volume is too small.
        """
        from monai.networks.nets.efficientnet import EfficientNet

        volume_shape = check_sizes("efficientnet-b0", volume_shape, num_outputs, num_channels)
        (stride,) = positive_integers("stride", stride, length=1)
        for argument, value in (("width", width), ("depth", depth)):
            if value <= 0:
                raise UserError(f"{option(f'model.network.{argument}', value)} is not above 0.")
        net = EfficientNet(
            list(B0_STAGES),
            spatial_dims=3,
            in_channels=num_channels,
            num_classes=num_outputs,
            width_coefficient=width,
            depth_coefficient=depth,
            dropout_rate=probability("dropout", dropout),
            drop_connect_rate=probability("drop_path", drop_path),
            image_size=2 * -(-max(volume_shape) // stride),  # it decides on padding, for a first stride of 2
        )
        net._conv_stem = first_convolution(num_channels, net._conv_stem.out_channels, kernel_size, stride)
        net._conv_stem_padding = nn.Identity()
        stages = [f"_blocks.{i}" for i in range(len(B0_STAGES))]
        super().__init__("efficientnet-b0", net, stages, volume_shape, num_channels)
