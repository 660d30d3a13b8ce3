"""The page of a sweep: the scores of its runs beside each other."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mri3d.report.charts import COLOURS, GRAY, chart, chart_picture, short_label
from mri3d.report.elements import (
    element,
    figure,
    heading,
    headline,
    link,
    mean_and_sd,
    number,
    score_title,
    table,
    write_page,
)
from mri3d.report.figures import Picture

_WHO_IS_TESTED = ("seed", "data", "evaluation", "task")  # settings that decide it
_MAX_DRAWN = 40


@dataclass(frozen=True, eq=False)
class SweepRun:
    """One run of a sweep.

    Attributes:
        settings: What the command line set for it, key to value as text.
        folder: Its directory.
        metrics: The content of its metrics.json; None where it failed.
        failure: Why it failed.
    """

    settings: Mapping[str, str]
    folder: Path
    metrics: Mapping[str, Any] | None
    failure: str = ""

    def score(self, name: str) -> float | None:
        """Return the score of all tests together; None where it is not defined."""
        value: float | None = self.metrics["test"].get(name, {}).get("value") if self.metrics else None
        return value

    def fold_scores(self, name: str) -> list[float | None]:
        """Return the score of each fold."""
        return [fold["scores"].get(name) for fold in self.metrics["folds"]] if self.metrics else []


def varied_keys(runs: Sequence[SweepRun]) -> list[str]:
    """Return the settings that are not the same in all runs; all settings where none is.

    >>> varied_keys([SweepRun({"model": name, "seed": "0"}, Path("."), None) for name in ("knn", "ridge")])
    ['model']
    """
    return _differing(runs) or _all_keys(runs)


def sweep_table(runs: Sequence[SweepRun], compared: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Return the header of the table and a row of texts for each run, the last of which is its folder.

    Args:
        runs: In the order of the rows.
        compared: Names of the scores, see `Outcome.compared`.
    """
    keys = varied_keys(runs)
    header = [*keys, *(part for name in compared for part in (score_title(name), "Mean ± SD")), "Seconds", "Run"]
    rows = []
    for run in runs:
        row = [run.settings.get(key, "") for key in keys]
        for name in compared:
            row += [number(run.score(name)), mean_and_sd(run.fold_scores(name))]
        row += [f"{run.metrics['seconds']['total']:.0f}" if run.metrics else "–"]
        rows.append([*row, f"failed: {run.failure}" if run.failure else str(run.folder)])
    return header, rows


def write_sweep_page(
    path: Path, runs: Sequence[SweepRun], *, compared: Sequence[str], ascending: bool, chance: Mapping[str, float]
) -> None:
    """Write one HTML file with a row for each run, linked to the reports that lie in the runs.

    Args:
        path: The file.
        runs: Best first; the first has a result.
        compared: Names of the scores, the first of which orders the runs, see `Outcome.compared`.
        ascending: Whether less of the first score is better.
        chance: What guessing gives, by the name of the score, where that is known.
    """
    best, keys = runs[0], varied_keys(runs)
    assert best.metrics, "a sweep without any result has no page"
    with_result = [run for run in runs if run.metrics]
    common = {key: value for key, value in best.settings.items() if key not in keys}
    title = f"Sweep of {len(runs)} runs"
    facts = {"results": str(len(with_result)), "failed": str(len(runs) - len(with_result)), **common}
    drawn = with_result[:_MAX_DRAWN]
    names = [" · ".join(run.settings.get(key, "") for key in keys) for run in drawn]
    scores = {
        name: [(run.score(name), run.fold_scores(name)) for run in drawn]
        for name in compared
        if name == compared[0] or name in chance
    }
    header, rows = sweep_table(runs, compared)
    for run, row in zip(runs, rows, strict=True):
        row[:] = [cell.replace(" ± ", "\u00a0±\u00a0") for cell in row]
        if run.metrics:
            row[-1] = link("report", Path(os.path.relpath(run.folder / "report.html", path.parent)).as_posix())
    legend = "Each score is that of all tests together; beside it stand the mean and standard deviation over the folds."
    sentence = _result(best, keys, with_result, score=compared[0], ascending=ascending)
    body = [heading(title, facts), headline(number(best.score(compared[0])), sentence), element("h2", "All runs")]
    body += [table(header, rows, css="runs"), element("p", legend), figure(sweep_chart(names, scores, chance))]
    write_page(path, title=title, sections=body)


def sweep_chart(
    names: Sequence[str],
    scores: Mapping[str, Sequence[tuple[float | None, Sequence[float | None]]]],
    chance: Mapping[str, float],
) -> Picture:
    """Draw the scores of several runs beneath each other.

    Args:
        names: Of the runs, the first on top [R].
        scores: Name of each score to that of all tests together and those of the folds, for each run [R].
        chance: What guessing gives, by the name of the score; a score without has no line.
    """
    with chart(9.4, 1.2 + 0.3 * len(names)) as drawing:
        panels = drawing.subplots(1, len(scores), sharey=True, squeeze=False)[0]
        for axes, (score, of_runs) in zip(panels, scores.items(), strict=True):
            if score in chance:
                axes.axvline(chance[score], color=GRAY, linestyle=":", linewidth=1.2)
            for place, (pooled, folds) in enumerate(of_runs):
                defined = [value for value in folds if value is not None] if len(folds) > 1 else []
                axes.scatter(defined, [place] * len(defined), s=22, color=COLOURS[0], alpha=0.4, linewidth=0)
                if pooled is not None:
                    axes.scatter(pooled, place, s=60, marker="D", color=COLOURS[1], edgecolors="white", zorder=3)
            axes.set_yticks(range(len(names)), [short_label(name) for name in names])
            axes.set(xlabel=score_title(score), ylim=(len(names) - 0.5, -0.5))
            axes.grid(axis="y", color=GRAY, alpha=0.2)
        alt = f"{', '.join(map(score_title, scores))} of {len(names)} runs."
        line = " Dotted line: guessing." if any(score in chance for score in scores) else ""
        caption = f"Diamonds: all tests together. Dots: single folds.{line} Runs are in the order of the table."
        return chart_picture(drawing, alt, caption)


def _result(
    best: SweepRun, keys: Sequence[str], with_result: Sequence[SweepRun], *, score: str, ascending: bool
) -> str:
    """Write what the best run is, and what it means to be the best of these."""
    if best.score(score) is None:
        return "No run has this score: there is no best one."
    superlative = "lowest" if ascending else "best"
    winner = ", ".join(f"{key}={best.settings.get(key, '')}" for key in keys)
    return f"is the {superlative} {score_title(score)}, reached by {winner}. {_comparability(with_result)}"


def _comparability(runs: Sequence[SweepRun]) -> str:
    """Write whether the runs can be compared."""
    subjects = [key for key in _differing(runs) if key.partition(".")[0] in _WHO_IS_TESTED]
    if subjects:
        return (
            f"The runs were tested on different subjects, because they differ in {', '.join(subjects)}: the order of "
            "the runs may be due to the subjects alone."
        )
    return (
        f"It is the best of {len(runs)} on the same tests, and therefore somewhat too good: choose on one cohort and "
        "confirm on another."
    )


def _differing(runs: Sequence[SweepRun]) -> list[str]:
    return [key for key in _all_keys(runs) if len({run.settings.get(key) for run in runs}) > 1]


def _all_keys(runs: Sequence[SweepRun]) -> list[str]:
    return list(dict.fromkeys(key for run in runs for key in run.settings))
