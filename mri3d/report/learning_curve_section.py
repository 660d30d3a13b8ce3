"""How good the model is with fewer training sessions, and what more of them would buy, for the report of a run."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullLocator, ScalarFormatter

from mri3d.outcome.score import ends_text
from mri3d.report.charts import COLOURS, chart, chart_picture, reach, tell
from mri3d.report.elements import Html, element, figure, in_full, num_decimals, number, score_title, table
from mri3d.report.picture import Picture

_UNCORRECTED = "_raw"


def learning_curve_section(curve: Mapping[str, Any] | None, compared: Sequence[str]) -> list[Html]:
    """Say what more training sessions would buy, draw the curve, and list its points.

    Args:
        curve: `learning_curve` of metrics.json; None where it was not asked for.
        compared: Names of the scores to list, see `Outcome.compared`.
    """
    if curve is None:
        return []
    *fewer, _ = curve["fractions"]
    shares = " and ".join(filter(None, [", ".join(map(_percent, fewer[:-1])), _percent(fewer[-1])]))
    done = (
        f"The model of each fold was fitted again to {shares} of the sessions that it learns from, each part within "
        "the next larger one, and tested on the same sessions as the evaluation itself, which is the last of the "
        "points. In brackets: 95 % intervals."
    )
    texts = [curve["sentence"], done, *_about_law(curve)]
    return [
        element("h2", "Learning curve"),
        *(element("p", text) for text in texts),
        figure(learning_curve_chart(curve)),
        _point_table(curve, compared),
    ]


def learning_curve_chart(curve: Mapping[str, Any]) -> Picture:
    """Draw a score against the number of training sessions: points with intervals, and the fitted law with its band.

    Args:
        curve: `learning_curve` of metrics.json.
    """
    name, sizes = curve["score"], curve["num_train"]
    title, scores = score_title(name), [scores[name] for scores in curve["scores"]]
    with chart(6.4, 3.8) as drawing:
        axes = drawing.add_subplot()
        axes.set_xscale("log")
        if "band" in curve:
            _draw_law(axes, curve)
        known = [(size, score) for size, score in zip(sizes, scores, strict=True) if score["value"] is not None]
        for size, score in known:
            if score["low"] is not None and score["high"] is not None:
                axes.plot([size, size], [score["low"], score["high"]], color=COLOURS[0], linewidth=1.5, alpha=0.6)
        marks: dict[str, Any] = {"color": COLOURS[0], "s": 38, "zorder": 3, "label": "Measured, with 95 % interval"}
        axes.scatter([size for size, _ in known], [score["value"] for _, score in known], **marks)
        for word, points in (("", known), (", forecast", _forecasts(curve))):
            told = [f"{size:.0f} training sessions{word}\n{title} {in_full(score)}" for size, score in points]
            ends = [reach(score["value"], score["low"], score["high"]) for _, score in points]
            tell(axes, [size for size, _ in points], ends, told)
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.set(xlabel="Training sessions", ylabel=title)
        drawing.legend(loc="outside upper left", ncols=2)
        values = ", ".join(f"{number(score['value'])} with {size:.0f}" for size, score in known)
        law = (
            " Line: power law fitted to the points, dashed where it goes beyond them. Band: its 95 % interval."
            if "band" in curve
            else ""
        )
        alt = f"{title} by the number of training sessions: {values}."
        return chart_picture(drawing, alt, f"{title} by the number of training sessions.{law}")


def _forecasts(curve: Mapping[str, Any]) -> list[tuple[float, Mapping[str, Any]]]:
    """Return the number of sessions and the score of each forecast; none where the points show no gain."""
    return [(each["num_train"], each) for each in curve.get("forecasts", ()) if curve["helps"]]


def _draw_law(axes: Axes, curve: Mapping[str, Any]) -> None:
    """Draw the band of the fitted law where it is bounded, and the law itself if it shows that more sessions help."""
    band = {key: np.array(values, dtype=np.float64) for key, values in curve["band"].items()}
    look: dict[str, Any] = {"color": COLOURS[1], "alpha": 0.16, "linewidth": 0}
    axes.fill_between(band["num_train"], band["low"], band["high"], **look, label="Power law, 95 % interval")
    if curve["helps"]:
        within = band["num_train"] <= curve["num_train"][-1] * (1 + 1e-9)
        beyond = ~within | np.append(within[1:] != within[:-1], False)  # the last point within, to go on from
        for part, dash in ((within, "solid"), (beyond, "dashed")):
            label = "Power law" if dash == "solid" else None
            axes.plot(
                band["num_train"][part],
                band["value"][part],
                color=COLOURS[1],
                linestyle=dash,
                linewidth=1.8,
                label=label,
            )


def _about_law(curve: Mapping[str, Any]) -> list[str]:
    """Write what the fitted law is, and what it is not; nothing where there is none or it does not fall."""
    if not curve["helps"]:
        return []
    law, title = curve["law"], score_title(curve["score"])
    error = title if curve["ascending"] else f"error (1 − {title})"
    formula = f"{number(law['a'])} + {number(law['b'])} × n^−{law['c']:.2f}"
    return [
        f"The curve is the power law {formula} of the {error} for n training sessions; the 95 % interval of its "
        f"exponent is {law['c_low']:.2f} to {law['c_high']:.2f}. Forecasts hold if the curve goes on as it began, "
        "which no data can promise, and if the further sessions are like these. The further they reach, the less "
        "certain they are: take the one for 4 times as many as a rough guide."
    ]


def _point_table(curve: Mapping[str, Any], compared: Sequence[str]) -> Html:
    """List the scores of each point, and beneath them the forecasts of the score that the law is of."""
    suffix = _UNCORRECTED if curve["score"].endswith(_UNCORRECTED) else ""
    names = [f"{name}{suffix}" for name in compared if f"{name}{suffix}" in curve["scores"][-1]]
    decimals = {name: num_decimals([scores[name]["value"] for scores in curve["scores"]]) for name in names}
    rows = [
        [f"{size:.0f}", _percent(fraction), *(in_full(scores[name], decimals=decimals[name]) for name in names)]
        for size, fraction, scores in zip(curve["num_train"], curve["fractions"], curve["scores"], strict=True)
    ]
    for forecast in curve.get("forecasts", ()):
        told = _forecast_text(forecast, decimals[curve["score"]], helps=curve["helps"])
        cells = [told if name == curve["score"] else "" for name in names]
        rows.append([f"{forecast['num_train']:.0f}, forecast", _percent(forecast["times"]), *cells])
    return table(["Training sessions", "Share of all", *map(score_title, names)], rows, css="numbers")


def _forecast_text(forecast: Mapping[str, Any], decimals: int, *, helps: bool) -> str:
    """Write a forecast; only from where to where it may lie if the points show no more."""
    if helps:
        return in_full(forecast, decimals=decimals)
    return ends_text(forecast["low"], forecast["high"], lambda end: number(end, decimals=decimals)) or "–"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:g} %"
