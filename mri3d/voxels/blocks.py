"""Passes over the voxels of many volumes: block by block, on several cores, in bounded memory.

Blocks are independent, and joblib runs them: on the cores of this machine, or wherever the backend that the caller has
chosen runs them, such as a Dask cluster that sees the same cache folder:

    with joblib.parallel_config(backend="dask"):
        gram(volumes)
"""

from collections.abc import Callable, Iterator
from typing import TypeVar

import joblib
import numpy as np

from mri3d.parallel import one_thread_each
from mri3d.progress import progress
from mri3d.volumes.sequence import VolumeSequence

BUDGET_BYTES = 2**30
"""What a pass holds at once unless told otherwise, the blocks of all its jobs together."""

BLOCK_VOXELS = 16_384
"""Long enough for matrix products at full speed, short enough for several jobs within the budget."""

Result = TypeVar("Result")


def voxel_blocks(num_voxels: int, *, height: int, budget_bytes: int = BUDGET_BYTES) -> tuple[list[slice], int]:
    """Cut the voxels into blocks, and say how many of them fit the budget at once.

    The cuts do not depend on the number of cores, so that sums over blocks do not either.

    Args:
        num_voxels: V.
        height: How many values are held per voxel, rows of volumes and of results together.
        budget_bytes: For all that is held at once; one voxel is held even if it is too much.

    Returns:
        Slices that cover the voxels in order, and the number that may be worked on together, at least 1.

    >>> voxel_blocks(10, height=100, budget_bytes=8_000)
    ([slice(0, 4, None), slice(4, 8, None), slice(8, 10, None)], 1)
    """
    bytes_per_voxel = height * (4 + 2 * 8)  # as read in float32, in float64, and one array made from that
    length = max(1, min(BLOCK_VOXELS, num_voxels, budget_bytes // bytes_per_voxel))
    slices = [slice(start, min(start + length, num_voxels)) for start in range(0, num_voxels, length)]
    return slices, max(1, budget_bytes // (length * bytes_per_voxel))


def each_block(
    volumes: VolumeSequence,
    rows: np.ndarray,
    work: Callable[[slice, np.ndarray], Result],
    *,
    title: str,
    height: int | None = None,
    budget_bytes: int = BUDGET_BYTES,
) -> Iterator[tuple[slice, Result]]:
    """Call a function on every block of voxels of some volumes.

    Args:
        volumes: Read block by block, never whole.
        rows: Which volumes, [N].
        work: Gets the slice of voxels and their values, float64 [N, voxels of the block], which it may overwrite.
        title: What the progress bar says.
        height: Values held per voxel, N unless told.
        budget_bytes: Bound for the blocks held at once.

    Yields:
        Each slice with the function's result, in the order of the voxels.
    """
    height = height or len(rows)
    slices, most = voxel_blocks(int(np.prod(volumes.shape)), height=height, budget_bytes=budget_bytes)
    num_jobs = min(joblib.effective_n_jobs(-1), most, len(slices))
    volumes.block(rows, slice(0, 0))  # compares checksums here, once, and not in every job

    def run(voxels: slice) -> Result:
        return work(voxels, volumes.block(rows, voxels).astype(np.float64))

    parallel = joblib.Parallel(n_jobs=num_jobs, prefer="threads", return_as="generator")
    with one_thread_each(num_jobs):
        results = parallel(joblib.delayed(run)(voxels) for voxels in slices)
        yield from zip(slices, progress(results, total=len(slices), title=title), strict=True)
