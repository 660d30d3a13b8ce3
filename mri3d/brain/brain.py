"""The brain in a scan: its voxels, how it lies in the space of MNI152, and whether that can be believed."""

from dataclasses import dataclass

import numpy as np

from mri3d.scans.scan import Scan, ScanError

VERSION = 4
"""Raise it when a scan begins to give another brain, another volume of it, or to be refused or warned of: by changes in
this room, in `mri3d.volumes.brain_recipe`, or in what `mri3d.scans.head` finds. Kept brains and models have it."""

VOLUME_RANGE_ML = (700.0, 2200.0)
"""Of a brain with its ventricles and sulci. Of the 135 adults of IXI it is 1,119 to 1,715 ml."""

MEAN_LOG_SIZE, SPREAD_OF_LOG_SIZE = -0.28, 0.11
"""Logarithm of a brain's size in relation to the template's, by the alignment: of the adults of IXI."""

MEAN_SHAPE, SPREAD_OF_SHAPE = (0.011, 0.046, -0.058), (0.030, 0.031, 0.024)
"""Logarithm of a brain's extent along R, A, S in relation to the template's, and to its own mean: IXI and ds002748."""

MOST_DEVIATION_OF_SHAPE = 5.5
"""Standard deviations. Of IXI and ds002748 the most is 3.2, where one voxel size is 1.5 times what it is 7.9 to 11.4:
an affine takes that away, so that neither overlap nor similarity tell."""

MOST_TURNED_DEG = 60.0
"""Between brain and header. Of IXI and ds002748 it is at most 32. Alignments begin at pitches of up to 40 degrees and
go some 20 further, and a head whose axes are exchanged in the header is seen in a mirror."""

LEAST_OVERLAP = 0.9
"""Dice coefficient of brain and template. Of IXI and ds002748 the least is 0.93, of half a brain it is 0.85 to 0.88."""

LEAST_SIMILARITY = 0.25
"""Correlation with the template inside the brain. Of IXI and ds002748 it is 0.39, where ventricles are very wide, and
else 0.47 to 0.60; of half a brain, or one that is upside down, 0.07 to 0.18, of noise 0.02, of an inverted contrast
-0.5: an affine makes many things overlap."""

MISFIT_MM, DOUBTFUL_MISFIT, MOST_MISFIT = 5.0, 0.05, 0.16
"""How much of a given mask's surface may lie so far from that of the brain that is found in the scan. Of the DLMUSE
masks of IXI it is at most 2 %, also where they are wider or narrower by 4 mm; 5 to 8 % without most of the cerebellum,
2 to 16 % without sulci and ventricles. Of masks of another head of IXI it is more than 5 % in 99 of 100, more than 16 %
in 90 (`benchmarks/brains.py given`)."""


@dataclass(frozen=True, eq=False)
class Brain:
    """The brain in a scan.

    Attributes:
        mask: Which voxels of the scan are brain, its axes turned to RAS+, bool [X, Y, Z].
        to_scan: From the space of the template to the world of the scan, both in mm: a matrix [4, 4].
        stripped: Whether the scan showed nothing but a brain, which then was taken as it is.
        volume_ml: Of the mask.
        overlap: Dice coefficient of the aligned mask and the template's brain.
        similarity: Correlation of the aligned intensities with the template's.
        misfit: Of a mask that came with the scan: see `mri3d.brain.given_mask.misfit`; None where the brain was looked
            for, or none was found that the mask could be held against.
    """

    mask: np.ndarray
    to_scan: np.ndarray
    stripped: bool
    volume_ml: float
    overlap: float
    similarity: float
    misfit: float | None = None

    @property
    def figures(self) -> dict[str, float]:
        """What tells how well it was found and aligned."""
        misfit = {} if self.misfit is None else {"misfit": self.misfit}
        return {"brain_ml": self.volume_ml, "overlap": self.overlap, "similarity": self.similarity} | misfit

    @property
    def deviation_of_size(self) -> float:
        """By how many standard deviations the brain is larger than those of adults, without sex or age."""
        log_size = float(np.log(np.linalg.det(self.to_scan[:3, :3])))
        return (log_size - MEAN_LOG_SIZE) / SPREAD_OF_LOG_SIZE

    @property
    def deviation_of_shape(self) -> float:
        """By how many standard deviations the brain is longer or shorter along one axis than those of adults."""
        lengths = np.log(np.linalg.norm(self.to_scan[:3, :3], axis=0))
        return float((np.abs(lengths - lengths.mean() - MEAN_SHAPE) / SPREAD_OF_SHAPE).max())

    @property
    def turned_deg(self) -> float:
        """Angle by which the brain lies turned in the world of the scan."""
        left, _, right = np.linalg.svd(self.to_scan[:3, :3])
        return float(np.degrees(np.arccos(np.clip((np.trace(left @ right) - 1) / 2, -1, 1))))

    def check(self, scan: Scan) -> None:
        """Refuse what is no brain of a human, or did not come to lie on the template.

        Raises:
            ScanError: It says what was found.
        """
        low, high = VOLUME_RANGE_ML
        what = f"the mask {scan.mask_path}" if scan.mask_path else "what looks like a brain"
        if self.misfit is not None and self.misfit > MOST_MISFIT:
            raise ScanError(
                f"{scan.path}: the mask {scan.mask_path} does not fit: {self.misfit:.0%} of its surface lies more than "
                f"{MISFIT_MM:g} mm from that of the brain in the scan (at most {MOST_MISFIT:.0%}). Check that it is "
                "of this scan."
            )
        found = []
        if not low <= self.volume_ml <= high:
            found.append(f"has {self.volume_ml:,.0f} ml, and brains have {low:,.0f} to {high:,.0f}")
        if self.turned_deg > MOST_TURNED_DEG:
            found.append(
                f"lies turned by {self.turned_deg:.0f} degrees (at most {MOST_TURNED_DEG:g}), as where the header is "
                "of another scan, or has axes exchanged"
            )
        if self.similarity < LEAST_SIMILARITY or self.overlap < LEAST_OVERLAP:
            found.append(
                f"does not come to lie on the template: correlation {self.similarity:.2f} (at least "
                f"{LEAST_SIMILARITY:g}), overlap {self.overlap:.2f} (at least {LEAST_OVERLAP:g})"
            )
        if self.deviation_of_shape > MOST_DEVIATION_OF_SHAPE:
            found.append(
                f"is stretched along one axis: its proportions are {self.deviation_of_shape:.1f} standard deviations "
                f"from those of adults (at most {MOST_DEVIATION_OF_SHAPE:g})"
            )
        if found:
            raise ScanError(
                f"{scan.path}: {what} {'; it '.join(found)}. Check {'the mask, ' if scan.mask_path else ''}contrast "
                "(T1-weighted), orientation, voxel size and field of view."
            )
