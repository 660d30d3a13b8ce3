"""What a model reads volumes from: a cohort's cache on disk, or arrays in memory."""

import logging
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Protocol, Self

import numpy as np

from mri3d.cohort.variables import Variables
from mri3d.errors import UserError
from mri3d.files import digest
from mri3d.volumes.recipes import AnyRecipe
from mri3d.volumes.smoothing import smooth

log = logging.getLogger(__name__)


class VolumeSequence(Protocol):
    """Volumes addressed by row. `mri3d.volumes.cache.Volumes` is one, `InMemory` another."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Sides of every volume, [C, X, Y, Z]."""

    @property
    def recipe(self) -> AnyRecipe | None:
        """How a scan becomes such a volume; None where the volumes came without scans."""

    @property
    def digests(self) -> tuple[str, ...]:
        """What identifies the content of each row [N], together with the recipe."""

    @property
    def covariates(self) -> Variables | None:
        """What the table says of each [N], for models that learn from it too; None where they have the image alone."""

    @property
    def on_disk(self) -> bool:
        """Whether what is computed from the volumes may be kept in the cache folder too."""

    def __len__(self) -> int:
        """Count the volumes."""

    def __getitem__(self, row: int) -> np.ndarray:
        """Return one volume, float32 [C, X, Y, Z]."""

    def block(self, rows: Sequence[int] | np.ndarray, voxels: slice) -> np.ndarray:
        """Return the same flattened voxels of several volumes, float32 [len(rows), V]."""

    def fill(self) -> None:
        """Make sure that every volume can be read quickly."""

    def smoothed(self, share: float) -> "VolumeSequence":
        """Return the same volumes smoothed, see `mri3d.volumes.smoothing.smooth`; themselves for 0."""


class View:
    """Volumes made one by one from those of another sequence: as many, of the same shape, with the same covariates.

    Args:
        source: The other sequence.
    """

    def __init__(self, source: VolumeSequence) -> None:
        self.source = source

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Sides of every volume, [C, X, Y, Z]."""
        return self.source.shape

    @property
    def recipe(self) -> AnyRecipe | None:
        """How a scan becomes a volume of the source."""
        return self.source.recipe

    @property
    def covariates(self) -> Variables | None:
        """What the table says of each volume of the source."""
        return self.source.covariates

    def __len__(self) -> int:
        return len(self.source)

    def fill(self) -> None:
        """Make sure that every volume of the source can be read quickly."""
        self.source.fill()


class InMemory:
    """Volumes that are in memory already, such as one new scan's.

    Args:
        volumes: float32 [N, C, X, Y, Z]; not to be changed any more.
    """

    on_disk = False
    recipe: AnyRecipe | None = None
    covariates: Variables | None = None

    def __init__(self, volumes: np.ndarray) -> None:
        self.volumes = volumes
        self._smoothed: dict[float, InMemory] = {}  # so that every fold has the same ones

    @classmethod
    def of(cls, volumes: Any) -> Self:  # noqa: ANN401 (anything that numpy makes an array of)
        """Copy a user's arrays, checked.

        Args:
            volumes: Intensities [N, X, Y, Z] or [N, C, X, Y, Z].

        Raises:
            UserError: They are no such array of real numbers, not finite, or a volume is constant.

        >>> InMemory.of(np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)).shape
        (1, 3, 4, 5)
        """
        array = _as_array(volumes)
        if array.dtype.kind in "OSU" and array.ndim < 2:
            held = f"hold {type(array[0]).__name__}" if array.ndim and len(array) else f"are {type(volumes).__name__}"
            raise UserError(f"volumes {held}, not numbers. Give an array [N, X, Y, Z], or a list of such volumes.")
        if array.ndim not in (4, 5) or 0 in array.shape or min(array.shape[-3:]) < 2:
            shape = " x ".join(map(str, array.shape)) or "a single number"
            raise UserError(
                f"volumes are an array of {shape}. Give [N, X, Y, Z] or [N, C, X, Y, Z]: N volumes of at least 2 x 2 x "
                "2 voxels, one or several channels each." + " A single volume is volume[None]." * (array.ndim == 3)
            )
        if array.dtype.kind not in "biuf":
            raise UserError(f"volumes hold {array.dtype}, not real numbers. Give one intensity for each voxel.")
        if array.ndim == 5 and array.shape[1] > min(array.shape[2:]):
            log.warning(
                "volumes are taken as %d channels of %d x %d x %d voxels: is the order N, C, X, Y, Z?", *array.shape[1:]
            )
        with np.errstate(over="ignore"):
            copied = np.array(array, dtype=np.float32, order="C").reshape(len(array), -1, *array.shape[-3:])
        for row, volume in enumerate(copied):
            if not np.isfinite(volume).all():
                raise UserError(f"volume {row} has voxels that are NaN or infinite. Replace them, or leave it out.")
            if volume.min() == volume.max():
                raise UserError(f"volume {row} is constant: every voxel is {volume.flat[0]:g}. Leave it out.")
        return cls(copied)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Sides of every volume, [C, X, Y, Z]."""
        channels, x, y, z = self.volumes.shape[1:]
        return channels, x, y, z

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """SHA-256 of the values of each volume [N]."""
        return tuple(digest(np.ascontiguousarray(volume).data.cast("B")) for volume in self.volumes)

    def __len__(self) -> int:
        return len(self.volumes)

    def __getitem__(self, row: int) -> np.ndarray:
        volume: np.ndarray = self.volumes[row]
        return volume

    def block(self, rows: Sequence[int] | np.ndarray, voxels: slice) -> np.ndarray:
        """Return the same flattened voxels of several volumes, float32 [len(rows), V]."""
        return np.stack([self.volumes[row].reshape(-1)[voxels] for row in rows])

    def fill(self) -> None:
        """Do nothing: all are there."""

    def smoothed(self, share: float) -> "InMemory":
        """Return the same volumes smoothed; themselves for 0."""
        if share and share not in self._smoothed:
            self._smoothed[share] = InMemory(np.stack([smooth(volume, share) for volume in self.volumes]))
        return self._smoothed[share] if share else self


def _as_array(volumes: Any) -> np.ndarray:  # noqa: ANN401
    """Make one array of what a user gave: an array, a tensor, or a list of volumes."""
    listed = isinstance(volumes, list | tuple)
    if any(np.ma.is_masked(volume) for volume in (volumes if listed else [volumes])):
        raise UserError("volumes have masked voxels, which would be taken as they are. Fill them, e.g. with 0.")
    try:
        return np.asarray([_detached(volume) for volume in volumes] if listed else _detached(volumes))
    except ValueError as error:
        raise UserError(f"volumes are no array: {' '.join(str(error).split())}. Give volumes of one shape.") from error
    except (TypeError, RuntimeError) as error:  # torch's, of tensors that are not dense
        raise UserError(f"volumes are no array: {' '.join(str(error).split())} Give an array of numbers.") from error


def _detached(value: Any) -> Any:  # noqa: ANN401
    """Return a tensor as one that numpy takes: without gradients, on the CPU, and of no type that only torch has."""
    if not hasattr(value, "detach"):
        return value
    tensor = value.detach().cpu()
    return tensor.float() if tensor.is_floating_point() and tensor.element_size() < 4 else tensor
