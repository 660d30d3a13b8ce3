"""Layers and networks, in pure torch; torch is imported when the first of them is used.

>>> from mri3d import nets
>>> nets.SFCN((24, 25, 26), num_outputs=1, channels=[4, 8]).cam_layer
ReLU()
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mri3d.nets.fft.conv import FFTConv3d, fast_conv3d, fft_conv3d
    from mri3d.nets.monai_nets import DenseNet121, EfficientNetB0, ResNet18, ResNet50
    from mri3d.nets.network import Network
    from mri3d.nets.seed import Seed
    from mri3d.nets.sfcn import SFCN

__all__ = [
    "DenseNet121",
    "EfficientNetB0",
    "FFTConv3d",
    "Network",
    "ResNet18",
    "ResNet50",
    "SFCN",
    "Seed",
    "fast_conv3d",
    "fft_conv3d",
]

_MODULES = {
    "DenseNet121": "mri3d.nets.monai_nets",
    "EfficientNetB0": "mri3d.nets.monai_nets",
    "FFTConv3d": "mri3d.nets.fft.conv",
    "Network": "mri3d.nets.network",
    "ResNet18": "mri3d.nets.monai_nets",
    "ResNet50": "mri3d.nets.monai_nets",
    "SFCN": "mri3d.nets.sfcn",
    "Seed": "mri3d.nets.seed",
    "fast_conv3d": "mri3d.nets.fft.conv",
    "fft_conv3d": "mri3d.nets.fft.conv",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted({*globals(), *__all__})
