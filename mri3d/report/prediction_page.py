"""The report of predictions on new scans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mri3d.report.elements import (
    Html,
    element,
    figure,
    heading,
    headline,
    num_decimals,
    num_within_budget,
    number,
    write_page,
)
from mri3d.report.picture import Picture
from mri3d.report.reading import reading_section
from mri3d.report.viewer import view_button

if TYPE_CHECKING:
    from mri3d.outcome import Words

MAX_ROWS = 1000
"""Scans that a page lists, so that it opens at once."""

_SPREAD = (
    "SD between models is the standard deviation of {} between the models that voted. It is no interval for the truth, "
    "which can lie further away."
)

_OWN_TEST = (
    "{} in its own test, with its 95 % interval, is how well the model did on sessions that it had not learnt from, of "
    "the cohort that it was trained on. On other people and scanners it can be worse: mri3d validate measures that."
)


@dataclass(frozen=True, eq=False)
class ScanResult:
    """What a model predicted for one scan.

    Attributes:
        name: Of the scan.
        prediction: As the page shows it: the class, or the value; empty when the scan could not be used.
        values: Title of each further column to a number from 0 to 1, such as the probability of each class; empty where
            the prediction says it all, None when the scan could not be used.
        spread: Standard deviation of the prediction between the models of an ensemble, of classes that of the
            predicted one's probability; None for a single model.
        warnings: What to know about the scan; the reason, when it could not be used.
        picture: The heatmap on the scan, see `figures.slices`.
        status: In a word, whether the prediction can be relied on, and whether there is one.
        region: Set or interval in which the truth lies; empty where none was asked for.
        viewed: Whether the viewer of the page has the scan by this name.
    """

    name: str
    prediction: str
    values: Mapping[str, float] | None
    spread: float | None = None
    warnings: Sequence[str] = ()
    picture: Picture | None = None
    status: str = ""
    region: str = ""
    viewed: bool = False


def write_prediction_report(
    path: Path,
    *,
    title: str,
    facts: Mapping[str, str],
    summary: str,
    words: Words,
    scans: Sequence[ScanResult],
    num_scans: int | None = None,
    num_used: int | None = None,
    region_title: str = "",
    region_reading: str = "",
    own_test: tuple[str, str] | None = None,
    viewer: Sequence[Html] = (),
) -> None:
    """Write one HTML file that opens anywhere, offline, with a card for each scan.

    Args:
        path: The file.
        title: Of the page.
        facts: What to know first, name to text: which model, when.
        summary: Sentence that goes on after the number of scans that were predicted: "scans classified: 2 as F.", see
            `Words.summary`.
        words: Of the outcome: the titles of `ScanResult.values`, and how predictions are to be read.
        scans: In the order of the cards.
        num_scans: How many scans there are, where not all are listed.
        num_used: How many of those were predicted.
        region_title: Of `ScanResult.region`; empty where there is none.
        region_reading: How it is to be read.
        own_test: Title of a score, and that score in the model's own test with its interval; None where it has none.
        viewer: Scans in 3D, see `viewer.viewer_section`.
    """
    num_scans = len(scans) if num_scans is None else num_scans
    num_used = sum(scan.values is not None for scan in scans) if num_used is None else num_used
    num_pictures = num_within_budget([scan.picture for scan in scans])
    spreads = [scan.spread for scan in scans]
    voted, decimals = any(spread is not None for spread in spreads), num_decimals(spreads)
    if num_used < num_scans:
        summary += f" {num_scans - num_used} could not be used: the reason stands on the card."
    sections = [heading(title, facts), headline(str(num_used), summary)]
    if len(scans) < num_scans:
        text = (
            f"{len(scans)} of {num_scans} scans are listed, to keep this page small: those that could not be used or "
            "are unlike every training scan, then the first of the others. predictions.csv has all of them."
        )
        sections.append(element("p", text))
    if num_pictures < len(scans):
        text = (
            f"Heatmaps are shown for the first {num_pictures} scans, to keep this page small; all are saved as files."
        )
        sections.append(element("p", text))
    cards = []
    for place, scan in enumerate(scans):
        beside = {region_title: scan.region} if region_title else {}
        beside |= {"SD between models": number(scan.spread, decimals=decimals)} if scan.spread is not None else {}
        beside |= {f"{own_test[0]} in its own test": own_test[1]} if own_test and scan.values is not None else {}
        cards.append(_card(scan, words.value_titles(), beside, pictured=place < num_pictures))
    sections += [element("h2", "Predictions"), element("div", *cards, css="cards"), *viewer]
    texts = [
        *words.prediction_reading(),
        *filter(None, [region_reading]),
        *([_SPREAD.format(words.spread_of())] if voted else []),
        *([_OWN_TEST.format(own_test[0])] if own_test else []),
    ]
    write_page(path, title=title, sections=[*sections, *reading_section(texts, words, methods=True)])


def _card(scan: ScanResult, titles: Sequence[str], beside: Mapping[str, str], *, pictured: bool) -> Html:
    """Lay out what is known of one scan."""
    known = {} if scan.values is None else {title: _share(scan.values[title]) for title in titles}
    rows = [element("div", element("dt", name), element("dd", text)) for name, text in (known | dict(beside)).items()]
    return element(
        "section",
        element("h3", element("bdi", scan.name)),
        *([element("p", scan.status, css=f"status {scan.status}")] if scan.status else []),
        element("p", element("bdi", scan.prediction or "no prediction"), css="predicted"),
        *([element("dl", *rows)] if rows else []),
        *(element("p", text, css="caution") for text in scan.warnings),
        *([figure(scan.picture)] if scan.picture and pictured else []),
        *([view_button(scan.name)] if scan.viewed else []),
        css="card",
    )


def _share(value: float) -> Html:
    """Write a number from 0 to 1, with a bar of that length."""
    return element("span", f"{value:.2f}", element("span", css="bar", style=f"--share:{value:.3f}"))
