"""From volumes to a few numbers and back: directions in voxel space, made and applied block by block."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from mri3d.volumes.sequence import VolumeSequence
from mri3d.voxels.blocks import each_block
from mri3d.voxels.gram import positive, reciprocal, voxel_moments


@dataclass(frozen=True, eq=False)
class Projection:
    """The coordinates of volumes along directions in voxel space.

    A volume x becomes z = (x / |x| if normalized - mean) / scale, and its coordinates are directions @ z.

    Attributes:
        directions: float32 [P, V].
        mean: float32 [V].
        scale: float32 [V], where 0 leaves a voxel out; None for 1 everywhere.
        normalize: Whether a volume is first divided by its norm.
    """

    directions: np.ndarray
    mean: np.ndarray
    scale: np.ndarray | None
    normalize: bool

    @classmethod
    def sum_volumes(
        cls,
        volumes: VolumeSequence,
        rows: np.ndarray,
        weights: np.ndarray,
        *,
        standardize: bool,
        normalize: bool,
        also: np.ndarray | None = None,
    ) -> Self:
        """Make directions that are weighted sums of prepared volumes, in one pass over their voxels.

        Args:
            volumes: Of the whole cohort.
            rows: Which volumes are summed, [N]; mean and scale are over them.
            weights: float64 [P, N]; where they sum to 0 the volumes are in effect centred, which is not done here.
            standardize: Whether each voxel is divided by its standard deviation.
            normalize: Whether each volume is first divided by its Euclidean norm.
            also: Further weights, whose sums come after the others; those are to the bit what they are without.
        """
        norms = row_norms(volumes, rows) if normalize else np.ones(len(rows))
        all_weights = [weights] if also is None else [weights, also]
        num_sums, num_voxels = sum(map(len, all_weights)), int(np.prod(volumes.shape))
        directions = np.empty((num_sums, num_voxels), dtype=np.float32)
        mean, scale = np.empty((2, num_voxels), dtype=np.float32)

        def work(_: slice, block: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | float]:
            block /= norms[:, None]
            moments = voxel_moments(block) if standardize else None
            sums = np.vstack([some @ block for some in all_weights])
            if moments is None:
                return sums.astype(np.float32), block.mean(axis=0), 1.0
            return (sums * reciprocal(moments[1])).astype(np.float32), *moments

        height = (2 if standardize else 1) * len(rows) + num_sums
        blocks = each_block(volumes, rows, work, title="directions in voxels", height=height)
        for voxels, parts in blocks:
            directions[:, voxels], mean[voxels], scale[voxels] = parts
        return cls(directions, mean, scale if standardize else None, normalize)

    def scores(self, volumes: VolumeSequence, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Project volumes, reading them block by block.

        Args:
            volumes: Any volumes of the shape that the directions have.
            rows: Which of them, [N].

        Returns:
            Coordinates float64 [N, P], and the squared norm of each z, float64 [N].
        """
        norms = row_norms(volumes, rows) if self.normalize else np.ones(len(rows))

        def work(voxels: slice, block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            block /= norms[:, None]
            block -= self.mean[voxels]
            if self.scale is not None:
                block *= reciprocal(self.scale[voxels])
            return block @ self.directions[:, voxels].T.astype(np.float64), _squares(voxels, block)

        scores, squares = np.zeros((len(rows), len(self.directions))), np.zeros(len(rows))
        blocks = each_block(volumes, rows, work, title="projection", height=len(rows) + len(self.directions))
        for _, (block_scores, block_squares) in blocks:
            scores += block_scores
            squares += block_squares
        return scores, squares

    def unscaled(self) -> Self:
        """Return the same coordinates by directions that hold the scale, so that they weight the voxels themselves."""
        if self.scale is None:
            return self
        return type(self)(self.directions * reciprocal(self.scale), self.mean, None, self.normalize)

    def tensors(self) -> dict[str, np.ndarray]:
        """Return what a model folder keeps."""
        scale = {} if self.scale is None else {"projection.scale": self.scale}
        return {"projection.directions": self.directions, "projection.mean": self.mean} | scale

    @classmethod
    def from_tensors(cls, tensors: dict[str, np.ndarray], *, normalize: bool) -> Self:
        """Build it again from what a model folder kept."""
        directions, mean = tensors["projection.directions"], tensors["projection.mean"]
        return cls(directions, mean, tensors.get("projection.scale"), normalize)


def row_norms(volumes: VolumeSequence, rows: np.ndarray) -> np.ndarray:
    """Return the Euclidean norm of volumes over their voxels, float64 [N], 1 for a volume of zeros."""
    squares = np.zeros(len(rows))
    for _, block_squares in each_block(volumes, rows, _squares, title="norms of the volumes"):
        squares += block_squares
    return positive(np.sqrt(squares))


def _squares(_: slice, block: np.ndarray) -> np.ndarray:
    squares: np.ndarray = np.einsum("nv,nv->n", block, block)
    return squares
