"""Where in a volume the evidence for a class lies."""

from typing import cast

import numpy as np
import torch
from captum.attr import IntegratedGradients, LayerGradCam
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from mri3d.models.classical.models import ClassicalModel
from mri3d.models.model import Classifier
from mri3d.models.network.cnn import CNN
from mri3d.models.network.learner import class_logits
from mri3d.nets.centres import cell_centres
from mri3d.volumes.resample import interpolation_matrix, resample

NUM_STEPS = 8  # on four kinds of networks the peaks of 4, 8 and 16 steps lie in the same place
SMOOTHING = 1 / 25
"""Standard deviation of the smoothing of integrated gradients, as a share of the volume's longest edge: about 8 mm."""


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
    still has 4 voxels on each axis; what speaks against the class is dropped there.
    Between the centres of the map's cells the heat is interpolated linearly; beyond the outermost it stays the same.
    Weights that hold for a whole channel cannot show what is missing in one place: where a class is told by a region
    that is darker or smaller, `integrated_gradients` finds the region and this does not.

    Args:
        classifier: A fitted CNN; its network names the layer (`cam_layer`).
        volume: float32 [1, X, Y, Z], made by the model's recipe.
        target: Index of the class whose evidence is asked for.

    Returns:
        float32 [X, Y, Z], in units that differ between networks; all 0 where nothing speaks for the class.
    """
    network = classifier.network_.eval()
    device = next(network.parameters()).device
    layer = cast(nn.Module, network.cam_layer)
    cam = LayerGradCam(_Margins(network), layer)
    evidence = cam.attribute(torch.from_numpy(volume)[None].to(device), target=target, relu_attributions=True)
    coarse = evidence[0, 0].detach().cpu().float().numpy()  # [X', Y', Z'], the cells of the map
    axes = zip(coarse.shape, volume.shape[1:], *cell_centres(network, layer, volume.shape[1:]), strict=True)
    matrices = [interpolation_matrix(cells, (np.arange(size) - start) / step) for cells, size, start, step in axes]
    return resample(coarse, matrices)


def integrated_gradients(classifier: CNN, volume: np.ndarray, *, baseline: np.ndarray, target: int) -> np.ndarray:
    """Explain a prediction by integrated gradients (Sundararajan et al. 2017) from an average head to this one.

    Each voxel's difference from the baseline is weighed by the mean gradient of the class's margin over the other
    classes on the straight way there; all voxels together make up the change of the margin. The differences are
    smoothed with their signs, since those of single voxels are noisy and cancel.

    Args:
        classifier: A fitted CNN.
        volume: float32 [1, X, Y, Z], made by the model's recipe.
        baseline: What the volume is compared with, float32 [1, X, Y, Z]: the average of the training volumes.
        target: Index of the class whose evidence is asked for.

    Returns:
        Log odds that each voxel adds, float32 [X, Y, Z]; negative where it speaks against the class.
    """
    network = classifier.network_.eval()
    device = next(network.parameters()).device
    start, end = (torch.from_numpy(array)[None].to(device) for array in (baseline, volume))
    evidence = IntegratedGradients(_Margins(network)).attribute(
        end.requires_grad_(),
        start,
        target=target,
        n_steps=NUM_STEPS,
        internal_batch_size=1,  # a native volume of a large network would not fit several times
    )
    return _smoothed(evidence[0, 0].detach().cpu().float().numpy())


def weighed_difference(model: ClassicalModel, volume: np.ndarray, *, baseline: np.ndarray, target: int) -> np.ndarray:
    """Explain a linear model's prediction: each voxel's difference from an average head, times its weight.

    This is what `integrated_gradients` amounts to where the gradient is the same everywhere; arguments and result are
    the same.

    Raises:
        UserError: The model is not linear.
    """
    weights = model.weight_map()  # [1 or K, X, Y, Z]
    if model.sigmoids_ is not None:  # they turn decisions into the log odds that the prediction goes by
        weights = weights * model.sigmoids_[:, 0].astype(np.float32).reshape(-1, 1, 1, 1)
    margins = np.concatenate([-weights, weights]) if len(weights) == 1 else weights - weights.mean(axis=0)
    if model.normalize:
        volume, baseline = volume / np.linalg.norm(volume), baseline / np.linalg.norm(baseline)
    return _smoothed((volume[0] - baseline[0]) * margins[target])


def has_evidence(classifier: Classifier) -> bool:
    """Tell whether `explain` has a way for this classifier."""
    return isinstance(classifier, CNN) or (isinstance(classifier, ClassicalModel) and classifier.is_linear)


def explain(classifier: Classifier, volume: np.ndarray, *, baseline: np.ndarray, target: int) -> np.ndarray:
    """Explain a prediction in the way that suits the classifier; arguments and result as for `integrated_gradients`.

    Raises:
        TypeError: There is no way for it, see `has_evidence`.
    """
    if isinstance(classifier, CNN):
        return integrated_gradients(classifier, volume, baseline=baseline, target=target)
    if isinstance(classifier, ClassicalModel):
        return weighed_difference(classifier, volume, baseline=baseline, target=target)
    raise TypeError(f"{type(classifier).__name__} has no heatmap")


def as_heat(evidence: np.ndarray) -> np.ndarray:
    """Keep what speaks for the class, 0 to 1 where 1 is the strongest; all 0 where nothing does.

    >>> as_heat(np.array([-3.0, 1.0, 2.0]))
    array([0. , 0.5, 1. ])
    """
    heat = evidence.clip(min=0)
    return heat / heat.max() if heat.any() else heat


def _smoothed(evidence: np.ndarray) -> np.ndarray:
    """Smooth evidence [X, Y, Z] with its signs."""
    smooth: np.ndarray = gaussian_filter(evidence, SMOOTHING * max(evidence.shape), mode="nearest")
    return smooth
