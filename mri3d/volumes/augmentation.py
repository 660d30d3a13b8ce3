"""Random changes of a training volume: a pure function of the volume and one integer."""

from dataclasses import dataclass

import numpy as np
import torch
from monai.transforms import (
    Compose,
    RandAffine,
    RandFlip,
    RandGaussianNoise,
    RandScaleIntensity,
    RandShiftIntensity,
)

from mri3d.arguments import check_fields
from mri3d.errors import UserError, option


@dataclass(frozen=True)
class Augmentation:
    """Small changes that leave the class of a head as it is.

    Args:
        rotate_degrees: Largest rotation about each axis.
        scale: Largest relative change of size along each axis.
        shift_voxels: Largest translation along each axis.
        intensity: Largest relative change of contrast, and largest shift in the volume's unit.
        noise: Largest standard deviation of the Gaussian noise, in the volume's unit: of a z-scored volume the standard
            deviation of its tissue, of one scaled by minmax the whole range, else the scan's own.
        flip: Whether left and right are exchanged in every second volume. Off by default: brains are not symmetric.
        probability: How often each of the changes is made, 0 to 1.
    """

    rotate_degrees: float = 5.0
    scale: float = 0.05
    shift_voxels: float = 1.5
    intensity: float = 0.1
    noise: float = 0.05
    flip: bool = False
    probability: float = 0.7

    def __post_init__(self) -> None:
        check_fields(self, "model.augmentation")
        for name in ("rotate_degrees", "scale", "shift_voxels", "intensity", "noise"):
            if not 0 <= getattr(self, name) < np.inf:
                where = option(f"model.augmentation.{name}", getattr(self, name))
                raise UserError(f"{where} is negative or infinite. Give 0 or more.")
        if self.scale >= 1:
            where = option("model.augmentation.scale", self.scale)
            raise UserError(f"{where} would shrink heads to nothing. Give a share below 1, such as 0.05.")
        if not 0 <= self.probability <= 1:
            where = option("model.augmentation.probability", self.probability)
            raise UserError(f"{where} is not a probability. Give 0 to 1.")

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

    def transform(self, shape: tuple[int, int, int]) -> Compose:
        """Build the MONAI transform of volumes [C, X, Y, Z] whose sides X, Y, Z are `shape`."""
        affine = RandAffine(
            prob=self.probability,
            rotate_range=[float(np.deg2rad(self.rotate_degrees))] * 3,
            scale_range=[self.scale] * 3,
            translate_range=[self.shift_voxels] * 3,
            padding_mode="border",
            spatial_size=shape,
            cache_grid=True,
        )
        steps = [affine] if self.rotate_degrees or self.scale or self.shift_voxels else []
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
