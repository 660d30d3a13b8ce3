"""What a model folder keeps of the heads that it was trained on, so that a near-copy of one is known again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from mri3d.volumes.alignment import COARSE, MIDDLE, Average, laid, mirrored, sample, shrink
from mri3d.volumes.fine_structure import (
    NEAR,
    NUM_CENTRED,
    Levels,
    Lying,
    Structure,
    Verdict,
    common,
    likeness,
    masked_correlations,
    median_near,
    own,
    stacked,
    structure,
)

NUM_STORED = 1900
"""Values of each training volume that a model folder keeps, one byte each."""

# For what a model folder keeps: no new head of IXI came above 0.54, no demo head above 0.33; of few heads 0.83.
STORED, STORED_PLAIN = Levels(0.76, 0.73), Levels(0.985, 0.985)

_STEPS, _UNSEEN = 40, -128  # of the int8 that is stored
_TYPES = {"coarse": "float32", "middle": "float32", "centre": "int8", "voxels": "int32", "values": "int8"}
"""Arrays that a model folder has, by name."""


@dataclass(frozen=True, eq=False)
class Fingerprints:
    """What a model folder keeps of its training volumes, so that a scan of one of their heads is known again.

    Without the volumes a pair cannot be laid onto each other, so fewer copies are found than by the audit of a cohort.

    Attributes:
        average: Of the training volumes.
        centre: Fine structure that they have in common at `MIDDLE`, int8 [C, X, Y, Z].
        voxels: Those of it in which they differ most, int32 [D].
        values: Fine structure of each there, int8 [N, D]; `_UNSEEN` where there is none to be seen.
    """

    average: Average
    centre: np.ndarray
    voxels: np.ndarray
    values: np.ndarray

    @classmethod
    def of(cls, lying: Lying, learnt: np.ndarray) -> Self:
        """Take the fingerprints of volumes that were laid onto the average of some of them.

        Args:
            lying: The volumes.
            learnt: Places of those that are learnt from: nothing that all fingerprints share is of others.
        """
        seen, values = lying.own.seen[learnt], lying.own.values[learnt] + lying.centre * lying.own.seen[learnt]
        share = seen.mean(axis=0)
        voxels = np.array(sample(np.flatnonzero(share >= min(0.5, share.max())), NUM_STORED), dtype=np.int32)
        centre = _coded(common(Structure(values, seen)).reshape(lying.average.middle.shape))
        values, seen = (part[:, voxels] for part in lying.own)
        values = np.where(seen, _coded(values + lying.centre[voxels]), np.int8(_UNSEEN))
        return cls(lying.average, centre, voxels, values)

    def some(self, places: np.ndarray) -> Self:
        """Return those of the volumes at some places."""
        return replace(self, values=self.values[places])

    def tensors(self) -> dict[str, np.ndarray]:
        """Return all of it as arrays by name, volumes in an order that tells nothing of the cohort's."""
        order = sorted(range(len(self.values)), key=lambda place: self.values[place].tobytes())
        parts = {"centre": self.centre, "voxels": self.voxels, "values": self.values[order]}
        return {"coarse": self.average.coarse, "middle": self.average.middle} | parts

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, np.ndarray], shape: Sequence[int]) -> Self:
        """Read what `tensors` returned.

        Args:
            tensors: Arrays by name.
            shape: Of a volume, [C, X, Y, Z].

        Raises:
            KeyError: An array is missing.
            ValueError: They do not go together.
        """
        coarse, middle, centre, voxels, values = (tensors[name] for name in _TYPES)
        nothing = np.zeros(tuple(shape), np.float32)
        small = shrink(nothing, MIDDLE).shape
        sides = {"coarse": shrink(nothing, COARSE).shape, "middle": small, "centre": small, "voxels": (voxels.size,)}
        for name, kind in _TYPES.items():
            expected = sides.get(name, (len(values), voxels.size))
            if tensors[name].dtype != kind or tensors[name].shape != expected:
                raise ValueError(f"{name} of the training scans is no array of {expected} {kind}")
        if not values.size or not 0 <= voxels.min() <= voxels.max() < middle.size:
            raise ValueError("what is kept of the training scans lies outside of them")
        return cls(Average(coarse, middle), centre, voxels, values)

    def nearest(self, volume: np.ndarray) -> tuple[int, Verdict] | None:
        """Find the training volume that a volume [C, X, Y, Z] is a near-copy of, straight or mirrored.

        Returns:
            Its place among the training volumes; None where there is none.
        """
        stored = Structure(self.values * (self.values != _UNSEEN) / np.float32(_STEPS), self.values != _UNSEEN)
        small, shared = shrink(volume, MIDDLE), self.centre / np.float32(_STEPS)
        centre = shared.ravel()[self.voxels]
        levels, differing, matches = STORED.at(volume.shape), own(stored, centre), []
        for turned, its in ((small, centre), (mirrored(small), mirrored(shared).ravel()[self.voxels])):
            new = Structure(*(part[self.voxels] for part in structure(laid(turned, self.average.pose(turned)))))
            place = int(masked_correlations(own(stacked([new]), its), differing).argmax())
            known = Structure(stored.values[place], stored.seen[place])
            verdict = likeness(new, known, (its, centre)).judged(levels, plain=STORED_PLAIN)
            if verdict and len(self.values) >= NUM_CENTRED:
                near = median_near(place, differing, stored.values.__getitem__)
                again = likeness(new, known, (near, near)).judged(levels.raised(NEAR), plain=STORED_PLAIN)
                verdict = verdict.confirmed(again)
            if verdict:
                matches.append((verdict, place))
        best = max(matches, default=None)
        return best and (best[1], best[0])


def _coded(values: np.ndarray) -> np.ndarray:
    """Round to steps of 1 / `_STEPS`."""
    return np.asarray(np.clip(np.rint(values * _STEPS), -127, 127), dtype=np.int8)
