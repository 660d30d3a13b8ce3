"""One run: cohort, folds, classifier, evaluation, model folders, report."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from pytorch_lightning.utilities import rank_zero_only

import mri3d
from mri3d.cohort.audit import audit
from mri3d.cohort.bids import Bids
from mri3d.cohort.cohort import Cohort, CohortSource
from mri3d.cohort_maps import study_sections
from mri3d.errors import UserError
from mri3d.evaluation.crossvalidation import Evaluation, FoldResult, cross_validate, make_tasks
from mri3d.evaluation.nested import Candidates, Nested
from mri3d.evaluation.splits import Fold
from mri3d.explain.attribution import as_heat, explain, has_evidence
from mri3d.model_folder import Card
from mri3d.models.classical.models import ClassicalModel
from mri3d.models.model import Classifier, Task
from mri3d.models.network.board import peak_memory_mb, reset_peak_memory
from mri3d.models.network.cnn import CNN
from mri3d.models.network.devices import one_voice
from mri3d.records import Clock, claim, log_file, write_page, write_scores
from mri3d.report.figures import HeadView, Picture, slices
from mri3d.scans.scan import read_scan
from mri3d.volumes.cache import Volumes
from mri3d.volumes.recipe import Recipe
from mri3d.volumes.reference import Reference, outliers

log = logging.getLogger(__name__)


class Splitter(Protocol):
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
    classifier: Classifier | Candidates,
    evaluation: Splitter,
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
        classifier: What to judge, copied for each fold; or several, of which each fold chooses one.
        evaluation: How to split the cohort.
        seed: Everything random follows from it.
        folder: The run directory; made once it is known that there is something to run.
        configuration: What to keep as `config.yaml`.
        resumed: Whether the run directory is that of a run that was cut off, to be gone on with.

    Raises:
        UserError: Something that the user can mend; told before the run directory exists wherever that is possible.
    """
    reset_peak_memory()
    clock = Clock()
    with clock("cohort"):
        study = _prepare(data, recipe, classifier, evaluation, seed=seed, folder=folder)
    with clock("volumes"):
        study.volumes.fill()
    writes = getattr(rank_zero_only, "rank", 0) == 0
    cohort = study.cohort
    if writes:
        cohort = _with_outliers(cohort, study.volumes)
        claim(folder, cohort, study.folds, configuration, resumed=resumed)
    with log_file(folder) if writes else nullcontext():
        suffix = data.suffix if isinstance(data, Bids) else None
        keeper = ModelKeeper(folder, study.volumes, cohort, num_folds=len(study.folds), suffix=suffix)
        with clock("training and testing"), _process_group(), one_voice():
            after_fold = keeper if writes else _keep_nothing
            result = cross_validate(classifier, study.folds, study.tasks, after_fold=after_fold)
        if not writes:
            return Outcome((), result)
        metrics = write_scores(folder, cohort, result, seconds=clock.total(), peak_memory_mb=peak_memory_mb())
        sections = [("What it sees", keeper.pictures)]
        if any(isinstance(one, ClassicalModel) for one in _tried(classifier)):
            with _optional("the maps of the cohort"):
                sections += study_sections(study.volumes, cohort, folder / "maps", weights=keeper.weights)
        write_page(folder, cohort, result, metrics, configuration, sections)
    return Outcome((headline(result), f"run    {folder}", f"report {folder / 'report.html'}"), result)


@dataclass(frozen=True)
class _Study:
    """Who is there, what they look like, and who learns from whom."""

    cohort: Cohort
    volumes: Volumes
    folds: list[Fold]
    tasks: list[Task]


def _prepare(
    data: CohortSource,
    recipe: Recipe,
    classifier: Classifier | Candidates,
    evaluation: Splitter,
    *,
    seed: int,
    folder: Path,
) -> _Study:
    """Read the cohort, split it, and refuse what cannot be done with it; arguments as for `run`."""
    for one in _tried(classifier):
        if isinstance(one, CNN) and one.augmentation:
            one.augmentation.check_orientation(recipe.orientation)
    if isinstance(evaluation, Nested) and isinstance(classifier, CNN):
        log.warning("evaluation=nested chooses nothing for a network without evaluation.grid: it is k-fold")
    cohort = audit(data.read(), oriented=recipe.orientation == "ras", skip_bad=data.skip_bad)
    targets, groups, classes = cohort.targets, cohort.groups, cohort.classes
    folds = evaluation.split(targets, groups, classes=classes, seed=seed)
    volumes = Volumes(cohort.scans, cohort.digests, recipe.for_cohort(cohort.scans), ids=cohort.ids)
    tasks = make_tasks(volumes, targets, groups, folds, classes=classes, folder=folder, seed=seed)
    for task in tasks:
        classifier.check(task)
    return _Study(cohort, volumes, folds, tasks)


