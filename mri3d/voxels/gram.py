"""The Gram matrix: everything that PCA and the classical models need of N volumes, in N x N numbers.

With far fewer subjects than voxels, the products of the volumes with each other hold the distances, the principal
components and every linear model. They are computed once for a cohort and a recipe, and lie in the cache folder.
Entry [i, j] depends on volumes i and j alone, so a fit that reads the entries of its own rows sees no other row.
"""

import logging
import time
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np

from mri3d.files import atomic_path, cache_folder, digest_json
from mri3d.shortage import is_out_of_memory
from mri3d.volumes.described import Described
from mri3d.volumes.residuals import Residuals
from mri3d.volumes.sequence import VolumeSequence
from mri3d.voxels.blocks import BUDGET_BYTES, each_block

log = logging.getLogger(__name__)

FORMAT = "name, products, sums"
"""Part of each file's name: versions of mri3d that write other arrays do not take each other's files for damaged."""


@dataclass(frozen=True, eq=False)
class Gram:
    """Products of volumes with each other.

    Attributes:
        products: Entry [i, j] is the sum over the voxels of volume i times volume j, float64 [N, N].
        sums: Sum over the voxels of each volume, float64 [N].
    """

    products: np.ndarray
    sums: np.ndarray


_IN_MEMORY: MutableMapping[VolumeSequence, Gram] = WeakKeyDictionary()
"""Of volumes that are in memory, and of those whose matrix cannot be kept on disk, as long as they are."""


def gram(volumes: VolumeSequence, *, budget_bytes: int = BUDGET_BYTES) -> Gram:
    """Return the Gram matrix of all volumes: from the cache folder, or computed and put there.

    That of volumes in memory is kept in memory.

    Products are taken and summed in float64: the mean of the volumes, which centring removes, would else eat the
    digits of the small components.

    Args:
        volumes: Of the whole cohort.
        budget_bytes: Bound for the voxels held at once, whatever their number.
    """
    if isinstance(volumes, Described):
        return gram(volumes.source, budget_bytes=budget_bytes)
    if isinstance(volumes, Residuals):  # sums of volumes, whose products follow from those of the volumes
        source, combined = gram(volumes.source, budget_bytes=budget_bytes), volumes.combinations
        return Gram(combined @ source.products @ combined.T, combined @ source.sums)
    path = _path(volumes) if volumes.on_disk else None
    found = _IN_MEMORY.get(volumes)
    if found is None and path is not None:
        found = _read(path, len(volumes))
    if found is not None:
        return found
    volumes.fill()
    start, rows = time.perf_counter(), np.arange(len(volumes))
    products, sums = np.zeros((len(rows), len(rows))), np.zeros(len(rows))
    for _, (block_products, block_sums) in each_block(
        volumes, rows, _multiply, title="products of the volumes", budget_bytes=budget_bytes
    ):
        products += block_products
        sums += block_sums
    found = Gram(products, sums)
    if path is None or not _keep(path, found):
        _IN_MEMORY[volumes] = found
    log.info("Gram matrix of %d volumes in %.1f s", len(rows), time.perf_counter() - start)
    return found


def row_products(
    volumes: VolumeSequence,
    rows: np.ndarray,
    *,
    trainings: Sequence[np.ndarray],
    standardize: bool = False,
    normalize: bool = False,
) -> list[np.ndarray]:
    """Return the products among some rows, prepared for fits that each learn from a part of them.

    Without `standardize` this reads N x N numbers. With it, every fit has a scale of its own for each voxel, and one
    pass over the voxels serves all of them: as long as a Gram matrix for each.

    Args:
        volumes: Of the whole cohort.
        rows: The rows [N] whose products are wanted; no other row is looked at.
        trainings: For each fit the positions in `rows` that it learns from.
        standardize: Whether each voxel is centred and divided by its standard deviation over the rows learnt from; a
            voxel that is constant over them takes no part.
        normalize: Whether each volume is first divided by its Euclidean norm.

    Returns:
        For each fit the products float64 [N, N].
    """
    products = gram(volumes).products[np.ix_(rows, rows)]
    norms = positive(np.sqrt(products.diagonal())) if normalize else np.ones(len(rows))
    if not standardize:
        return [products / np.outer(norms, norms)] * len(trainings)

    def work(_: slice, block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        block /= norms[:, None]
        moments = [voxel_moments(block[training]) for training in trainings]
        return (
            np.stack([_square((block - mean) * reciprocal(scale)) for mean, scale in moments]),
            np.array([(scale == 0).sum() for _, scale in moments]),
        )

    totals, num_constant = np.zeros((len(trainings), len(rows), len(rows))), np.zeros(len(trainings), dtype=int)
    blocks = each_block(volumes, rows, work, title="standardized products", height=2 * len(rows))
    for _, (block_products, block_constant) in blocks:
        totals += block_products
        num_constant += block_constant
    if num_constant.any():
        log.warning(
            "%d of %d voxels are constant over training rows and take no part",
            num_constant.max(),
            np.prod(volumes.shape),
        )
    return list(totals)


def voxel_moments(block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and the standard deviation of each voxel over the rows of a block [N, V].

    The deviation of a voxel that is constant but for rounding is exactly 0.
    """
    mean = block.mean(axis=0)
    scale = block.std(axis=0)
    rounding = len(block) * np.finfo(np.float64).eps * np.abs(mean)
    return mean, np.where(scale > rounding, scale, 0.0)


def reciprocal(scale: np.ndarray) -> np.ndarray:
    """Return 1 / scale, and 0 where the scale is 0: a voxel without spread says nothing.

    >>> reciprocal(np.array([2.0, 0.0]))
    array([0.5, 0. ])
    """
    inverse = np.zeros_like(scale)
    np.divide(1.0, scale, out=inverse, where=scale > 0)
    return inverse


def positive(norms: np.ndarray) -> np.ndarray:
    """Replace a norm of 0 by 1: a volume of zeros stays one when it is divided by its norm."""
    return np.where(norms > 0, norms, 1.0)


def _multiply(_: slice, block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return _square(block), block.sum(axis=1)


def _square(block: np.ndarray) -> np.ndarray:
    # numpy sees that both factors are one array and computes half the product (SYRK).
    product: np.ndarray = block @ block.T
    return product


def _path(volumes: VolumeSequence) -> Path:
    assert volumes.recipe is not None, "volumes on disk come from scans"
    name = digest_json({"volumes": list(volumes.digests), "recipe": volumes.recipe.digest(), "format": FORMAT})
    return cache_folder() / "gram" / f"{name}.npz"


def _keep(path: Path, found: Gram) -> bool:
    """Write a matrix with its own name in it; it is not needed on disk where that cannot be done."""
    try:
        with atomic_path(path) as temporary:
            np.savez(temporary, name=path.name, products=found.products, sums=found.sums)
    except OSError as error:
        log.warning("%s cannot be written: %s. It will be computed again next time", path, error.strerror)
        return False
    return True


def _read(path: Path, num_rows: int) -> Gram | None:
    try:
        with path.open("rb") as file, np.load(file) as arrays:  # reading checks the CRC of each array
            if arrays["name"] != path.name:
                raise ValueError("it is another cohort's")
            found = Gram(arrays["products"], arrays["sums"])
    except FileNotFoundError:
        return None
    except Exception as error:  # damaged bytes lead to errors of any kind
        if is_out_of_memory(error):
            raise
        log.warning("%s is damaged and is made again", path)
        return None
    return found if found.products.shape == (num_rows, num_rows) else None
