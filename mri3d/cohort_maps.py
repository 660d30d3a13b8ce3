"""Maps of a cohort: NIfTI files in a folder, and pictures of them for a page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from mri3d.cohort.people import count_sessions, session_word
from mri3d.explain.averages import class_averages
from mri3d.explain.correlation import correlation_map
from mri3d.explain.eigenbrains import Eigenbrains, chosen_components
from mri3d.map_folder import MapFolder
from mri3d.report.components import named_counts, scree_chart, sessions_chart
from mri3d.report.figures import HeadView, slices
from mri3d.report.maps import tissue_mask
from mri3d.report.picture import Picture
from mri3d.study import Study
from mri3d.texts import file_names
from mri3d.voxels.pca import PCA, NumComponents, TransposedPCA

Section = tuple[str, list[Picture]]
"""A title, and the pictures below it."""

UNCORRECTED = (
    "Not corrected for the number of voxels: some of many are far from 0 by chance. Drawn where an average has tissue; "
    "the file has all voxels."
)


@dataclass(frozen=True, eq=False)
class Drawn:
    """What was drawn, with the texts of a page of its own.

    Attributes:
        title: Of the page.
        headline: In a line, what was made.
        sections: Its pictures.
    """

    title: str
    headline: str
    sections: list[Section]


@dataclass(frozen=True, eq=False)
class CohortMaps(MapFolder):
    """Makes maps of a cohort; each method writes its files and returns its pictures."""

    @cached_property
    def rows(self) -> np.ndarray:
        """All rows."""
        return np.arange(len(self.volumes))

    @cached_property
    def pca(self) -> PCA:
        """All components of the whole cohort."""
        return PCA().fit(self.volumes, self.rows)

    def components(self, first: int, also: Sequence[int] = (), *, subject: int = 0) -> list[Section]:
        """Image the principal components: scree, subjects, eigenbrains, a scan restored from few components.

        Args:
            first: How many of the first components get an eigenbrain.
            also: Further components that do, counted from 1.
            subject: Row of the scan to restore.

        Raises:
            UserError: There is no such component.
        """
        ratios = self.pca.explained_variance_ratio_
        numbers, counts = chosen_components(first, also, len(ratios)), named_counts(ratios)
        note = f"Computed from {self.everybody}: it describes the cohort, and is not what was tested."
        found = Eigenbrains.of(self.pca, numbers, row=subject, counts=counts)
        self._clear("eigenbrain_*")
        self._write("mean", found.mean)
        pictures = []
        for number, values in zip(found.numbers, found.maps, strict=True):
            self._write(f"eigenbrain_{number:03d}", values)
            caption = (
                f"Eigenbrain {number} of {self.everybody}, {100 * ratios[number - 1]:.2g} % of the variance: what one "
                "standard deviation of its score adds to each voxel. Which sign is positive has no meaning."
            )
            pictures.append(self._picture(values, found.mean, f"eigenbrain {number}", "intensity per SD", caption))
        charts = [
            scree_chart(ratios, note=note),
            sessions_chart(
                self.pca.scores_[:, :3],
                ratios,
                self.study.outcome.cells(self.study.targets),
                name=self.study.outcome.name,
                continuous=self.study.outcome.continuous,
                word=session_word(self.study.cohort),
                sessions=self.study.cohort.ids,
                note=note,
            ),
        ]
        return [
            ("Principal components", charts),
            ("Eigenbrains", pictures),
            ("A scan from few components", [self._restored(found, subject)]),
        ]

    def transposed(self, num_components: NumComponents, first: int, also: Sequence[int] = ()) -> Section:
        """Image the seed study's other form of PCA, whose samples are voxels and whose features are subjects.

        Args:
            num_components: How many there are: a number up to that of the subjects, or the fraction of variance that
                they hold together.
            first: How many of the first are imaged.
            also: Further ones that are, counted from 1; those that this form does not have are left away.
        """
        pca = TransposedPCA(num_components).fit(self.volumes, self.rows)
        count, ratios = len(pca.components_), pca.explained_variance_ratio_
        numbers = chosen_components(first, [number for number in also if number <= count], count)
        mean, pictures = self.pca.mean(), []
        self._clear("transposed_*")
        for number, values in zip(numbers, pca.eigenbrains(np.array(numbers, dtype=int) - 1), strict=True):
            self._write(f"transposed_{number:03d}", values)
            caption = (
                f"Component {number} of {count} of the transposed matrix of {self.everybody}, "
                f"{100 * ratios[number - 1]:.2g} % of its variance; all {count} hold {100 * ratios.sum():.2f} %. "
                "Voxels are its samples and scans its features, so scans are not centred, and the first component is "
                "close to the average head."
            )
            title = f"transposed component {number}"
            pictures.append(self._picture(values, mean, title, "score of the voxel", caption))
        return "Eigenbrains of the transposed matrix", pictures

    def differences(self) -> Drawn:
        """Image how volumes differ with the outcome: between classes, or along a measure.

        Raises:
            UserError: A class has one session only, or the sessions are too few.
        """
        return {"averages": self.averages, "correlation": self.correlation}[self.study.outcome.cohort_map]()

    def correlation(self) -> Drawn:
        """Image how each voxel changes with a measure."""
        found, name = correlation_map(self.volumes, self.study.targets), self.study.outcome.name
        file_name = file_names({0: name})[0]
        self._clear("mean", "slope_*", "t_*")
        self._write("mean", found.mean)
        self._write(f"slope_{file_name}", found.slope)
        self._write(f"t_{file_name}", found.t)
        tissue = tissue_mask([found.mean])
        slope, t = np.where(tissue, [found.slope, found.t], 0)
        said = f"Average volume of all {count_sessions(self.study.cohort)}."
        head = HeadView(self.space.ras(found.mean), self.space.affine, title="mean")
        pictures = [slices(head, alt=said, caption=said)]
        said = (
            f"Change of intensity for one standard deviation of {name}, over {self.everybody}. Warm colours: brighter "
            f"where {name} is high; cool colours: darker."
        )
        pictures.append(self._picture(slope, found.mean, "slope", "intensity per SD", said, at_peak=True))
        said = f"t of the correlation with {name}, each voxel by itself. {UNCORRECTED}"
        pictures.append(self._picture(t, found.mean, "t map", "t", said, at_peak=True))
        described = f"{name} ({self.study.outcome.words.describe(self.study.targets)})"
        return Drawn(
            f"How a cohort changes with {name}",
            f"slope and t map of {described}",
            [(f"Correlation with {name}", pictures)],
        )

    def averages(self) -> Drawn:
        """Image the average of each class, and where they differ.

        Raises:
            UserError: A class has one session only.
        """
        names, targets = np.unique(self.study.cohort.labels, return_inverse=True)
        classes = tuple(map(str, names))
        found = class_averages(self.volumes, targets, classes)
        files = file_names(dict(enumerate(classes)))
        self._clear("average_*", "difference_*", "t_*")
        for name, values in zip(files.values(), found.means, strict=True):
            self._write(f"average_{name}", values)
        sizes = [count_sessions(self.study.cohort, np.flatnonzero(targets == k)) for k in range(len(classes))]
        counts = ", ".join(f"{name} ({size})" for name, size in zip(classes, sizes, strict=True))
        caption = (
            f"Average volume of each class over {self.everybody}, from left to right: {counts}. All have one scale of "
            "grey."
        )
        pictures = [self._side_by_side(found.means, classes, caption)]
        tissue = tissue_mask(found.means)
        weights = np.bincount(targets) / len(targets)
        mean = np.einsum("k,kxyz->xyz", weights, found.means).astype(np.float32)
        contrasted = range(1, 2) if len(classes) == 2 else range(len(classes))
        for k, difference, t in zip(contrasted, found.differences, found.t, strict=True):
            self._write(f"difference_{files[k]}", difference)
            self._write(f"t_{files[k]}", t)
            said = f"{classes[k]} minus {classes[0] if len(classes) == 2 else 'all others'}"
            caption = (
                f"Difference of the averages over {self.everybody}, {said}. Warm colours: brighter in {classes[k]}; "
                "cool colours: darker."
            )
            shown, shown_t = np.where(tissue, [difference, t], 0)
            pictures.append(self._picture(shown, mean, "difference", "intensity", caption, at_peak=True))
            caption = f"Welch's t of that difference, {said}, each voxel by itself. {UNCORRECTED}"
            pictures.append(self._picture(shown_t, mean, "t map", "t", caption, at_peak=True))
        headline = f"averages of {counts}, differences, t maps"
        return Drawn("Class averages of a cohort", headline, [("Class averages", pictures)])

    def weights(self, maps: np.ndarray, *, whose: str) -> Section:
        """Image what a linear model adds up.

        Args:
            maps: Weight of each voxel in each of D decisions [D, X, Y, Z].
            whose: Which model's, for the captions.
        """
        caption = (
            f"Weights of {whose}: what each voxel adds to {{}} per unit of intensity "
            "(with model.normalize=true, of intensity divided by the norm of its volume). A weight can also serve "
            "to cancel noise of other voxels: large is not the same as different."
        )
        return "Weights", self._of_decisions("weights", maps, caption, unit="weight")

    def patterns(self, maps: np.ndarray, *, whose: str) -> Section:
        """Image how voxels go with what a linear model decides.

        Args:
            maps: Pattern of each of D decisions [D, X, Y, Z], see `mri3d.explain.linear.Pattern`.
            whose: Which model's, for the captions.
        """
        caption = (
            f"Pattern of {whose} (Haufe et al. 2014): how much each voxel differs, over the training scans, per unit "
            "of {}. It shows where the signal is, as the weights do not; what goes with it unused is there too."
        )
        return "Pattern", self._of_decisions("pattern", maps, caption, unit="intensity")

    def _of_decisions(self, title: str, maps: np.ndarray, caption: str, *, unit: str) -> list[Picture]:
        """Write and draw a map for each decision, which the caption has a place for."""
        outcome = self.study.outcome
        mean, pictures, names = self.pca.mean(), [], file_names(dict(enumerate(outcome.decisions)))
        self._clear(f"{title}*")
        for k, values in enumerate(maps):
            self._write(title if len(maps) == 1 else f"{title}_{names[k]}", values)
            told = caption.format(outcome.words.decision(outcome.decisions[k]))
            pictures.append(self._picture(values, mean, title, unit, told, at_peak=True))
        return pictures

    def _restored(self, found: Eigenbrains, row: int) -> Picture:
        """Draw a scan beside what few components make of it."""
        titles = ["original"]
        titles += [
            f"{count} components, error {error:.2f}" for count, error in zip(found.counts, found.errors, strict=True)
        ]
        caption = (
            f"{session_word(self.study.cohort).capitalize()} {self.study.ids[row]} restored from few of "
            f"{len(self.pca.explained_variance_)} components of {self.everybody}. The error is the norm of "
            "what is lacking, as a share of the norm of the scan less the average; the scan was among those that the "
            "components were computed from."
        )
        return self._side_by_side([self.volumes[row][0], *found.restored], titles, caption)


def study_sections(
    study: Study, folder: Path, *, weights: Mapping[str, np.ndarray], patterns: Mapping[str, np.ndarray]
) -> list[Section]:
    """Make what belongs into the report of a run whose model is built on principal components.

    Args:
        study: Who takes part.
        folder: Where the maps go.
        weights: A linear model in words, to its weights, see `CohortMaps.weights`; empty where there is none.
        patterns: The same for patterns.
    """
    maps = CohortMaps(study, folder)
    components = maps.components(3)  # first: its pass over the volumes averages them for the others too
    sections = [maps.weights(values, whose=whose) for whose, values in weights.items()]
    sections += [maps.patterns(values, whose=whose) for whose, values in patterns.items()]
    return [*sections, *components, *maps.differences().sections]
