"""The page of predictions: what is known of each scan, laid out for the report."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np

from mri3d.models.explaining import SPACES
from mri3d.models.scan_prediction import Record
from mri3d.models.trained import TrainedModel
from mri3d.outcome import Score
from mri3d.predictions.written import heatmap_path
from mri3d.report.elements import num_within_budget, score_title, with_interval
from mri3d.report.figures import HeadView, slices
from mri3d.report.options import ReportOptions
from mri3d.report.picture import Picture
from mri3d.report.prediction_page import MAX_ROWS, ScanResult, write_prediction_report
from mri3d.report.viewer import ViewedScan, viewer_section
from mri3d.scans.scan import ScanError
from mri3d.scans.scan_file import ScanFile, read_file
from mri3d.texts import isolated
from mri3d.viewed_scans import embedded_scan

log = logging.getLogger(__name__)

NUM_VIEWED = 12
"""Scans that a page shows in 3D: each takes up to 0.3 MB."""


def remarks(records: Sequence[Record]) -> list[str]:
    """Count in sentences the scans whose predictions tell less than they seem to."""
    told = []
    if number := sum(record.status == "unusual" for record in records):
        whose = "scan is" if number == 1 else "scans are"
        told.append(
            f"{number} {whose} unlike the training scans: what is predicted of such a scan cannot be relied on."
        )
    if number := sum(record.status == "outside" for record in records):
        whose = "scan is" if number == 1 else "scans are"
        forced = any(record.status == "outside" and record.prediction is not None for record in records)
        them = "it" if number == 1 else "them"
        no = f"nothing is predicted of {them} (force=true does, of all that a volume can be made of)"
        what = f"what is predicted of {them} means nothing" if forced else no
        told.append(f"{number} {whose} outside of what the model was trained on: {what}.")
    if number := sum(record.seen > 0 for record in records):
        whose = "scan was" if number == 1 else "scans were"
        told.append(
            f"{number} {whose} among the training scans, saved anew or not: what is predicted of such a scan does not "
            "show how well new scans are predicted."
        )
    return told


@dataclass(frozen=True, eq=False)
class Page:
    """The report of a call.

    Attributes:
        trained: The model.
        scans: Name of each scan to its file.
        out: The folder of the results.
        facts: What to know first, name to text.
        own_test: The scores of the model's own test by name; none where nobody was tested.
        space: Where heatmaps lie, one of `SPACES`.
        options: How the page is made.
        doubt: Why heatmaps are not to be trusted; empty where nothing speaks against them.
    """

    trained: TrainedModel
    scans: Mapping[str, ScanFile]
    out: Path
    facts: Mapping[str, str]
    own_test: Mapping[str, Score]
    space: str = SPACES[0]
    options: ReportOptions = field(default_factory=ReportOptions)
    doubt: str = ""

    def write(self, path: Path, records: Sequence[Record]) -> None:
        """Write the page, on which those are listed first that somebody must look at, where not all can be."""
        outcome, rule = self.trained.outcome, self.trained.deciding
        used = [found.prediction for record in records if (found := record.restored()).prediction is not None]
        order = sorted(range(len(records)), key=lambda number: records[number].status == "ok")  # stable
        listed = [records[number] for number in sorted(order[:MAX_ROWS])]
        pictures: list[Picture | None] = []
        viewed: list[ViewedScan] = []
        for record in listed:
            if num_within_budget(pictures) == len(pictures):  # one more than the page shows, so that it says so
                picture, view = self._seen(record, closely=len(viewed) < NUM_VIEWED)
                pictures.append(picture)
                viewed += [] if view is None else [view]
        pictures += [None] * (len(listed) - len(pictures))
        names, brains = {scan.name for scan in viewed}, self.trained.require_recipe().shows == "brains"
        regions = {}
        if rule.coverage is not None:
            title, reading = outcome.options.region_title(rule.coverage), outcome.options.region_reading(rule.coverage)
            regions = {"region_title": title, "region_reading": reading}
        primary = outcome.compared[0]
        own = self.own_test.get(primary, Score(None))
        write_prediction_report(
            path,
            title="Predictions",
            facts={**self.facts, **rule.facts},
            summary=" ".join([outcome.words.summary(used), *remarks(records)]),
            words=outcome.words,
            scans=[
                self._result(record, picture, viewed=record.scan in names)
                for record, picture in zip(listed, pictures, strict=True)
            ],
            viewer=viewer_section(viewed, shows="brains" if brains else "heads", faces=self.options.faces),
            num_scans=len(records),
            num_used=len(used),
            own_test=None if own.value is None else (score_title(primary), with_interval(own)),
            **regions,
        )

    def _seen(self, record: Record, *, closely: bool) -> tuple[Picture | None, ViewedScan | None]:
        """Draw a scan with its heatmap, from their files: so no more than one is held in memory.

        Args:
            record: Of the scan.
            closely: Whether it can be viewed too.
        """
        if not record.heatmap:
            return None, None
        recipe, outcome = self.trained.require_recipe(), self.trained.outcome
        prediction = record.restored().prediction
        assert prediction is not None, "it has a heatmap"
        high, low = outcome.words.evidence(outcome.target_named(None, prediction))
        try:
            scan = read_file(self.scans[record.scan])
            image, affine, in_world = scan.data, scan.affine, scan.affine
            if self.space == "mni" and recipe.shared_affine is not None:
                image, affine, in_world = recipe.volume(scan)[0], recipe.shared_affine, recipe.affine(scan)
            heat = np.asarray(nib.load(self.out / heatmap_path(record.scan)).dataobj, dtype=np.float32)
            volumes = embedded_scan(scan, recipe, heat, in_world) if closely else None
        except (ScanError, OSError, MemoryError) as error:  # moved since
            log.warning("%s has no picture in the report: %s", record.scan, error)
            return None, None
        view = HeadView(image, affine, heatmap=heat, high=high, low=low)
        alt = f"{record.scan} on three planes with the evidence {high}"
        picture = slices(view, alt=alt, caption=self.doubt, height=150)
        said = f"{isolated(record.scan)}: {outcome.words.verdict(prediction)}, {record.status}. {self.doubt}".rstrip()
        return picture, None if volumes is None else ViewedScan(record.scan, volumes, high, low, said)

    def _result(self, record: Record, picture: Picture | None, *, viewed: bool) -> ScanResult:
        """Lay out a prediction for the report."""
        found, outcome = record.restored(), self.trained.outcome
        if found.prediction is None:
            return ScanResult(found.name, "", None, warnings=found.warnings, status=found.status)
        _, *numbers = (cells[0] for cells in outcome.prediction_columns(found.prediction[None]).values())
        return ScanResult(
            found.name,
            outcome.words.prediction(found.prediction),
            dict(zip(outcome.words.value_titles(), numbers, strict=True)),
            region="" if found.region is None else outcome.options.region_text(found.region),
            spread=found.spread,
            warnings=found.warnings,
            picture=picture,
            status=found.status,
            viewed=viewed,
        )
