"""Random changes of a training volume: a pure function of the volume and one integer."""

from dataclasses import dataclass, field, fields
from typing import Any, Literal

import numpy as np
import torch
from monai.transforms import (
    Compose,
    RandAffine,
    RandFlip,
    RandGaussianNoise,
    RandScaleIntensity,
    RandShiftIntensity,
    Transform,
)

from mri3d.arguments import check_fields
from mri3d.errors import UserError, option
from mri3d.volumes.scanner import RandomScanner, Scale

Preset = Literal["default", "strong"]

_NEWER: dict[str, Any] = {
    "newer": True
}  # not written while off: those of earlier versions go on from their checkpoints
_MOST = 10.0  # of gamma and bias_field: beyond, nothing of an image is left


@dataclass(frozen=True, repr=False)
class Augmentation:
    """Small changes that leave the class of a head as it is.

    Args:
        rotate_degrees: Largest rotation about each axis.
        scale: Largest relative change of size along each axis.
        shift_voxels: Largest translation along each axis.
        intensity: Largest relative change of contrast, and largest shift in the volume's unit.
        noise: Largest standard deviation of the Gaussian noise, in the volume's unit: of a z-scored volume the standard
            deviation of its tissue, of one scaled by minmax the whole range, else the scan's own. 0.2 in strong.
        flip: Whether left and right are exchanged in every second volume. Off by default: brains are not symmetric.
        probability: How often each of the changes is made, 0 to 1.
        gamma: Largest change of the contrast curve: intensities from 0 (air) to 1 are raised to a power from
            1 / (1 + gamma) to 1 + gamma. After this and the changes below, volumes are brought back to the scale that
            the preprocessing gives; that of brains undoes this one. 0.6 in strong.
        bias_field: Largest effect of a smooth field on intensities: they are multiplied by exp(-bias_field) to
            exp(bias_field). 0.4 in strong.
        blur: Largest full width at half maximum of a blur, as a share of the volume's longest edge: 0.03 of a brain's
            volume is 6 mm. 0.04 in strong.
        slices: The same along one axis, as thick slices blur. 0.04 in strong.
        inversion: Whether dark and bright tissue are exchanged in every second volume, as from T1 to T2; not in strong.
    """

    rotate_degrees: float = 5.0
    scale: float = 0.05
    shift_voxels: float = 1.5
    intensity: float = 0.1
    noise: float = 0.05
    flip: bool = False
    probability: float = 0.7
    gamma: float = field(default=0.0, metadata=_NEWER)
    bias_field: float = field(default=0.0, metadata=_NEWER)
    blur: float = field(default=0.0, metadata=_NEWER)
    slices: float = field(default=0.0, metadata=_NEWER)
    inversion: bool = field(default=False, metadata=_NEWER)

    def __post_init__(self) -> None:
        check_fields(self, "model.augmentation")
        positive = ("rotate_degrees", "scale", "shift_voxels", "intensity", "noise")
        for name in (*positive, "gamma", "bias_field", "blur", "slices"):
            if not 0 <= getattr(self, name) < np.inf:
                where = option(f"model.augmentation.{name}", getattr(self, name))
                raise UserError(f"{where} is negative or infinite. Give 0 or more.")
        if self.scale >= 1:
            where = option("model.augmentation.scale", self.scale)
            raise UserError(f"{where} would shrink heads to nothing. Give a share below 1, such as 0.05.")
        for name, most, usual in (
            ("gamma", _MOST, 0.6),
            ("bias_field", _MOST, 0.4),
            ("blur", 1, 0.03),
            ("slices", 1, 0.03),
        ):
            if getattr(self, name) >= most:
                where = option(f"model.augmentation.{name}", getattr(self, name))
                raise UserError(
                    f"{where} would leave nothing of the image. Give less than {most:g}, such as {usual:g}."
                )
        if not 0 <= self.probability <= 1:
            where = option("model.augmentation.probability", self.probability)
            raise UserError(f"{where} is not a probability. Give 0 to 1.")

    def __repr__(self) -> str:
        """Write the options: it is part of what a checkpoint must have in common with the fit that goes on from it."""
        written = [each.name for each in fields(self) if getattr(self, each.name) or not each.metadata.get("newer")]
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in written)})"

    def check_orientation(self, orientation: str) -> None:
        """Make sure that left and right can be exchanged, if they are to be.

        Args:
            orientation: Of the recipe: "ras" or "stored".

        Raises:
            UserError: The first axis of the volumes need not run from left to right.
        """
        if self.flip and orientation != "ras":
            raise UserError(
                f"{option('model.augmentation.flip', True)} exchanges left and right, but with "
                f"{option('preprocess.orientation', orientation)} any axis may run from left to right. Set "
                f"{option('preprocess.orientation', 'ras')}, or leave flip off."
            )

    def transform(self, shape: tuple[int, int, int], scale: Scale = "moments") -> Compose:
        """Build the MONAI transform of volumes.

        Args:
            shape: Sides X, Y, Z of the volumes [C, X, Y, Z].
            scale: What their recipe fixes of their intensities, see `mri3d.volumes.scanner.scale_of`.
        """
        steps: list[Transform] = []
        if self.gamma or self.bias_field or self.blur or self.slices or self.inversion:
            steps.append(  # first: of what has been interpolated, no voxel is surely air
                RandomScanner(
                    gamma=self.gamma,
                    inversion=self.inversion,
                    bias_field=self.bias_field,
                    blur=self.blur,
                    slices=self.slices,
                    probability=self.probability,
                    scale=scale,
                )
            )
        affine = RandAffine(
            prob=self.probability,
            rotate_range=[float(np.deg2rad(self.rotate_degrees))] * 3,
            scale_range=[self.scale] * 3,
            translate_range=[self.shift_voxels] * 3,
            padding_mode="border",
            spatial_size=shape,
            cache_grid=True,
        )
        steps += [affine] if self.rotate_degrees or self.scale or self.shift_voxels else []
        if self.intensity:
            steps += [
                RandScaleIntensity(factors=self.intensity, prob=self.probability),
                RandShiftIntensity(offsets=self.intensity, prob=self.probability),
            ]
        if self.noise:
            steps.append(RandGaussianNoise(std=self.noise, prob=self.probability))
        if self.flip:
            steps.append(RandFlip(prob=0.5, spatial_axis=0))
        return Compose(steps)


