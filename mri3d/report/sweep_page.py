"""The page of a sweep: the scores of its runs beside each other."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from mri3d.outcome import SCORE_MEANINGS, Score
from mri3d.report.charts import COLOURS, GRAY, chart, chart_picture, reach, short_label, tell
from mri3d.report.comparison_page import difference_section
from mri3d.report.elements import (
    Html,
    element,
    figure,
    heading,
    headline,
    in_full,
    link,
    mean_and_sd,
    memory_text,
    number,
    score_title,
    table,
    with_interval,
    write_page,
)
from mri3d.report.picture import Picture
from mri3d.report.resolution_chart import resolution_chart
from mri3d.report.sweep_runs import MEMORY_MEANING, SweepPart, SweepRun, differing_keys, run_names, varied_keys

_WHO_IS_TESTED = ("seed", "data", "evaluation", "task")  # settings that decide it
_MAX_DRAWN = 40
_TOGETHER = re.compile(" (?:±|to) | (?=[MG]iB$)")  # blanks at which no line of a cell ends


def sweep_table(runs: Sequence[SweepRun], compared: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Return the header of the table and a row of texts for each run, the last of which is its folder.

    Args:
        runs: In the order of the rows.
        compared: Names of the scores, see `Outcome.compared`.
    """
    keys, folded = varied_keys(runs), _folded(runs)
    spread = ["Mean ± SD"] if folded else []
    memory = ["Peak memory"] if any(run.peak_memory_mb is not None for run in runs) else []
    header = [*keys, *(part for name in compared for part in (score_title(name), *spread)), "Seconds", *memory, "Run"]
    rows = []
    for run in runs:
        row = [run.settings.get(key, "") for key in keys]
        for name in compared:
            row += [with_interval(run.score(name)), *([mean_and_sd(run.fold_scores(name))] if folded else [])]
        row += ["–" if run.seconds is None else f"{run.seconds:.0f}"]
        row += [memory_text(run.peak_memory_mb)] if memory else []
        rows.append([*row, f"failed: {run.failure}" if run.failure else str(run.folder)])
    return header, rows


def write_sweep_page(path: Path, parts: Sequence[SweepPart]) -> None:
    """Write one HTML file with a row for each run, linked to the reports that lie in the runs.

    Args:
        path: The file.
        parts: Runs that predict the same; those of different outcomes have scores that cannot be compared.
    """
    runs = [run for part in parts for run in part.runs]
    failed, keys = sum(run.metrics is None for run in runs), varied_keys(runs)
    common = {key: value for key, value in runs[0].settings.items() if key not in keys}
    title = f"Sweep of {len(runs)} runs"
    body = [heading(title, {"results": str(len(runs) - failed), "failed": str(failed), **common})]
    for part in parts:
        body += _part_sections(part, path.parent, alone=len(parts) == 1)
    write_page(path, title=title, sections=body)


def _part_sections(part: SweepPart, folder: Path, *, alone: bool) -> list[Html]:
    """Show the best run, how the score goes with the resolution, all runs in a table, and their scores in a chart."""
    best, keys = part.runs[0], varied_keys(part.runs)
    assert best.metrics, "a sweep without any result has no page"
    with_result = [run for run in part.runs if run.metrics]
    drawn = with_result[:_MAX_DRAWN]
    names = run_names(part.runs)[: len(drawn)]  # those without a result stand behind
    scores = {
        name: [(run.score(name), run.fold_scores(name)) for run in drawn]
        for name in part.compared
        if name == part.compared[0] or name in part.chance
    }
    header, rows = sweep_table(part.runs, part.compared)
    for run, row in zip(part.runs, rows, strict=True):
        row[:] = [_TOGETHER.sub(lambda found: found[0].replace(" ", "\u00a0"), cell) for cell in row]
        if run.metrics:
            row[-1] = link("report", Path(os.path.relpath(run.folder / "report.html", folder)).as_posix())
    result = headline(number(best.score(part.compared[0]).value), _result(part, keys, with_result))
    by_resolution = resolution_chart(part)
    top = [result, *([figure(by_resolution)] if by_resolution else [])]
    top = [*top, element("h2", "All runs")] if alone else [element("h2", part.title), *top]
    legend = element("p", _legend(part, num_left_out=len(with_result) - len(drawn)))
    shown = [*top, table(header, rows, css="runs"), legend, figure(sweep_chart(names, scores, part.chance))]
    for compared in part.comparisons:
        of = f" of {len(compared.models)} of them" if len(compared.models) < len(with_result) else ""
        shown += [element("h2", f"Differences{of}"), *difference_section(compared)]
    return [*shown, element("p", f"Not compared: {part.uncompared}")] if part.uncompared else shown


