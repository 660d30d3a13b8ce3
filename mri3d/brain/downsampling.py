"""A brain made ready for alignment: on a coarse grid of its own size, its contrast made even."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

LEAST_VOXELS = 1000
"""A mask of fewer is no brain: of 5 mm, which are the coarsest in use, 700 ml are 5,600 voxels."""

TRUNCATE = 3.0
"""Reach of a Gaussian in sigmas: what lies farther is a hundredth of it."""

_LEAST_FILLED = 0.03  # share of its box that a mask fills: turned anyhow, a brain fills a quarter
_MARGIN = 8  # voxels around the mask: what smoothing spreads comes this far
_TURNED = 1e-9  # of an axis of the grid to one of the scan: less is rounding
_INSIDE = 0.5  # share of brain in a voxel of the brain
_TINY = 1e-6

# How intensities are made even.
_EVEN = 13.0  # sigma in voxels, 20 mm: a bias field is smoother, tissues are finer
_EVEN_TIMES = 3  # a field that doubles across the brain shifts the pose by 0.1 mm then, by 0.35 mm after one
_EVEN_STEP = 3  # voxels: what is so smooth is computed on every third
_BLACK = 0.5  # percentile that is 0 before the field is estimated, which multiplies
_DARK, _BRIGHT = 2, 98  # percentiles: become 0 and 1, so that vessels and what is left of the skull do not count
_BELOW, _ABOVE = -0.2, 1.3  # how far values go beyond those
_PEDESTAL = 0.3  # lifts the darkest tissue above what is outside


@dataclass(frozen=True, eq=False)
class Downsampled:
    """A brain on a grid of cubes around its mask, along the axes of the scan.

    Attributes:
        intensity: Even intensities [X, Y, Z], float32; 0 outside the mask, 0.1 to 1.6 inside.
        mask: Share of each voxel that is brain [X, Y, Z], float32.
        affine: From voxels of the grid to mm of the scan [4, 4]; its first three columns are orthogonal.
    """

    intensity: np.ndarray
    mask: np.ndarray
    affine: np.ndarray

    def smoothed(self, sigma: float) -> np.ndarray:
        """Smooth intensity and mask [2, X, Y, Z] with a Gaussian of so many voxels."""
        return np.stack([_gaussian(values, sigma) for values in (self.intensity, self.mask)])

    def center_mm(self) -> np.ndarray:
        """Return the mask's centre of mass [3] in mm of the scan."""
        sums = [self.mask.sum(axis=others, dtype=np.float64) for others in ((1, 2), (0, 2), (0, 1))]
        center = [float((np.arange(len(along)) * along).sum() / along.sum()) for along in sums]
        return np.asarray(self.affine[:3, :3] @ center + self.affine[:3, 3])


def volume_mm3(mask: np.ndarray, affine: np.ndarray) -> float:
    """Compute the volume of a mask [X, Y, Z] from its voxel-to-world matrix [4, 4].

    Raises:
        ValueError: It is too small for a brain, or the matrix is singular.
    """
    num_voxels = int(np.count_nonzero(mask))
    if num_voxels < LEAST_VOXELS:
        raise ValueError(f"the brain has {num_voxels} voxels only, fewer than {LEAST_VOXELS:,}")
    voxel = abs(float(np.linalg.det(affine[:3, :3]))) if np.isfinite(affine).all() else 0.0
    if not voxel > 1e-6 * float(np.linalg.norm(affine[:3, :3], axis=0).max()) ** 3:
        raise ValueError("the affine is singular")
    return num_voxels * voxel


def downsampled(brain: np.ndarray, mask: np.ndarray, affine: np.ndarray, *, spacing_mm: float) -> Downsampled:
    """Resample a brain linearly onto a coarse grid, and make its contrast even.

    Voxels much smaller than the grid's are averaged first. They may be oblong, and their axes need not be orthogonal.

    Args:
        brain: Intensities [X, Y, Z], any unit.
        mask: Which voxels are brain, bool [X, Y, Z].
        affine: Voxel-to-world matrix [4, 4].
        spacing_mm: Edge of the grid's voxels.

    Returns:
        The brain; its contrast is the same whatever the gain, the offset and, nearly, the bias field of the scan.

    Raises:
        ValueError: The mask is no brain's, or its intensities are all the same or not finite.
    """
    volume = volume_mm3(mask, affine)
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    inside = mask[box]
    values = np.where(inside, brain[box], 0).astype(np.float32)
    if not np.isfinite(values).all():
        raise ValueError("intensities of the brain are not finite")
    darkest, brightest = np.percentile(values[inside], (_DARK, _BRIGHT))
    if not darkest < brightest:
        raise ValueError("the brain has the same intensity nearly everywhere")
    values = np.where(inside, (values - darkest) / (brightest - darkest), np.float32(0))  # sums keep their precision
    steps = np.maximum(1, np.floor(spacing_mm / np.linalg.norm(affine[:3, :3], axis=0))).astype(int)
    to_mm = affine @ _scaling(1, [part.start for part in box]) @ _scaling(steps, (steps - 1) / 2)
    shares, values = _block_means(inside.astype(np.float32), steps), _block_means(values, steps)
    to_grid_mm, sides = _grid(to_mm, shares.shape, spacing_mm)
    if spacing_mm**3 * np.prod(sides - 2 * _MARGIN) * _LEAST_FILLED > volume:
        raise ValueError("the brain is scattered over the scan")
    to_voxels = np.linalg.inv(to_mm) @ to_grid_mm
    shares, values = (_resampled(v, to_voxels, sides) for v in (shares, values))
    return Downsampled(_even(values, shares), shares, to_grid_mm)


