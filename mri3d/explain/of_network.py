"""What a network can be asked for: each way to explain, by its name."""

from collections.abc import Callable, Mapping

from torch import nn

from mri3d.explain.class_activation import grad_cam, hires_cam
from mri3d.explain.contrasted import Contrasted
from mri3d.explain.evidence import Evidence, Question
from mri3d.explain.gradients import guided_backprop, has_relu, integrated_gradients, midway_gradients, smooth_grad
from mri3d.explain.occlusion import occlusion, region_occlusion
from mri3d.explain.regions import require_regions
from mri3d.volumes.reference import Reference

_WAYS: Mapping[str, Callable[[Contrasted, Question, Reference], Evidence]] = {
    "integrated_gradients": lambda net, asked, usual: (midway_gradients if asked.quick else integrated_gradients)(
        net, asked.volume, starts=usual.starts
    ),
    "smoothgrad": lambda net, asked, _: smooth_grad(net, asked.volume),
    "gradcam": lambda net, asked, _: grad_cam(net, asked.volume, layer=asked.method.layer),
    "hirescam": lambda net, asked, _: hires_cam(net, asked.volume, layer=asked.method.layer),
    "guided_backprop": lambda net, asked, _: guided_backprop(net, asked.volume),
    "occlusion": lambda net, asked, usual: occlusion(net.numbers, asked.volume, baseline=usual.mean),
    "region_occlusion": lambda net, asked, usual: region_occlusion(
        net.numbers, asked.volume, baseline=usual.mean, regions=require_regions(asked)
    ),
}


def explain_network(explained: Contrasted, asked: Question, *, reference: Reference) -> Evidence:
    """Explain what a network computes of a volume.

    Args:
        explained: The network.
        asked: About which volume, and how.
        reference: What the training volumes look like.

    Raises:
        UserError: The network has no such layer, or cells that cannot be placed.
    """
    return _WAYS[asked.method.name](explained, asked, reference)


def ways_of(network: nn.Module) -> tuple[str, ...]:
    """Name the ways to explain a network, the default first: all that it has layers for."""
    missing = set() if isinstance(getattr(network, "cam_layer", None), nn.Module) else {"gradcam", "hirescam"}
    missing |= set() if has_relu(network) else {"guided_backprop"}
    return tuple(name for name in _WAYS if name not in missing)
