"""One run: cohort, folds, classifier, evaluation, model folders, report."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import yaml
from pytorch_lightning.utilities import rank_zero_only

import mri3d
from mri3d.classifiers.board import peak_memory_mb
from mri3d.classifiers.classifier import Classifier
from mri3d.classifiers.cnn import CNN
from mri3d.cohort.audit import audit
from mri3d.cohort.cohort import Cohort, CohortSource
from mri3d.errors import UserError
from mri3d.evaluation.crossvalidation import Evaluation, FoldResult, cross_validate
from mri3d.evaluation.splits import Fold, fold_texts
from mri3d.explain.attribution import grad_cam
from mri3d.files import write_json, write_text
from mri3d.model_folder import Card
from mri3d.report.figures import HeadView, Picture, slices
from mri3d.report.page import write_report
from mri3d.scans.scan import read_scan
from mri3d.volumes.cache import Volumes
from mri3d.volumes.recipe import Recipe
from mri3d.volumes.reference import Reference

log = logging.getLogger(__name__)


class Evaluator(Protocol):
    """Who trains and who is tested: `_target_` of the options of `evaluation`."""

    def split(self, targets: np.ndarray, groups: np.ndarray, *, classes: tuple[str, ...], seed: int) -> list[Fold]:
        """Deal the rows into folds."""
        ...


@dataclass(frozen=True)
class Outcome:
    """What a run ends with.

    Args:
        lines: The metric, where the run lies, where the report lies; none beside the first process.
        evaluation: Predictions and scores.
    """

    lines: tuple[str, ...]
    evaluation: Evaluation


def run(
    data: CohortSource,
    recipe: Recipe,
    classifier: Classifier,
    evaluation: Evaluator,
    *,
    seed: int,
    folder: Path,
    configuration: dict[str, Any],
    resumed: bool = False,
) -> Outcome:
    """Train and judge a classifier; leave a run directory as DESIGN.md's contract has it.

    Every process of a run on several devices calls this with the same arguments; the first one writes.

    Args:
        data: Where the cohort comes from.
        recipe: How a scan becomes a volume.
        classifier: What to judge; it is copied for each fold.
        evaluation: How to split the cohort.
        seed: Everything random follows from it.
        folder: The run directory; made once it is known that there is something to run.
        configuration: What to keep as `config.yaml`.
        resumed: Whether the run directory is that of a run that was cut off, to be gone on with.

    Raises:
        UserError: Something that the user can mend; told before the run directory exists wherever that is possible.
    """
    clock = Clock()
    with clock("cohort"):
        cohort = audit(data.read(), oriented=recipe.orientation == "ras", skip_bad=data.skip_bad)
        folds = evaluation.split(cohort.targets, cohort.groups, classes=cohort.classes, seed=seed)
        recipe = recipe.for_cohort(cohort.scans)
        volumes = Volumes(cohort.scans, cohort.digests, recipe, ids=cohort.ids)
    writes = getattr(rank_zero_only, "rank", 0) == 0
    if writes:
        _claim(folder, cohort, folds, configuration, resumed=resumed)
    with _log_file(folder) if writes else _nothing():
        with clock("volumes"):
            volumes.fill()
        keeper = Keeper(folder, volumes, cohort, num_folds=len(folds), seed=seed)
        with clock("training and testing"), _process_group():
            result = cross_validate(
                classifier,
                volumes,
                cohort.targets,
                cohort.groups,
                folds,
                classes=cohort.classes,
                folder=folder,
                seed=seed,
                after_fold=keeper if writes else lambda result, classifier: None,
            )
        if writes:
            _write_results(folder, cohort, result, clock, configuration, keeper.pictures)
    lines = (headline(result), f"run    {folder}", f"report {folder / 'report.html'}") if writes else ()
    return Outcome(lines, result)


@dataclass(frozen=True)
class Keeper:
    """Keeps of each fold the fitted classifier with what it needs to meet new scans, and of the first fold pictures.

    Args:
        folder: The run.
        volumes: All volumes of the cohort.
        cohort: Who they are.
        num_folds: How many folds the run has.
        seed: Of the run.
    """

    folder: Path
    volumes: Volumes
    cohort: Cohort
    num_folds: int
    seed: int
    pictures: list[Picture] = field(default_factory=list)

    def __call__(self, result: FoldResult, classifier: Classifier) -> None:
        """Write the model folder of a fold."""
        fold = result.fold
        facts = {
            "mri3d": mri3d.__version__,
            "torch": str(torch.__version__),
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
            "seed": self.seed,
            "fold": fold.number,
            "num_folds": self.num_folds,
            "num_train": len(fold.train_rows),
            "num_validation": len(fold.validation_rows),
            "test_scores": result.scores,
            "train_subjects": [self.cohort.ids[row] for row in np.union1d(fold.train_rows, fold.validation_rows)],
        }
        card = Card(self.cohort.classes, self.volumes.recipe, Reference.fit(self.volumes, fold.train_rows), facts)
        model = self.folder / "model"
        classifier.save(model / f"fold_{fold.number}" if self.num_folds > 1 else model, card)
        if not self.pictures:
            self.pictures.extend(self._picture(result, classifier))

    def _picture(self, result: FoldResult, classifier: Classifier) -> Iterator[Picture]:
        """Draw, for each class, the tested subject that the classifier was surest of."""
        rows = result.fold.test_rows
        for k, name in enumerate(self.cohort.classes):
            mine = np.flatnonzero(self.cohort.targets[rows] == k)
            if not len(mine):
                continue
            surest = mine[result.proba[mine, k].argmax()]
            row, proba = int(rows[surest]), result.proba[surest, k]
            volume, affine = self.volumes[row], self.volumes.recipe.affine(read_scan(self.cohort.scans[row]))
            heat = grad_cam(classifier, volume, target=k) if isinstance(classifier, CNN) else None
            evidence = f", with the evidence for {name} (Grad-CAM)" if heat is not None else ""
            caption = (
                f"Subject {self.cohort.ids[row]} of class {name}, predicted with probability {proba:.2f}{evidence}."
            )
            yield slices(HeadView(volume[0], affine, heatmap=heat), alt=caption, caption=caption)


class Clock:
    """Adds up the seconds of named parts of a run."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._start = time.perf_counter()

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        """Time the block."""
        start = time.perf_counter()
        yield
        self.seconds[part] = round(time.perf_counter() - start, 3)

    def total(self) -> dict[str, float]:
        """Give the parts and the whole so far."""
        return self.seconds | {"total": round(time.perf_counter() - self._start, 3)}


