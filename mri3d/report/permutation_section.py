"""The scores of a run beside those for permuted labels, for its report."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from mri3d.outcome.score import p_relation, p_text
from mri3d.report.charts import COLOURS, GRAY, chart, chart_picture, tell
from mri3d.report.elements import Html, element, figure, number, score_title, table
from mri3d.report.picture import Picture

_MOST_BINS = 40
_P = "p is the share of all labellings, the true one among them, with a score at least as good."
_METHODS = {
    "refitted": (
        f"{_P} For each of them everything that labels touch was done again: the model was fitted anew on every fold, "
        "the choice of its options included."
    ),
    "fixed predictions": (
        f"{_P} Labels move within the test set, and the predictions stay as they are: the test is about this model on "
        "people like these, not about other trainings."
    ),
    "folds combined": (
        "The labels of each fold's test set move against its fixed predictions, which gives each fold a p of its own; "
        "the p here is twice their mean, at most 1. It is valid, but cautious: folds have no distribution in common "
        "that could be drawn. evaluation.refit=true fits the model anew instead, which takes long."
    ),
}


def permutation_section(test: Mapping[str, Any] | None) -> list[Html]:
    """Say how likely such scores are without any relation of scans and labels, and draw what chance gives.

    Args:
        test: `permutation` of metrics.json; None where it was not asked for.
    """
    if test is None:
        return []
    name = test["primary"]
    p = test["scores"][name]["p"]
    answer = (
        f"No p: the tests do not define the {score_title(name)}."
        if p is None
        else f"p {p_relation(p)} for the {score_title(name)}, by {test['number']} permutations of the labels."
    )
    drawn = [value for value in test["null"] if value is not None]
    observed = test["scores"][name]["compared"]
    shown = [figure(null_chart(name, drawn, observed))] if drawn and observed is not None else []
    texts = [f"{answer} {_METHODS.get(test['method'], '')}", *_others(test)]
    return [
        element("h2", "Permutation test"),
        *(element("p", text) for text in texts),
        *shown,
        _score_table(test["scores"]),
    ]


def null_chart(name: str, null: list[float], observed: float) -> Picture:
    """Draw the histogram of a score of permuted labels, and that of the true ones as a line.

    Args:
        name: Of the score in metrics.json.
        null: Scores of permuted labels, one or more.
        observed: Score of the true labels.
    """
    title = score_title(name)
    with chart(height=3.4) as drawing:
        axes = drawing.add_subplot()
        counts, edges = np.histogram(null, bins=min(_MOST_BINS, max(5, round(1.5 * len(null) ** 0.5))))
        axes.stairs(counts, edges, fill=True, color=GRAY, alpha=0.55, label="Permuted labels")
        axes.axvline(observed, color=COLOURS[1], linewidth=2, label="True labels")
        axes.set(xlabel=title, ylabel="Number of permutations")
        columns = [(ends, count) for ends, count in zip(pairwise(edges), counts, strict=True) if count]
        told = [f"{title} {number(low)} to {number(high)}\nPermutations: {count}" for (low, high), count in columns]
        tell(axes, [ends for ends, _ in columns], [axes.get_ylim()] * len(columns), told)
        tell(axes, [observed], [axes.get_ylim()], [f"True labels\n{title} {number(observed)}"])
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        drawing.legend(loc="outside upper left", ncols=2)
        alt = (
            f"Histogram of the {title} of {len(null)} permutations of the labels, from {number(min(null))} to "
            f"{number(max(null))}, and a line at that of the true labels, {number(observed)}."
        )
        caption = (
            f"{title} with permuted labels, which have nothing to do with the scans, and with the true ones. The "
            "further the line lies outside the histogram on the better side, the less chance explains the result."
        )
        return chart_picture(drawing, alt, caption)


def _others(test: Mapping[str, Any]) -> list[str]:
    """Say where what is compared is not what the evaluation found."""
    told = [
        f"{score_title(name)} {number(score['compared'])}, where the evaluation itself has {number(score['observed'])}"
        for name, score in test["scores"].items()
        if None not in (score["compared"], score["observed"]) and abs(score["compared"] - score["observed"]) >= 5e-4
    ]
    if not told:
        return []
    return [
        "To compare like with like, the model was fitted to the true labels once more, with inner folds dealt without "
        f"regard to any of these labels: {'; '.join(told)}."
    ]


def _score_table(scores: Mapping[str, Mapping[str, Any]]) -> Html:
    """List each score beside what permuted labels give."""
    spreads = any(score["null_mean"] is not None for score in scores.values())
    header = ["", "True labels", *(["Permuted labels: mean", "95 % of them"] if spreads else []), "p"]
    rows = []
    for name, score in scores.items():
        null = [number(score["null_mean"]), _range(score)] if spreads else []
        rows.append([score_title(name), number(score["compared"]), *null, p_text(score["p"])])
    return table(header, rows, css="numbers")


def _range(score: Mapping[str, Any]) -> str:
    low, high = score["null_low"], score["null_high"]
    return "–" if low is None else f"{number(low)} to {number(high)}"
