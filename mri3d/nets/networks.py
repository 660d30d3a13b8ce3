"""The networks by name: the only names that a model folder can ask for, so that loading one runs no foreign code."""

from torch import nn

from mri3d.nets.monai_nets import DenseNet121, EfficientNetB0, ResNet18, ResNet50
from mri3d.nets.seed import Seed
from mri3d.nets.sfcn import SFCN

NETWORKS: dict[str, type[nn.Module]] = {
    "seed": Seed,
    "sfcn": SFCN,
    "resnet18": ResNet18,
    "resnet50": ResNet50,
    "densenet121": DenseNet121,
    "efficientnet-b0": EfficientNetB0,
}