def _write_results(
    folder: Path,
    cohort: Cohort,
    result: Evaluation,
    clock: Clock,
    configuration: dict[str, Any],
    pictures: list[Picture],
) -> None:
    """Write predictions, scores and the report."""
    result.write_predictions(folder / "predictions.csv", cohort.ids)
    unlabelled = sum(subject.label is None for subject in cohort.subjects)
    counts = {
        "total": len(cohort.subjects),
        "participants": len(cohort.ids),
        "unlabelled": unlabelled,
        "left_out": len(cohort.subjects) - len(cohort.ids) - unlabelled,
        "tested": len(np.unique(result.rows)),
    }
    metrics = result.metrics_json(num_subjects=counts, seconds=clock.total(), peak_memory_mb=round(peak_memory_mb(), 1))
    write_json(folder / "metrics.json", metrics)
    write_report(
        folder / "report.html",
        title=str(configuration.get("name", folder.name)),
        facts={
            "cohort": cohort.describe(),
            "model": str(configuration["model"].get("network", configuration["model"])["_target_"]).rpartition(".")[2],
            "resolution": str(configuration.get("resolution", "")),
            "time": f"{clock.total()['total']:.0f} s",
            "run": str(folder),
        },
        metrics=metrics,
        targets=result.targets[result.rows],
        proba=result.proba,
        cohort=cohort.to_rows(),
        histories=[fold.history for fold in result.folds],
        pictures=pictures,
        configuration=yaml.safe_dump(configuration, sort_keys=False, allow_unicode=True),
    )


def headline(result: Evaluation) -> str:
    """Say how well the classes are told apart, in one line."""
    scores = {name: value for name, value in result.scores.items() if value is not None}
    shown = {"auc": "AUC", "accuracy": "accuracy", "balanced_accuracy": "balanced accuracy"}
    text = ", ".join(f"{label} {scores[name]:.3f}" for name, label in shown.items() if name in scores)
    return f"test   {text} ({len(result.rows)} tests of {len(np.unique(result.rows))} subjects)"


def _claim(folder: Path, cohort: Cohort, folds: list[Fold], configuration: dict[str, Any], *, resumed: bool) -> None:
    """Make the run directory, or make sure that the one to go on with is of the same cohort and folds.

    Raises:
        UserError: The directory is another run's, or training rows of the cut-off part could be test rows by now.
    """
    texts = dict(zip(cohort.ids, fold_texts(folds, len(cohort.ids)), strict=True))
    table = cohort.to_csv(texts)
    if resumed:
        if (folder / "cohort.csv").read_bytes() != table.encode():
            raise UserError(
                f"the cohort is not the one that {folder} began with: its cohort.csv has other scans, labels or folds. "
                "Subjects that it has learnt from could be tested. Start a new run."
            )
        return
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise UserError(f"{folder} is there already. Start again, or give the run a name of its own.") from None
    write_text(folder / "config.yaml", yaml.safe_dump(configuration, sort_keys=False, allow_unicode=True))
    write_text(folder / "cohort.csv", table)


@contextmanager
def _log_file(folder: Path) -> Iterator[None]:
    """Keep what the run says in `log.txt` too: a job's standard error is easily lost."""
    handler = logging.FileHandler(folder / "log.txt", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)
    try:
        yield
    except Exception as error:  # on the screen it is told where it is caught
        trace = None if isinstance(error, UserError) else sys.exc_info()
        handler.handle(log.makeRecord(log.name, logging.ERROR, __file__, 0, "%s", (error,), trace))
        raise
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()


@contextmanager
def _nothing() -> Iterator[None]:
    yield


@contextmanager
def _process_group() -> Iterator[None]:
    """Part from the other devices' processes at the end, or the next run of a sweep would wait for them."""
    try:
        yield
    finally:
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
