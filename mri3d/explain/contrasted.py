"""A network whose outputs are weighed into the one number whose evidence is asked for.

A `contrast` holds the weight of each of the D outputs: [1] or [-1] for the log odds of two classes told by one output;
1 - 1/K for the class in question and -1/K for the others where there are K outputs, so that what speaks for all classes
alike cancels; for a measure, what one unit of the output is worth.
"""

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

SMOOTHING = 1 / 25
"""Standard deviation of the smoothing of evidence, as a share of the volume's longest edge: about 8 mm."""


BATCH_VOXELS = 2**21
"""How many voxels are put through a network at once, unless one volume has more: native ones go one by one."""


class Contrasted(nn.Module):
    """A network in evaluation mode whose outputs are weighed into one number for each volume.

    Args:
        network: Maps volumes [B, C, X, Y, Z] to outputs [B, D]; it is put into evaluation mode.
        contrast: Weight of each output in the number that is explained [D].
    """

    def __init__(self, network: nn.Module, contrast: np.ndarray) -> None:
        super().__init__()
        self.network = network.eval()
        self.device = next((weights.device for weights in network.parameters()), torch.device("cpu"))
        self.contrast = torch.tensor(contrast, dtype=torch.float32, device=self.device)

    def forward(self, volumes: Tensor) -> Tensor:
        """Map volumes [B, C, X, Y, Z] to numbers [B]."""
        weighed: Tensor = (self.network(volumes) * self.contrast).sum(dim=1)
        return weighed

    def batch(self, volume: np.ndarray) -> Tensor:
        """Put a volume [C, X, Y, Z] where the network is, as a batch of its own."""
        return torch.from_numpy(volume)[None].to(self.device)

    def numbers(self, volumes: np.ndarray) -> np.ndarray:
        """Compute the numbers [B] of volumes [B, C, X, Y, Z], without gradients."""
        with torch.inference_mode():
            return np.asarray(self(torch.from_numpy(volumes).to(self.device)).cpu().double().numpy())


def batch_size(volume: np.ndarray) -> int:
    """Return how many copies of a volume [C, X, Y, Z] are put through a network at once."""
    return max(1, BATCH_VOXELS // volume.size)


def as_map(evidence: Tensor) -> np.ndarray:
    """Add up the channels of evidence [1, C, X, Y, Z], and smooth it with its signs: float32 [X, Y, Z]."""
    return smoothed(evidence[0].sum(dim=0).detach().cpu().float().numpy())


def smoothed(evidence: np.ndarray) -> np.ndarray:
    """Smooth evidence [X, Y, Z] with its signs: that of single voxels is noisy, and cancels."""
    smooth: np.ndarray = gaussian_filter(evidence, SMOOTHING * max(evidence.shape), mode="nearest")
    return smooth
