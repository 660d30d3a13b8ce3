"""Where the voxels of a volume lie in one scan."""

from dataclasses import dataclass

import numpy as np

from mri3d.scans.head import Head
from mri3d.scans.head_box import Box
from mri3d.volumes.resample import interpolation_matrix, shrinking_matrix


@dataclass(frozen=True, eq=False)
class Placement:
    """A scan as a recipe sees it: voxel i of the volume is centred at `start + step * i` of `data`.

    Attributes:
        data: The scan's intensities [X, Y, Z], in the recipe's orientation.
        affine: From the voxels of `data` to the world [4, 4]; world axes R, A, S in mm.
        head: What was found in them.
        box: The part that the volume shows: first voxel and one past the last, for each axis.
        field: The part that holds an image; where the box reaches beyond, there is air.
        shape: Sides of the volume [3].
        offset: From the first voxel of the box to that of the volume [3]: the same wherever the box lies.
        step: Voxels of `data` per voxel of the volume [3].
    """

    data: np.ndarray
    affine: np.ndarray
    head: Head
    box: Box
    field: Box
    shape: tuple[int, ...]
    offset: np.ndarray
    step: np.ndarray

    @property
    def start(self) -> np.ndarray:
        """Where the volume's first voxel lies [3]."""
        return np.asarray(np.array(self.box)[:, 0] + self.offset)

    @property
    def cropped(self) -> np.ndarray:
        """The voxels of the box that hold an image."""
        return self.data[tuple(slice(low, high) for low, high in self._shown)]

    @property
    def volume_affine(self) -> np.ndarray:
        """From the voxels of the volume to the world [4, 4]."""
        to_data = np.diag(np.append(self.step, 1.0))
        to_data[:3, 3] = self.start
        return np.asarray(self.affine @ to_data)

    def to_volume(self) -> list[np.ndarray]:
        """Build the matrices [num_out, num_in], one for each axis, that take `cropped` to the volume."""
        return [
            shrinking_matrix(high - low, num_out, offset + (first - low), step)
            for (first, _), (low, high), num_out, offset, step in zip(
                self.box, self._shown, self.shape, self.offset, self.step, strict=True
            )
        ]

    def from_volume(self) -> list[np.ndarray]:
        """Build the matrices [num_out, num_in], one for each axis, that take a map of the volume to `data`."""
        matrices = []
        for axis, (first, end) in enumerate(self.box):
            voxels = np.arange(self.data.shape[axis])
            at = (voxels - self.start[axis]) / self.step[axis]
            shown = (voxels >= first) & (voxels < end) & (at >= -0.5) & (at <= self.shape[axis] - 0.5)
            matrices.append(interpolation_matrix(self.shape[axis], at) * shown[:, np.newaxis])
        return matrices

    @property
    def _shown(self) -> Box:
        pairs = zip(self.box, self.field, strict=True)
        return tuple((max(first, low), min(end, high)) for (first, end), (low, high) in pairs)
