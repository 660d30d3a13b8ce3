"""The writer of a run's files: its log while it lasts, its models, and at its end scores.

What others write in a run is listed in docs/architecture.md.
"""

import errno
import fcntl
import io
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from logging.handlers import MemoryHandler
from pathlib import Path
from typing import Any

import numpy as np

from mri3d.cohort.people import num_participants
from mri3d.csv_files import write_csv
from mri3d.errors import UserError
from mri3d.evaluation.fold_result import FoldResult
from mri3d.evaluation.results import Results
from mri3d.files import write_json
from mri3d.model_folder import write_model
from mri3d.model_places import places_of
from mri3d.models.member import Member

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
    path = folder / "log.txt"
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    try:  # not through a link, which may lead out of the run, nor into a pipe
        stream = os.fdopen(os.open(path, flags, 0o666), "ab")
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENXIO):
            raise
        raise UserError(f"{path} is a link, or no file. Remove it, and start again.") from error
    handler = logging.StreamHandler(io.TextIOWrapper(stream, encoding="utf-8", errors="backslashreplace"))
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)  # falls with the process, however it ends
    except BlockingIOError:
        stream.close()
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
        with suppress(OSError):  # a full disk, which is told of already
            handler.stream.close()


def write_member(folder: Path, member: Member, result: FoldResult, *, num_folds: int) -> None:
    """Write the model folder of a fold: `model`, or `model/fold_<number>` of several.

    Raises:
        UserError: Another model lies there.
    """
    places = places_of(folder / "model", range(num_folds) if num_folds > 1 else [])
    write_model(places[result.fold.number], member.model.contents(member.card))


def write_scores(
    folder: Path,
    results: Results,
    *,
    seconds: dict[str, float],
    peak_memory_mb: float,
    maps: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Write predictions, scores, and what the inner folds found.

    Args:
        folder: The run directory.
        results: Predictions and scores.
        seconds: Of the parts of the run and in `total`.
        peak_memory_mb: Largest memory of the run in MiB.
        maps: Whether heatmaps can be trusted, see `mri3d.explain.trust.Trust`; None where that was not examined.

    Returns:
        The content of metrics.json.
    """
    table = results.predictions
    cells_of = table.itertuples(index=False, name=None)  # named, F and its full-width form would be one name to Python
    rows = [dict(zip(table.columns, cells, strict=True)) for cells in cells_of]
    write_csv(folder / "predictions.csv", rows, list(table.columns))  # to the last digit: ranks depend on it
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
    metrics |= {} if maps is None else {"maps": maps}
    write_json(folder / "metrics.json", metrics)
    return metrics