def _tried(classifier: Classifier | Candidates) -> Sequence[Classifier]:
    return classifier.classifiers if isinstance(classifier, Candidates) else [classifier]


@contextmanager
def _optional(what: str) -> Iterator[None]:
    """Go on without pictures where a scan has moved or the disk is full: they are not worth a finished training."""
    try:
        yield
    except (UserError, OSError) as error:
        log.warning("%s could not be made: %s", what, error)


def _with_outliers(cohort: Cohort, volumes: Volumes) -> Cohort:
    """Note and tell which volumes are unlike the others."""
    unlike = outliers(volumes, np.arange(len(volumes)))
    said = {cohort.ids[row]: warning for row, warning in unlike.items()}
    for name, warning in said.items():
        log.warning("subject %s is %s", name, warning)
    return Cohort(
        tuple(
            replace(subject, warnings=(*subject.warnings, said[subject.id])) if subject.id in said else subject
            for subject in cohort.subjects
        )
    )


@dataclass(frozen=True)
class ModelKeeper:
    """Keeps of each fold the fitted classifier with what it needs to meet new scans, and of the first fold pictures.

    Args:
        folder: The run.
        volumes: All volumes of the cohort.
        cohort: Who they are.
        num_folds: How many folds the run has.
        suffix: Of the scans' names in their BIDS tree, which new scans are looked for by; None where there is none.
        pictures: Of some tested subjects of the first fold.
        weights: The first fold's model in words, to the weights of its voxels; empty where it is not linear.
    """

    folder: Path
    volumes: Volumes
    cohort: Cohort
    num_folds: int
    suffix: str | None = None
    pictures: list[Picture] = field(default_factory=list)
    weights: dict[str, np.ndarray] = field(default_factory=dict)

    def __call__(self, result: FoldResult, classifier: Classifier, task: Task) -> None:
        """Write the model folder of a fold."""
        fold = result.fold
        facts = {
            "mri3d": mri3d.__version__,
            "torch": str(torch.__version__),
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
            "seed": task.seed,
            "chosen": result.chosen,
            "fold": fold.number,
            "num_folds": self.num_folds,
            "num_train": len(fold.train_rows),
            "num_validation": len(fold.validation_rows),
            "test_scores": result.scores,
            "train_subjects": [self.cohort.ids[row] for row in np.union1d(fold.train_rows, fold.validation_rows)],
        } | ({"suffix": self.suffix} if self.suffix else {})
        card = Card(self.cohort.classes, self.volumes.recipe, Reference.fit(self.volumes, fold.train_rows), facts)
        model = self.folder / "model"
        classifier.save(model / f"fold_{fold.number}" if self.num_folds > 1 else model, card)
        if not self.pictures:
            with _optional("pictures of tested scans"):
                self.pictures.extend(self._picture(result, classifier, card.reference.mean))
            if isinstance(classifier, ClassicalModel) and classifier.is_linear:
                self.weights[f"the model of fold {fold.number}"] = classifier.weight_map()

    def _picture(self, result: FoldResult, classifier: Classifier, baseline: np.ndarray) -> Iterator[Picture]:
        """Draw, for each class, the tested subject that the classifier was surest of."""
        rows = result.fold.test_rows
        for k, name in enumerate(self.cohort.classes):
            mine = np.flatnonzero(self.cohort.targets[rows] == k)
            if not len(mine):
                continue
            surest = mine[result.proba[mine, k].argmax()]
            row, proba = int(rows[surest]), result.proba[surest, k]
            volume, affine = self.volumes[row], self.volumes.recipe.affine(read_scan(self.cohort.scans[row]))
            heat = None
            if has_evidence(classifier):
                heat = as_heat(explain(classifier, volume, baseline=baseline, target=k))
            caption = f"Subject {self.cohort.ids[row]} of class {name}, predicted with probability {proba:.2f}"
            caption += "." if heat is None else ", and what in it speaks for that against the average of training."
            yield slices(HeadView(volume[0], affine, heatmap=heat), alt=caption, caption=caption)


def headline(result: Evaluation) -> str:
    """Say how well the classes are told apart, in one line."""
    scores = {name: value for name, value in result.scores.items() if value is not None}
    shown = {"auc": "AUC", "accuracy": "accuracy", "balanced_accuracy": "balanced accuracy"}
    text = ", ".join(f"{label} {scores[name]:.3f}" for name, label in shown.items() if name in scores)
    return f"test   {text} ({len(result.rows)} tests of {len(np.unique(result.rows))} subjects)"


def _keep_nothing(result: FoldResult, classifier: Classifier, task: Task) -> None:
    """Leave the writing to the first process."""


@contextmanager
def _process_group() -> Iterator[None]:
    """Part from the other devices' processes at the end, or the next run of a sweep would wait for them."""
    try:
        yield
    finally:
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
