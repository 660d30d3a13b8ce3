"""Evidence of a linear model: of a decision that is a weighted sum of voxels."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mri3d.explain.contrasted import smoothed
from mri3d.explain.evidence import Evidence, Question
from mri3d.explain.occlusion import occlusion, region_occlusion
from mri3d.explain.regions import require_regions
from mri3d.volumes.reference import Reference
from mri3d.volumes.smoothing import smooth


@dataclass(frozen=True, eq=False)
class Pattern:
    """How voxels go with decisions over the training volumes, from which patterns are made (Haufe et al. 2014).

    The weights of a linear model are not where the signal is: a voxel can have a weight because it cancels noise of
    another one. How a voxel changes with the decision tells whether it carries signal.

    Attributes:
        covariances: Of each decision with each voxel, float32 [D, V].
        decisions: Of decisions with each other [D, D].
    """

    covariances: np.ndarray
    decisions: np.ndarray

    def of(self, contrast: np.ndarray) -> np.ndarray:
        """Return the change of each voxel per unit of the contrasted decision [V]."""
        variance = float(contrast @ self.decisions @ contrast)
        return np.asarray(contrast @ self.covariances / (variance or 1.0), np.float32)


@dataclass(frozen=True, eq=False)
class LinearModel:
    """What explaining a linear model takes.

    Attributes:
        weights: What a unit of each smoothed voxel adds to each decision, [D, C, X, Y, Z].
        smoothing: How much the model smooths volumes, see `mri3d.volumes.smoothing`.
        normalize: Whether it divides each volume by its Euclidean norm then.
        pattern: Of smoothed voxels; None where it is not known.
    """

    weights: np.ndarray
    smoothing: float
    normalize: bool
    pattern: Pattern | None

    def explain(self, asked: Question, *, reference: Reference, contrast: np.ndarray) -> Evidence:
        """Explain what the model decides of a volume.

        Args:
            asked: About which volume, and how.
            reference: What the training volumes look like: the volume is compared with their average.
            contrast: Weight of each decision in the number that is explained [D].
        """
        number, baseline = self.contrasted(contrast), reference.mean
        match asked.method.name:
            case "integrated_gradients":
                volume, usual = number.prepared(asked.volume), number.prepared(baseline)
                return weighed_difference(number.weights, volume, baseline=usual)
            case "weights":
                return Evidence(number.of_voxels.sum(axis=0))
            case "pattern":
                assert self.pattern is not None, "it is one of its ways"
                return Evidence(self.pattern.of(contrast).reshape(number.weights.shape).sum(axis=0))
            case "occlusion":
                return occlusion(number.numbers, asked.volume, baseline=baseline)
        regions = require_regions(asked)
        return region_occlusion(number.numbers, asked.volume, baseline=baseline, regions=regions)

    def contrasted(self, contrast: np.ndarray) -> "LinearNumber":
        """Return the model as the number in which each decision has a weight [D]."""
        weights = np.tensordot(contrast.astype(np.float32), self.weights, axes=1)
        return LinearNumber(weights, self.smoothing, self.normalize)


@dataclass(frozen=True, eq=False)
class LinearNumber:
    """A linear model whose decisions are weighed into one number for each volume.

    Attributes:
        weights: What a unit of each smoothed voxel adds to the number [C, X, Y, Z].
        smoothing: As of `LinearModel`.
        normalize: As of `LinearModel`.
    """

    weights: np.ndarray
    smoothing: float
    normalize: bool

    @cached_property
    def of_voxels(self) -> np.ndarray:
        """What a unit of each voxel adds, before the volume is smoothed [C, X, Y, Z]."""
        return smooth(self.weights, self.smoothing)  # smoothing is its own transpose

    def prepared(self, volume: np.ndarray) -> np.ndarray:
        """Make of a volume [C, X, Y, Z] what is multiplied with the weights."""
        even = smooth(volume, self.smoothing)
        return np.asarray(even / (np.linalg.norm(even) or 1.0)) if self.normalize else even

    def numbers(self, volumes: np.ndarray) -> np.ndarray:
        """Compute the numbers [B] of volumes [B, C, X, Y, Z], but for what does not depend on them."""
        if self.normalize:
            return np.array([np.vdot(self.weights, self.prepared(volume)) for volume in volumes])
        return np.array([np.vdot(self.of_voxels, volume) for volume in volumes])


def linear_ways(*, patterned: bool) -> tuple[str, ...]:
    """Name the ways to explain a linear model, the default first.

    Args:
        patterned: Whether it has a pattern.
    """
    return ("integrated_gradients", "weights", *(["pattern"] if patterned else []), "occlusion", "region_occlusion")


def weighed_difference(weights: np.ndarray, volume: np.ndarray, *, baseline: np.ndarray) -> Evidence:
    """Explain a decision of a linear model: each voxel's difference from an average head, times its weight.

    This is what integrated gradients (Sundararajan et al. 2017) amount to where the gradient is the same everywhere.

    Args:
        weights: What a unit of each voxel adds to the explained number, [C, X, Y, Z]; where the model calibrates its
            decisions to log odds, times the slopes of that.
        volume: [C, X, Y, Z], as the model multiplies it with its weights.
        baseline: The average of the training volumes, likewise.

    Returns:
        What each voxel adds, all channels together, smoothed with its signs. Facts: `change` of the number, and
        `completeness_error`, which is 0.
    """
    added = (volume - baseline) * weights
    facts = {"change": float(added.sum(dtype=np.float64)), "completeness_error": 0.0}
    return Evidence(np.asarray(smoothed(added.sum(axis=0)), np.float32), facts)
