"""Model folder and scans in; predictions, heatmaps and a report out."""

import csv
import io
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mri3d.errors import UserError
from mri3d.explain.attribution import as_heat, explain, grad_cam, has_evidence
from mri3d.files import write_text
from mri3d.model_folder import CARD, Card, model_folders
from mri3d.models.loading import load_classifier
from mri3d.models.model import Classifier
from mri3d.models.network.cnn import CNN
from mri3d.report.figures import HeadView, slices
from mri3d.report.prediction_page import ScanResult, write_prediction_report
from mri3d.scans.listing import find_scans, unique_names
from mri3d.scans.scan import read_scan, write_map
from mri3d.volumes.sequence import InMemory

log = logging.getLogger(__name__)

HEATMAPS = ("integrated_gradients", "gradcam", "none")


class Ensemble:
    """The models of a run, which vote by mean probability.

    Args:
        path: A run, its `model` folder, or one fold's folder.

    Raises:
        UserError: There is no model, or the folds' models do not fit together.
    """

    def __init__(self, path: Path) -> None:
        self.members: list[tuple[Classifier, Card]] = [load_classifier(folder) for folder in model_folders(path)]
        first = self.members[0][1]
        if any((card.classes, card.recipe) != (first.classes, first.recipe) for _, card in self.members):
            raise UserError(f"the models beneath {path} differ in classes or preprocessing: they are not of one run.")
        self.classes, self.recipe = first.classes, first.recipe
        self.suffix = str(first.facts.get("suffix", "T1w"))  # of the scans' names in a BIDS tree
        expected = first.facts.get("num_folds", 1)
        if len(self.members) > 1 and len(self.members) < expected:
            raise UserError(
                f"{path} holds the models of {len(self.members)} of its {expected} folds. Go on with the run "
                f"(python train.py resume=...), or name one fold's folder."
            )

    def predict(self, name: str, path: Path, heatmaps: Path, *, heatmap: str) -> ScanResult:
        """Predict one scan, and write the map that explains the prediction.

        Args:
            name: What to call the scan.
            path: Where it lies.
            heatmaps: Folder for the map.
            heatmap: One of `HEATMAPS`.

        Raises:
            ScanError: The scan cannot be used.
        """
        scan = read_scan(path)
        volume = self.recipe.volume(scan)
        single, rows = InMemory(volume[None]), np.zeros(1, dtype=np.int64)
        probas = np.stack([classifier.predict_proba(single, rows)[0] for classifier, _ in self.members])  # [M, K]
        proba = probas.mean(axis=0)
        best = int(proba.argmax())
        warnings = [*scan.warnings, *self.recipe.warnings(scan), *self._strangeness(volume)]
        picture = None
        if heatmap != "none":
            heat = self.recipe.to_scan(self.explain(volume, best, heatmap), scan)
            if not heat.any():
                warnings.append("the heatmap is empty: nothing in the scan speaks for the prediction")
            try:
                write_map(heatmaps / f"{name}_heatmap.nii.gz", heat, scan.affine, code=scan.code)
            except OSError as error:  # a full disk, a name too long: the prediction stands
                warnings.append(f"the heatmap could not be written: {error.strerror}")
            picture = slices(
                HeadView(scan.data, scan.affine, heatmap=heat),
                alt=f"{name} on three planes with the evidence for {self.classes[best]}",
                height=150,
            )
        spread = float(probas[:, best].std()) if len(probas) > 1 else None
        return ScanResult(name, self.classes[best], proba, spread, warnings, picture)

    def explains(self, heatmap: str) -> bool:
        """Tell whether the members have such heatmaps."""
        kind = (lambda classifier: isinstance(classifier, CNN)) if heatmap == "gradcam" else has_evidence
        return all(kind(classifier) for classifier, _ in self.members)

    def explain(self, volume: np.ndarray, target: int, heatmap: str = HEATMAPS[0]) -> np.ndarray:
        """Give the heatmap [X, Y, Z], 0 to 1, of the members' mean evidence for a class in a volume [1, X, Y, Z]."""
        maps = [
            grad_cam(classifier, volume, target=target)
            if heatmap == "gradcam" and isinstance(classifier, CNN)
            else explain(classifier, volume, baseline=card.reference.mean, target=target)
            for classifier, card in self.members
        ]
        return as_heat(np.asarray(np.mean(maps, axis=0), dtype=np.float32))

    def _strangeness(self, volume: np.ndarray) -> Iterator[str]:
        # Most members must find the scan strange, since each has seen other subjects.
        said = [warning for _, card in self.members if (warning := card.reference.warning(volume))]
        if len(said) * 2 > len(self.members):
            yield said[0]


