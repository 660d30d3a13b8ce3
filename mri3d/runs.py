"""One run: study, folds, model, results, model folders, report."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning.utilities import rank_zero_only

from mri3d.cohort.cohort import Cohort, CohortSource
from mri3d.cohort_maps import study_sections
from mri3d.errors import UserError
from mri3d.evaluation.crossvalidation import CrossValidation
from mri3d.evaluation.results import FoldResult, Results
from mri3d.evaluation.splits import Splits
from mri3d.models.member import Member, member_of
from mri3d.models.model import Model
from mri3d.models.network.board import peak_memory_mb, reset_peak_memory
from mri3d.models.network.devices import one_voice
from mri3d.records import Clock, claim, log_file, write_member, write_page, write_scores
from mri3d.report.figures import HeadView, Picture, slices
from mri3d.scans.scan import read_scan
from mri3d.study import Study
from mri3d.volumes.recipe import Recipe
from mri3d.volumes.reference import outliers
from mri3d.volumes.sequence import VolumeSequence

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunEnd:
    """What a run ends with.

    Args:
        lines: The metric, where the run lies, where the report lies; none beside the first process.
        results: Predictions and scores.
    """

    lines: tuple[str, ...]
    results: Results


def run(
    source: CohortSource,
    recipe: Recipe,
    model: Model,
    splits: Splits,
    *,
    task: str,
    seed: int,
    folder: Path,
    configuration: dict[str, Any],
    resumed: bool = False,
) -> RunEnd:
    """Train and judge a model; leave a run directory, see the README.

    Every process of a run on several devices calls this with the same arguments; the first one writes.

    Args:
        source: Where the cohort comes from.
        recipe: How a scan becomes a volume.
        model: What to judge, copied for each fold.
        splits: How to split the cohort.
        task: What kind of outcome is predicted.
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
        study = Study.read(source, recipe, task=task)
        validation = CrossValidation.of(study, model, splits, seed=seed, folder=folder)
    with clock("volumes"):
        study.volumes.fill()
    writes = getattr(rank_zero_only, "rank", 0) == 0
    cohort = study.cohort
    if writes:
        cohort = _with_outliers(cohort, study.volumes)
        claim(folder, cohort, validation.folds, configuration, resumed=resumed)
    with log_file(folder) if writes else nullcontext():
        keeper = ModelKeeper(folder, study, num_folds=len(validation.folds))
        with clock("training and testing"), _process_group(), one_voice():
            results = validation.run(after_fold=keeper if writes else None, keep_models=False)
        if not writes:
            return RunEnd((), results)
        metrics = write_scores(folder, results, seconds=clock.total(), peak_memory_mb=peak_memory_mb())
        sections = [("Where the evidence lies", keeper.pictures)]
        if validation.model.uses_components:
            with _optional("the maps of the cohort"):
                sections += study_sections(study, folder / "maps", weights=keeper.weights)
        write_page(folder, results, metrics, configuration, sections, cohort=cohort)
    return RunEnd((f"test   {results.headline()}", f"run    {folder}", f"report {folder / 'report.html'}"), results)


@contextmanager
def _optional(what: str) -> Iterator[None]:
    """Go on without pictures where a scan has moved or the disk is full: they are not worth a finished training."""
    try:
        yield
    except (UserError, OSError) as error:
        log.warning("%s could not be made: %s", what, error)


def _with_outliers(cohort: Cohort, volumes: VolumeSequence) -> Cohort:
    """Note and report which volumes are unlike the others."""
    unlike = outliers(volumes, np.arange(len(volumes)))
    said = {cohort.ids[row]: warning for row, warning in unlike.items()}
    for name, warning in said.items():
        log.warning("subject %s is %s", name, warning)
    sessions = (
        replace(session, warnings=(*session.warnings, said[session.id])) if session.id in said else session
        for session in cohort.sessions
    )
    return replace(cohort, sessions=tuple(sessions))


@dataclass(frozen=True)
class ModelKeeper:
    """Keeps of each fold the fitted model with what it needs to meet new scans, and of the first fold pictures.

    Args:
        folder: The run.
        study: What the models are fitted on.
        num_folds: How many folds the run has.
        pictures: Of some tested subjects of the first fold.
        weights: The first fold's model in words, to the weights of its voxels; empty where it is not linear.
    """

    folder: Path
    study: Study
    num_folds: int
    pictures: list[Picture] = field(default_factory=list)
    weights: dict[str, np.ndarray] = field(default_factory=dict)

    def __call__(self, result: FoldResult) -> None:
        """Write the model folder of a fold."""
        assert result.model is not None, "the model was just fitted"
        fold = result.fold
        member = member_of(
            self.study,
            result.model,
            train_rows=fold.train_rows,
            fold=fold.number,
            num_folds=self.num_folds,
            facts=result.facts(self.study),
        )
        write_member(self.folder, member, result, num_folds=self.num_folds)
        if fold.number == 0:
            with _optional("pictures of tested scans"):
                self.pictures.extend(self._pictures(result, member))
            if (weights := result.model.maps()) is not None:
                self.weights[f"the model of fold {fold.number}" if self.num_folds > 1 else "the model"] = weights

    def _pictures(self, result: FoldResult, member: Member) -> Iterator[Picture]:
        """Draw some tested subjects with the evidence for their prediction."""
        rows, outcome, study, model = result.fold.test_rows, self.study.outcome, self.study, member.model
        assert study.recipe is not None, "a run's volumes come from scans"
        examples = outcome.examples(study.targets[rows], result.predictions) if len(rows) else []
        for example in examples:
            row = int(rows[example.position])
            volume, affine = study.volumes[row], study.recipe.affine(read_scan(study.cohort.scans[row]))
            heat, (high, low) = None, outcome.evidence_words(example.target)
            caption = f"Subject {study.ids[row]} {example.caption}"
            if model.heatmaps:
                evidence = model.explain(
                    volume, baseline=member.card.reference.mean, target=example.target, method=model.heatmaps[0]
                )
                heat = outcome.as_heat(evidence)
                caption += f". Colour: {example.evidence}, compared with the average training scan"
            view = HeadView(volume[0], affine, heatmap=heat, high=high, low=low)
            yield slices(view, alt=f"{caption}.", caption=f"{caption}.")


@contextmanager
def _process_group() -> Iterator[None]:
    """Part from the other devices' processes at the end, or the next run of a sweep would wait for them."""
    try:
        yield
    finally:
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
