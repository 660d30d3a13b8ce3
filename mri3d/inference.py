"""Model folder and scans in; predictions, heatmaps and a report out."""

import csv
import io
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from glob import glob, has_magic
from itertools import count
from pathlib import Path

import numpy as np

from mri3d.classifiers.classifier import Classifier
from mri3d.classifiers.cnn import CNN
from mri3d.classifiers.loading import load_classifier
from mri3d.errors import UserError
from mri3d.explain.attribution import grad_cam
from mri3d.files import write_text
from mri3d.model_folder import Card, model_folders
from mri3d.scans.scan import SCAN_ENDINGS, read_scan, scan_name, write_map

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Prediction:
    """What is said of one scan.

    Args:
        name: Unique among the scans.
        path: The scan.
        proba: Probability of each class [K]; empty where the scan could not be predicted.
        spread: Standard deviation [K] of the probabilities over the folds' models; empty for one model.
        warnings: Why the prediction should be doubted, or why there is none.
        heatmap: The written map, or None.
    """

    name: str
    path: Path
    proba: np.ndarray = field(default_factory=lambda: np.empty(0))
    spread: np.ndarray = field(default_factory=lambda: np.empty(0))
    warnings: tuple[str, ...] = ()
    heatmap: Path | None = None

    @property
    def failed(self) -> bool:
        """Whether there is no prediction."""
        return not len(self.proba)


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

    def predict(self, name: str, path: Path, heatmaps: Path | None) -> Prediction:
        """Predict one scan, and write the map that explains the prediction.

        Args:
            name: What to call the scan.
            path: Where it lies.
            heatmaps: Folder for the map, or None for none.

        Raises:
            ScanError: The scan cannot be used.
        """
        scan = read_scan(path)
        volume = self.recipe.volume(scan)
        single = OneVolume(volume)
        rows = np.zeros(1, dtype=np.int64)
        probas = np.stack([classifier.predict_proba(single, rows)[0] for classifier, _ in self.members])  # [M, K]
        proba = probas.mean(axis=0)
        warnings = [*scan.warnings, *self.recipe.warnings(scan), *self._strangeness(volume)]
        heatmap = None
        if heatmaps is not None:
            heat = self.explain(volume, int(proba.argmax()))
            if not heat.any():
                warnings.append("the heatmap is empty: no part of the last feature map speaks for the prediction")
            heatmap = heatmaps / f"{name}_heatmap.nii.gz"
            write_map(heatmap, self.recipe.to_scan(heat, scan), scan.affine)
        spread = probas.std(axis=0) if len(probas) > 1 else np.empty(0)
        return Prediction(name, path, proba, spread, tuple(warnings), heatmap)

    def explain(self, volume: np.ndarray, target: int) -> np.ndarray:
        """Average the members' heatmaps [X, Y, Z] of a class for a volume [1, X, Y, Z]."""
        maps = [grad_cam(classifier, volume, target=target) for classifier, _ in self.members if isinstance(classifier, CNN)]
        return np.mean(maps, axis=0, dtype=np.float32)

    def _strangeness(self, volume: np.ndarray) -> Iterator[str]:
        # Most members must find the scan strange, since each has seen other subjects.
        said = [warning for _, card in self.members if (warning := card.reference.warning(volume))]
        if len(said) * 2 > len(self.members):
            yield said[0]


class OneVolume:
    """A volume in memory where a classifier expects a cohort's volumes on disk."""

    def __init__(self, volume: np.ndarray) -> None:
        self.volume = volume
        self.shape = volume.shape

    def __len__(self) -> int:
        return 1

    def __getitem__(self, row: int) -> np.ndarray:
        return self.volume


