"""Model folder and scans in; predictions, heatmaps and a report out."""

import logging
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mri3d.csv_files import csv_text
from mri3d.errors import UserError, did_you_mean, option
from mri3d.evaluation.own_tests import own_scores
from mri3d.explain.evidence import KINDS, LAYERED, Method
from mri3d.explain.trust import NO_BETTER_THAN_CHANCE
from mri3d.files import NO_ROOM, digest, digest_json, write_json
from mri3d.model_folder import CARD
from mri3d.model_places import model_folders
from mri3d.models.beside_scans import Beside
from mri3d.models.loading import load
from mri3d.models.scan_prediction import Record, ScanPrediction
from mri3d.models.taught import people_text
from mri3d.models.trained import TrainedModel
from mri3d.models.voting import SPACES
from mri3d.outcome import Score
from mri3d.predictions.folder import PredictionFolder, open_folder
from mri3d.predictions.page import Page, remarks
from mri3d.predictions.written import MAPS, REPORT, cannot_go_on, heatmap_path, sidecar_path
from mri3d.report.reading import GRADCAM
from mri3d.scans.dicom import convert_places
from mri3d.scans.listing import find_scans, unique_names
from mri3d.scans.scan import ScanError
from mri3d.scans.scan_file import ScanFile, path_of, paths_of, read_file
from mri3d.texts import list_text, number_text
from mri3d.version import __version__
from mri3d.volumes.brain_recipe import BrainRecipe

log = logging.getLogger(__name__)

_SIZED = "; part of the evidence is the size of the brain, which counts in every voxel (preprocess.size)"

HEATMAPS = (*(name for name in KINDS if name != "region_occlusion"), "none")
"""What `heatmap` can be: regions are given to `mri3d explain`."""


def predict_scans(
    model: Path,
    scans: str | Sequence[str],
    out: Path,
    *,
    heatmap: str = HEATMAPS[0],
    layer: str | None = None,
    space: str = SPACES[0],
    prevalence: object = None,
    threshold: object = None,
    coverage: object = None,
    table: object = None,
    id: object = None,
    mask: object = None,
    force: bool = False,
    trust: str | Sequence[str] = (),
) -> int:
    """Predict scans; leave `predictions.csv`, `heatmaps/` and `report.html`.

    One bad scan never stops the others: its row says why it has no prediction. Each result is written as it comes. The
    same call again goes on where one was cut off: results of the same scans by the same model are kept, with a warning
    where the scan cannot be read now. No file is replaced or removed that mri3d did not write, see `mri3d.predictions`.

    Args:
        model: A run, its `model` folder, or one fold's folder.
        scans: A file, a glob, a folder (searched through), a BIDS root, a folder of DICOM files, or a list of these.
        out: Folder for the results.
        heatmap: One of `mri3d.explain.evidence.KINDS` that the model has, or `none`. Grad-CAM's strongest place can lie
            far from what decided.
        layer: Of a network, whose map `gradcam` or `hirescam` weigh.
        space: Where heatmaps lie: on the grid of each `scan`, or, of a model that aligns brains, on that of `mni`.
        prevalence: See `TrainedModel.predict`, as for threshold and coverage.
        threshold: What class is predicted by the probabilities.
        coverage: How often the truth is to lie in a set or an interval.
        table: Of a model with covariates: what is known of each scan.
        id: Column of the table that names its rows, or several.
        mask: Of a model of brains: what masks of them are called, `{id}` being the scan's name.
        force: Predict scans too that are outside of what the model was trained on.
        trust: Dotted names of networks of the user's own that may be imported.

    Returns:
        Exit status: 0, or 1 if a scan could not be predicted, or one whose result is kept could not be read.

    Raises:
        UserError: No model, no scans, no such kind of heatmap, an option that cannot be used with the model, or `out`
            cannot take the results.
    """
    if heatmap not in HEATMAPS:
        told = f"{option('heatmap', heatmap)} is unknown.{did_you_mean(heatmap, HEATMAPS)}"
        raise UserError(f"{told} Give one of {', '.join(HEATMAPS)}.")
    if layer is not None and heatmap not in LAYERED:
        raise UserError(f"{option('layer', layer)} is for heatmap={' and '.join(LAYERED)} only. Leave it out.")
    trained = load(model, trust=trust)
    trained.check_space(space)
    trained = trained.with_options(prevalence=prevalence, threshold=threshold, coverage=coverage)
    beside = trained.beside(table, id=id)
    if heatmap != "none" and heatmap not in trained.heatmaps:
        log.warning("no heatmaps: models of this kind have no %s", KINDS[heatmap].title)
        heatmap = "none"
    if heatmap == "gradcam":
        log.warning("%s", GRADCAM)
    with tempfile.TemporaryDirectory(prefix="mri3d-") as converted:
        places = convert_places([scans] if isinstance(scans, str) else scans, Path(converted))
        files = trained.masked(_found(places, out, suffix=trained.suffix or "T1w"), mask)
        named = dict(zip(unique_names(list(map(path_of, files))), files, strict=True))
        method = None if heatmap == "none" else trained.method(heatmap, layer)
        call = _Call(model, trained, named, method, space, beside, force)
        call.check_table()
        with open_folder(
            out,
            model=call.identity(),
            names=list(call.scans),
            header=csv_text([], trained.table.header()),
            row=call.row,
        ) as folder:
            return call.run(folder)


def _found(places: Sequence[str], out: Path, *, suffix: str) -> list[Path]:
    """Find the scans to predict: all but the heatmaps of an earlier call, where the places hold `out`."""
    maps = os.path.realpath(out / MAPS)  # Path's own fails where links lead in a circle
    paths = [path for path in find_scans(places, suffix=suffix) if os.path.dirname(os.path.realpath(path)) != maps]  # noqa: PTH120
    if not paths:
        raise UserError(
            f"{option('scans', ', '.join(places))} holds nothing but heatmaps of an earlier call. Give "
            f"{option('scans')}."
        )
    return paths


def _is_there(file: ScanFile) -> bool:
    """Return whether there are files, or both halves of a pair, under a scan's name."""
    try:
        return all(os.path.isfile(part) for part in paths_of(file))  # noqa: PTH113 (Path's own raises)
    except ScanError:  # one half
        return False


@dataclass(frozen=True, eq=False)
class _Call:
    """One call of `predict_scans`, whose arguments were found to be good.

    Attributes:
        model: Where the model lies.
        trained: The model.
        scans: Name of each scan to its file.
        method: How predictions are explained; None where they are not.
        space: One of `SPACES`.
        beside: What is known of the scans besides; None where the model asks for nothing.
        force: Whether scans are predicted that are outside of what the model was trained on.
    """

    model: Path
    trained: TrainedModel
    scans: dict[str, ScanFile]
    method: Method | None
    space: str
    beside: Beside | None
    force: bool

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
        page = Page(trained, self.scans, folder.out, facts, self.own_test, self.space)
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
        outcome = self.trained.outcome
        if self.own_test and outcome.above_chance(self.own_test) is False:
            return False, NO_BETTER_THAN_CHANCE
        return self.trained.trusted(self.method)

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
        told = heatmap.facts(self.trained.outcome, num_models=len(self.trained.members), trusted=self.trust[0])
        try:
            folder.write(sidecar, lambda path: write_json(path, told))
            folder.write(place, lambda path: heatmap.write(path, self.trained.outcome))
        except OSError as error:
            if error.errno in NO_ROOM:  # as it would be for the others
                raise cannot_go_on(error, folder.out / place) from error
            return found.warned(f"the heatmap could not be written: {error.strerror}"), False
        return found, True
