"""Evidence by the feature map of a layer: Grad-CAM and HiResCAM."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from captum.attr import LayerGradCam, LayerGradientXActivation
from torch import Tensor, nn

from mri3d.errors import UserError, did_you_mean, option
from mri3d.explain.contrasted import Contrasted
from mri3d.explain.evidence import Evidence
from mri3d.nets.centres import cell_centres
from mri3d.nets.shapes import output_shapes
from mri3d.texts import list_text
from mri3d.volumes.resample import interpolation_matrix, resample


def grad_cam(explained: Contrasted, volume: np.ndarray, *, layer: str | None = None) -> Evidence:
    """Explain an output by gradient-weighted class-activation mapping (Selvaraju et al. 2017).

    The mean gradient of the explained number weights each channel of the layer's map. What lowers the number, which the
    original leaves out, is negative here.
    Weights that hold for a whole channel say little of one place: where `integrated_gradients` finds the region that
    tells a class, brighter or darker, the peak of this can lie far away. On the demo cohort it lay 74 to 115 mm off
    with resnet18, at an AUC of 1.0.

    Args:
        explained: The network.
        volume: float32 [C, X, Y, Z], made by the model's recipe.
        layer: Name of the module whose map is taken; for ours unless told the deepest one that still has 4 voxels on
            each axis, the network's `cam_layer`.

    Returns:
        In units that differ between networks, see `_Cells.in_volume` for how cells become voxels.

    Raises:
        UserError: There is no such layer, or its cells cannot be placed in the volume.
    """
    place = _Cells.of(explained, layer, volume.shape)
    return place.in_volume(LayerGradCam(explained, place.module).attribute(explained.batch(volume)))


def hires_cam(explained: Contrasted, volume: np.ndarray, *, layer: str | None = None) -> Evidence:
    """Explain an output by high-resolution class-activation mapping (Draelos and Carin 2020).

    Each cell of each channel is weighted by its own gradient, so that the map shows no place that the number does not
    depend on, as Grad-CAM can. Arguments, what is returned and errors as of `grad_cam`.
    """
    place = _Cells.of(explained, layer, volume.shape)
    method = LayerGradientXActivation(explained, place.module, multiply_by_inputs=True)
    found = method.attribute(explained.batch(volume))
    return place.in_volume(found.sum(dim=1, keepdim=True))


def layer_names(network: nn.Module, shape: tuple[int, ...]) -> list[str]:
    """List the modules of a network that give a map [D, X', Y', Z'] of volumes [C, X, Y, Z], in order."""
    num_channels, *sides = shape
    try:
        shapes = output_shapes(_of_volumes(network), sides, num_channels=num_channels)
    except (RuntimeError, ValueError):  # a network of the user's own that cannot be traced
        return []
    return [name for name, output in shapes.items() if len(output) == 4 and max(output[1:]) > 1]


def module_named(network: nn.Module, name: str, shape: tuple[int, ...]) -> nn.Module:
    """Return the module of a name.

    Raises:
        UserError: There is none.
    """
    modules: dict[str, nn.Module] = dict(_of_volumes(network).named_modules())
    if not name or name not in modules:
        names = layer_names(network, shape)
        listed = f" Its layers with maps: {list_text(names, ', ')}." if names else ""
        kind = type(_of_volumes(network)).__name__
        raise UserError(
            f"{option('layer', name)} is no layer of the network {kind}.{did_you_mean(name, names)}{listed}"
        )
    found: nn.Module = modules[name]
    return found


def _of_volumes(network: nn.Module) -> nn.Module:
    """Return what a network does with volumes, whose layers are named, where columns of the table are joined to it."""
    found: nn.Module = getattr(network, "of_volumes", network)
    return found


@dataclass(frozen=True, eq=False)
class _Cells:
    """Where the cells of a layer's map lie in a volume.

    Attributes:
        module: The layer.
        sides: Of the volume [3].
        starts: Centre of the first cell along each axis, in voxels of the volume [3].
        steps: Distance between cells [3].
    """

    module: nn.Module
    sides: tuple[int, ...]
    starts: np.ndarray
    steps: np.ndarray

    @classmethod
    def of(cls, explained: Contrasted, layer: str | None, shape: tuple[int, ...]) -> Self:
        """Find the layer whose map is weighed, and its cells.

        Raises:
            UserError: There is none, or its cells cannot be placed.
        """
        network, (num_channels, *sides) = explained.network, shape
        module: object = getattr(network, "cam_layer", None)
        if layer is not None:
            module = module_named(network, layer, shape)
        if not isinstance(module, nn.Module):
            kind = type(_of_volumes(network)).__name__
            raise UserError(f"the network {kind} names no layer for Grad-CAM (cam_layer). Use integrated gradients.")
        try:
            starts, steps = cell_centres(network, module, sides, num_channels=num_channels)
        except (RuntimeError, ValueError) as error:
            reason = str(error).partition("\n")[0].rstrip(".")
            raise UserError(
                f"the cells of a layer of the network {type(_of_volumes(network)).__name__} cannot be placed in the "
                f"volume, so it has no map ({reason}). Use integrated gradients, or another layer."
            ) from error
        return cls(module, tuple(sides), starts, steps)

    def in_volume(self, cells: Tensor) -> Evidence:
        """Carry values of cells [1, 1, X', Y', Z'] to the voxels of the volume.

        Between the centres of the cells they are interpolated linearly; beyond the outermost they stay the same.
        """
        coarse = cells[0, 0].detach().cpu().float().numpy()  # [X', Y', Z']
        axes = zip(coarse.shape, self.sides, self.starts, self.steps, strict=True)
        matrices = [interpolation_matrix(count, (np.arange(size) - start) / step) for count, size, start, step in axes]
        return Evidence(resample(coarse, matrices))
