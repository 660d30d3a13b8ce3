"""The page of a comparison, and its part of the page of a sweep."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from mri3d.outcome.score import Score
from mri3d.report.comparison_words import ComparedModels, ComparedPair
from mri3d.report.elements import (
    Html,
    details,
    element,
    figure,
    heading,
    headline,
    link,
    number,
    score_title,
    table,
    with_interval,
    write_page,
)
from mri3d.report.forest import forest_chart

_MAX_PAIRS = 200
"""Pairs that a page lists, so that it opens at once."""


def write_comparison_page(path: Path, compared: ComparedModels) -> None:
    """Write one HTML file: the scores of each model, and the difference of every two.

    Args:
        path: The file.
        compared: The models; the page links to the reports of their runs.
    """
    outcome, title = compared.outcome, f"Comparison of {len(compared.models)} models"
    folds = f" in {compared.num_folds} folds" if compared.num_folds > 1 else ""
    facts = {"outcome": f"{outcome.name} ({outcome.task})", "tests": f"{compared.num_tests}{folds}, the same for all"}
    primary, best = compared.primary, compared.best
    result, *others = compared.conclusions()
    if len(compared.models) == 2:
        value = compared.pairs[0].difference(primary).value
        shown = number(None if value is None else abs(value))
    else:
        shown = number(compared.models[best][primary].value if best else None)
    pages = [os.path.relpath(run / "report.html", path.parent) for run in compared.folders.values()]
    reports = [link("report", Path(page).as_posix()) for page in pages]
    names = list(dict.fromkeys(name for scores in compared.models.values() for name in scores))
    rows: list[list[str]] = [
        [score_title(name), *(with_interval(scores.get(name, Score(None))) for scores in compared.models.values())]
        for name in names
    ]
    axis = compared.primary_title
    chart = forest_chart(
        [([name], scores[primary]) for name, scores in compared.models.items()],
        axis=axis,
        reference=outcome.chance.get(primary),
        alt=f"{axis} of {len(compared.models)} models with 95 % intervals.",
        caption=f"{axis} with 95 % intervals." + (" Dotted line: guessing." if primary in outcome.chance else ""),
    )
    write_page(
        path,
        title=title,
        sections=[
            heading(title, facts),
            headline(shown, result),
            *([element("ul", *(element("li", text) for text in others))] if others else []),
            element("h2", "Scores of each model"),
            table(["", *compared.models], [["Run", *reports], *rows], css="numbers folds"),
            element("p", "In brackets: 95 % intervals."),
            figure(chart),
            element("h2", "Differences"),
            *difference_section(compared),
        ],
    )


def difference_section(compared: ComparedModels) -> list[Html]:
    """Show the differences of every two models, in a forest plot and in a table, and how to read them."""
    axis, shown = f"Difference in {compared.primary_title}", compared.shown
    chart = forest_chart(
        [([pair.second, pair.first], pair.difference(compared.primary)) for pair in shown],
        axis=axis,
        reference=0.0,
        alt=f"{axis} of {len(shown)} pairs of models with 95 % intervals.",
        caption=f"{axis} with 95 % intervals, not adjusted for the number of pairs. Dotted line: no difference.",
    )
    parts = [figure(chart), _pair_table(compared, shown)]
    if len(shown) < len(compared.pairs):
        every = compared.pairs[:_MAX_PAIRS]
        parts.append(element("p", f"Shown are the pairs of {compared.best}, the best one. comparison.csv has all."))
        parts.append(details(f"{len(every)} of {len(compared.pairs)} pairs", _pair_table(compared, every)))
    return [*parts, element("ul", *(element("li", text) for text in compared.reading()))]


def _pair_table(compared: ComparedModels, pairs: Sequence[ComparedPair]) -> Html:
    """Make the table of pairs; what belongs together is kept on one line."""
    header, rows = compared.table(pairs)
    return table(header, [[cell.replace(" to ", "\u00a0to\u00a0") for cell in row] for row in rows])
