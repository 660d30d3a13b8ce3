"""Scans in; maps of the evidence in each by several ways, by region and over all of them, out."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mri3d.errors import UserError, option
from mri3d.explain.evidence import LAYERED
from mri3d.explanations import MARK, Asked, Explanations
from mri3d.model_places import check_own
from mri3d.models.explaining import SPACES
from mri3d.models.loading import load
from mri3d.scans.formats import scan_name
from mri3d.scans.listing import find_scans, scan_by_scan

log = logging.getLogger(__name__)


def explain_scans(
    model: Path,
    scans: Sequence[str],
    out: Path,
    *,
    methods: Sequence[str] = (),
    layer: str | None = None,
    target: str | int | None = None,
    regions: str | None = None,
    space: str = SPACES[0],
    table: object = None,
    id: object = None,
    mask: object = None,
    force: bool = False,
    trust: str | Sequence[str] = (),
) -> int:
    """Explain scans; leave `<method>/<scan>_heatmap.nii.gz` with a sidecar, `group/`, `regions.csv`, `report.html`.

    One bad scan never stops the others.

    Args:
        model: A run, its `model` folder, or one fold's folder.
        scans: Files, globs, folders (searched through) or BIDS roots.
        out: Folder for the results, see `model_places.check_own`.
        methods: Ways to explain, of `mri3d.explain.evidence.KINDS`; the model's default unless given.
        layer: Of a network, whose map `gradcam` and `hirescam` weigh.
        target: Class to explain; the predicted one of each scan unless given.
        regions: See `Asked`.
        space: See `Explaining.heatmap`.
        table: Of a model with covariates: what is known of each scan.
        id: Column of the table that names its rows, or several.
        mask: Of a model of brains: what masks of them are called, `{id}` being the scan's name.
        force: Explain scans too that are outside of what the model was trained on.
        trust: Dotted names of networks of the user's own that may be imported.

    Returns:
        Exit status: 0, or 1 if a scan could not be explained.

    Raises:
        UserError: No model, no scans, no such way to explain, or `out` cannot take the results.
    """
    check_own(out, MARK)
    trained = load(model, trust=trust)
    trained.check_space(space)
    names = methods or [trained.method(None).name]
    ways = tuple(trained.method(name, layer if name in LAYERED else None) for name in names)
    if layer is not None and not any(way.layer for way in ways):
        raise UserError(f"{option('layer', layer)} is for {' and '.join(LAYERED)} only. Leave it out.")
    if any(way.name == "region_occlusion" for way in ways) and regions is None:
        raise UserError(f"region_occlusion needs {option('regions')}: an image of labels.")
    if target is not None:  # told now rather than of each scan
        trained.outcome.target_named(target, np.empty(0))
    beside = trained.beside(table, id=id)
    paths = find_scans(list(scans), suffix=trained.suffix or "T1w")
    if regions is not None and "{id}" in regions:  # they may lie among the scans
        labels = {path.parent / regions.replace("{id}", scan_name(path)) for path in paths}
        paths = [path for path in paths if path not in labels]
    files = trained.masked(paths, mask)
    made = Explanations(trained, Asked(ways, target, space, regions, force), out, model)
    _ = made.shared_labels  # told now rather than of each scan
    problems = scan_by_scan(files, lambda name, file: made.explain(name, file, beside))
    facts = {"model": str(model), "scans": str(len(files)), "models that voted": str(len(trained.members))}
    made.finish(facts, problems)
    return int(bool(problems))
