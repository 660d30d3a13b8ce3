"""The writer of a run's files: claimed before any work, kept up while it lasts, finished with a report.

What others write in a run is listed in docs/architecture.md.
"""

import fcntl
import json
import logging
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from logging.handlers import MemoryHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from mri3d.cohort.cohort import Cohort
from mri3d.cohort.people import num_participants
from mri3d.errors import UserError
from mri3d.evaluation.results import FoldResult, Results
from mri3d.evaluation.splits import Fold, fold_texts
from mri3d.files import as_utf8, write_csv, write_json, write_text
from mri3d.model_folder import places_of
from mri3d.models.member import Member

if TYPE_CHECKING:
    from mri3d.report.picture import Picture

log = logging.getLogger(__name__)


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
        """Return the parts and the whole so far."""
        return self.seconds | {"total": round(time.perf_counter() - self._start, 3)}


def claim(
    folder: Path, cohort: Cohort, folds: Sequence[Fold], configuration: Mapping[str, Any] | None, *, resumed: bool
) -> None:
    """Make the run directory, or make sure that the one to go on with is of the same cohort and folds.

    Args:
        folder: The run directory.
        cohort: Everybody, for `cohort.csv`.
        folds: Who trains and who is tested.
        configuration: For `config.yaml`; without, none is written, and the folder may be there.
        resumed: Whether the directory is there already, of a run that was cut off.

    Raises:
        UserError: The directory is another run's, or training rows of the cut-off part could be test rows by now.
    """
    texts = dict(zip(cohort.ids, fold_texts(folds, len(cohort.ids)), strict=True))
    table = cohort.to_csv(texts)
    if resumed:
        if not (folder / "cohort.csv").is_file() or (folder / "cohort.csv").read_bytes() != as_utf8(table):
            raise UserError(
                f"the cohort is not the one that {folder} began with: its cohort.csv has other scans, labels or folds. "
                "Sessions that it has learnt from could be tested. Start a new run."
            )
        return
    try:
        folder.mkdir(parents=True, exist_ok=configuration is None)
    except FileExistsError:
        raise UserError(f"{folder} is there already. Start again, or give the run a name of its own.") from None
    if configuration is not None:
        write_text(folder / "config.yaml", as_yaml(configuration))
    write_text(folder / "cohort.csv", table)


def claim_evaluation(folder: Path, settings: Mapping[str, Any], *, resumed: bool) -> None:
    """Note in `evaluation.json` what the library evaluates in a folder, and refuse to go on with something else.

    Args:
        folder: Need not be there.
        settings: What decides the result, JSON values by name.
        resumed: Whether something was evaluated there already.

    Raises:
        UserError: The folder is of something else.
    """
    noted = folder / "evaluation.json"
    if not resumed:
        write_json(noted, dict(settings))
        return
    try:
        found = json.loads(noted.read_bytes())
    except (FileNotFoundError, ValueError):
        found = {}
    found = found if isinstance(found, dict) else {}
    if other := [name for name, value in settings.items() if found.get(name) != value]:
        raise UserError(
            f"{folder} is of an evaluation with another {' and '.join(other)}, whose checkpoints would be taken for "
            "this one's. Give each evaluation a folder of its own."
        )


def as_yaml(configuration: Mapping[str, Any]) -> str:
    """Write a configuration as text, keys in their order."""
    return yaml.safe_dump(dict(configuration), sort_keys=False, allow_unicode=True)


@contextmanager
def early_log() -> Iterator[MemoryHandler]:
    """Hold what is said in the block, where a run has no folder yet: whom it leaves out, and why."""
    held = MemoryHandler(sys.maxsize, flushLevel=logging.CRITICAL + 1, flushOnClose=False)
    logging.getLogger().addHandler(held)
    try:
        yield held
    finally:
        logging.getLogger().removeHandler(held)


