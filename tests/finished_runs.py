"""Run folders of evaluations in memory: what the command line leaves, as far as comparisons read it."""

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from mri3d import UserError
from mri3d.evaluation.recorded_tests import RecordedTests
from mri3d.evaluation.results import Results
from mri3d.records import write_scores
from mri3d.run_folder import claim


def write_run(folder: Path, results: Results, *, model: str = "mri3d.models.classical.models.Ridge") -> Path:
    """Write `config.yaml`, `cohort.csv`, `predictions.csv` and `metrics.json` of results."""
    configuration = {"model": {"_target_": model}, "trainer": {}, "seed": 0}
    folds = [result.fold for result in results.folds]
    claim(folder, results.study.cohort_with_outliers, folds, configuration, resumed=False)
    write_scores(folder, results, seconds={"total": 3.0}, peak_memory_mb=100.0)
    return folder


def rewrite(path: Path, change: Callable[[list[dict[str, str]]], Sequence[Mapping[str, str]]]) -> None:
    """Change the rows of a CSV file."""
    with path.open(newline="") as file:
        rows = change(list(csv.DictReader(file)))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def told(folder: Path) -> str:
    """Return the message that refuses a folder: one line, which names it."""
    with pytest.raises(UserError) as error:
        RecordedTests.read(folder)
    text = error.value.on_command_line()
    assert str(folder) in text
    assert "\n" not in text
    return text
