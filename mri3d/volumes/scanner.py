"""What another scanner would have made of a volume: contrast, bias field and resolution, on the recipe's scale.

Volumes come here after their recipe has normalised them. So intensities are brought to 0 (air) to 1, changed, and
brought back to where the recipe would have put them: a network is to learn what scans of other scanners look like once
they are preprocessed, not shifts that no volume has.
"""

from typing import Literal

import numpy as np
import torch
from monai.transforms import Randomizable, Transform
from scipy import ndimage

from mri3d.volumes.brain_recipe import BOX_MM, FIELD_MM
from mri3d.volumes.recipes import AnyRecipe

Scale = Literal["ranks", "moments", "range"]
"""What a recipe fixes: each tissue's value by its rank, the mean and deviation of tissue, or the ends of the range."""

_FWHM = float(np.sqrt(8 * np.log(2)))  # standard deviations in the full width at half maximum of a Gaussian
_LEAST_AIR = 0.01  # of the voxels, from where on the value in the corners is that of air
_DARKEST = 0.25  # how far above 0 the darkest of a brain lies: their deviation is then a fifth of their mean, as IXI's
_TOP = 0.999  # quantile of tissue that counts as its brightest
_DEGREE = 3


def scale_of(recipe: AnyRecipe | None) -> Scale:
    """Return what a recipe fixes; of volumes without one, mean and deviation are kept."""
    if recipe is not None and recipe.shows == "brains":
        return "ranks"
    return "range" if getattr(recipe, "intensity", "") == "minmax" else "moments"


class RandomScanner(Randomizable, Transform):  # type: ignore[misc] # MONAI has no types
    """Change the intensities of volumes [C, X, Y, Z] as another scanner would; all channels alike.

    MONAI's own transforms are not used: `RandBiasField` multiplies what is given, and half of a z-scored volume is
    negative; `RandAdjustContrast` counts the empty space around a brain, which lies amid its values, as tissue;
    `RandSimulateLowResolution` takes the nearest voxels, which aliases and moves the image by half a voxel and more.

    Args:
        gamma, inversion, bias_field, blur, slices, probability: As of `Augmentation`.
        scale: What the volumes' recipe fixes.
    """

    def __init__(
        self,
        *,
        gamma: float,
        inversion: bool,
        bias_field: float,
        blur: float,
        slices: float,
        probability: float,
        scale: Scale,
    ) -> None:
        self.gamma, self.inversion, self.bias_field, self.blur, self.slices = gamma, inversion, bias_field, blur, slices
        self.probability, self.scale = probability, scale

    def randomize(self, data: object = None) -> None:
        """Draw the changes of one volume; as many numbers whatever is drawn."""
        made = self.R.random(4) < self.probability
        exponent, amount, width, thickness = self.R.random(4)
        self.exponent = float((1 + self.gamma) ** (2 * exponent - 1)) if made[0] else 1.0
        self.amount = float(amount * self.bias_field) if made[1] else 0.0
        self.widths = np.full(3, width * self.blur if made[2] else 0.0)
        axis = self.R.randint(3)
        if made[3]:
            self.widths[axis] = np.hypot(self.widths[axis], thickness * self.slices)
        self.coefficients = self.R.standard_normal((_DEGREE + 1,) * 3).astype(np.float32)
        self.coefficients[np.indices(self.coefficients.shape).sum(axis=0) > _DEGREE] = 0
        self.inverted = bool(self.inversion and self.R.random() < 0.5)

    def __call__(self, volume: torch.Tensor) -> torch.Tensor:
        """Draw, and return the changed volume."""
        self.randomize()
        if self.exponent == 1 and not self.amount and not self.widths.any() and not self.inverted:
            return volume
        channels = np.asarray(volume, np.float32)
        return torch.from_numpy(np.stack([self._changed(channel) for channel in channels]))

    def _changed(self, values: np.ndarray) -> np.ndarray:
        """Change one channel [X, Y, Z]."""
        low, span = values.min(), np.ptp(values)
        if not span:
            return values
        air, nothing = _air(values)
        amid = nothing > low  # as around brains; it is no dark tissue
        tissue = ~air if self.scale != "ranks" else _without_surface(~air)
        if not tissue.any():
            return values
        before = (values - low) / span
        if self.scale == "ranks":
            before = (before + _DARKEST) / (1 + _DARKEST)
        after = before**self.exponent
        if self.inverted:
            after[tissue] = after[tissue].max() + after[tissue].min() - after[tissue]
        after = self._blurred(after, tissue if amid else None)
        if self.amount:
            field = _polynomial(self.coefficients, values.shape)[tissue]
            field -= field.mean()
            factor = np.exp(field * (self.amount / max(float(np.abs(field).max()), 1e-6)))
            after[tissue] *= factor / _evened(after, tissue, factor) if self.scale == "ranks" else factor
        if self.scale == "ranks":
            return _in_ranks_of(values, after, tissue)
        old, new = before[tissue], after[tissue]
        if self.scale == "range":
            after *= np.quantile(old, _TOP) / max(np.quantile(new, _TOP), np.float32(1e-6))
        else:
            after = (after - new.mean()) * (old.std() / max(new.std(), np.float32(1e-6))) + old.mean()
        after = low + span * after
        return np.where(tissue, after, values) if amid else after

    def _blurred(self, values: np.ndarray, inside: np.ndarray | None) -> np.ndarray:
        """Smooth along each axis; where only a part counts, by what is inside of it."""
        sigmas = self.widths * max(values.shape) / _FWHM
        if not sigmas.any():
            return values
        if inside is None:
            return np.asarray(ndimage.gaussian_filter(values, sigmas, mode="nearest", truncate=3))
        share = inside.astype(np.float32)
        sums, shares = (
            ndimage.gaussian_filter(part, sigmas, mode="constant", truncate=3) for part in (values * share, share)
        )
        return np.asarray(np.where(inside, sums / np.maximum(shares, 1e-3), values), np.float32)