def run(model: Path, scans: str | Sequence[str], out: Path, *, heatmap: str = "gradcam") -> int:
    """Predict scans; leave `predictions.csv`, `heatmaps/` and `report.html`.

    One bad scan never stops the others: its row says why it has no prediction.

    Args:
        model: A run, its `model` folder, or one fold's folder.
        scans: A file, a glob, a folder (searched through), a BIDS root, or a list of these.
        out: Folder for the results.
        heatmap: `gradcam` or `none`.

    Returns:
        Exit status: 0, or 1 if a scan could not be predicted.

    Raises:
        UserError: No model, no scans, or no such kind of heatmap.
    """
    if heatmap not in ("gradcam", "none"):
        raise UserError(f"heatmap={heatmap} is unknown. Give gradcam or none.")
    ensemble = Ensemble(model)
    paths = find_scans([scans] if isinstance(scans, str) else scans)
    log.info("%d scans, %d model%s", len(paths), len(ensemble.members), "s" * (len(ensemble.members) > 1))
    explained = heatmap != "none" and all(isinstance(classifier, CNN) for classifier, _ in ensemble.members)
    predictions = []
    for number, (name, path) in enumerate(zip(unique_names(paths), paths, strict=True), start=1):
        try:
            prediction = ensemble.predict(name, path, out / "heatmaps" if explained else None)
        except UserError as error:
            prediction = Prediction(name, path, warnings=(str(error),))
        for warning in prediction.warnings:
            log.warning("%s: %s", name, warning)
        log.info("%d of %d: %s", number, len(paths), _verdict(prediction, ensemble.classes))
        predictions.append(prediction)
    write_predictions(out / "predictions.csv", predictions, ensemble.classes)
    return int(any(prediction.failed for prediction in predictions))


def write_predictions(path: Path, predictions: Sequence[Prediction], classes: Sequence[str]) -> None:
    """Write one row per scan; with several models, `spread` is how far they differ on the predicted class."""
    several = any(len(prediction.spread) for prediction in predictions)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["scan", "prediction", *(f"p_{name}" for name in classes), *(["spread"] if several else []), "warnings"]
    )
    for prediction in predictions:
        warnings = "; ".join(prediction.warnings)
        if prediction.failed:
            writer.writerow([prediction.name, "", *[""] * (len(classes) + several), warnings])
            continue
        best = int(prediction.proba.argmax())
        spread = [f"{prediction.spread[best]:.6g}"] if several else []
        writer.writerow(
            [prediction.name, classes[best], *(f"{p:.9g}" for p in prediction.proba), *spread, warnings]
        )
    write_text(path, text.getvalue())


def find_scans(places: Sequence[str]) -> list[Path]:
    """Find the scans that files, globs, folders and BIDS roots name, each once, in order.

    Raises:
        UserError: A place that is not there, or holds no scan.
    """
    found: dict[Path, None] = {}
    for place in places:
        paths = list(_scans_at(place))
        if not paths:
            raise UserError(f"scans={place}: no file that ends in {' or '.join(SCAN_ENDINGS)} is there.")
        found |= dict.fromkeys(paths)
    return list(found)


def _scans_at(place: str) -> Iterator[Path]:
    path = Path(place).expanduser()
    if path.is_dir():
        bids = (path / "dataset_description.json").is_file()
        for file in sorted(path.rglob("*")):
            inside = file.relative_to(path)
            hidden = any(part.startswith(".") for part in inside.parts)
            other = bids and not (inside.parts[0].startswith("sub-") and scan_name(file).endswith("_T1w"))
            if file.name.endswith(SCAN_ENDINGS) and file.is_file() and not hidden and not other:
                yield file
    elif path.exists() or not has_magic(str(path)):
        yield path  # a single file is taken whatever its ending, and if it is missing its row says so
    else:
        for name in sorted(glob(str(path), recursive=True)):
            if name.endswith(SCAN_ENDINGS):
                yield Path(name)


def unique_names(paths: Sequence[Path]) -> list[str]:
    """Name each scan by its file, with as much of its folders as makes it unique.

    >>> unique_names([Path("/a/sub-1/T1.nii"), Path("/a/sub-2/T1.nii.gz"), Path("/a/x.nii")])
    ['sub-1_T1', 'sub-2_T1', 'x']
    """
    parts = [(*path.absolute().parts[1:-1], scan_name(path)) for path in paths]
    depths = [1] * len(paths)
    for _ in count():
        names = ["_".join(part[-depth:]) for part, depth in zip(parts, depths, strict=True)]
        clashing = [i for i, name in enumerate(names) if names.count(name) > 1 and depths[i] < len(parts[i])]
        if not clashing:
            return names
        for i in clashing:
            depths[i] += 1
    raise AssertionError("unreachable")


def _verdict(prediction: Prediction, classes: Sequence[str]) -> str:
    if prediction.failed:
        return f"{prediction.name} not predicted"
    best = int(prediction.proba.argmax())
    return f"{prediction.name} {classes[best]} {prediction.proba[best]:.3f}"


