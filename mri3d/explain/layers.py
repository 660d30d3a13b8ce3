"""The layers of a network: their names, what they give for a volume, and the kernels that meet its voxels first."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import torch
from torch import nn

from mri3d.errors import UserError, did_you_mean, option
from mri3d.nets.centres import cell_centres
from mri3d.nets.shapes import MIN_CAM_VOXELS, output_shapes
from mri3d.texts import list_text, number_text
from mri3d.volumes.resample import interpolation_matrix, resample


@dataclass(frozen=True, eq=False)
class Cells:
    """Where the cells of a layer's map lie in a volume.

    Attributes:
        sides: Of the volume [3].
        starts: Centre of the first cell along each axis, in voxels of the volume [3].
        steps: Distance between cells [3].
    """

    sides: tuple[int, ...]
    starts: np.ndarray
    steps: np.ndarray

    @property
    def to_volume(self) -> np.ndarray:
        """From cells to voxels of the volume [4, 4]."""
        matrix = np.diag(np.append(self.steps, 1.0))
        matrix[:3, 3] = self.starts
        return matrix

    def in_volume(self, values: np.ndarray) -> np.ndarray:
        """Carry values of cells [X', Y', Z'] to the voxels of the volume [X, Y, Z].

        Between the centres of the cells they are interpolated linearly; beyond the outermost they stay the same.
        """
        axes = zip(values.shape, self.sides, self.starts, self.steps, strict=True)
        matrices = [interpolation_matrix(count, (np.arange(size) - start) / step) for count, size, start, step in axes]
        return resample(values, matrices)


@dataclass(frozen=True, eq=False)
class Kernels:
    """The kernels of a convolution.

    Attributes:
        layer: Its name.
        weights: float32 [D, C, kX, kY, kZ]: of each output channel a kernel for each channel that it is made from.
        inputs: Which channel of the layer's input each of them meets, [D, C].
        dilation: Voxels from one weight to the next along each axis [3].
    """

    layer: str
    weights: np.ndarray
    inputs: np.ndarray
    dilation: tuple[int, ...]

    def __str__(self) -> str:
        num_outputs, num_inputs, *sides = self.weights.shape
        inputs = f" for each of {num_inputs} channels" if num_inputs > 1 else ""
        return f"{number_text(num_outputs, 'kernel')} of {' x '.join(map(str, sides))} voxels{inputs}"

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Output and input channel of each kernel, D * C of them: those of an output channel follow each other."""
        return [(output, int(each)) for output, inputs in enumerate(self.inputs) for each in inputs]


@dataclass(frozen=True, eq=False)
class Layers:
    """The layers that volumes go through in a network, by the names that torch gives modules.

    Attributes:
        network: The network; where columns of a table are joined to volumes, the part before.
        shape: Of the volumes [C, X, Y, Z].

    >>> network = nn.Sequential(nn.Conv3d(1, 2, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(160, 1))
    >>> layers = Layers.of(network, (1, 7, 8, 9))
    >>> layers.names, layers.usual
    (['0', '1'], ['0', '1'])
    >>> layers.maps(np.zeros((1, 7, 8, 9), np.float32), ["1"])["1"].shape
    (2, 4, 4, 5)
    """

    network: nn.Module
    shape: tuple[int, ...]

    @classmethod
    def of(cls, network: nn.Module, shape: Sequence[int]) -> Self:
        """Find the part of a network that volumes [C, X, Y, Z] go through."""
        return cls(getattr(network, "of_volumes", network), tuple(shape))

    @cached_property
    def modules(self) -> dict[str, nn.Module]:
        """All modules but the network itself, by name."""
        return {name: module for name, module in self.network.named_modules() if name}

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """What each layer gives for a volume, in order: without the batch axis; empty if it cannot be traced."""
        num_channels, *sides = self.shape
        try:
            return output_shapes(self.network, sides, num_channels=num_channels)
        except (RuntimeError, ValueError):  # a network of the user's own that needs values to run
            return {}

    @property
    def names(self) -> list[str]:
        """Those that give a map [D, X', Y', Z'], in order."""
        return [name for name, shape in self.shapes.items() if len(shape) == 4 and max(shape[1:]) > 1]

    @property
    def kind(self) -> str:
        """What the network is called."""
        return type(self.network).__name__

    def named(self, name: str, *, asked_by: str = "layer") -> nn.Module:
        """Return a layer.

        Args:
            name: Of the layer.
            asked_by: The option that named it.

        Raises:
            UserError: There is none of that name.
        """
        if name not in self.modules:
            names = self.names
            listed = f" Its layers with maps: {list_text(names, ', ')}." if names else ""
            listed += " The command layers lists all of them." if len(names) > 5 else ""
            told = f"{option(asked_by, name)} is no layer of the network {self.kind}."
            raise UserError(f"{told}{did_you_mean(name, names)}{listed}")
        return self.modules[name]

    def cells(self, module: nn.Module) -> Cells:
        """Find where the cells of a layer's map lie.

        Raises:
            UserError: It gives no map whose cells can be followed from the volume.
        """
        num_channels, *sides = self.shape
        try:
            starts, steps = cell_centres(self.network, module, sides, num_channels=num_channels)
        except (RuntimeError, ValueError) as error:
            reason = str(error).partition("\n")[0].rstrip(".")
            name = next((f" {name}" for name, each in self.modules.items() if each is module), "")
            raise UserError(
                f"the cells of the layer{name} of the network {self.kind} cannot be placed in the volume, so it has no "
                f"map ({reason}). Use another layer; integrated gradients need none."
            ) from error
        return Cells(tuple(sides), starts, steps)

    @property
    def usual(self) -> list[str]:
        """The layers that tell most: first convolution, last one whose map is fine enough, one of its kind between.

        Raises:
            UserError: The network has no maps that can be found.
        """
        if not (names := self.names):
            raise UserError(
                f"no layer of the network {self.kind} is known to give a map: there is none, or its shapes depend on "
                "the values of a volume."
            )
        fine = [name for name in names if min(self.shapes[name][1:]) >= MIN_CAM_VOXELS]
        chosen = getattr(self.network, "cam_layer", None)
        named = [name for name in names if self.modules[name] is chosen]
        last = names.index([*(named or fine or names)][-1])
        first = names.index(self._first_convolution) if self._first_convolution in names else 0
        between = range(min(first, last) + 1, last)
        alike = [place for place in between if self._are_alike(names[place], names[last])]
        candidates = alike or [*between] or [last]
        return [names[place] for place in sorted({first, candidates[len(candidates) // 2], last})]

    def first_kernels(self) -> Kernels | None:
        """Return the kernels of the first convolution; None where there is none."""
        if (name := self._first_convolution) is None:
            return None
        layer = self.modules[name]
        assert isinstance(layer, nn.Conv3d), "see _first_convolution"
        weights = layer.weight.detach().cpu().float().numpy()
        of_group = np.arange(len(weights)) // (len(weights) // layer.groups)  # [D]
        inputs = of_group[:, None] * weights.shape[1] + np.arange(weights.shape[1])
        return Kernels(name, weights, inputs, tuple(layer.dilation))

    def maps(self, volume: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Compute what layers give for a volume.

        Args:
            volume: float32 [C, X, Y, Z].
            names: Of layers that give maps.

        Returns:
            The map of each layer, float32 [D, X', Y', Z']; of one that is called several times the last.
        """
        found: dict[str, np.ndarray] = {}
        weights = next(self.network.parameters(), None)
        device = torch.device("cpu") if weights is None else weights.device

        def keep(name: str, output: torch.Tensor) -> None:
            found[name] = np.array(output[0].cpu().float().numpy())  # copied: what follows may write over it

        handles = [
            self.named(name).register_forward_hook(lambda _module, _inputs, output, name=name: keep(name, output))
            for name in dict.fromkeys(names)
        ]
        try:
            with torch.inference_mode():
                self.network.eval()(torch.from_numpy(volume)[None].to(device))
        finally:
            for handle in handles:
                handle.remove()
        return found

    def rows(self) -> Iterator[tuple[str, str, str, str]]:
        """Describe each layer by its name, kind, output (C x X x Y x Z) and number of weights."""
        for name, shape in self.shapes.items():
            module = self.modules[name]
            num_weights = sum(weight.numel() for weight in module.parameters())
            yield name, type(module).__name__, " x ".join(map(str, shape)), f"{num_weights:,}" if num_weights else ""

    def _are_alike(self, one: str, other: str) -> bool:
        """Return whether two layers are of one kind and equally deep in the tree of modules."""
        same = type(self.modules[one]) is type(self.modules[other])
        return same and one.count(".") == other.count(".")

    @property
    def _first_convolution(self) -> str | None:
        """Name of the convolution that comes first; where the network cannot be traced, that was made first."""
        order = self.shapes or self.modules
        return next((name for name in order if isinstance(self.modules[name], nn.Conv3d)), None)
