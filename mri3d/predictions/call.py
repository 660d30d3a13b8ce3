"""One call that predicts scans, whose arguments were found to be good."""

import logging
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mri3d.csv_files import csv_text
from mri3d.errors import UserError
from mri3d.evaluation.own_tests import map_verdict, own_scores
from mri3d.explain.evidence import Method
from mri3d.files import NO_ROOM, digest, digest_json, write_json
from mri3d.model_folder import CARD
from mri3d.model_places import model_folders
from mri3d.models.beside_scans import Beside
from mri3d.models.explaining import SPACES
from mri3d.models.scan_prediction import Record, ScanPrediction
from mri3d.models.taught import people_text
from mri3d.models.trained import TrainedModel
from mri3d.outcome import Score
from mri3d.predictions.folder import PredictionFolder
from mri3d.predictions.page import Page, remarks
from mri3d.predictions.written import REPORT, cannot_go_on, heatmap_path, sidecar_path
from mri3d.report.options import ReportOptions
from mri3d.scans.scan import ScanError
from mri3d.scans.scan_file import ScanFile, path_of, paths_of, read_file
from mri3d.texts import list_text, number_text
from mri3d.version import __version__
from mri3d.volumes.brain_recipe import BrainRecipe

log = logging.getLogger(__name__)

_SIZED = "; part of the evidence is the size of the brain, which counts in every voxel (preprocess.size)"