def _legend(part: SweepPart, *, num_left_out: int) -> str:
    """Write what the columns of the table are."""
    text = "Each score is that of all tests together"
    if any(run.score(name).low is not None for run in part.runs for name in part.compared):
        text += ", in brackets its 95 % interval"
    if _folded(part.runs):
        text += "; beside it stand the mean and standard deviation over the folds, which a single split does not have"
    meanings = [SCORE_MEANINGS[name] for name in part.compared if name in SCORE_MEANINGS]
    memory = [MEMORY_MEANING] if any(run.peak_memory_mb is not None for run in part.runs) else []
    few = [f"The chart leaves out the last {num_left_out} runs of the table"] if num_left_out else []
    return ". ".join([text, *meanings, *memory, *few]) + "."


def sweep_chart(
    names: Sequence[str],
    scores: Mapping[str, Sequence[tuple[Score, Sequence[float | None]]]],
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
            title = score_title(score)
            for place, (pooled, folds) in enumerate(of_runs):
                defined = {fold: value for fold, value in enumerate(folds) if value is not None and len(folds) > 1}
                across, upwards = list(defined.values()), [place] * len(defined)
                axes.scatter(across, upwards, s=22, color=COLOURS[0], alpha=0.4, linewidth=0)
                whole = f"{names[place]}, all tests\n{title} {in_full(vars(pooled))}"
                tell(axes, [reach(pooled.value, pooled.low, pooled.high)], [place], [whole])
                told = [f"{names[place]}, fold {fold}\n{title} {number(value)}" for fold, value in defined.items()]
                tell(axes, across, upwards, told)
                if pooled.low is not None and pooled.high is not None:
                    axes.plot([pooled.low, pooled.high], [place, place], color=COLOURS[1], linewidth=1.6)
                if pooled.value is not None:
                    axes.scatter(pooled.value, place, s=60, marker="D", color=COLOURS[1], edgecolors="white", zorder=3)
            axes.set_yticks(range(len(names)), [short_label(name) for name in names])
            axes.set(xlabel=title, ylim=(len(names) - 0.5, -0.5))
            axes.grid(axis="y", color=GRAY, alpha=0.2)
        alt = f"{', '.join(map(score_title, scores))} of {len(names)} runs."
        line = " Dotted line: guessing." if any(score in chance for score in scores) else ""
        several = any(len(folds) > 1 for of_runs in scores.values() for _, folds in of_runs)
        dots = " Dots: single folds." if several else ""
        bars = any(pooled.low is not None for of_runs in scores.values() for pooled, _ in of_runs)
        ends = " Bars: 95 % intervals." if bars else ""
        caption = f"Diamonds: all tests together.{ends}{dots}{line} Runs are in the order of the table."
        return chart_picture(drawing, alt, caption)


def _result(part: SweepPart, keys: Sequence[str], with_result: Sequence[SweepRun]) -> str:
    """Write what the best run is, and what it means to be the best of these."""
    best, score = part.runs[0], part.compared[0]
    if best.score(score).value is None:
        return "No run has this score: there is no best one."
    superlative = "lowest" if part.ascending else "best"
    winner = ", ".join(f"{key}={best.settings.get(key, '')}" for key in keys)
    told = [f"is the {superlative} {score_title(score)}, reached by {winner}.", *no_evidence(part)]
    return " ".join([*told, _comparability(part, with_result)])


def no_evidence(part: SweepPart) -> list[str]:
    """Say that the best run's score may be chance, where nothing speaks against it."""
    metrics = part.runs[0].metrics
    if metrics is None or metrics.get("better_than_chance") is not False:
        return []
    return ["There is no evidence that the best of them is better than chance."]


def _comparability(part: SweepPart, runs: Sequence[SweepRun]) -> str:
    """Write whether the runs can be compared; where their tests could not be read, their settings tell it."""
    if len(runs) == 1:
        return "No other run has a result."
    subjects = [key for key in differing_keys(runs) if key.partition(".")[0] in _WHO_IS_TESTED]
    if part.same_tests is False or (part.same_tests is None and subjects):
        because = f", because they differ in {', '.join(subjects)}" if subjects else ", or in different folds"
        return (
            f"The runs were tested on different subjects{because}: the order of the runs may be due to the subjects "
            "alone."
        )
    return (
        f"It is the best of {len(runs)} on the same tests, and therefore somewhat too good: choose on one cohort and "
        "confirm on another."
    )


def _folded(runs: Sequence[SweepRun]) -> bool:
    """Check whether any run has several folds."""
    return any(run.metrics and len(run.metrics["folds"]) > 1 for run in runs)
