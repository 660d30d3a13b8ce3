"""What the evidence in several scans has in common: written as NIfTI files, and drawn."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from mri3d.explain.cohort_space import CohortSpace
from mri3d.explain.group import MIN_SESSIONS, STRONG, GroupMap, group_map
from mri3d.report.maps import MapView, map_picture
from mri3d.report.picture import Picture
from mri3d.study import Study
from mri3d.texts import file_names, number_text

log = logging.getLogger(__name__)

LEVEL = 0.05

_MOST_VOXELS = 2**26  # of all maps that are kept: 256 MB


def write_group(
    folder: Path, stem: str, maps: Sequence[np.ndarray], *, space: CohortSpace, average: np.ndarray
) -> list[Picture]:
    """Write mean, t, family-wise p and consistency of maps as `<stem>_<what>.nii.gz`, and draw them.

    Args:
        folder: Of the files.
        stem: How their names begin.
        maps: Evidence for one target in three scans or more, [X, Y, Z] on the volumes' grid, in one unit.
        space: Where the maps lie.
        average: Volume beneath them [X, Y, Z].

    Raises:
        UserError: There are fewer than three maps.
    """
    found = group_map(maps)
    written = {"mean": found.mean, "t": found.t, "p_fwe": found.p, "consistency": found.consistency}
    for name, values in written.items():
        space.write(folder / f"{stem}_{name}.nii.gz", values)
    return _drawn(found, space, average)


@dataclass(frozen=True, eq=False)
class GroupedEvidence:
    """The evidence in the sessions of a study, by what it is evidence for.

    Of more sessions than there is memory for, as many are kept as there is, drawn at random, whoever comes first.

    Attributes:
        study: Of the sessions.
        targets: Of each row that was met, what its evidence is for.
        maps: The evidence in each row that is kept [X, Y, Z].
    """

    study: Study
    targets: dict[int, int] = field(default_factory=dict)
    maps: dict[int, np.ndarray] = field(default_factory=dict)
    _random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def keep(self, row: int, target: int, evidence: np.ndarray) -> None:
        """Keep the evidence in a session, the first of several, as far as there is room (reservoir sampling).

        Args:
            row: Of the session.
            target: What it is evidence for, see `Outcome.contrast`.
            evidence: [X, Y, Z].
        """
        if row in self.targets:
            return
        self.targets[row] = target
        if len(self.targets) > (room := _MOST_VOXELS // evidence.size):
            place = int(self._random.integers(len(self.targets)))
            if place >= room:
                return
            del self.maps[list(self.maps)[place]]
        self.maps[row] = evidence

    def write(self, folder: Path) -> list[Picture]:
        """Write group maps as `evidence_<for what>_<what>.nii.gz`, and draw them; none of less than three sessions."""
        recipe, pictures, words = self.study.recipe, list[Picture](), self.study.outcome.words
        numbers = Counter(self.targets.values())
        names = file_names({target: words.evidence(target)[0] for target in numbers})
        for target, number in sorted(numbers.items()):
            rows = sorted(row for row in self.maps if self.targets[row] == target)
            if recipe is None:  # volumes that came without scans lie nowhere
                continue
            if len(rows) < MIN_SESSIONS:
                if number >= MIN_SESSIONS:
                    what = words.evidence(target)[0]
                    log.warning("no group map of evidence %s: memory held %d of %d", what, len(rows), number)
                continue
            scans, maps = [self.study.cohort.scans[row] for row in rows], [self.maps[row] for row in rows]
            average = np.mean([self.study.volumes[row][0] for row in rows], axis=0)
            space = CohortSpace.of(recipe, scans, (average.shape[0], average.shape[1], average.shape[2]))
            drawn = write_group(folder, f"evidence_{names[target]}", maps, space=space, average=average)
            told = f"{number_text(len(rows), 'tested scan')}, evidence {words.evidence(target)[0]}"
            if number > len(rows):
                told += f"; {number} have a heatmap, and these were drawn at random to save memory"
            told += ". "
            pictures += [replace(each, caption=told + each.caption, alt=told + each.alt) for each in drawn]
        return pictures


def _drawn(found: GroupMap, space: CohortSpace, average: np.ndarray) -> list[Picture]:
    """Draw the mean where it differs from none, or all of it where it does so nowhere, and how consistent it is."""
    head = space.ras(average)
    head = np.where(head == 0, head.min(), head)  # around brains
    sure = found.p <= LEVEL
    if sure.any():
        told = f"Mean evidence where it differs from none: {sure.mean():.1%} of all voxels"
    else:
        told = "Mean evidence; it differs from none nowhere"
    told += f" (family-wise p ≤ {LEVEL} by signs drawn anew; the least that can be is {found.least_p:.2g})."
    again = f"Share of the scans in which a voxel is among the strongest {STRONG:.0%} and has the sign of the mean."
    mean = np.where(sure, found.mean, 0) if sure.any() else found.mean
    return [
        map_picture(
            MapView(space.ras(values), head, space.spacing_mm, unit=unit, title=title, at_peak=True),
            alt=caption,
            caption=caption,
        )
        for values, unit, title, caption in (
            (mean, "evidence", "mean", told),
            (found.consistency, "share", "consistency", again),
        )
    ]
