"""Model folder and scans in; predictions, heatmaps and a report out."""

import logging
from collections.abc import Sequence
from pathlib import Path

from mri3d.errors import UserError, option
from mri3d.files import write_csv
from mri3d.model_folder import check_replaceable
from mri3d.models.loading import load
from mri3d.models.scan_prediction import ScanPrediction
from mri3d.models.trained import TrainedModel
from mri3d.report.figures import HeadView, slices
from mri3d.report.picture import Picture
from mri3d.report.prediction_page import ScanResult, write_prediction_report
from mri3d.scans.listing import find_scans, unique_names
from mri3d.scans.scan import write_image

log = logging.getLogger(__name__)

HEATMAPS = ("integrated_gradients", "gradcam", "none")


def predict_scans(
    model: Path,
    scans: str | Sequence[str],
    out: Path,
    *,
    heatmap: str = HEATMAPS[0],
    trust: str | Sequence[str] = (),
) -> int:
    """Predict scans; leave `predictions.csv`, `heatmaps/` and `report.html`.

    One bad scan never stops the others: its row says why it has no prediction.

    Args:
        model: A run, its `model` folder, or one fold's folder.
        scans: A file, a glob, a folder (searched through), a BIDS root, or a list of these.
        out: Folder for the results.
        heatmap: `integrated_gradients` from the average training volume (of a linear model, what each voxel adds),
            `gradcam` of a network, or `none`.
        trust: Dotted names of networks of the user's own that may be imported.

    Returns:
        Exit status: 0, or 1 if a scan could not be predicted.

    Raises:
        UserError: No model, no scans, no such kind of heatmap, or `out` cannot take the results.
    """
    if heatmap not in HEATMAPS:
        raise UserError(f"{option('heatmap', heatmap)} is unknown. Give one of {', '.join(HEATMAPS)}.")
    trained = load(model, trust=trust)
    trained.require_recipe()
    maps = (out / "heatmaps").resolve()
    found = find_scans([scans] if isinstance(scans, str) else scans, suffix=trained.suffix or "T1w")
    paths = [path for path in found if path.resolve().parent != maps]  # of an earlier call, where scans holds out
    if not paths:
        raise UserError(
            f"{option('scans', str(scans))} holds nothing but heatmaps of an earlier call. Give {option('scans')}."
        )
    _clear(out)
    log.info("%d scans, %d model%s", len(paths), len(trained.members), "s" * (len(trained.members) > 1))
    if heatmap != "none" and heatmap not in trained.heatmaps:
        log.warning("no heatmaps: models of this kind have no %s", heatmap.replace("_", " "))
        heatmap = "none"
    predicted: list[ScanPrediction] = []
    pages: list[ScanResult] = []
    try:
        for number, (name, path) in enumerate(zip(unique_names(paths), paths, strict=True), start=1):
            prediction, picture = _predict(trained, name, path, out / "heatmaps", heatmap)
            for warning in prediction.warnings:
                log.warning("%s: %s", name, warning)
            log.info("%d of %d: %s %s", number, len(paths), name, _verdict(trained, prediction))
            predicted.append(prediction)
            pages.append(_page_row(trained, prediction, picture))
    finally:  # an interrupted call keeps what it has
        _write_predictions(out / "predictions.csv", trained, predicted)
    facts = {"model": str(model), "models that voted": str(len(trained.members)), "scans": str(len(paths))}
    outcome, used = trained.outcome, [one.prediction for one in predicted if one.prediction is not None]
    unusual = _unusual(predicted)
    if unusual:
        log.warning("%s", unusual)
    write_prediction_report(
        out / "report.html",
        title="Predictions",
        facts=facts | {"heatmaps": heatmap.replace("_", " ")},
        summary=" ".join(filter(None, [outcome.words.summary(used), unusual])),
        words=outcome.words,
        scans=pages,
    )
    return int(len(used) < len(predicted))


def _predict(
    trained: TrainedModel, name: str, path: Path, heatmaps: Path, heatmap: str
) -> tuple[ScanPrediction, Picture | None]:
    """Predict one scan, and write and draw the map that explains the prediction."""
    found = trained.predict_scan(name, path)
    if heatmap == "none" or found.prediction is None:
        return found, None
    assert found.scan is not None, "it was predicted"
    warnings = list(found.warnings)
    try:
        heat = trained.heat(found, method=heatmap)
    except (MemoryError, RuntimeError, UserError) as error:  # the prediction stands
        return found.warned(f"the heatmap could not be computed: {' '.join(str(error).split())}"), None
    if not heat.any():
        warnings.append("the heatmap is empty: nothing in the scan speaks for the prediction")
    try:
        write_image(heatmaps / f"{name}_heatmap.nii.gz", heat, found.scan.affine, code=found.scan.code)
    except OSError as error:  # a full disk, a name too long: the prediction stands
        warnings.append(f"the heatmap could not be written: {error.strerror}")
    target = trained.outcome.target_named(None, found.prediction)
    high, low = trained.outcome.words.evidence(target)
    view = HeadView(found.scan.data, found.scan.affine, heatmap=heat, high=high, low=low)
    picture = slices(view, alt=f"{name} on three planes with the evidence {high}", height=150)
    return found.warned(*warnings[len(found.warnings) :]), picture


def _page_row(trained: TrainedModel, found: ScanPrediction, picture: Picture | None) -> ScanResult:
    """Lay out a prediction for the report."""
    if found.prediction is None:
        return ScanResult(found.name, "", None, warnings=found.warnings, status=found.status)
    outcome = trained.outcome
    _, *numbers = (cells[0] for cells in outcome.prediction_columns(found.prediction[None]).values())
    return ScanResult(
        found.name,
        outcome.words.prediction(found.prediction),
        dict(zip(outcome.words.value_titles(), numbers, strict=True)),
        spread=found.spread,
        warnings=found.warnings,
        picture=picture,
        status=found.status,
    )


def _unusual(found: Sequence[ScanPrediction]) -> str:
    """Count the scans that are unlike every training scan, in a sentence; nothing where none is."""
    number = sum(one.status == "unusual" for one in found)
    if not number:
        return ""
    whose = "scan is" if number == 1 else "scans are"
    return f"{number} {whose} unlike every training scan: what is predicted of such a scan cannot be relied on."


def _write_predictions(path: Path, trained: TrainedModel, found: Sequence[ScanPrediction]) -> None:
    """Write one row per scan; the spread of several models has 6 digits."""
    rows = trained.prediction_rows(found)
    for row in rows:
        if row.get("spread") is not None:
            row["spread"] = f"{row['spread']:.6g}"
    write_csv(path, rows, trained.prediction_header(), digits=9)


def _verdict(trained: TrainedModel, found: ScanPrediction) -> str:
    return "not predicted" if found.prediction is None else trained.outcome.words.verdict(found.prediction)


def _clear(out: Path) -> None:
    """Make the folder for the results, without those of an earlier call: none may be taken for this one's.

    Raises:
        UserError: It is a run, whose own results would be lost, or a folder stands where a file of the results goes.
    """
    check_replaceable(out)
    out.mkdir(parents=True, exist_ok=True)
    for stale in (out / "predictions.csv", out / "report.html", *out.glob("heatmaps/*_heatmap.nii.gz")):
        if stale.is_dir():
            raise UserError(f"{stale} is a folder, where a file of the results goes. Remove it, or set another out.")
        stale.unlink(missing_ok=True)