@contextmanager
def log_file(folder: Path, early: MemoryHandler) -> Iterator[None]:
    """Keep what the run says in `log.txt` too: a job's standard error is easily lost.

    Args:
        folder: The run directory.
        early: What was said before the folder was there.

    Raises:
        UserError: Another process is at work on the run.
    """
    handler = logging.FileHandler(folder / "log.txt", encoding="utf-8", errors="backslashreplace")
    assert handler.stream is not None  # it is None only where opening is delayed
    try:
        fcntl.flock(handler.stream, fcntl.LOCK_EX | fcntl.LOCK_NB)  # falls with the process, however it ends
    except BlockingIOError:
        handler.close()
        raise UserError(f"another process is at work on {folder}. Wait for it, or end it.") from None
    except OSError as error:  # a file system without locks
        log.debug("%s is not locked: %s", folder, error)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    early.setTarget(handler)
    early.flush()
    logging.getLogger().addHandler(handler)
    try:
        yield
    except KeyboardInterrupt:
        handler.handle(log.makeRecord(log.name, logging.ERROR, __file__, 0, "stopped from outside", (), None))
        raise
    except Exception as error:  # on the screen it is told where it is caught
        trace = None if isinstance(error, UserError) else sys.exc_info()
        handler.handle(log.makeRecord(log.name, logging.ERROR, __file__, 0, "%s", (error,), trace))
        raise
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()


def write_member(folder: Path, member: Member, result: FoldResult, *, num_folds: int) -> None:
    """Write the model folder of a fold: `model`, or `model/fold_<number>` of several.

    Raises:
        UserError: Another model lies there.
    """
    places = places_of(folder / "model", range(num_folds) if num_folds > 1 else [])
    member.model.save(places[result.fold.number], member.card)


def write_scores(folder: Path, results: Results, *, seconds: dict[str, float], peak_memory_mb: float) -> dict[str, Any]:
    """Write predictions, scores, and what the inner folds found.

    Args:
        folder: The run directory.
        results: Predictions and scores.
        seconds: Of the parts of the run and in `total`.
        peak_memory_mb: Largest memory of the run in MiB.

    Returns:
        The content of metrics.json.
    """
    table = results.predictions
    rows = [dict(zip(table.columns, cells, strict=True)) for cells in table.itertuples(index=False)]
    write_csv(folder / "predictions.csv", rows, list(table.columns), digits=9)
    if searched := results.search_rows():
        write_csv(folder / "search.csv", searched)
    cohort = results.study.cohort
    unlabelled = sum(session.label is None for session in cohort.sessions)
    counts = {
        "total": len(cohort.sessions),
        "sessions": len(cohort.ids),
        "participants": num_participants(cohort),
        "unlabelled": unlabelled,
        "left_out": len(cohort.sessions) - len(cohort.ids) - unlabelled,
        "tested": len(np.unique(results.rows)),
    }
    metrics = results.metrics(num_subjects=counts, seconds=seconds, peak_memory_mb=round(peak_memory_mb, 1))
    write_json(folder / "metrics.json", metrics)
    return metrics


def write_page(
    folder: Path,
    results: Results,
    metrics: dict[str, Any],
    sections: "Sequence[tuple[str, Sequence[Picture]]]",
    *,
    title: str,
    model_name: str,
    configuration: Mapping[str, Any],
) -> None:
    """Write the report.

    Args:
        folder: The run directory.
        results: Predictions and scores.
        metrics: The content of metrics.json.
        sections: Title and pictures of each section of pictures.
        title: Of the page.
        model_name: What the model is called.
        configuration: Every setting, shown as it stands in `config.yaml`.
    """
    from mri3d.report.page import write_report  # here: the library needs no charts

    study = results.study
    edge = study.volumes.shape[1:] if study.recipe is None else (study.recipe.resolution,)
    write_report(
        folder / "report.html",
        title=title,
        facts={
            "cohort": study.describe(),
            "model": model_name,
            "resolution": " x ".join(map(str, edge)),
            "time": f"{metrics['seconds']['total']:.0f} s",
            "run": str(folder),
        },
        outcome=study.outcome,
        metrics=metrics,
        targets=results.targets,
        predictions=results.predicted,
        raw=results.raw,
        cohort=study.cohort_with_outliers.to_rows(),
        taking_part=study.outcome.words.cohort_rows(study.targets),
        histories=[fold.history for fold in results.folds],
        search=results.search_rows(),
        sections=sections,
        configuration=as_yaml(configuration),
    )
