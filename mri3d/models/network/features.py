"""What a network has made of volumes when its last layer decides."""

import numpy as np
import torch
from torch import Tensor, nn

from mri3d.models.network.repeatable import repeatable
from mri3d.volumes.sequence import VolumeSequence


@repeatable(full_precision=True)
def last_features(
    network: nn.Module, volumes: VolumeSequence, rows: np.ndarray, *, batch_size: int, columns: np.ndarray | None
) -> np.ndarray | None:
    """Compute what the linear layer that is applied last is given of each row, by this process alone.

    Args:
        network: Volumes [B, C, X, Y, Z], and columns [B, Q] where there are some, to outputs, in evaluation mode.
        volumes: All volumes.
        rows: Which of them, [N].
        batch_size: Volumes at a time.
        columns: Covariates of each volume [len(volumes), Q], or None.

    Returns:
        float32 [N, F]; None of a network that applies no linear layer to one vector of each volume.
    """
    given: list[Tensor] = []
    layers = [module for module in network.modules() if isinstance(module, nn.Linear)]
    hooks = [layer.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0])) for layer in layers]
    device, found = next((weights.device for weights in network.parameters()), torch.device("cpu")), []
    try:
        for start in range(0, len(rows), batch_size):
            chosen = rows[start : start + batch_size]
            inputs = [torch.from_numpy(np.stack([volumes[int(row)] for row in chosen]))]
            inputs += [] if columns is None else [torch.from_numpy(columns[chosen])]
            given.clear()
            with torch.inference_mode():
                network(*(each.to(device) for each in inputs))
            if not given or given[-1].ndim != 2 or len(given[-1]) != len(chosen):
                return None
            found.append(given[-1].float().cpu().numpy())
    finally:
        for hook in hooks:
            hook.remove()
    return np.concatenate(found) if found else np.empty((0, 0), np.float32)