def _scaling(factors: np.ndarray | float, offsets: np.ndarray | list[int]) -> np.ndarray:
    """Build the matrix [4, 4] that scales each axis, then shifts it."""
    matrix = np.eye(4)
    matrix[:3, :3] *= factors
    matrix[:3, 3] = offsets
    return matrix


def _block_means(values: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Average blocks of so many voxels along each axis; beyond the image is 0."""
    for axis, step in enumerate(map(int, steps)):
        if step > 1:
            padding = [(0, -values.shape[axis] % step if other == axis else 0) for other in range(3)]
            values = np.pad(values, padding)
            split = (*values.shape[:axis], -1, step, *values.shape[axis + 1 :])
            values = values.reshape(split).mean(axis=axis + 1)
    return values


def _grid(to_mm: np.ndarray, shape: tuple[int, ...], spacing_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """Lay a grid of cubes around an image: its matrix [4, 4] to mm, and its sides [3].

    Its axes are the orthogonal ones that are nearest to the image's, so that most images are not turned.
    """
    left, _, right = np.linalg.svd(to_mm[:3, :3] / np.linalg.norm(to_mm[:3, :3], axis=0))
    axes = left @ right
    corners = np.stack(np.meshgrid(*[(0.0, side - 1.0) for side in shape], indexing="ij")).reshape(3, -1)
    along = axes.T @ (to_mm[:3, :3] @ corners + to_mm[:3, 3:]) / spacing_mm
    first = along.min(axis=1) - _MARGIN
    sides = np.ceil(along.max(axis=1) - first).astype(int) + 1 + _MARGIN
    to_grid_mm = np.eye(4)
    to_grid_mm[:3, :3] = axes * spacing_mm
    to_grid_mm[:3, 3] = to_grid_mm[:3, :3] @ first
    return to_grid_mm, sides


def _resampled(values: np.ndarray, to_voxels: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """Interpolate an image linearly on a grid [X, Y, Z]; beyond the image is 0."""
    matrix, offset = to_voxels[:3, :3], to_voxels[:3, 3]
    if np.abs(matrix - np.diag(np.diag(matrix))).max() < _TURNED:
        matrix = np.diag(matrix)  # the axes of most scans are orthogonal, and need half the time
    shape = tuple(int(side) for side in sides)
    found = ndimage.affine_transform(values, matrix, offset, output_shape=shape, order=1, mode="grid-constant")
    return np.asarray(found)


def _even(values: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Divide what is brain by its bias field, and scale it by its percentiles."""
    inside = shares > _INSIDE
    values = np.where(inside, values / np.maximum(shares, _INSIDE), 0)
    values = np.where(inside, values - np.percentile(values[inside], _BLACK), 0)
    values = values / _bias_field(values, inside.astype(np.float32))
    low, high = np.percentile(values[inside], (_DARK, _BRIGHT))
    scaled = np.clip((values - low) / max(high - low, _TINY), _BELOW, _ABOVE) + _PEDESTAL
    return np.where(inside, scaled * shares, 0).astype(np.float32)


def _bias_field(values: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Estimate the bias field [X, Y, Z] from local means, several times from what the one before left.

    At the surface a local mean is that of what lies deeper, so that one alone leaves a part of the field there.
    """
    steps = np.full(3, _EVEN_STEP)
    left, count = _block_means(values, steps), _block_means(inside, steps)
    near = np.maximum(_gaussian(count, _EVEN / _EVEN_STEP), _TINY)
    field = np.ones_like(left)
    for _ in range(_EVEN_TIMES):
        mean = _gaussian(left, _EVEN / _EVEN_STEP) / near
        mean = np.maximum(mean, 1e-3 * mean.max())
        field, left = field * mean, left / mean
    offset = -(_EVEN_STEP - 1) / 2 / _EVEN_STEP  # the centre of the first voxel, in steps from the first block's
    shape, every = values.shape, np.full(3, 1 / _EVEN_STEP)
    return np.asarray(
        ndimage.affine_transform(field, every, offset, output_shape=shape, order=1, mode="nearest", output=np.float32)
    )


def _gaussian(values: np.ndarray, sigma: float) -> np.ndarray:
    return np.asarray(ndimage.gaussian_filter(values, sigma, mode="constant", truncate=TRUNCATE))
