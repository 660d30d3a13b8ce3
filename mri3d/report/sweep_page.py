"""The study's table: the runs of a sweep beside each other."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mri3d.report.charts import sweep_chart
from mri3d.report.elements import (
    SCORES,
    element,
    figure,
    heading,
    headline,
    link,
    mean_and_sd,
    number,
    table,
    write_page,
)

COMPARED = ("auc", "accuracy", "balanced_accuracy")
"""The scores of the table, see `SCORES`."""

_SUBJECTS = ("seed", "data", "evaluation")  # settings that say who is tested
_MAX_DRAWN = 40


@dataclass(frozen=True, eq=False)
class SweepRun:
    """One run of a sweep.

    Attributes:
        settings: What the command line said of it, key to value as text.
        folder: Its directory.
        metrics: The content of its metrics.json; None where it came to no result.
        failure: Why it came to none.
    """

    settings: Mapping[str, str]
    folder: Path
    metrics: Mapping[str, Any] | None
    failure: str = ""

    def score(self, name: str) -> float | None:
        """Score of all tests together; None where it is not defined."""
        value: float | None = self.metrics["test"][name]["value"] if self.metrics else None
        return value

    def fold_scores(self, name: str) -> list[float | None]:
        """Score of each fold."""
        return [fold["scores"][name] for fold in self.metrics["folds"]] if self.metrics else []


def varied_keys(runs: Sequence[SweepRun]) -> list[str]:
    """Name the settings that are not the same in all runs; all settings where none is.

    >>> varied_keys([SweepRun({"model": name, "seed": "0"}, Path("."), None) for name in ("knn", "ridge")])
    ['model']
    """
    return _differing(runs) or _all_keys(runs)


def sweep_table(runs: Sequence[SweepRun]) -> tuple[list[str], list[list[str]]]:
    """Give the header of the table and a row of texts for each run, the last of which says where it lies."""
    keys = varied_keys(runs)
    header = [*keys, *(part for name in COMPARED for part in (SCORES[name], "mean ± SD")), "seconds", "run"]
    rows = []
    for run in runs:
        row = [run.settings.get(key, "") for key in keys]
        for name in COMPARED:
            row += [number(run.score(name)), mean_and_sd(run.fold_scores(name))]
        row += [f"{run.metrics['seconds']['total']:.0f}" if run.metrics else "–"]
        rows.append([*row, f"failed: {run.failure}" if run.failure else str(run.folder)])
    return header, rows


def write_sweep_page(path: Path, runs: Sequence[SweepRun]) -> None:
    """Write one HTML file with a row for each run, linked to the reports that lie in the runs.

    Args:
        path: The file.
        runs: Best first; the first has a result.
    """
    best, keys = runs[0], varied_keys(runs)
    assert best.metrics, "a sweep without any result has no page"
    with_result = [run for run in runs if run.metrics]
    common = {key: value for key, value in best.settings.items() if key not in keys}
    title = f"Sweep of {len(runs)} runs"
    facts = {"results": str(len(with_result)), "failed": str(len(runs) - len(with_result)), **common}
    winner = ", ".join(f"{key}={best.settings.get(key, '')}" for key in keys)
    sentence = f"is the best AUC, that of {winner}. {_comparability(with_result)}"
    drawn = with_result[:_MAX_DRAWN]
    chance = {"AUC": 0.5, "balanced accuracy": 1 / len(best.metrics["classes"])}
    chart = sweep_chart(
        [" · ".join(run.settings.get(key, "") for key in keys) for run in drawn],
        {
            SCORES[key]: [(run.score(key), run.fold_scores(key)) for run in drawn]
            for key in ("auc", "balanced_accuracy")
        },
        chance,
    )
    header, rows = sweep_table(runs)
    for run, row in zip(runs, rows, strict=True):
        row[:] = [cell.replace(" ± ", "\u00a0±\u00a0") for cell in row]
        if run.metrics:
            row[-1] = link("report", Path(os.path.relpath(run.folder / "report.html", path.parent)).as_posix())
    legend = "Each score of all tests together, beside it the mean and the standard deviation over the folds."
    body = [heading(title, facts), headline(number(best.score("auc")), sentence), element("h2", "All runs")]
    body += [table(header, rows, css="runs"), element("p", legend), figure(chart)]
    write_page(path, title=title, sections=body)


def _comparability(runs: Sequence[SweepRun]) -> str:
    """Say what it means to be the best of these."""
    subjects = [key for key in _differing(runs) if key.partition(".")[0] in _SUBJECTS]
    if subjects:
        return (
            f"The runs were tested on different subjects, because they differ in {', '.join(subjects)}: which of them "
            "is best may be a matter of the subjects alone."
        )
    return (
        f"It is the best of {len(runs)} on the same tests, and so a little flattered by chance: choose on one cohort "
        "and confirm on another."
    )


def _differing(runs: Sequence[SweepRun]) -> list[str]:
    return [key for key in _all_keys(runs) if len({run.settings.get(key) for run in runs}) > 1]


def _all_keys(runs: Sequence[SweepRun]) -> list[str]:
    return list(dict.fromkeys(key for run in runs for key in run.settings))