@dataclass(frozen=True, eq=False)
class Call:
    """One call of `mri3d.inference.predict_scans`.

    Attributes:
        model: Where the model lies.
        trained: The model.
        scans: Name of each scan to its file.
        method: How predictions are explained; None where they are not.
        space: One of `SPACES`.
        beside: What is known of the scans besides; None where the model asks for nothing.
        force: Whether scans are predicted that are outside of what the model was trained on.
        options: How the page is made.
    """

    model: Path
    trained: TrainedModel
    scans: dict[str, ScanFile]
    method: Method | None
    space: str
    beside: Beside | None
    force: bool
    options: ReportOptions

    def check_table(self) -> None:
        """Warn, before anything is predicted, of scans of which the table does not say what the model asks for.

        Raises:
            UserError: It says it of none.
        """
        if self.beside is None:
            return
        problems = {}
        for name, file in self.scans.items():
            try:
                self.beside.known(path_of(file))
            except UserError as error:
                problems[name] = error.text
        told = list_text([f"{name}: {problem.rstrip('.')}" for name, problem in problems.items()])
        if len(problems) == len(self.scans):
            raise UserError(f"no scan can be predicted: {told}")
        if problems:
            verb = "is" if len(problems) == 1 else "are"
            log.warning("%d of %d scans %s not predicted: %s", len(problems), len(self.scans), verb, UserError(told))

    def identity(self) -> str:
        """Identify what decides the result of a scan: the models by their cards, the options, the version."""
        cards = [digest((folder / CARD).read_bytes()) for folder in model_folders(self.model)]
        asked: list[object] = [self.trained.deciding.asked] if self.trained.deciding.asked else []
        asked += [self.space] if self.space != SPACES[0] else []
        asked += ["force"] if self.force else []
        paths = {name: path_of(file) for name, file in self.scans.items()}
        known = [] if self.beside is None else [{name: self.beside.rows.of(path) for name, path in paths.items()}]
        return digest_json([cards, self.trained.require_recipe().digest(), self._how(), *asked, *known, __version__])

    def row(self, record: Record) -> str:
        """Write a row of predictions.csv; the spread of several models has 6 digits."""
        header, row = self.trained.table.header(), self.trained.table.row(record.restored())
        if record.spread is not None:
            row["spread"] = f"{record.spread:.6g}"
        return csv_text([row], header, digits=9).removeprefix(csv_text([], header))

    def run(self, folder: PredictionFolder) -> int:
        """Predict what is not known yet, and report all; return the exit status."""
        folder.check(heatmaps=self.method is not None)
        trained, total = self.trained, len(self.scans)
        log.info("%s, %s", number_text(total, "scan"), number_text(len(trained.members), "model"))
        for name, fact in trained.deciding.facts.items():
            log.info("%s: %s", name, fact)
        trusted, reason = self.trust
        doubt = reason if trusted is False else ""
        if doubt:
            log.warning("do not trust the heatmaps: %s", doubt)
        unread = folder.keep(self._digest, heatmaps=self.method is not None)
        if folder.records:
            log.info("%d of %d were predicted by an earlier call, and are kept", len(folder.records), total)
        for name in unread:
            log.warning("%s: %s", name, folder.records[name].warnings[-1])
        try:
            for number, (name, file) in enumerate(self.scans.items(), start=1):
                if name not in folder.records:
                    self._predict(folder, name, file, f"{number} of {total}")
        except KeyboardInterrupt as stop:
            verb = "is" if len(folder.records) == 1 else "are"
            told = f"{len(folder.records)} of {number_text(total, 'scan')} {verb} predicted"
            stop.add_note(f"{told}; the same command goes on.")
            raise
        folder.finish()
        records = [folder.records[name] for name in self.scans]
        for told in remarks(records):
            log.warning("%s", told)
        facts = {"model": str(self.model), "models that voted": str(len(trained.members)), "scans": str(total)}
        facts |= {"trained on": people} if (people := people_text(trained.members)) else {}
        sized = isinstance(trained.recipe, BrainRecipe) and trained.recipe.size > 0 and self.method is not None
        shown = "none" if self.method is None else str(self.method)
        facts |= {"heatmaps": shown + (_SIZED if sized else "") + (f"; do not trust them: {doubt}" if doubt else "")}
        page = Page(trained, self.scans, folder.out, facts, self.own_test, self.space, self.options, doubt)
        try:
            folder.write(REPORT, lambda path: page.write(path, records))
        except OSError as error:
            raise cannot_go_on(error, folder.out / REPORT) from error
        return int(bool(unread) or any(record.prediction is None for record in records))

    def _digest(self, name: str) -> str:
        """Read a scan's digest; empty where the file is there and holds no scan, as will be told when it is predicted.

        Raises:
            ScanError: Nothing is known of what it holds now.
        """
        file = self.scans[name]
        try:
            return read_file(file).digest
        except ScanError as error:
            if not _is_there(file) or (isinstance(error.__cause__, OSError) and error.__cause__.errno is not None):
                raise
            return ""

    def _predict(self, folder: PredictionFolder, name: str, file: ScanFile, place: str) -> None:
        """Predict one scan, write the map that explains the prediction, and add its row."""
        found = self.trained.predict_scan(name, file, beside=self.beside, force=self.force)
        written = False
        if self.method is not None and found.prediction is not None:
            found, written = self._write_heatmap(folder, found, self.method)
        for warning in found.warnings:
            log.warning("%s: %s", name, warning)
        words = self.trained.outcome.words
        verdict = "not predicted" if found.prediction is None else words.verdict(found.prediction)
        if found.region is not None:
            verdict += f" ({self.trained.outcome.options.region_text(found.region)})"
        log.info("%s: %s %s", place, name, verdict)
        folder.add(Record.of(found, heatmap=written))

    @cached_property
    def own_test(self) -> dict[str, Score]:
        """The scores of the model's own test by name; none where nobody was tested."""
        return own_scores(self.trained, self.model)

    @cached_property
    def trust(self) -> tuple[bool | None, str]:
        """Whether heatmaps can be trusted, and why; None where that is not known."""
        if self.method is None:
            return None, ""
        return map_verdict(self.trained, self.method, self.own_test)

    def _how(self) -> list[str | None]:
        """Name how predictions are explained."""
        return [] if self.method is None else [self.method.name, self.method.layer]

    def _write_heatmap(
        self, folder: PredictionFolder, found: ScanPrediction, method: Method
    ) -> tuple[ScanPrediction, bool]:
        """Write the heatmap and what tells of it; where that fails the prediction stands, with a warning."""
        try:
            heatmap = self.trained.heatmap(found, method=method, space=self.space)
        except (MemoryError, RuntimeError, UserError) as error:
            return found.warned(f"the heatmap could not be computed: {' '.join(str(error).split())}"), False
        if not heatmap.values.any():
            found = found.warned("the heatmap is empty: nothing in the scan speaks for the prediction, or against it")
        place, sidecar = heatmap_path(found.name), sidecar_path(found.name)
        told = heatmap.facts(self.trained.outcome, num_models=len(self.trained.members), trust=self.trust)
        try:
            folder.write(sidecar, lambda path: write_json(path, told))
            folder.write(place, lambda path: heatmap.write(path, self.trained.outcome))
        except OSError as error:
            if error.errno in NO_ROOM:  # as it would be for the others
                raise cannot_go_on(error, folder.out / place) from error
            return found.warned(f"the heatmap could not be written: {error.strerror}"), False
        return found, True


def _is_there(file: ScanFile) -> bool:
    """Return whether there are files, or both halves of a pair, under a scan's name."""
    try:
        return all(os.path.isfile(part) for part in paths_of(file))  # noqa: PTH113 (Path's own raises)
    except ScanError:  # one half
        return False
