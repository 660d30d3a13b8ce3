"""What harmonising volumes changed, for the report of a run."""

from collections.abc import Mapping, Sequence
from typing import Any

from mri3d.outcome.score import Score, p_text
from mri3d.report.elements import Html, difference_in_full, element, in_full, number, score_title, table, with_interval
from mri3d.texts import number_text

_READING = (
    "ComBat takes the location and the scale of each {by} out of every voxel. It was fitted to the sessions that each "
    "fold learns from, without any label; a {by} that is only tested has those of its own sessions. Where classes or "
    "values differ between {by}s, a part of their true difference is taken out too."
)
_RANDOM = (
    "Random labels were drawn for each person from those of the same {by}, {number}, so that they say of a scan no "
    "more than its {by} does; all was fitted anew to them, harmonised and not. What harmonising changes there is not "
    "about the outcome."
)


def harmonization_section(harmonization: Mapping[str, Any] | None, compared: Sequence[str]) -> list[Html]:
    """List the scores on volumes as they are and on harmonised ones, and what changed.

    Args:
        harmonization: `harmonization` of metrics.json; None where volumes were not harmonised.
        compared: Names of the scores to show, see `Outcome.compared`.
    """
    if harmonization is None:
        return []
    scores, random, by = harmonization["scores"], harmonization["random_labels"], harmonization["by"]
    names = [name for name in compared if name in scores["harmonized"]]
    titles = {"as_they_are": "Volumes as they are", "harmonized": f"Harmonised by {by} (this run)"}
    rows = [
        [titles[way], *(with_interval(Score(**found[name])) for name in names)]
        for way in titles
        if (found := scores.get(way)) is not None
    ]
    apart = [
        [score_title(name), difference_in_full(each), p_text(each["p"])]
        for name in names
        if (each := harmonization["differences"].get(name)) is not None
    ]
    shown = [table(["Harmonised less as they are", "Difference (95 % interval)", "p"], apart, css="numbers")]
    texts = [element("p", _READING.format(by=by))]
    if random is not None:
        header = ["Random labels", "As they are", "Harmonised", "Difference (95 % interval)"]
        means = [number(random[way]) for way in titles]
        told = [f"Mean {score_title(harmonization['primary'])}", *means, in_full(random["difference"])]
        shown.append(table(header, [told], css="numbers"))
        times = number_text(random["number"], "time")
        texts.append(element("p", _RANDOM.format(by=by, number=times)))
    return [
        element("h2", "Harmonised volumes"),
        element("p", harmonization["sentence"]),
        table(["Fitted to", *map(score_title, names)], rows, css="numbers"),
        *(shown if apart else shown[1:]),
        *texts,
    ]


def harmonization_cautions(harmonization: Mapping[str, Any] | None) -> list[str]:
    """Say that harmonising makes scores better where nothing is to be found, where it does."""
    if harmonization is None or not (harmonization["random_labels"] or {}).get("better"):
        return []
    return [harmonization["sentence"]]
