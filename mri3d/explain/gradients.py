"""Evidence by the gradient of a network's output with respect to the voxels of a volume."""

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from captum.attr import GuidedBackprop, IntegratedGradients
from torch import nn

from mri3d.explain.contrasted import Contrasted, as_map, batch_size
from mri3d.explain.evidence import Evidence

STEPS = (4, 8, 16, 32, 64)
"""Points on the way from each start at which gradients are taken: the first number for which the sum is right."""

FEWEST, MOST = 8, 128
"""Points on the ways from all starts."""

COMPLETENESS = 0.05
"""By how much of the change of the explained number the evidence may miss it in sum before more steps are taken."""

ROUNDING = 1e-3
"""Share of all evidence, by absolute values, below which its sum is not told from none: it may cancel."""

NUM_SAMPLES = 25
NOISE = 0.15
"""Standard deviation of SmoothGrad's noise, as a share of the range of the volume's values (Smilkov et al. 2017)."""


def integrated_gradients(explained: Contrasted, volume: np.ndarray, *, starts: Sequence[np.ndarray]) -> Evidence:
    """Explain by integrated gradients (Sundararajan et al. 2017) from typical heads to this one, averaged over them.

    Each voxel's difference from a start is weighed by the mean gradient of the explained number on the straight way
    from there; all voxels together make up the change of that number. How far they miss it tells whether gradients were
    taken at enough points. The differences are smoothed with their signs, since those of single voxels are noisy and
    cancel.

    From an average head, which is blurred, the way leads through volumes that are no heads, and what a network makes of
    their edges hides what it learnt: see docs/heatmaps.md. Averages over starts are known as expected gradients (Erion
    et al. 2021).

    Args:
        explained: The network.
        volume: float32 [C, X, Y, Z], made by the model's recipe.
        starts: What the volume is compared with, float32 [C, X, Y, Z] each, see `Reference.starts`.

    Returns:
        What each voxel adds, all channels together; negative where it lowers the number. Facts: `num_steps`, the
        points at which gradients were taken, `change` of the number from the mean of the starts, and
        `completeness_error`, by how much of the change the sum misses it.
    """
    size, ends = batch_size(volume), [volume, *starts]
    numbers = np.concatenate([explained.numbers(np.stack(ends[i : i + size])) for i in range(0, len(ends), size)])
    change = float(numbers[0] - numbers[1:].mean())
    there, *begun = (explained.batch(end) for end in ends)
    method = IntegratedGradients(explained)
    for num_steps in (each for each in STEPS if FEWEST <= each * len(begun) <= MOST):
        of_starts = [
            method.attribute(there, start, n_steps=num_steps, internal_batch_size=size).detach() for start in begun
        ]
        parts = torch.stack(of_starts).double().mean(dim=0)
        scale = max(abs(change), ROUNDING * float(parts.abs().sum()))
        error = abs(float(parts.sum()) - change) / (scale or 1.0)
        if error <= COMPLETENESS:
            break
    return Evidence(as_map(parts), {"num_steps": num_steps * len(begun), "change": change, "completeness_error": error})


def midway_gradients(explained: Contrasted, volume: np.ndarray, *, starts: Sequence[np.ndarray]) -> Evidence:
    """Approximate integrated gradients by one gradient for each start, at the point midway from there to this head.

    The evidence then adds up to the change of the number in the rough only.

    Of networks that tell sex and age from IXI's heads at 50^3, such maps from eight starts correlate with the whole by
    0.98 and 0.95 (medians of 13 scans; the lowest 0.97 and 0.91).

    Args:
        explained: The network.
        volume: float32 [C, X, Y, Z], made by the model's recipe.
        starts: As for `integrated_gradients`.

    Returns:
        About what each voxel adds, all channels together; negative where it lowers the number.
    """
    there, size = explained.batch(volume), batch_size(volume)
    total = torch.zeros_like(there)
    for first in range(0, len(starts), size):
        begun = torch.cat([explained.batch(start) for start in starts[first : first + size]])
        midway = ((there + begun) / 2).requires_grad_()
        gradient = torch.autograd.grad(explained(midway).sum(), midway)[0]
        total += (gradient * (there - begun)).sum(dim=0, keepdim=True) / len(starts)
    return Evidence(as_map(total))


def smooth_grad(explained: Contrasted, volume: np.ndarray, *, num_samples: int = NUM_SAMPLES) -> Evidence:
    """Explain by the gradient, averaged over noisy copies of the volume (Smilkov et al. 2017).

    Args:
        explained: The network.
        volume: float32 [C, X, Y, Z], made by the model's recipe.
        num_samples: How many copies.

    Returns:
        What one unit more in each voxel adds, all channels together; negative where it lowers the number. Facts:
        `num_samples`. The same volume gives the same map.
    """
    random = torch.Generator().manual_seed(0)
    there = explained.batch(volume)
    noise = NOISE * float(np.ptp(volume))
    total = torch.zeros_like(there)
    size = batch_size(volume)
    for count in [size] * (num_samples // size) + [num_samples % size] * (num_samples % size > 0):
        drawn = [torch.randn(there.shape, generator=random) for _ in range(count)]
        copies = there + noise * torch.cat(drawn).to(there)
        total += torch.autograd.grad(explained(copies.requires_grad_()).sum(), copies)[0].sum(dim=0, keepdim=True)
    return Evidence(as_map(total / num_samples), {"num_samples": num_samples})


def guided_backprop(explained: Contrasted, volume: np.ndarray) -> Evidence:
    """Explain by the gradient along ways on which all signals rise (Springenberg et al. 2015).

    It looks sharp, and shows edges that nothing depends on: of a network with random weights its maps are much the
    same (Adebayo et al. 2018).

    Args:
        explained: A network with modules `torch.nn.ReLU`, see `has_relu`.
        volume: float32 [C, X, Y, Z], made by the model's recipe.

    Returns:
        What one unit more in each voxel adds on those ways.
    """
    inplace = [module for module in explained.modules() if isinstance(module, nn.ReLU) and module.inplace]
    try:
        for module in inplace:  # gradients cannot be changed on their way through what overwrites its input
            module.inplace = False
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Setting backward hooks on ReLU")  # it says what is asked for
            gradient = GuidedBackprop(explained).attribute(explained.batch(volume).requires_grad_())
        return Evidence(as_map(gradient))
    finally:
        for module in inplace:
            module.inplace = True


def has_relu(network: nn.Module) -> bool:
    """Return whether guided backpropagation differs from the plain gradient."""
    return any(isinstance(module, nn.ReLU) for module in network.modules())
