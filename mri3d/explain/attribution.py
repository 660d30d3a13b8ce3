"""Where in a volume the evidence for a class lies."""

from typing import cast

import numpy as np
import torch
from captum.attr import LayerGradCam
from torch import Tensor, nn

from mri3d.classifiers.cnn import CNN
from mri3d.classifiers.learner import class_logits
from mri3d.nets.centres import cell_centres
from mri3d.volumes.resample import interpolation_matrix, resample


class _Margins(nn.Module):
    """A network whose output k grows with the evidence for class k and shrinks with that for the others."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, volume: Tensor) -> Tensor:
        logits = class_logits(self.network(volume))  # [B, K]; of a binary network the first is constant 0
        return logits - logits.mean(dim=1, keepdim=True)


def grad_cam(classifier: CNN, volume: np.ndarray, *, target: int) -> np.ndarray:
    """Explain a prediction by gradient-weighted class-activation mapping (Selvaraju et al. 2017).

    The gradient of the class's margin over the other classes weights the channels of the deepest feature map that
    still has 4 voxels on each axis; what speaks for the class is kept, what speaks against it is dropped.
    Between the centres of the map's cells the heat is interpolated linearly; beyond the outermost it stays the same.

    Args:
        classifier: A fitted CNN; its network names the layer (`cam_layer`).
        volume: float32 [1, X, Y, Z], made by the model's recipe.
        target: Index of the class whose evidence is asked for.

    Returns:
        float32 [X, Y, Z], 0 to 1 where 1 is the strongest evidence; all 0 where nothing speaks for the class.
    """
    network = classifier.network_.eval()
    device = next(network.parameters()).device
    layer = cast(nn.Module, network.cam_layer)
    cam = LayerGradCam(_Margins(network), layer)
    evidence = cam.attribute(torch.from_numpy(volume)[None].to(device), target=target, relu_attributions=True)
    coarse = evidence[0, 0].detach().cpu().float().numpy()  # [X', Y', Z'], the cells of the map
    axes = zip(coarse.shape, volume.shape[1:], *cell_centres(network, layer, volume.shape[1:]), strict=True)
    matrices = [interpolation_matrix(cells, (np.arange(size) - start) / step) for cells, size, start, step in axes]
    heat = resample(coarse, matrices)  # [X, Y, Z]
    peak = float(heat.max())
    return heat / peak if peak > 0 else heat