def run(model: Path, scans: str | Sequence[str], out: Path, *, heatmap: str = HEATMAPS[0]) -> int:
    """Predict scans; leave `predictions.csv`, `heatmaps/` and `report.html`.

    One bad scan never stops the others: its row says why it has no prediction.

    Args:
        model: A run, its `model` folder, or one fold's folder.
        scans: A file, a glob, a folder (searched through), a BIDS root, or a list of these.
        out: Folder for the results.
        heatmap: `integrated_gradients` from the average training volume (of a linear model, what each voxel adds),
            `gradcam` of a network, or `none`.

    Returns:
        Exit status: 0, or 1 if a scan could not be predicted.

    Raises:
        UserError: No model, no scans, no such kind of heatmap, or `out` cannot take the results.
    """
    if heatmap not in HEATMAPS:
        raise UserError(f"heatmap={heatmap} is unknown. Give one of {', '.join(HEATMAPS)}.")
    ensemble = Ensemble(model)
    maps = (out / "heatmaps").resolve()
    found = find_scans([scans] if isinstance(scans, str) else scans, suffix=ensemble.suffix)
    paths = [path for path in found if path.resolve().parent != maps]  # of an earlier call, where scans holds out
    if not paths:
        raise UserError(f"scans={scans} holds nothing but heatmaps of an earlier call. Give scans.")
    _clear(out)
    log.info("%d scans, %d model%s", len(paths), len(ensemble.members), "s" * (len(ensemble.members) > 1))
    if heatmap != "none" and not ensemble.explains(heatmap):
        log.warning("no heatmaps: models of this kind have no %s", heatmap.replace("_", " "))
        heatmap = "none"
    results: list[ScanResult] = []
    try:
        for number, (name, path) in enumerate(zip(unique_names(paths), paths, strict=True), start=1):
            try:
                result = ensemble.predict(name, path, out / "heatmaps", heatmap=heatmap)
            except (UserError, MemoryError, RuntimeError) as error:  # torch's out-of-memory is a RuntimeError
                result = ScanResult(name, "", None, warnings=(" ".join(str(error).split()),))
            for warning in result.warnings:
                log.warning("%s: %s", name, warning)
            log.info("%d of %d: %s", number, len(paths), _verdict(result))
            results.append(result)
    finally:  # an interrupted call keeps what it has
        write_predictions(out / "predictions.csv", results, ensemble.classes, several=len(ensemble.members) > 1)
    facts = {"model": str(model), "models that voted": str(len(ensemble.members)), "scans": str(len(paths))}
    facts["heatmaps"] = heatmap.replace("_", " ")
    write_prediction_report(
        out / "report.html", title="Predictions", facts=facts, classes=ensemble.classes, scans=results
    )
    return int(any(result.proba is None for result in results))


def _clear(out: Path) -> None:
    """Make the folder for the results, without those of an earlier call: none may be taken for this one's.

    Raises:
        UserError: It is a run, whose own results would be lost, or a folder stands where a file of the results goes.
    """
    if (out / "config.yaml").exists() or (out / CARD).exists():
        raise UserError(f"out={out} holds a run or a model, whose own files would be replaced. Set another out.")
    out.mkdir(parents=True, exist_ok=True)
    for stale in (out / "predictions.csv", out / "report.html", *out.glob("heatmaps/*_heatmap.nii.gz")):
        if stale.is_dir():
            raise UserError(f"{stale} is a folder, where a file of the results goes. Remove it, or set another out.")
        stale.unlink(missing_ok=True)


def write_predictions(path: Path, results: Sequence[ScanResult], classes: Sequence[str], *, several: bool) -> None:
    """Write one row per scan; with several models, `spread` is how far they differ on the predicted class."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = ["scan", "prediction", *(f"p_{name}" for name in classes), "warnings"]
    writer.writerow([*columns, "spread"] if several else columns)
    for result in results:
        proba = [""] * len(classes) if result.proba is None else [f"{p:.9g}" for p in result.proba]
        spread = ["" if result.spread is None else f"{result.spread:.6g}"] if several else []
        writer.writerow([result.name, result.prediction, *proba, "; ".join(result.warnings), *spread])
    write_text(path, text.getvalue())


def _verdict(result: ScanResult) -> str:
    if result.proba is None:
        return f"{result.name} not predicted"
    return f"{result.name} {result.prediction} {result.proba.max():.3f}"
