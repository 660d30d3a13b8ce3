"""Charts of what led to a model: training by epoch, and scores of the values that were tried for a parameter."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from mri3d.outcome.score import SCORE_RANGES
from mri3d.report.charts import COLOURS, DASHES, chart, chart_picture, short_label, tell
from mri3d.report.elements import number, score_title
from mri3d.report.picture import Picture
from mri3d.texts import parameter_text

History = Sequence[Mapping[str, float]]
"""The epochs of one fit, each with `epoch` and some of `train_loss`, `val_loss` and `val_<score>`."""


def training_chart(histories: Sequence[History]) -> Picture:
    """Draw training epoch by epoch, a line for each fold: losses in one panel, validation scores in others.

    Args:
        histories: Of each fold.
    """
    panels = _panels(histories)
    with chart(9.4 if len(panels) > 1 else 4.6, 3.0) as figure:
        for place, (title, curves) in enumerate(panels, start=1):
            axes = figure.add_subplot(1, len(panels), place)
            _draw_epochs(axes, curves, histories)
            axes.set(xlabel="Epoch", ylabel=title)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            if len(curves) > 1 and axes.lines:
                axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)  # above: lines may run anywhere
            limits = SCORE_RANGES.get(next(iter(curves)).removeprefix("val_"))
            if limits and axes.dataLim.y0 < limits[0] < axes.dataLim.y1:
                axes.set_ylim(limits)  # the first epochs would flatten all others
        folds = "" if len(histories) == 1 else f" One line for each of {len(histories)} fits."
        caption = (
            f"Training. A validation loss that rises while the training loss falls is a sign of over-fitting.{folds}"
        )
        return chart_picture(figure, f"{', '.join(title for title, _ in panels)} by epoch.", caption)


def _panels(histories: Sequence[History]) -> list[tuple[str, dict[str, str]]]:
    """Return the title of each panel and its curves, a key of the epochs to its label; scores of one range share it."""
    keys = dict.fromkeys(key for history in histories for epoch in history for key in epoch)
    scores = [key.removeprefix("val_") for key in keys if key.startswith("val_") and key != "val_loss"]
    panels = [("Loss", {"train_loss": "Training", "val_loss": "Validation"})]
    alike: dict[Any, list[str]] = {}
    for name in scores:
        alike.setdefault(SCORE_RANGES.get(name, name), []).append(name)
    for names in alike.values():
        title = "score" if len(names) > 1 else score_title(names[0])
        panels.append((f"Validation {title}", {f"val_{name}": score_title(name) for name in names}))
    return panels


def _draw_epochs(axes: Axes, curves: Mapping[str, str], histories: Sequence[History]) -> None:
    """Draw each curve for each fold, and name it once."""
    width = 1.8 if len(histories) == 1 else 1.0
    for colour, (key, name) in zip(COLOURS, curves.items(), strict=False):
        label: str | None = name
        what = f"{name} loss" if key.endswith("_loss") else f"Validation {name}"
        for place, history in enumerate(histories, start=1):
            fit = f"Fit {place} of {len(histories)}, epoch" if len(histories) > 1 else "Epoch"
            points = [(epoch["epoch"] + 1, epoch[key]) for epoch in history if key in epoch]  # as the log counts
            if points:
                epochs, values = zip(*points, strict=True)
                axes.plot(epochs, values, color=colour, linewidth=width, alpha=0.85, label=label)
                tell(axes, epochs, values, [f"{fit} {epoch}\n{what} {number(value)}" for epoch, value in points])
                label = None


def validation_chart(
    name: str, values: Sequence[Any], curves: Mapping[str, Sequence[Sequence[float]]], caption: str, *, criterion: str
) -> Picture:
    """Draw scores against the values of a parameter: their mean, and a band of one standard deviation.

    Whole numbers or fractions have an axis of numbers, a logarithmic one where they span a decade; values of several
    kinds (`0.9`, `50`, `null`) stand side by side in the order given.

    Args:
        name: Of the parameter.
        values: What was tried [L].
        curves: Name of each curve to the scores at each value [L, S].
        caption: See `Picture`.
        criterion: Which score it is, such as `auc`.
    """
    numeric = all(type(value) is int for value in values) or all(type(value) is float for value in values)
    places = np.array(values if numeric else range(len(values)), dtype=float)
    order = np.argsort(places)
    with chart() as figure:
        axes = figure.add_subplot()
        for colour, dash, (label, scores) in zip(COLOURS, DASHES, curves.items(), strict=False):
            mean = np.array([np.mean(some) for some in scores])[order]
            spread = np.array([np.std(some, ddof=1) if len(some) > 1 else 0.0 for some in scores])[order]
            axes.fill_between(places[order], mean - spread, mean + spread, color=colour, alpha=0.18, linewidth=0)
            axes.plot(places[order], mean, color=colour, linestyle=dash, marker="o", linewidth=1.8, label=label)
            tried = [f"{name} {parameter_text(values[place])}\n{label} {score_title(criterion)}" for place in order]
            found = [f"{number(value)} ± {number(sd)}" for value, sd in zip(mean, spread, strict=True)]
            tell(axes, places[order], mean, list(map(" ".join, zip(tried, found, strict=True))))
        if numeric and places.min() > 0 and places.max() >= 10 * places.min():
            axes.set_xscale("log")
        long = sum(len(parameter_text(value)) + 2 for value in values) > 50
        axes.set_xticks(places, [short_label(parameter_text(value)) for value in values], rotation=45 if long else 0)
        axes.minorticks_off()
        axes.set(xlabel=short_label(name), ylabel=score_title(criterion))
        axes.legend(loc="best")
        alt = f"Validation curve: {' and '.join(curves).lower()} {score_title(criterion)} for each value of {name}."
        return chart_picture(figure, alt, caption)
