"""What all recipes have in common, and which there are."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, Self

import numpy as np

from mri3d.cohort.cohort import Cohort
from mri3d.errors import UserError, option
from mri3d.scans.scan import Scan
from mri3d.scans.scan_file import ScanFile
from mri3d.volumes.brain_recipe import BrainRecipe
from mri3d.volumes.recipe import Recipe

__all__ = ["AnyRecipe", "BrainRecipe", "Recipe", "check_masks", "recipe_of"]


class AnyRecipe(Protocol):
    """How a scan becomes a volume, and a map of the volume finds its way back: frozen, hashable, invertible."""

    @property
    def resolution(self) -> int | str:
        """Edge of the volume in voxels, or "native"."""

    @property
    def orientation(self) -> str:
        """Order of the volume's axes: "ras", or "stored" where it is the file's."""

    @property
    def shows(self) -> Literal["heads", "brains", "anything"]:
        """What volumes show: heads in the sizes and poses that they have, brains that lie alike, or anything."""

    @property
    def volume_shape(self) -> tuple[int, int, int]:
        """Sides [3] that all volumes have."""

    @property
    def shared_affine(self) -> np.ndarray | None:
        """From the voxels of every volume to one space in mm [4, 4]; None where each lies in its scan's own world."""

    @property
    def reading(self) -> str:
        """What is done while scans are read, for a progress bar."""

    def arguments(self) -> dict[str, Any]:
        """Return what `recipe_of` builds it from, JSON values."""

    def digest(self) -> str:
        """Hash what decides the volume of a scan."""

    def for_cohort(self, scans: Sequence[Scan | ScanFile]) -> Self:
        """Freeze what depends on the cohort."""

    def volume(self, scan: Scan) -> np.ndarray:
        """Turn a scan into a volume, float32 [C, X, Y, Z]."""

    def check(self, scan: Scan) -> None:
        """Raise a ScanError for a scan that no volume can be made of."""

    def affine(self, scan: Scan) -> np.ndarray:
        """Return the matrix [4, 4] from the voxels of this scan's volume to its world; axes R, A, S in mm."""

    def inside(self, scan: Scan) -> np.ndarray:
        """Return in which voxels of this scan's volume evidence may lie, bool [X, Y, Z]."""

    def to_scan(self, values: np.ndarray, scan: Scan) -> np.ndarray:
        """Carry a map of the volume [X, Y, Z] to the scan's own grid, float32 in its stored order."""

    def warnings(self, scan: Scan) -> tuple[str, ...]:
        """List what a user should know about this recipe on this scan, one sentence each."""

    def cohort_warnings(self, scan: Scan) -> tuple[str, ...]:
        """List in what a scan differs from the cohort that the recipe has seen, one sentence each."""

    def figures(self, scan: Scan) -> Mapping[str, float]:
        """Return what tells how well this recipe did on a scan, also on one that it refuses."""

    def head_size_ml(self, scan: Scan) -> float | None:
        """Estimate the size of the head in a scan, in ml; None where none is looked for."""


def check_masks(cohort: Cohort, recipe: AnyRecipe) -> None:
    """Refuse masks of brains where no brains are looked for.

    Raises:
        UserError: The cohort comes with masks, and the recipe does not use them.
    """
    if recipe.shows != "brains" and any(session.mask for session in cohort.sessions):
        raise UserError(
            f"{option('data.mask')} is for brains alone. Take the recipe for them (preprocess=brain, in Python "
            f"recipe=BrainRecipe()), or leave {option('data.mask')} out."
        )


def recipe_of(arguments: Mapping[str, Any]) -> AnyRecipe:
    """Build a recipe from its `arguments`; of versions up to 0.2 they had neither a kind nor a version.

    Raises:
        UserError, TypeError: There is no such recipe.
    """
    if arguments.get("kind") == BrainRecipe.kind:
        return BrainRecipe(**{name: value for name, value in arguments.items() if name != "kind"})
    return Recipe(**{"version": 1} | dict(arguments))
