"""Principal components as images: eigenbrains, and scans put together again from a few of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from mri3d.errors import UserError
from mri3d.voxels.pca import PCA


@dataclass(frozen=True, eq=False)
class Eigenbrains:
    """Some principal components of a cohort as images, and one of its volumes restored from the first components.

    Attributes:
        numbers: Which components, counted from 1.
        maps: Each component times the standard deviation of its scores: what one standard deviation adds to each
            voxel, in the intensities of the volumes. float32 [len(numbers), X, Y, Z].
        mean: Average volume, float32 [X, Y, Z].
        counts: From how many components the volume was restored.
        restored: float32 [len(counts), X, Y, Z].
        errors: Norm of what each of them lacks, as a share of the norm of the volume less the average [len(counts)].
    """

    numbers: tuple[int, ...]
    maps: np.ndarray
    mean: np.ndarray
    counts: tuple[int, ...]
    restored: np.ndarray
    errors: np.ndarray

    @classmethod
    def of(cls, pca: PCA, numbers: Sequence[int], *, row: int, counts: Sequence[int]) -> Self:
        """Compute them together, in one pass over the voxels.

        Args:
            pca: Fitted, with all components and without `standardize` and `normalize`.
            numbers: Components wanted, counted from 1.
            row: The volume to restore, a position in `pca.rows_`.
            counts: From how many components it is restored.
        """
        spreads = np.sqrt(pca.explained_variance_)
        chosen = np.array(numbers, dtype=int) - 1
        partial = np.array([pca.scores_[row, :count] @ pca.weights_[:count] for count in counts])
        weights = np.concatenate([pca.weights_[chosen] * spreads[chosen, None], partial.reshape(-1, len(pca.rows_))])
        sums = pca.sum_volumes(weights)
        maps, restored = np.split(sums.directions, [len(chosen)])
        restored += sums.mean
        sides = pca.volumes_.shape[1:]
        squares = pca.scores_[row] ** 2
        lacking = np.array([squares[count:].sum() for count in counts])
        return cls(
            tuple(numbers),
            maps.reshape(-1, *sides),
            sums.mean.reshape(sides),
            tuple(counts),
            restored.reshape(-1, *sides),
            np.sqrt(lacking / (squares.sum() or 1.0)),
        )


def chosen_components(first: int, also: Sequence[int], num_components: int) -> tuple[int, ...]:
    """Number the first components and any others wanted, from 1; of the first, those that there are.

    Raises:
        UserError: A component that is asked for by its number does not exist.

    >>> chosen_components(3, [7, 2], 11)
    (1, 2, 3, 7)
    """
    for number in also:
        if not 1 <= number <= num_components:
            raise UserError(f"there is no component {number}: these sessions have {num_components}, counted from 1.")
    return tuple(sorted({*range(1, min(first, num_components) + 1), *also}))
