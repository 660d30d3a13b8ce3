"""How the score of a sweep goes with the resolution, and what it costs in seconds and in memory."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, ScalarFormatter

from mri3d.outcome import Score
from mri3d.report.charts import GRAY, chart, chart_picture, class_look, reach, short_label, tell
from mri3d.report.elements import in_full, memory_text, score_title
from mri3d.report.picture import Picture
from mri3d.report.sweep_runs import MEMORY_MEANING, SweepPart, SweepRun, run_names, varied_keys
from mri3d.texts import number_text, parse_number

_KEY = "resolution"
_NATIVE = math.inf  # behind every number
_MAX_LINES = 12
_APART = 0.015  # from line to line sideways, as a share of the axis
_NEAR = 0.05  # the same: a label that is nearer to the one before would touch it
_MEMORY = "Memory (GiB)"
_DECADE = 10  # what spans more has a logarithmic axis


class _Point(NamedTuple):
    """A run at its resolution, on one of the lines; it may have failed."""

    edge: float
    line: str
    run: SweepRun
    text: str


def resolution_chart(part: SweepPart) -> Picture | None:
    """Draw the first score against the resolution, and beneath it what the runs took.

    There is a line for each model, or for whatever else was varied, with a gap where a run failed. The axis is one of
    numbers; where `native` is among them, resolutions stand side by side, and `native` last.

    Args:
        part: Its runs decide the order of the lines; the first 12 are drawn.

    Returns:
        None where fewer than two resolutions have the score.
    """
    points, score = _points(part), part.compared[0]
    if len({point.edge for point in points if point.run.score(score).value is not None}) < 2:
        return None
    lines = list(dict.fromkeys(point.line for point in points if point.run.metrics))
    drawn = {line: sorted((p for p in points if p.line == line), key=lambda p: p.edge) for line in lines[:_MAX_LINES]}
    places = _places({point.edge for point in points})
    measures = _measures(score, [point.run for of_line in drawn.values() for point in of_line])
    with chart(6.4, 2.8 + 1.1 * (len(measures) - 1) + 0.1 * len(drawn)) as drawing:
        panels = drawing.subplots(len(measures), sharex=True, height_ratios=[2.2, *[1] * (len(measures) - 1)])
        if score in part.chance:
            panels[0].axhline(part.chance[score], color=GRAY, linestyle=":", linewidth=1.2)
        for axes, (label, measure) in zip(panels, measures.items(), strict=True):
            _draw_lines(axes, drawn, places, measure)
            axes.set_ylabel(label)
        for axes in panels[1:]:
            _scale_cost(axes)
        panels[-1].set_xticks(list(places.values()), _labels(places))
        panels[-1].set_xlabel("Resolution (voxels along an edge)")
        if len(drawn) > 1:
            drawing.legend(*panels[0].get_legend_handles_labels(), loc="outside upper left", ncols=2)
        alt = f"{', '.join(measures)} by resolution: {number_text(len(drawn), 'line')}."
        caption = _caption(part, points, num_lines=len(lines), with_memory=_MEMORY in measures)
        return chart_picture(drawing, alt, caption)


def _points(part: SweepPart) -> list[_Point]:
    """Return the runs whose resolution is a number or native, in their order."""
    score, points = part.compared[0], []
    for name, run in zip(run_names(part.runs), part.runs, strict=True):
        text = run.settings.get(_KEY, "")
        edge = _NATIVE if text == "native" else parse_number(text)
        if edge is not None:
            line = " · ".join(run.settings.get(key, "") for key in _others(part))
            told = f"{score_title(score)} {in_full(vars(run.score(score)))}"
            took = f"{run.seconds or 0:.1f} seconds, memory {memory_text(run.peak_memory_mb)}"
            points.append(_Point(edge, line, run, f"{name}\n{told}\n{took}"))
    return points


def _others(part: SweepPart) -> list[str]:
    """Return what was varied beside the resolution, which names the lines."""
    return [key for key in varied_keys(part.runs) if key != _KEY]


def _measures(score: str, runs: Sequence[SweepRun]) -> dict[str, Callable[[SweepRun], Score]]:
    """Return what the panels show, by its label; runs of earlier versions do not know their memory."""
    measures = {score_title(score): lambda run: run.score(score), "Seconds": lambda run: Score(run.seconds)}
    return measures | ({_MEMORY: _memory} if any(run.peak_memory_mb is not None for run in runs) else {})


def _memory(run: SweepRun) -> Score:
    return Score(None if run.peak_memory_mb is None else run.peak_memory_mb / 1024)


def _places(edges: Collection[float]) -> dict[float, float]:
    """Return where resolutions stand on the axis, in order: at their number, with native among them side by side."""
    return {edge: place if _NATIVE in edges else edge for place, edge in enumerate(sorted(edges))}


def _labels(places: Mapping[float, float]) -> list[str]:
    """Name the resolutions, but for those too near to the last one that is named."""
    width, last = max(places.values()) - min(places.values()), -math.inf
    labels = []
    for edge, place in places.items():
        named = place - last >= _NEAR * width
        labels.append(("native" if edge == _NATIVE else f"{edge:g}") if named else "")
        last = place if named else last
    return labels


def _shifts(num_lines: int, places: Collection[float]) -> np.ndarray:
    """Return how far lines are moved sideways so that their intervals lie beside each other [num_lines].

    Together they take half of the room between two resolutions at most.
    """
    at = np.array(list(places))
    step = min(_APART * float(np.ptp(at)), float(np.diff(at).min()) / (2 * num_lines))
    return (np.arange(num_lines) - (num_lines - 1) / 2) * step


def _draw_lines(
    axes: Axes,
    lines: Mapping[str, Sequence[_Point]],
    places: Mapping[float, float],
    measure: Callable[[SweepRun], Score],
) -> None:
    """Draw a line through the values of each model, their intervals, and let them say what they are."""
    for number, ((line, points), shift) in enumerate(
        zip(lines.items(), _shifts(len(lines), places.values()), strict=True)
    ):
        across = [places[point.edge] + shift for point in points]
        found = [measure(point.run) for point in points]
        values = [math.nan if each.value is None else each.value for each in found]
        look = class_look(number)
        axes.plot(across, values, marker="o", markersize=5, linewidth=1.3, label=short_label(line), **look)
        for place, each in zip(across, found, strict=True):
            if each.low is not None and each.high is not None:
                axes.plot([place, place], [each.low, each.high], color=look["color"], linewidth=1.5, alpha=0.6)
        ends = [reach(each.value, each.low, each.high) for each in found]
        tell(axes, across, ends, [point.text for point in points])
    axes.grid(axis="x", color=GRAY, alpha=0.25)


def _scale_cost(axes: Axes) -> None:
    """Let the axis of seconds or memory begin at nothing, or be logarithmic where it spans more than a decade."""
    values = np.concatenate([line.get_ydata() for line in axes.lines])
    known = values[np.isfinite(values)]
    if known.min() > 0 and known.max() > _DECADE * known.min():
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
        axes.yaxis.set_major_formatter(ScalarFormatter())
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.yaxis.set_major_locator(MaxNLocator(3))
        axes.set_ylim(0, 1.15 * known.max() or 1)


def _caption(part: SweepPart, points: Sequence[_Point], *, num_lines: int, with_memory: bool) -> str:
    """Write what is drawn, and what seconds and memory are of."""
    score, left_out = part.compared[0], max(num_lines - _MAX_LINES, 0)
    bars = any(point.run.score(score).low is not None for point in points)
    sentences = [
        f"{score_title(score)} by resolution, and what the runs took.",
        f"One line for each {', '.join(_others(part))}, moved a little sideways." if num_lines > 1 else "",
        f"{number_text(left_out, 'more line', 'is', 'are')} left out." if left_out else "",
        "Bars: 95 % intervals." if bars else "",
        "Gaps: runs that failed." if any(point.run.metrics is None for point in points) else "",
        "Dotted line: guessing." if score in part.chance else "",
        "Seconds are of the whole run; the first one at a resolution also prepares the scans, which later ones reuse.",
        f"{MEMORY_MEANING}." if with_memory else "",
    ]
    return " ".join(filter(None, sentences))
