"""A sweep: the scores of its runs, gathered one after the other, end as one table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mri3d.errors import UserError
from mri3d.texts import list_text

if TYPE_CHECKING:
    from mri3d.outcome import Outcome
    from mri3d.report.sweep_runs import SweepPart, SweepRun

MOST_LINES = 10
"""Runs whose difference from the best one is printed."""


class Sweep:
    """Gathers the runs of one command line."""

    def __init__(self) -> None:
        self.root = Path("runs")
        self._runs: list[tuple[dict[str, str], Path, str]] = []

    @contextmanager
    def run(self, overrides: Sequence[str], folder: Path) -> Iterator[None]:
        """Note the run that the block is.

        Args:
            overrides: What the command line sets for this run, `key=value`.
            folder: The run directory.
        """
        settings = {key.lstrip("+~"): value for key, _, value in (text.partition("=") for text in overrides)}
        failure = ""
        try:
            yield
        except BaseException as error:
            failure = _reason(error)
            raise
        finally:
            self._runs.append((settings, folder, failure))

    def finish(self) -> list[str]:
        """Write `<timestamp>-sweep`: `models.csv`, `report.html`, and `comparison.csv` of runs with the same tests.

        Returns:
            Lines for the user: the table, the best run first, how the best differs from the others, and where the page
            lies; none after a single run, and none where no run came to a result.
        """
        if len(self._runs) < 2 or all(failure for *_, failure in self._runs):
            return []
        from mri3d.cli.compared_runs import comparison_rows
        from mri3d.csv_files import write_csv
        from mri3d.report.sweep_page import (
            no_evidence,
            sweep_table,
            write_sweep_page,
        )  # here: matplotlib would slow --help down

        parts = [compared_part(part) for part in sweep_parts(self._results())]
        runs = [run for part in parts for run in part.runs]
        compared = dict.fromkeys(name for part in parts for name in part.compared)
        folder = self.root / f"{datetime.now():%Y-%m-%d_%H-%M-%S-%f}-sweep"
        write_csv(folder / "models.csv", csv_rows(runs, list(compared)))
        if tested := [row for part in parts for compared in part.comparisons for row in comparison_rows(compared)]:
            write_csv(folder / "comparison.csv", tested)
        write_sweep_page(folder / "report.html", parts)
        lines = []
        for part in parts:
            title = [part.title] if len(parts) > 1 else []
            lines += ["", *title, *aligned(*sweep_table(part.runs, part.compared)), *no_evidence(part)]
            lines += difference_lines(part)
        return [*lines, "", f"sweep  {folder / 'report.html'}"]

    def _results(self) -> list[SweepRun]:
        """Read what the runs left."""
        from mri3d.report.sweep_runs import SweepRun

        runs = []
        for settings, folder, failure in self._runs:
            text = "null" if failure else (folder / "metrics.json").read_text(encoding="utf-8")
            runs.append(SweepRun(settings, folder, json.loads(text), failure))
        return runs


def sweep_parts(runs: Sequence[SweepRun]) -> list[SweepPart]:
    """Sort runs by what they predict, and within it the best first; one that failed joins those of its settings.

    Args:
        runs: As they came; at least one has a result.
    """
    from mri3d.report.sweep_runs import SweepPart

    of_outcome: dict[str, list[SweepRun]] = {}
    for run in runs:
        if run.metrics:
            of_outcome.setdefault(json.dumps(_outcome(run).to_json()), []).append(run)
    groups = list(of_outcome.values())
    for run in runs:
        if not run.metrics:
            alike = (group for group in groups if _asked_for(group[0]) == _asked_for(run))
            next(alike, groups[0]).append(run)
    parts = []
    for group in groups:
        outcome = _outcome(group[0])
        group.sort(key=lambda run: _rank(run, outcome))
        title = f"{outcome.name} ({outcome.task})"
        parts.append(SweepPart(title, group, outcome.compared, outcome.ascending, outcome.chance))
    return parts


def compared_part(part: SweepPart) -> SweepPart:
    """Compare the runs that were tested on the same, and say which were not; never fail for it."""
    from mri3d.cli.compared_runs import compare_runs
    from mri3d.evaluation.comparison import are_alike
    from mri3d.evaluation.recorded_tests import RecordedTests
    from mri3d.report.sweep_runs import run_names

    alike: list[dict[str, RecordedTests]] = []
    unread: dict[str, str] = {}
    for name, run in zip(run_names(part.runs), part.runs, strict=True):
        if not run.metrics:
            continue
        try:
            found = RecordedTests.read(run.folder)
        except UserError as error:
            unread[name] = error.on_command_line()
            continue
        mates = (group for group in alike if are_alike(next(iter(group.values())).judged, found.judged))
        group = next(mates, None)
        if group is None:
            alike.append({name: found})
        else:
            group[name] = found
    alone = [name for group in alike if len(group) == 1 for name in group]
    told = [f"{name}: {reason}" for name, reason in unread.items()][:1]
    if alone and len(alike) > 1:
        told.insert(0, f"{list_text(alone, ', ')}, whose tests are of other sessions or folds.")
    return replace(
        part,
        same_tests=len(alike) == 1 if alike else None,
        comparisons=[compare_runs(group) for group in alike if len(group) > 1],
        uncompared=" ".join(told) if sum(run.metrics is not None for run in part.runs) > 1 else "",
    )


def difference_lines(part: SweepPart) -> list[str]:
    """Write how the best run of each comparison differs from the others, and which runs are not compared."""
    from mri3d.outcome.score import p_text

    lines: list[str] = []
    for compared in part.comparisons:
        adjusted = f"p by Holm ({len(compared.pairs)} pairs)" if len(compared.pairs) > 1 else "p"
        header = [f"against {compared.best}", f"Difference in {compared.primary_title} (95 % interval)", adjusted]
        rows = [
            [pair.second, pair.difference_text(compared.primary), p_text(pair.p_holm)] for pair in compared.with_best
        ]
        lines += ["", *aligned(header, rows[:MOST_LINES])]
        lines += [f"and {len(rows) - MOST_LINES} more in comparison.csv"] if len(rows) > MOST_LINES else []
    return [*lines, "", f"not compared: {part.uncompared}"] if part.uncompared else lines


def csv_rows(runs: Sequence[SweepRun], compared: Sequence[str]) -> list[dict[str, object]]:
    """Return the rows of models.csv.

    Args:
        runs: In the order of the rows.
        compared: Names of the scores.

    Returns:
        For each run what was varied, then `<score>` of all tests together with the ends `<score>_low` and
        `<score>_high` of its interval, `<score>_mean` and `<score>_sd` over the folds, `seconds`,
        `peak_memory_mb`, `run` and `failure`.
    """
    import numpy as np

    from mri3d.report.sweep_runs import varied_keys

    rows = []
    for run in runs:
        row: dict[str, object] = {key: run.settings.get(key, "") for key in varied_keys(runs)}
        for name in compared:
            defined = [score for score in run.fold_scores(name) if score is not None]
            score = run.score(name)
            row |= {name: score.value, f"{name}_low": score.low, f"{name}_high": score.high}
            row |= {f"{name}_mean": float(np.mean(defined)) if defined else None}
            row[f"{name}_sd"] = float(np.std(defined, ddof=1)) if len(defined) > 1 else None
        row |= {"seconds": run.seconds, "peak_memory_mb": run.peak_memory_mb}
        rows.append(row | {"run": str(run.folder) if run.metrics else "", "failure": run.failure})
    return rows


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Write a table as lines of plain text; the last column may be of any length.

    >>> aligned(["model", "AUC", "run"], [["knn", "0.900", "runs/a"]])
    ['model  AUC    run', 'knn    0.900  runs/a']
    """
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header) - 1)]
    return [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]])
        for row in [header, *rows]
    ]


def _outcome(run: SweepRun) -> Outcome:
    """Return what a run with a result predicts; runs of the first version have the names of classes alone."""
    from mri3d.outcome import outcome_from_json

    assert run.metrics, "a run that failed has no outcome"
    return outcome_from_json(run.metrics.get("outcome") or {"classes": run.metrics["classes"]})


def _asked_for(run: SweepRun) -> tuple[str | None, ...]:
    """Return what the command line says of what a run predicts."""
    return tuple(run.settings.get(key) for key in ("task", "data.label"))


def _rank(run: SweepRun, outcome: Outcome) -> tuple[bool, bool, float]:
    """Order runs: the best score first, then those without a score, failures last."""
    score = run.score(outcome.compared[0]).value
    value = score or 0.0
    return run.metrics is None, score is None, value if outcome.ascending else -value


def _reason(error: BaseException) -> str:
    """Return on one line why a run failed: the user's mistake, if a library wrapped one."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, UserError):
        cause = cause.__cause__
    text = cause.on_command_line() if cause else str(error)
    return " ".join(text.split()) or type(error).__name__
