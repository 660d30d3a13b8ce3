"""What is asked of a model about a volume, and what it answers: a map of evidence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from mri3d.cohort.variables import Variables


@dataclass(frozen=True)
class Kind:
    """One way to explain.

    Attributes:
        title: What people call it.
        value: What a voxel's value is.
        unit: Of the values, `{}` being that of the explained number.
        adds_up: Whether all voxels of the volume together make up the change of the explained number from that of usual
            volumes. On the grid of a scan they are more or fewer.
        source: Who described it.
    """

    title: str
    value: str
    unit: str
    adds_up: bool
    source: str


KINDS: Mapping[str, Kind] = {
    "integrated_gradients": Kind(
        "integrated gradients",
        "what the voxel's difference from typical training scans adds",
        "{}",
        adds_up=True,
        source="Sundararajan et al. 2017",
    ),
    "smoothgrad": Kind(
        "SmoothGrad",
        "how much one unit more in the voxel adds, averaged over noisy copies",
        "{} per unit of intensity of the preprocessed volume",
        adds_up=False,
        source="Smilkov et al. 2017",
    ),
    "gradcam": Kind(
        "Grad-CAM",
        "cells of a layer, its channels weighted by their mean gradients",
        "arbitrary",
        adds_up=False,
        source="Selvaraju et al. 2017",
    ),
    "hirescam": Kind(
        "HiResCAM",
        "cells of a layer, each channel weighted by its gradient there",
        "{}",
        adds_up=False,
        source="Draelos and Carin 2020",
    ),
    "guided_backprop": Kind(
        "guided backpropagation",
        "how much one unit more in the voxel adds, along ways on which all signals rise",
        "{} per unit of intensity of the preprocessed volume",
        adds_up=False,
        source="Springenberg et al. 2015",
    ),
    "occlusion": Kind(
        "occlusion",
        "what is lost where a block around the voxel is replaced by that of the average training scan",
        "{}",
        adds_up=False,
        source="Zeiler and Fergus 2014",
    ),
    "region_occlusion": Kind(
        "occlusion of regions",
        "what is lost where the voxel's region is replaced by that of the average training scan",
        "{}",
        adds_up=False,
        source="Zeiler and Fergus 2014",
    ),
    "weights": Kind(
        "weights",
        "what one unit more in the voxel adds to the decision",
        "{} per unit of intensity of the preprocessed volume",
        adds_up=False,
        source="",
    ),
    "pattern": Kind(
        "pattern",
        "how much the voxel differs, over the training scans, per unit of the decision",
        "intensity of the preprocessed volume per {}",
        adds_up=False,
        source="Haufe et al. 2014",
    ),
}
"""All ways to explain, by name; a model offers some of them."""

LAYERED = ("gradcam", "hirescam")
"""Those that weigh the map of a layer."""


@dataclass(frozen=True)
class Method:
    """A way to explain, and how.

    Attributes:
        name: One of `KINDS`.
        layer: Of a network, whose map Grad-CAM or HiResCAM weigh; None for the network's `cam_layer`.
    """

    name: str
    layer: str | None = None

    def __str__(self) -> str:
        return self.kind.title + (f" of {self.layer}" if self.layer else "")

    @property
    def kind(self) -> Kind:
        """What it is."""
        return KINDS[self.name]


@dataclass(frozen=True, eq=False)
class Question:
    """What is to be explained.

    Attributes:
        volume: float32 [C, X, Y, Z], made as the training volumes were.
        target: Index of what is explained, see `mri3d.outcome.Outcome.contrast`.
        method: How.
        covariates: Of the one session, where the model has such: usual volumes are given the same.
        regions: Labels on the grid of the volume, int [X, Y, Z], 0 for none of them; for `region_occlusion` only.
        quick: Whether a map is enough that looks the same and takes a fraction of the time, but need not add up to the
            change of the number, see `mri3d.explain.gradients.midway_gradients`.
    """

    volume: np.ndarray
    target: int
    method: Method
    covariates: Variables | None = None
    regions: np.ndarray | None = None
    quick: bool = False


@dataclass(frozen=True, eq=False)
class Evidence:
    """A map of evidence.

    Attributes:
        values: float32 [X, Y, Z], positive where a voxel speaks for the target, in the unit that the explained number
            has (log odds of a class, or the unit of a measure), but for Grad-CAM, whose unit differs between networks.
        facts: How it was computed, and how well: numbers by name; of several models the largest, of `change` the mean.
        spread: Standard deviation of the values over the models that were asked [X, Y, Z]; None of one.
    """

    values: np.ndarray
    facts: Mapping[str, float] = field(default_factory=dict)
    spread: np.ndarray | None = None

    @property
    def strongest(self) -> float:
        """The largest value of either sign; 0 of a map without evidence."""
        return float(np.abs(self.values).max())

    @property
    def heat(self) -> np.ndarray:
        """The values in units of the strongest: -1 to 1, float32 [X, Y, Z]; all 0 of a map without evidence."""
        return np.asarray(self.values / (self.strongest or 1.0), np.float32)

    def within(self, inside: np.ndarray) -> "Evidence":
        """Return the evidence in some voxels, bool [X, Y, Z], and none elsewhere."""
        spread = None if self.spread is None else np.where(inside, self.spread, np.float32(0))
        return replace(self, values=np.where(inside, self.values, np.float32(0)), spread=spread)

    @classmethod
    def mean(cls, found: Sequence["Evidence"]) -> "Evidence":
        """Average the evidence of several models."""
        values = np.stack([each.values for each in found])
        facts = {name: max(each.facts[name] for each in found) for name in found[0].facts}
        if "change" in facts:  # what the mean map adds up to
            facts["change"] = float(np.mean([each.facts["change"] for each in found]))
        spread = np.asarray(values.std(axis=0, ddof=1), np.float32) if len(found) > 1 else None
        return cls(np.asarray(values.mean(axis=0), np.float32), facts, spread)
