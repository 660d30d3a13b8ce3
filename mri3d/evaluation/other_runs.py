"""Runs that lie beside a run and were tested on the same, each compared with it."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mri3d.errors import UserError
from mri3d.evaluation.comparison import Pair, are_alike, compare_pairs
from mri3d.evaluation.recorded_files import METRICS
from mri3d.evaluation.recorded_tests import RecordedTests
from mri3d.outcome import Score

log = logging.getLogger(__name__)

MOST_COMPARED = 6
"""Of the newest; each takes up to a second."""

_MOST_READ = 30  # runs that are opened to find those


@dataclass(frozen=True, eq=False)
class OtherRun:
    """A run that was tested on the same sessions in the same folds.

    Attributes:
        folder: Where it lies.
        scores: Of all its tests by name, each with its interval.
        pair: This run less that one.
    """

    folder: Path
    scores: dict[str, Score]
    pair: Pair


def runs_beside(folder: Path) -> list[OtherRun]:
    """Find finished runs in the folder of runs that a run lies in, and compare it with each, the newest first.

    What is no run there, or a damaged one, is passed over.

    Args:
        folder: A finished run, `runs/<name>/<timestamp>`.

    Raises:
        UserError: The run itself cannot be read.
    """
    own, found = RecordedTests.read(folder), list[OtherRun]()
    for other in _newest(folder):
        try:
            recorded = RecordedTests.read(other)
            if not are_alike(own.judged, recorded.judged):
                continue
            (pair,) = compare_pairs({str(other): recorded.judged, str(folder): own.judged})
        except (UserError, OSError) as error:
            log.debug("%s is not compared: %s", other, error)
            continue
        found.append(OtherRun(other, recorded.scores, pair))
        if len(found) == MOST_COMPARED:
            break
    return found


def _newest(folder: Path) -> Iterator[Path]:
    """Name the runs beside a run, the one written last first."""
    dated = []
    for path in folder.absolute().parents[1].glob(f"*/*/{METRICS}"):
        try:
            dated.append((path.stat().st_mtime_ns, path.parent))
        except OSError:
            continue
    others = [other for _, other in sorted(dated, reverse=True) if not other.samefile(folder)]
    yield from others[:_MOST_READ]
