"""Charts of how well a measure is predicted: predictions, and their errors, against the truth.

Both take the same arguments: the outcome, and the tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection

from mri3d.outcome.line import Line
from mri3d.report.charts import COLOURS, GRAY, Chart, chart, chart_picture, short_label, tell
from mri3d.report.elements import number
from mri3d.report.picture import Picture
from mri3d.report.shown_tests import ShownTests

if TYPE_CHECKING:
    from mri3d.outcome import Measure


def predicted_against_true_chart(outcome: Measure, tests: ShownTests) -> Picture:
    """Draw predicted against true values on two axes of one scale, with the identity line and the fitted line."""
    targets, predictions, raw = tests.targets, tests.predictions, tests.raw
    limits = _limits(targets, predictions, raw)
    with chart(4.6, 4.7) as figure:
        axes = figure.add_subplot()
        axes.plot(limits, limits, color=GRAY, linestyle=":", linewidth=1.2, label="Identity")
        _draw(axes, targets, predictions, raw)
        tell(axes, targets, predictions, _texts(outcome, tests))
        axes.set(xlim=limits, ylim=limits, aspect="equal")
        name = short_label(outcome.name).strip()
        axes.set(xlabel=f"True {name}", ylabel=f"Predicted {name}")
        alt = f"Predicted {outcome.name} against true {outcome.name}, one point for each test."
        caption = (
            f"Predicted against true {outcome.name}, one point for each test. The closer to the dotted line, the "
            f"better.{_of_raw(raw)}"
        )
        return _with_legend(figure, alt, caption)


def error_against_true_chart(outcome: Measure, tests: ShownTests) -> Picture:
    """Draw predicted minus true values against true values, with the line fitted to them: the error slope is its."""
    targets, predictions, raw = tests.targets, tests.predictions, tests.raw
    with chart(4.6, 4.7) as figure:
        axes = figure.add_subplot()
        axes.axhline(0, color=GRAY, linestyle=":", linewidth=1.2, label="No error")
        _draw(axes, targets, predictions - targets, None if raw is None else raw - targets)
        tell(axes, targets, predictions - targets, _texts(outcome, tests))
        name = short_label(outcome.name).strip()
        axes.set(xlim=_limits(targets), xlabel=f"True {name}", ylabel=f"Predicted minus true {name}")
        alt = f"Predicted minus true {outcome.name} against true {outcome.name}, one point for each test."
        caption = (
            f"Error against true {outcome.name}, one point for each test. A line that falls from left to right means "
            f"that low values are predicted too high and high values too low.{_of_raw(raw)}"
        )
        return _with_legend(figure, alt, caption)


def _draw(axes: Axes, targets: np.ndarray, values: np.ndarray, raw: np.ndarray | None) -> None:
    """Draw values [T] against targets [T] with their fitted line; beneath, in grey, those before correction."""
    layers: list[tuple[str | None, np.ndarray, str, str, str]] = [(None, values, COLOURS[0], COLOURS[1], "solid")]
    if raw is not None:
        layers = [
            ("Before correction", raw, GRAY, GRAY, "dashed"),
            ("Corrected", values, COLOURS[0], COLOURS[1], "solid"),
        ]
    size, alpha = (34, 0.8) if len(targets) < 60 else (20, 0.6) if len(targets) < 250 else (10, 0.45)
    ends = np.array([targets.min(), targets.max()])
    for label, layer, colour, line_colour, dash in layers:
        axes.scatter(targets, layer, s=size, color=colour, alpha=alpha, linewidth=0, label=label)
        if ends[0] < ends[1]:  # one value has no line
            line = Line.fit(targets, layer)
            slope = f"{round(line.slope, 2) + 0.0:.2f}".replace("-", "−")  # + 0.0: no slope is -0.00
            look: dict[str, Any] = {"color": line_colour, "linestyle": dash, "linewidth": 1.8}
            axes.plot(ends, line.undo(ends), label=f"Fitted line, slope {slope}", **look)


def _texts(outcome: Measure, tests: ShownTests) -> list[str]:
    """Write who was tested, what is true, and what was predicted [T]."""
    errors = tests.predictions - tests.targets
    columns = {f"True {outcome.name}": tests.targets, "Predicted": tests.predictions, "Error": errors}
    columns |= {} if tests.raw is None else {"Predicted before correction": tests.raw}
    told = [[f"{title} {number(value)}" for value in values] for title, values in columns.items()]
    return list(map("\n".join, zip(*([tests.subjects] if tests.subjects else []), *told, strict=True)))


def _with_legend(figure: Chart, alt: str, caption: str) -> Picture:
    """Put the legend above the axes, where it hides no point, and render."""
    legend = figure.legend(loc="outside upper left", ncols=2)
    for handle in legend.legend_handles:
        if isinstance(handle, PathCollection):
            handle.set_sizes([34])
    return chart_picture(figure, alt, caption)


def _limits(*values: np.ndarray | None) -> tuple[float, float]:
    """Return what an axis must span to hold all values, with a margin."""
    together = np.concatenate([some for some in values if some is not None])
    low, high = float(together.min()), float(together.max())
    margin = 0.04 * (high - low) or 0.1 * abs(high) or 1.0
    return low - margin, high + margin


def _of_raw(raw: np.ndarray | None) -> str:
    return "" if raw is None else " Grey: the predictions before correction (model.debias=true)."
