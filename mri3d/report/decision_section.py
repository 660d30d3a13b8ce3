"""What comes of acting on predicted classes: predictive values, and a decision curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from mri3d.report.charts import COLOURS, GRAY, chart, chart_picture, short_label, tell
from mri3d.report.elements import Html, element, figure, in_full, number, table
from mri3d.report.picture import Picture
from mri3d.texts import list_text

if TYPE_CHECKING:
    from mri3d.outcome import Outcome

_TITLES = {
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "recall": "Recall",
    "ppv": "Positive predictive value (PPV)",
    "npv": "Negative predictive value (NPV)",
    "predictive_value": "Predictive value",
}
_ROUNDING = 1e-12
_RATES = ("sensitivity", "specificity", "recall")
_READING = (
    "Who acts from a probability t on says that one wrong action weighs t / (1 - t) as much as one right action. Net "
    "benefit is the right actions less the wrong ones, weighed so, for each person (Vickers and Elkin 2006). The model "
    "is worth using where its line lies above both others; where it does not, acting on everybody or on nobody is as "
    "good. Net benefit takes the probabilities as they are: ones that are too high or too low cost some of it."
)


def decision_section(outcome: Outcome, content: Mapping[str, Any] | None) -> list[Html]:
    """List how often each class is predicted of its members, and how often that is right.

    Args:
        outcome: What is predicted, with its threshold.
        content: `decisions` of a validation's metrics.json; None where there are no classes.
    """
    if content is None:
        return []
    rows = [
        [_TITLES[kind], in_full(score, decimals=3), _meaning(kind, name)]
        for name, scores in content["classes"].items()
        for kind, score in scores.items()
    ]
    rows.sort(key=lambda row: row[0] not in [_TITLES[kind] for kind in _RATES])  # stable
    shares = ", ".join(f"{100 * share:.3g} % {name}" for name, share in content["prevalence"].items())
    told = (
        f"Predictive values are for people of whom {shares}, as was stated (prevalence): by Bayes' theorem from how "
        "often each class is predicted of its members."
        if content["stated"]
        else f"Predictive values are for people among whom the classes are as frequent as here: {shares}. For others, "
        "give their shares (prevalence=)."
    )
    decided = element("p", outcome.words.prediction_reading()[0])
    shown = table(["", "Value", "Which means"], rows, css="decisions")
    return [element("h2", "Decisions"), decided, shown, element("p", f"{told} In brackets: 95 % intervals.")]


def curve_section(content: Mapping[str, Any] | None) -> list[Html]:
    """Draw a decision curve, and say where the model is worth using.

    Args:
        content: `decision_curve` of a validation's metrics.json; None where there is none.
    """
    if content is None:
        return []
    gained, sure = (runs_of(content["thresholds"], content[key]) for key in ("gain", "gain_low"))
    told = "At no threshold is acting by the model worth more than acting on everybody or on nobody."
    if gained:
        told = f"By the estimate, acting by the model is worth more than both others at thresholds of {gained}; "
        told += (
            f"the 95 % interval of the gain lies above 0 at {sure}."
            if sure
            else ("at none does the 95 % interval of the gain lie above 0.")
        )
    texts = [element("p", told), element("p", _READING)]
    return [element("h2", "Is it worth acting on?"), figure(decision_chart(content)), *texts]


def runs_of(thresholds: Sequence[float], values: Sequence[float | None]) -> str:
    """Write from where to where values are above 0; the first three such runs, nothing where there is none.

    >>> runs_of([0.1, 0.2, 0.3, 0.4], [0.1, 0.2, None, 0.1])
    '0.10 to 0.20, 0.40'
    """
    above = [value is not None and value > _ROUNDING for value in values]
    found = [[place for place, _ in run] for good, run in groupby(enumerate(above), key=lambda each: each[1]) if good]
    ends = [(f"{thresholds[run[0]]:.2f}", f"{thresholds[run[-1]]:.2f}") for run in found]
    return list_text([first if first == last else f"{first} to {last}" for first, last in ends], ", ", most=3)


def decision_chart(content: Mapping[str, Any]) -> Picture:
    """Draw net benefit against the threshold: of the model with its interval, of acting on everybody, and on nobody."""
    thresholds, model, everybody = (np.array(content[key]) for key in ("thresholds", "net_benefit", "everybody"))
    low, high = (_numbers(content[key]) for key in ("low", "high"))
    positive = short_label(content["positive"])
    with chart(7.2, 3.8) as drawing:
        axes = drawing.subplots()
        axes.fill_between(thresholds, low, high, color=COLOURS[0], alpha=0.15, linewidth=0)
        axes.plot(thresholds, everybody, color=COLOURS[1], linestyle="dashed", linewidth=1.6, label="Act on everybody")
        axes.plot([0, 1], [0, 0], color=GRAY, linestyle="dotted", linewidth=1.6, label="Act on nobody")
        axes.plot(thresholds, model, color=COLOURS[0], linewidth=2, label="Act by the model")
        of_model = zip(content["net_benefit"], content["low"], content["high"], strict=True)
        gains = [in_full(dict(zip(("value", "low", "high"), each, strict=True))) for each in of_model]
        told = [
            f"Threshold {threshold:.2f}\nNet benefit by the model {gain}\nNet benefit on everybody {number(other)}"
            for threshold, gain, other in zip(thresholds, gains, content["everybody"], strict=True)
        ]
        tell(axes, thresholds, model, told)
        top = max(float(model.max()), float(everybody.max()), 0.05) * 1.15
        axes.set(xlim=(0, 1), ylim=(-0.35 * top, top))
        axes.set(xlabel=f"Threshold: probability of {positive} from which on one acts", ylabel="Net benefit")
        drawing.legend(loc="outside upper left", ncols=3)
        alt = "Decision curve: net benefit against the threshold, by the model, for everybody and for nobody."
        caption = "Decision curve. Band: 95 % interval of the model's net benefit at each threshold."
        return chart_picture(drawing, alt, caption)


def _meaning(kind: str, name: str) -> str:
    return f"of those who are {name}, predicted so" if kind in _RATES else f"of those predicted as {name}, who are so"


def _numbers(values: Sequence[float | None]) -> np.ndarray:
    """Return numbers with NaN where there is none, which a chart leaves out."""
    return np.array([np.nan if value is None else value for value in values])
