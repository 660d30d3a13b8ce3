"""One run: study, folds, model, results, model folders, report."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mri3d.cohort.audit import BadScans
from mri3d.cohort_maps import Section, study_sections
from mri3d.errors import UserError
from mri3d.evaluation.crossvalidation import CrossValidation
from mri3d.evaluation.judging import judge
from mri3d.evaluation.results import Results
from mri3d.evaluation.splitting import Splits
from mri3d.hparams import write_hparams
from mri3d.kept_models import ModelKeeper, optional
from mri3d.memory import peak_memory_mb, reset_peak_memory
from mri3d.models.model import Model
from mri3d.models.network.devices import devices_together
from mri3d.montage import write_montage, write_refused
from mri3d.processes import first_speaks, is_first
from mri3d.records import Clock, early_log, log_file, write_scores
from mri3d.report.elements import Html
from mri3d.report.options import ReportOptions
from mri3d.run_folder import claim, renew
from mri3d.run_page import write_run_page
from mri3d.study import Study
from mri3d.volumes.recipes import BrainRecipe, Recipe

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
    read_study: Callable[[], Study],
    model: Model,
    splits: Splits,
    *,
    seed: int,
    folder: Path,
    title: str,
    model_name: str,
    configuration: Mapping[str, Any],
    options: ReportOptions = ReportOptions(),  # noqa: B008 (frozen)
    resumed: bool = False,
    moved: bool = False,
    repeat: Sequence[Html] = (),
) -> RunEnd:
    """Train and judge a model; leave a run directory, see the README.

    Every process of a run on several devices calls this with the same arguments; the first one writes.

    Args:
        read_study: Reads who takes part: a part of the run, whose time and log lines are the run's.
        model: What to judge, copied for each fold.
        splits: How to split the cohort.
        seed: Everything random follows from it.
        folder: The run directory; made once it is known that there is something to run.
        title: Of the report.
        model_name: What the report calls the model.
        configuration: What to keep as `config.yaml`.
        options: How the report is made.
        resumed: Whether the run directory is that of a run that was cut off, to be gone on with.
        moved: Whether `configuration` says of a resumed run where its data lie now.
        repeat: The section of the report with the command that repeats the run.

    Raises:
        UserError: Something that the user can mend; told before the run directory exists wherever that is possible.
    """
    reset_peak_memory()
    clock, writes = Clock(), is_first()
    with early_log() as early:
        with clock("cohort"), _refused_pictured(folder):
            study = read_study()
            validation = CrossValidation.of(study, model, splits, seed=seed, folder=folder)
        with clock("volumes"):
            study.volumes.fill()
        with clock("leak audit"), first_speaks():
            _ = validation.leaks  # told before anything is trained
        if writes:
            claim(folder, study.cohort_with_outliers, validation.folds, configuration, resumed=resumed)
    with log_file(folder, early) if writes else nullcontext():
        if resumed and writes:
            renew(folder, study.cohort_with_outliers, validation.folds, configuration, moved=moved)
        scans: list[Html] = []
        if writes:  # before the training, so that somebody may look at them meanwhile
            with clock("pictures of scans"), optional("the page of scans"):
                scans = write_montage(folder, study)
        keeper = ModelKeeper(folder, study, num_folds=len(validation.folds), covariates=validation.asked)
        with clock("training and testing"), devices_together():
            results = judge(validation, after_fold=keeper if writes else None, keep_models=False)
        if not writes:
            return RunEnd((), results)
        trust = keeper.examination()
        metrics = write_scores(
            folder,
            results,
            seconds=clock.total(),
            peak_memory_mb=peak_memory_mb(),
            maps=None if trust is None else trust.to_json(),
        )
        with optional("the row in TensorBoard's tab HParams"):
            write_hparams(folder, configuration, metrics, model_name=model_name)
        pictures = list[Section]()
        if validation.model.uses_components:
            with optional("the maps of the cohort"):
                pictures = study_sections(study, folder / "maps", weights=keeper.weights, patterns=keeper.patterns)
        write_run_page(
            folder,
            results,
            metrics,
            keeper.tested,
            pictures=pictures,
            scans=scans,
            repeat=repeat,
            options=options,
            title=title,
            model_name=model_name,
            configuration=configuration,
        )
    return RunEnd((f"test   {results.headline()}", f"run    {folder}", f"report {folder / 'report.html'}"), results)


@contextmanager
def _refused_pictured(folder: Path) -> Iterator[None]:
    """Show scans that end the run before it begins on a page beside the folder that it would have had."""
    try:
        yield
    except BadScans as error:
        page = folder.with_name(f"{folder.name}-refused.html")
        recipe, pictured = error.check, any(session.file for session in error.sessions)
        if not (is_first() and pictured and isinstance(recipe, Recipe | BrainRecipe)):
            raise
        try:
            write_refused(page, error.sessions, recipe)
        except OSError as failure:
            log.warning("pictures of them could not be written: %s", failure)
            raise error from None
        raise UserError(f"{error.text}\nPictures of them: {page}") from error
