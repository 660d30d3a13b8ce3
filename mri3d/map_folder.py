"""A folder of maps of a cohort: whose they are, where they lie in the world, how they are written and drawn."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from mri3d.cohort.people import session_word
from mri3d.errors import UserError, option
from mri3d.explain.cohort_space import CohortSpace, is_cohort_map
from mri3d.report.maps import MapView, map_picture, volumes_picture
from mri3d.report.picture import Picture
from mri3d.study import Study
from mri3d.volumes.sequence import VolumeSequence


@dataclass(frozen=True, eq=False)
class MapFolder:
    """Where the maps of a cohort go.

    Attributes:
        study: Made from scans: maps are images that lie where its scans do.
        folder: Of the files.

    Raises:
        UserError: The study was made from arrays.
    """

    study: Study
    folder: Path

    def __post_init__(self) -> None:
        if self.study.recipe is None:
            raise UserError(
                "the study was made from arrays, which lie nowhere in the world, so there is no place for maps of it. "
                "Make the study from a table or a BIDS tree of scans."
            )

    @property
    def volumes(self) -> VolumeSequence:
        """Of all sessions that take part."""
        return self.study.volumes

    @cached_property
    def space(self) -> CohortSpace:
        """Where the maps lie in the world."""
        assert self.study.recipe is not None, "see above"
        _, *sides = self.volumes.shape
        return CohortSpace.of(self.study.recipe, self.study.cohort.scans, (sides[0], sides[1], sides[2]))

    @cached_property
    def everybody(self) -> str:
        """Whom the maps are computed from, in words: "all subjects"."""
        return f"all {session_word(self.study.cohort)}s"

    def _clear(self, *patterns: str) -> None:
        """Remove maps of an earlier call: none may be taken for this one's."""
        for pattern in patterns:
            for path in self.folder.glob(f"{pattern}.nii.gz"):
                if is_cohort_map(path):  # the folder may hold images of the user's
                    path.unlink()

    def _write(self, name: str, values: np.ndarray) -> None:
        """Write a map, unless an image of somebody else's stands in its place."""
        path = self.folder / f"{name}.nii.gz"
        if path.exists() and not is_cohort_map(path):
            raise UserError(f"{path} is no map of an earlier call, and would be replaced. Set another {option('out')}.")
        self.space.write(path, values)

    def _picture(
        self, values: np.ndarray, mean: np.ndarray, title: str, unit: str, caption: str, *, at_peak: bool = False
    ) -> Picture:
        ras = self.space.ras
        view = MapView(ras(values), ras(mean), self.space.spacing_mm, unit=unit, title=title, at_peak=at_peak)
        return map_picture(view, alt=caption, caption=caption)

    def _side_by_side(self, volumes: Iterable[np.ndarray], titles: Sequence[str], caption: str) -> Picture:
        """Draw volumes [X, Y, Z] on one scale of grey."""
        turned = [self.space.ras(volume) for volume in volumes]
        return volumes_picture(turned, titles, self.space.spacing_mm, unit="intensity", alt=caption, caption=caption)