def _air(values: np.ndarray) -> tuple[np.ndarray, float]:
    """Find what surrounds a head or a brain: the value that most corners have, or nothing where few voxels have it.

    Returns:
        Where it is, bool [X, Y, Z], and its value; the lowest where there is none.
    """
    corners, counts = np.unique(values[np.ix_(*[(0, -1)] * 3)], return_counts=True)
    value = corners[counts.argmax()]
    air = values == value
    return (air, float(value)) if air.mean() >= _LEAST_AIR else (np.zeros_like(air), float(values.min()))


def _without_surface(inside: np.ndarray) -> np.ndarray:
    """Take a layer of voxels off, in which the recipe of brains mixes brain with air: what is left is 98 % of it."""
    for axis in range(inside.ndim):
        padded = np.pad(np.moveaxis(inside, axis, 0), [(1, 1), (0, 0), (0, 0)])
        inside = np.moveaxis(padded[:-2] & padded[1:-1] & padded[2:], 0, axis)
    return inside


def _polynomial(coefficients: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Evaluate a polynomial of three variables from -1 to 1 on a grid [X, Y, Z]."""
    field = coefficients
    for side in shape[::-1]:
        powers = np.linspace(-1, 1, side, dtype=np.float32) ** np.arange(len(coefficients), dtype=np.float32)[:, None]
        field = np.moveaxis(field @ powers, -1, 0)  # after three turns the axes are in order again
    return field


def _evened(values: np.ndarray, tissue: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Return by how much a factor [V] of each voxel of the tissue makes its wide surroundings brighter.

    By that the recipe of brains would have divided it, see `mri3d.volumes.brain_recipe.normalised`; on a coarse grid.
    """
    inside = np.where(tissue, values, 0)
    brighter = inside.copy()
    brighter[tissue] *= factor
    sigma = FIELD_MM / max(BOX_MM) * max(tissue.shape)
    step = max(1, int(sigma / 2))
    padding = [(0, -side % step) for side in tissue.shape]
    blocks = [number for side in tissue.shape for number in (-(-side // step), step)]
    old, new = (
        ndimage.gaussian_filter(
            np.pad(part, padding).reshape(blocks).sum(axis=(1, 3, 5)), sigma / step, mode="constant"
        )
        for part in (inside, brighter)
    )
    ratio = np.where(old > 1e-6 * old.max(), new / np.maximum(old, 1e-30), 1).astype(np.float32)
    places = (np.array(np.nonzero(tissue), np.float32) - (step - 1) / 2) / step
    found = ndimage.map_coordinates(ratio, places, order=1, mode="nearest")
    return np.asarray(np.maximum(found, np.float32(1e-6)))


def _in_ranks_of(values: np.ndarray, changed: np.ndarray, tissue: np.ndarray) -> np.ndarray:
    """Give the tissue the values that it had, in the order that it has now."""
    result, ranked, order = values.copy(), np.empty(np.count_nonzero(tissue), np.float32), changed[tissue]
    order = (order - order.min()) * np.float32(65535 / max(float(np.ptp(order)), 1e-30))
    ranked[np.argsort(order.astype(np.uint16), kind="stable")] = np.sort(values[tissue])  # 16 bits are sorted fast
    result[tissue] = ranked
    return result
