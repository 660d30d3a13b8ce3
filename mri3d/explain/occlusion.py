"""Evidence by what is lost where a part of a volume is replaced by that of an average one (Zeiler and Fergus 2014)."""

from collections.abc import Callable, Iterator

import numpy as np

from mri3d.explain.contrasted import batch_size
from mri3d.explain.evidence import Evidence

BLOCK = 1 / 6
"""Edge of a block, as a share of the volume's longest edge: about 32 mm of a head."""

Numbers = Callable[[np.ndarray], np.ndarray]
"""From volumes [B, C, X, Y, Z] to the explained number of each [B]."""


def occlusion(numbers: Numbers, volume: np.ndarray, *, baseline: np.ndarray) -> Evidence:
    """Replace one block after the other, half a block apart, by that of the baseline.

    Args:
        numbers: The model.
        volume: float32 [C, X, Y, Z], made by the model's recipe.
        baseline: What the volume is compared with, float32 [C, X, Y, Z]: the average of the training volumes.

    Returns:
        For each voxel what is lost by the blocks that hold it, on average: negative where the number rises without
        them. Facts: `num_blocks`, those in which the volume differs from the baseline.
    """
    sides = volume.shape[1:]
    edge = max(2, round(BLOCK * max(sides)))
    places = [range(-(edge // 2), side, edge // 2) for side in sides]  # the first ones reach out of the volume
    blocks = [
        tuple(slice(max(start, 0), start + edge) for start in starts)
        for starts in np.array(np.meshgrid(*places, indexing="ij")).reshape(3, -1).T.tolist()
    ]
    differing = [block for block in blocks if (volume[(slice(None), *block)] != baseline[(slice(None), *block)]).any()]
    total, count = np.zeros(sides), np.zeros(sides)
    for block in blocks:
        count[block] += 1

    def replaced(block: tuple[slice, ...]) -> np.ndarray:
        changed = volume.copy()
        changed[(slice(None), *block)] = baseline[(slice(None), *block)]
        return changed

    for block, lost in zip(differing, _lost(numbers, volume, map(replaced, differing)), strict=True):
        total[block] += lost
    return Evidence(np.asarray(total / count, np.float32), {"num_blocks": len(differing)})


def region_occlusion(numbers: Numbers, volume: np.ndarray, *, baseline: np.ndarray, regions: np.ndarray) -> Evidence:
    """Replace one region after the other by that of the baseline.

    Args:
        numbers: The model.
        volume: float32 [C, X, Y, Z], made by the model's recipe.
        baseline: What the volume is compared with, float32 [C, X, Y, Z]: the average of the training volumes.
        regions: Labels int [X, Y, Z]; 0 for what is never replaced.

    Returns:
        For each voxel what is lost by its region. Facts: `num_regions`.
    """
    labels = np.unique(regions[regions != 0])
    lost = _lost(numbers, volume, (np.where(regions == label, baseline, volume) for label in labels))
    values = np.zeros(regions.shape, np.float32)
    for label, loss in zip(labels, lost, strict=True):
        values[regions == label] = loss
    return Evidence(values, {"num_regions": len(labels)})


def _lost(numbers: Numbers, volume: np.ndarray, changed: Iterator[np.ndarray]) -> Iterator[float]:
    """Compute by how much the number of each changed volume lies below that of the volume, a few at a time."""
    whole = float(numbers(volume[None])[0])
    size = batch_size(volume)
    batch: list[np.ndarray] = []
    for one in changed:
        batch.append(one)
        if len(batch) == size:
            yield from whole - numbers(np.stack(batch))
            batch.clear()
    if batch:
        yield from whole - numbers(np.stack(batch))
