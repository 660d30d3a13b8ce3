"""Heads for the demo cohort: brains grown from the MNI152 template, with or without a known local effect.

Every head has its own size, pose, folds, tissue contrast, bias field and noise, drawn without regard to its class.
The effect shrinks the tissue of a ball in template space towards its centre and darkens the grey matter there, or makes
it swell and brightens it. It fades to nothing at the ball's surface, so that outside the ball a head is the same, voxel
for voxel, with or without.
"""

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import map_coordinates, maximum_filter
from scipy.spatial.transform import Rotation

Array = npt.NDArray[np.float32]
Axes = tuple[Array, Array, Array]  # world positions R, A, S in mm of the planes of a grid

MASK_LEVEL = 0.2  # the effect's mask is where at least this share of the full effect acts
MAX_STRENGTH = 0.8  # at 0.875 the shrinking folds space over itself

_BRAIN_LEVEL = 0.1  # the template is 0 around the brain
_TEMPLATE_CENTER_MM = np.array((0.0, -17.0, 5.0), np.float32)  # of the brain's bounding box
_HEAD_CENTER_MM = np.array((1.0, -1.0, -14.0), np.float32)  # of the seed study's crop

# How heads differ, where nothing else is said as standard deviations.
_MEAN_SIZE = 0.93  # the template is larger than most heads
_SIZE, _AXIS_SIZE, _TURN_DEGREES, _SHIFT_MM = 0.035, 0.02, 2.0, 2.0
_DEFORMATIONS_MM = ((60.0, 1.6), (30.0, 1.0), (15.0, 0.5))  # distance of control points, displacement: shape to folds
_BIAS_FIELD = (80.0, 0.04)  # distance of control points in mm, logarithm of the gain
_GAIN = 0.06
_CONTRAST = (
    (-0.12, 0.03),
    (-0.09, 0.015),
    (0.0, 0.015),
)  # mean and spread added to CSF, grey, white
_NOISE = (0.015, 0.035)  # range, as a share of white matter

_TEMPLATE_WHITE, _STORED_WHITE = 0.86, 110.0  # the latter as FreeSurfer scales it
_REACH_MM = 144.0  # control points go this far from the head's centre
_SLAB = 32  # planes at a time, to bound the memory


@dataclass(frozen=True)
class VoxelGrid:
    """The voxels of a scan, stored LIA (to the left, to inferior, to anterior) as FreeSurfer does.

    Attributes:
        shape: Sides in voxels along the stored axes.
        spacing_mm: Edge of a voxel.
        center_mm: World position of the middle of the grid, R, A, S.
    """

    shape: tuple[int, int, int]
    spacing_mm: float
    center_mm: tuple[float, float, float]

    @property
    def affine(self) -> npt.NDArray[np.float64]:
        """Voxel-to-world matrix [4, 4]; world axes R, A, S in mm."""
        affine = np.eye(4)
        affine[:3, :3] = np.array([[-1, 0, 0], [0, 0, 1], [0, -1, 0]]) * self.spacing_mm
        affine[:3, 3] = np.array(self.center_mm) - affine[:3, :3] @ ((np.array(self.shape) - 1) / 2)
        return affine

    @property
    def axes_mm(self) -> Axes:
        """Positions R [X], A [Z], S [Y] in mm of the planes across each axis, in the order in which they are stored."""
        left, inferior, anterior = (
            np.float32(self.spacing_mm) * (np.arange(n, dtype=np.float32) - np.float32((n - 1) / 2)) for n in self.shape
        )
        right_mm, anterior_mm, superior_mm = np.array(self.center_mm, np.float32)
        return right_mm - left, anterior_mm + anterior, superior_mm - inferior


@dataclass(frozen=True)
class Effect:
    """What the affected heads have.

    Attributes:
        strength: Share by which grey matter is darkened; tissue is shrunk by half of it along each axis. Below 0 grey
            matter is brightened, and tissue swells.
        center_mm: Centre in MNI152 space, R, A, S.
        radius_mm: Distance at which it has faded to nothing.
    """

    strength: float
    center_mm: tuple[float, float, float]
    radius_mm: float


