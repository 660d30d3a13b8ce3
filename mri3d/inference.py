"""Model folder and scans in; predictions, heatmaps and a report out."""

import logging
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from mri3d.csv_files import csv_text
from mri3d.errors import UserError, did_you_mean, option
from mri3d.explain.evidence import KINDS, LAYERED
from mri3d.models.explaining import SPACES
from mri3d.models.loading import load
from mri3d.predictions.call import Call
from mri3d.predictions.folder import open_folder
from mri3d.predictions.written import MAPS
from mri3d.report.options import ReportOptions
from mri3d.report.reading import GRADCAM
from mri3d.scans.dicom import convert_places
from mri3d.scans.listing import find_scans, unique_names
from mri3d.scans.scan_file import path_of

log = logging.getLogger(__name__)

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
    options: ReportOptions = ReportOptions(),  # noqa: B008 (frozen)
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
        options: How the page is made.
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
    if heatmap != "none" and heatmap not in trained.ways(layer):
        log.warning("no heatmaps: models of this kind have no %s", KINDS[heatmap].title)
        heatmap = "none"
    if heatmap == "gradcam":
        log.warning("%s", GRADCAM)
    with tempfile.TemporaryDirectory(prefix="mri3d-") as converted:
        places = convert_places([scans] if isinstance(scans, str) else scans, Path(converted))
        files = trained.masked(_found(places, out, suffix=trained.suffix or "T1w"), mask)
        named = dict(zip(unique_names(list(map(path_of, files))), files, strict=True))
        method = None if heatmap == "none" else trained.method(heatmap, layer)
        call = Call(model, trained, named, method, space, beside, force, options)
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
