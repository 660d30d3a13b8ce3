"""A folder of explanations, written scan by scan: maps, what they have in common, their regions, and a page."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy import ndimage

from mri3d.csv_files import write_csv
from mri3d.errors import UserError
from mri3d.evaluation.own_tests import map_verdict, own_scores
from mri3d.explain.cohort_space import CohortSpace
from mri3d.explain.evidence import Method
from mri3d.explain.group import MIN_SESSIONS
from mri3d.explain.regions import Labels, by_region
from mri3d.files import write_json
from mri3d.group_maps import write_group
from mri3d.layer_views import folder_of
from mri3d.models.beside_scans import Beside
from mri3d.models.explaining import SPACES
from mri3d.models.heatmap import Heatmap
from mri3d.models.scan_prediction import ScanPrediction
from mri3d.models.trained import TrainedModel
from mri3d.report.elements import Html, element, heading, number, picture_sections, table, write_page
from mri3d.report.figures import HeadView, slices
from mri3d.report.picture import Picture
from mri3d.scans.formats import scan_name
from mri3d.scans.scan import write_image
from mri3d.scans.scan_file import ScanFile, path_of
from mri3d.texts import file_names, number_text

log = logging.getLogger(__name__)

MARK = "explained.json"
"""What tells a folder of this command from others."""

MAX_PICTURES = 12
MAX_REGIONS = 12


@dataclass(frozen=True)
class Asked:
    """What is asked about each scan.

    Attributes:
        methods: Ways to explain.
        target: Class; the predicted one of each scan unless given.
        space: See `Explaining.heatmap`.
        regions: Path of a label image; relative to the folder of each scan, with `{id}` for the scan's name, where each
            has its own. None for none.
        force: Whether scans are explained too that are outside of what the model was trained on.
    """

    methods: tuple[Method, ...]
    target: str | int | None = None
    space: str = SPACES[0]
    regions: str | None = None
    force: bool = False


@dataclass(frozen=True, eq=False)
class Explanations:
    """A folder of explanations that is written scan by scan.

    Attributes:
        model: What is explained.
        asked: About each scan.
        out: The folder.
        loaded: Where the model was loaded from.
        rows: Of regions.csv.
        evidence: By method and target, the map of each scan on the volume grid.
        files: Of the scans of that evidence.
        pictures: By method.
    """

    model: TrainedModel
    asked: Asked
    out: Path
    loaded: Path
    rows: list[dict[str, object]] = field(default_factory=list)
    evidence: dict[tuple[Method, int], list[np.ndarray]] = field(default_factory=dict)
    files: dict[int, list[ScanFile]] = field(default_factory=dict)
    pictures: dict[Method, list[Picture]] = field(default_factory=dict)

    @cached_property
    def verdicts(self) -> dict[Method, tuple[bool | None, str]]:
        """Of each way, whether its maps can be trusted, and why."""
        own_test = own_scores(self.model, self.loaded)
        return {method: map_verdict(self.model, method, own_test) for method in self.asked.methods}

    def explain(self, name: str, file: ScanFile, beside: Beside | None) -> str | None:
        """Explain a scan by all ways; return why it could not be, if so."""
        found = self.model.predict_scan(name, file, beside=beside, force=self.asked.force)
        if found.prediction is None:
            return "; ".join(found.warnings)
        try:
            labels = self._labels(found, file)
            for method in self.asked.methods:
                self._one(found, file, method, labels)
        except (UserError, MemoryError, RuntimeError) as error:
            return " ".join(str(error).split()) or "there is not enough memory."
        return None

    def _one(self, found: ScanPrediction, file: ScanFile, method: Method, labels: Labels | None) -> None:
        """Write the map of a scan by one way, and note what it adds to the others."""
        heatmap = self.model.heatmap(found, self.asked.target, method=method, space=self.asked.space, labels=labels)
        folder, outcome = self.out / _stem(method), self.model.outcome
        heatmap.write(folder / f"{found.name}_heatmap.nii.gz", outcome)
        facts = heatmap.facts(outcome, num_models=len(self.model.members), trust=self.verdicts[method])
        write_json(folder / f"{found.name}_heatmap.json", {"scan": found.name, **facts})
        self._write_spread(found, heatmap, folder)
        target = heatmap.asked.target
        self.evidence.setdefault((method, target), []).append(heatmap.evidence.values)
        if method == self.asked.methods[0]:
            self.files.setdefault(target, []).append(file)
        if labels is not None:
            values = self._on_labels(found, heatmap, labels)
            of_regions = by_region(values, labels)
            self.rows.extend({"scan": found.name, "method": method.name, **asdict(each)} for each in of_regions)
        if len(self.pictures.setdefault(method, [])) < MAX_PICTURES:
            self.pictures[method].append(self._picture(found, heatmap))

    def _write_spread(self, found: ScanPrediction, heatmap: Heatmap, folder: Path) -> None:
        """Write how far the models of several folds differ, in the unit of the map."""
        assert found.scan is not None, "it was predicted"
        if heatmap.evidence.spread is None:
            return
        spread = heatmap.evidence.spread / (heatmap.evidence.strongest or 1.0)
        values = spread if self.asked.space == "mni" else self.model.require_recipe().to_scan(spread, found.scan)
        told = f"{heatmap.asked.method}: standard deviation over {len(self.model.members)} models"
        path = folder / f"{found.name}_spread.nii.gz"
        write_image(path, values, heatmap.affine, code=heatmap.code, description=told)

    def _labels(self, found: ScanPrediction, file: ScanFile) -> Labels | None:
        """Read the regions of a scan: on its grid, or, of a model that aligns brains, any in the space of MNI152.

        Raises:
            UserError: They are on another grid, or cannot be read.
        """
        assert found.scan is not None, "it was predicted"
        if self.asked.regions is None:
            return None
        path, labels = path_of(file), self.shared_labels
        if labels is None:
            labels = Labels.read(path.parent / self.asked.regions.replace("{id}", scan_name(path)))
        on_scan = labels.is_on(found.scan.data.shape, found.scan.affine)
        if self.model.require_recipe().shared_affine is None and not on_scan:
            raise UserError(f"{labels.path} is not on the grid of {path}. Resample it to that, by its nearest voxels.")
        return labels

    @cached_property
    def shared_labels(self) -> Labels | None:
        """The regions that are the same for all scans, if so.

        Raises:
            UserError: They cannot be read.
        """
        if self.asked.regions is None or "{id}" in self.asked.regions:
            return None
        return Labels.read(Path(self.asked.regions))

    def _on_labels(self, found: ScanPrediction, heatmap: Heatmap, labels: Labels) -> np.ndarray:
        """Return the evidence on the grid of the labels, see `_labels`."""
        assert found.scan is not None, "it was predicted"
        recipe, values = self.model.require_recipe(), heatmap.evidence.values
        if recipe.shared_affine is None or labels.is_on(found.scan.data.shape, found.scan.affine):
            return np.asarray(recipe.to_scan(values, found.scan))
        to_volume = np.linalg.inv(recipe.shared_affine) @ labels.affine
        return np.asarray(
            ndimage.affine_transform(
                values, to_volume[:3, :3], to_volume[:3, 3], output_shape=labels.data.shape, order=1
            )
        )

    def _picture(self, found: ScanPrediction, heatmap: Heatmap) -> Picture:
        """Draw a map on its scan."""
        assert found.scan is not None, "it was predicted"
        assert found.prediction is not None, "it was predicted"
        outcome = self.model.outcome
        high, low = outcome.words.evidence(heatmap.asked.target)
        image, affine = found.scan.data, found.scan.affine
        if self.asked.space == "mni" and found.volume is not None:
            image, affine = found.volume[0], heatmap.affine
        caption = f"{found.name}, predicted {outcome.words.prediction(found.prediction)}: {high}."
        view = HeadView(image, affine, heatmap=heatmap.values, high=high, low=low)
        return slices(view, alt=caption, caption=caption)

    def finish(self, facts: Mapping[str, str], problems: Mapping[str, str]) -> None:
        """Write maps over all scans, the table of regions, and the page."""
        sections: list[tuple[str, Sequence[Picture]]] = []
        for method in self.asked.methods:
            trusted, reason = self.verdicts[method]
            sections += self._group(method)
            title = f"{str(method)[:1].upper()}{str(method)[1:]}"
            unknown = f"not judged: {reason}" if reason else "whether it can be trusted was not examined"
            title += {True: "", False: f" (do not trust it: {reason})", None: f" ({unknown})"}[trusted]
            sections.append((title, self.pictures.get(method, [])))
        body = [heading("Where the evidence lies", facts)]
        body += [element("p", f"{name}: {problem}", css="caution") for name, problem in problems.items()]
        body += picture_sections(sections)
        if self.rows:
            write_csv(self.out / "regions.csv", self.rows, list(self.rows[0]))
            body += self._region_tables()
        write_page(self.out / "report.html", title="Where the evidence lies", sections=body)
        write_json(self.out / MARK, {"methods": [str(method) for method in self.asked.methods], **facts})

    def _group(self, method: Method) -> list[tuple[str, Sequence[Picture]]]:
        """Write and draw what the maps of a way have in common, those for each target apart."""
        sections: list[tuple[str, Sequence[Picture]]] = []
        words = self.model.outcome.words
        names = file_names({target: words.evidence(target)[0] for how, target in self.evidence if how == method})
        for (how, target), maps in self.evidence.items():
            if how != method or len(maps) < MIN_SESSIONS:
                continue
            space = CohortSpace.of(self.model.require_recipe(), self.files[target], _sides(maps[0]))
            high, average = words.evidence(target)[0], self.model.members[0].card.reference.mean[0]
            stem = f"{_stem(method)}_{names[target]}"
            pictures = write_group(self.out / "group", stem, maps, space=space, average=average)
            sections.append((f"{method}, {number_text(len(maps), 'scan')}: {high}", pictures))
        return sections

    def _region_tables(self) -> list[Html]:
        """Show the regions with most of the evidence, averaged over scans."""
        parts: list[Html] = []
        for method in self.asked.methods:
            shares: dict[str, list[tuple[float, float]]] = {}
            for row in self.rows:
                if row["method"] == method.name:
                    shares.setdefault(str(row["name"]), []).append((float(str(row["share"])), float(str(row["mean"]))))
            means = {name: np.mean(values, axis=0) for name, values in shares.items()}
            first = sorted(means, key=lambda name: -means[name][0])[:MAX_REGIONS]
            cells = [
                [name, f"{means[name][0]:.1%}", number(float(means[name][1])), str(len(shares[name]))] for name in first
            ]
            header = ["Region", "Share of all evidence", "Mean evidence of a voxel", "Scans"]
            parts += [element("h2", f"Regions: {method}"), table(header, cells, css="numbers")]
        return parts


def _stem(method: Method) -> str:
    """Name the folder of the maps of a way to explain."""
    return method.name if method.layer is None else f"{method.name}_{folder_of(method.layer)}"


def _sides(values: np.ndarray) -> tuple[int, int, int]:
    return (values.shape[0], values.shape[1], values.shape[2])