class SyntheticHead:
    """One skull-stripped head: all that is drawn of it, to be sampled on any grid, with or without an effect."""

    def __init__(self, rng: np.random.Generator) -> None:
        def normal(num: int) -> npt.NDArray[np.float64]:
            return rng.standard_normal(num).clip(-2.5, 2.5)

        size = _MEAN_SIZE * (1 + _SIZE * normal(1)) * (1 + _AXIS_SIZE * normal(3))
        turn = Rotation.from_euler("xyz", _TURN_DEGREES * normal(3), degrees=True).as_matrix()
        self._to_template = np.linalg.inv(turn * size).astype(np.float32)
        self._center_mm = (_HEAD_CENTER_MM + _SHIFT_MM * normal(3)).astype(np.float32)
        self._displacements = [_SmoothField(rng, 3, distance, spread) for distance, spread in _DEFORMATIONS_MM]
        self._bias = _SmoothField(rng, 1, *_BIAS_FIELD)
        self._contrast = [np.float32(mean + spread * n) for (mean, spread), n in zip(_CONTRAST, normal(3), strict=True)]
        self._gain = np.float32(_STORED_WHITE / _TEMPLATE_WHITE * (1 + _GAIN * normal(1)[0]))
        self._noise = np.float32(_STORED_WHITE * rng.uniform(*_NOISE))
        self._noise_seed = int(rng.integers(2**63))

    def sample(
        self, grid: VoxelGrid, effect: Effect, *, affected: bool
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """Make the scan of this head.

        Args:
            grid: Where to sample it.
            effect: The effect.
            affected: Whether this head has it.

        Returns:
            Intensities [X, Y, Z] in stored order, 0 outside the brain; and 1 where the effect acts in this head, or
            would act if it had it, 0 elsewhere.
        """
        noise = np.random.default_rng(self._noise_seed)
        right, anterior, superior = grid.axes_mm
        scan, mask = np.zeros((2, *grid.shape), np.uint8)
        for start in range(0, len(right), _SLAB):
            planes = slice(start, start + _SLAB)
            axes = (right[planes], anterior, superior)
            places = self._template_positions(axes)  # [3, R, A, S]
            weight = _effect_weight(places, effect)  # [R, A, S]
            seen = _shrink(places, weight, effect) if affected else places
            values = self._intensities(axes, seen, effect.strength * weight if affected else None, noise)
            scan[planes] = values.swapaxes(1, 2)  # stored axes: left, inferior, anterior
            mask[planes] = (_tissue("grey", places, where=weight > 0) * weight >= MASK_LEVEL).swapaxes(1, 2)
        return scan, mask

    def _template_positions(self, axes: Axes) -> Array:
        """Compute which position in template space, in mm, each voxel shows [3, R, A, S]."""
        positions = np.zeros((3, *map(len, axes)), np.float32)
        for k, axis_mm in enumerate(axes):
            steps = np.outer(self._to_template[:, k], axis_mm - self._center_mm[k])
            positions += np.expand_dims(steps, [1 + j for j in range(3) if j != k])
        for field in self._displacements:
            positions += field.at(axes)
        return np.asarray(positions + _TEMPLATE_CENTER_MM[:, None, None, None])

    def _intensities(
        self, axes: Axes, positions: Array, darkening: Array | None, noise: np.random.Generator
    ) -> npt.NDArray[np.uint8]:
        """Compute the stored intensities [R, A, S] of the tissue at template positions."""
        t1 = _tissue("t1", positions, where=_may_be_brain(positions))
        brain = t1 > _BRAIN_LEVEL
        grey, white = (_tissue(name, positions, where=brain) for name in ("grey", "white"))
        fluid_contrast, grey_contrast, white_contrast = self._contrast
        values = t1 + fluid_contrast * (1 - grey - white) + grey_contrast * grey + white_contrast * white
        if darkening is not None:
            values *= 1 - darkening * grey
        values *= self._gain * np.exp(self._bias.at(axes)[0])
        values += self._noise * noise.standard_normal(values.shape, dtype=np.float32)
        return np.where(brain, np.rint(values).clip(1, 255), 0).astype(np.uint8)


class _SmoothField:
    """A random field with values that change smoothly in space: cubic B-splines on a lattice of control points."""

    def __init__(self, rng: np.random.Generator, num_components: int, distance_mm: float, deviation: float) -> None:
        reach = int(np.ceil(_REACH_MM / distance_mm)) + 1
        self._knots_mm = np.float32(distance_mm) * np.arange(-reach, reach + 1, dtype=np.float32)
        self._distance_mm = np.float32(distance_mm)
        control = rng.standard_normal((num_components, *[len(self._knots_mm)] * 3), dtype=np.float32)
        # Blending takes a mean of 151 / 315 of the variance along each axis.
        self._control = control * np.float32(deviation * (315 / 151) ** 1.5)

    def at(self, axes: Axes) -> Array:
        """Evaluate the field on the product of three axes [components, R, A, S]."""
        values = self._control
        for axis_mm, center_mm in zip(axes, _HEAD_CENTER_MM, strict=True):
            t = np.abs((axis_mm - center_mm)[:, None] - self._knots_mm) / self._distance_mm
            basis = np.where(t < 1, 2 / 3 - t**2 + t**3 / 2, (2 - t).clip(0) ** 3 / 6)  # [n, knots]
            values = np.tensordot(values, basis, axes=(1, 1))  # the next axis comes to the front, this one goes last
        return values


def _effect_weight(positions: Array, effect: Effect) -> Array:
    """Compute the effect's share at positions [3, R, A, S]: 1 around its centre, smoothly 0 from its radius on."""
    center_mm = np.array(effect.center_mm, np.float32)[:, None, None, None]
    distance2 = ((positions - center_mm) ** 2).sum(0) / np.float32(effect.radius_mm**2)
    return np.asarray((1 - distance2**2).clip(0) ** 2)


def _shrink(positions: Array, weight: Array, effect: Effect) -> Array:
    """Look further from the centre, so that what is seen there is smaller, or nearer to it."""
    center_mm = np.array(effect.center_mm, np.float32)[:, None, None, None]
    return np.asarray(center_mm + (positions - center_mm) / (1 - np.float32(effect.strength / 2) * weight))


def _tissue(name: str, positions: Array, *, where: npt.NDArray[np.bool_]) -> Array:
    """Interpolate a map of the template at positions in mm [3, R, A, S]; 0 where not asked for."""
    volume, origin_mm = load_template()[name]
    values = np.zeros(where.shape, np.float32)
    values[where] = map_coordinates(volume, positions[:, where] - origin_mm[:, None], np.float32, order=1)
    return values


def _may_be_brain(positions: Array) -> npt.NDArray[np.bool_]:
    """Find cheaply which positions [3, R, A, S] may lie in the template's brain: interpolating is the costly part."""
    brain, origin_mm = load_template()["dilated brain"]
    voxels = np.rint(positions - origin_mm[:, None, None, None]).astype(np.intp)
    x, y, z = (v.clip(0, side - 1) for v, side in zip(voxels, brain.shape, strict=True))
    return np.asarray(brain[x, y, z] > 0)


@functools.cache
def load_template() -> dict[str, tuple[Array, Array]]:
    """Load the template's maps [X, Y, Z] (1 mm, RAS+) and the position in mm of their first voxel [3]."""
    from nilearn.datasets import load_mni152_gm_template, load_mni152_template, load_mni152_wm_template  # 2 s

    loaders = {"t1": load_mni152_template, "grey": load_mni152_gm_template, "white": load_mni152_wm_template}
    images = {name: loader(resolution=1) for name, loader in loaders.items()}
    origin_mm = np.asarray(images["t1"].affine[:3, 3], np.float32)  # of all three
    maps = {name: (np.asarray(image.dataobj, np.float32), origin_mm) for name, image in images.items()}
    return maps | {"dilated brain": (maximum_filter(maps["t1"][0], 5), origin_mm)}
