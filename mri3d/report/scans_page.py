"""The page with a picture of every scan of a cohort, and the section that sums it up in the report of a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mri3d.report.elements import (
    Html,
    details,
    element,
    heading,
    headline,
    image,
    link,
    num_within_budget,
    table,
    write_page,
)
from mri3d.report.picture import Picture
from mri3d.texts import number_text

_MAX_WARNINGS = 2  # of one scan, beyond which they are folded away
_MAX_WORST = 8  # scans in the section


@dataclass(frozen=True)
class FigureText:
    """What a figure is called, and how it is written and read.

    Attributes:
        title: Its name.
        style: How a value is written, for `str.format`: "{:.2f}".
        meaning: What it is, to follow the title.

    >>> FigureText("Similarity", "{:.2f}", "").written(-0.001)
    '0.00'
    """

    title: str
    style: str
    meaning: str

    def written(self, value: float) -> str:
        """Write a value; nothing is not less than nothing."""
        text = self.style.format(value)
        return text if any(digit in text for digit in "123456789") else text.removeprefix("-")


@dataclass(frozen=True)
class ScanShown:
    """A scan of the cohort.

    Attributes:
        name: Of the session.
        picture: Its middle planes, see `thumbnail`; None where there is none.
        figures: What tells how well a volume could be made of it.
        warnings: What to know about it.
        refused: Why it takes no part; empty where it does.
    """

    name: str
    picture: Picture | None
    figures: Mapping[str, float] = field(default_factory=dict, hash=False)
    warnings: Sequence[str] = ()
    refused: str = ""

    @property
    def is_noted(self) -> bool:
        """Whether somebody should look at it."""
        return bool(self.refused or self.warnings)


def write_scans_page(
    path: Path, scans: Sequence[ScanShown], texts: Mapping[str, FigureText], *, facts: Mapping[str, str], note: str
) -> None:
    """Write one HTML file that opens anywhere, offline.

    Args:
        path: The file.
        scans: In the order of the page; those that are refused stand before the others.
        texts: Of each figure.
        facts: What to know first, name to text.
        note: What the pictures show.
    """
    refused, used = _parted(scans)
    counted = used or refused
    what = f"that can be used, of {len(scans)}." if used else "that cannot be used: see the reasons below."
    if used and refused:
        what += f" {number_text(len(refused), 'scan', 'is', 'are')} refused: see the reasons below."
    summary = f"{'scan' if len(counted) == 1 else 'scans'} {what}"
    body = [heading("Scans", facts), headline(str(len(counted)), summary), element("p", note)]
    for title, listed in ((f"Refused: {len(refused)}", refused), (f"Used: {len(used)}", used)):
        if listed:
            body += [element("h2", title), _montage(listed, texts)]
    if shown := _known(scans, texts):
        meanings = [element("li", f"{texts[name].title}: {texts[name].meaning}") for name in shown]
        body += [element("h2", "How to read this"), element("ul", *meanings)]
    write_page(path, title="Scans", sections=body)


def scans_section(scans: Sequence[ScanShown], texts: Mapping[str, FigureText], *, page: str) -> list[Html]:
    """Sum up what is known of the scans: figures of those that are used, and pictures of the worst of all.

    Args:
        scans: As on their page.
        texts: Of each figure.
        page: That page, relative to this one.
    """
    refused, used = _parted(scans)
    noted = sum(scan.is_noted for scan in used)
    counts = f"{number_text(len(scans), 'scan')}: {len(refused)} refused, {noted} used with warnings. "
    told = element("p", counts, link("All of them in pictures", page), element("span", "."))
    body = [element("h2", "Scans"), told]
    rows = []
    for name in _known(used, texts):
        values = [scan.figures[name] for scan in used if name in scan.figures]
        three = (np.median(values), np.min(values), np.max(values))
        rows.append([texts[name].title, *(texts[name].written(float(value)) for value in three)])
    if rows:
        body.append(table(["Of the scans that are used", "Median", "Lowest", "Highest"], rows, css="numbers"))
    worst = sorted(scans if rows else [scan for scan in scans if scan.is_noted], key=lambda scan: not scan.is_noted)
    if worst := worst[:_MAX_WORST]:  # stable: as on the page, but those that have warnings before those without
        body += [element("p", "Those to look at first:"), _montage(worst, texts)]
    rest = sorted((scan for scan in scans if scan not in worst), key=lambda scan: not scan.is_noted)
    return [*body, *_folded([scan for scan in rest if scan.picture])]


def _folded(scans: Sequence[ScanShown]) -> list[Html]:
    """Fold the pictures of scans away, as many as the page has room for, with nothing but their names."""
    if not (shown := scans[: num_within_budget([scan.picture for scan in scans])]):
        return []
    title = f"{number_text(len(shown), 'scan')} in pictures"
    title += f", of {len(scans)}: the page of scans has all" if len(shown) < len(scans) else ""
    framed = [
        element("figure", image(scan.picture), element("figcaption", element("bdi", scan.name)))
        for scan in shown
        if scan.picture
    ]
    return [details(title, element("div", *framed, css="montage"))]


def _parted(scans: Sequence[ScanShown]) -> tuple[list[ScanShown], list[ScanShown]]:
    """Part the scans that are refused from those that are used."""
    return [scan for scan in scans if scan.refused], [scan for scan in scans if not scan.refused]


def _known(scans: Sequence[ScanShown], texts: Mapping[str, FigureText]) -> list[str]:
    """Return the figures that some scan has, in the order of their texts."""
    return [name for name in texts if any(name in scan.figures for scan in scans)]


def _montage(scans: Sequence[ScanShown], texts: Mapping[str, FigureText]) -> Html:
    """Lay pictures out in as many columns as there is room for."""
    return element("div", *(_framed(scan, texts) for scan in scans), css="montage")


def _framed(scan: ScanShown, texts: Mapping[str, FigureText]) -> Html:
    """Show a scan with what is known of it."""
    figures = [
        element("span", f"{text.title} ", element("b", text.written(scan.figures[name])))
        for name, text in texts.items()
        if name in scan.figures
    ]
    notes = [element("p", text, css="caution") for text in (scan.refused, *scan.warnings[:_MAX_WARNINGS]) if text]
    if more := scan.warnings[_MAX_WARNINGS:]:
        folded = element("ul", *(element("li", text) for text in more))
        notes.append(details(number_text(len(more), "more warning"), folded))
    picture = image(scan.picture) if scan.picture else element("p", "No picture", css="nothing")
    named = element("p", element("b", scan.name))
    told = [element("p", *figures, css="figures")] if figures else []
    return element("figure", picture, element("figcaption", named, *told, *notes))