@dataclass(frozen=True, repr=False)
class StrongAugmentation(Augmentation):
    """Changes as large as between scanners, for models that are to be used on scans of others.

    Args:
        noise: Largest standard deviation of the noise.
        gamma: Largest change of the contrast curve.
        bias_field: Largest effect of a smooth field on intensities.
        blur: Largest width of a blur, as a share of the volume's longest edge.
        slices: The same along one axis, as thick slices blur.
    """

    noise: float = 0.2
    gamma: float = field(default=0.6, metadata=_NEWER)
    bias_field: float = field(default=0.4, metadata=_NEWER)
    blur: float = field(default=0.04, metadata=_NEWER)
    slices: float = field(default=0.04, metadata=_NEWER)


def augmentation_of(given: Augmentation | Preset | None) -> Augmentation | None:
    """Return what a word stands for, and all else as it is.

    >>> augmentation_of("strong").gamma, augmentation_of("default").gamma, augmentation_of(None)
    (0.6, 0.0, None)
    """
    if isinstance(given, str):
        return StrongAugmentation() if given == "strong" else Augmentation()
    return given


def augment(transform: Compose, volume: np.ndarray, seed: int) -> torch.Tensor:
    """Apply a random transform whose draw depends on `seed` alone, in whichever process this runs.

    Args:
        transform: What `Augmentation.transform` built.
        volume: float32 [C, X, Y, Z].
        seed: Any integer of 32 bits.

    Returns:
        float32 [C, X, Y, Z].
    """
    transform.set_random_state(seed=seed)
    return torch.as_tensor(np.asarray(transform(torch.from_numpy(volume)), dtype=np.float32))
