"""The report of predictions on new scans."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mri3d.report.elements import Html, element, heading, headline, image, num_within_budget, table, write_page
from mri3d.report.figures import Picture


@dataclass(frozen=True, eq=False)
class ScanResult:
    """What a model said of one scan.

    Attributes:
        name: Of the scan.
        prediction: The class; empty when the scan could not be used.
        proba: Probability of each class [K]; None when the scan could not be used.
        spread: Standard deviation of the predicted class's probability between the models that voted; None for one.
        warnings: What to know about the scan; why, when it could not be used.
        picture: The heatmap on the scan, see `figures.slices`.
    """

    name: str
    prediction: str
    proba: np.ndarray | None
    spread: float | None = None
    warnings: Sequence[str] = ()
    picture: Picture | None = None


def write_prediction_report(
    path: Path, *, title: str, facts: Mapping[str, str], classes: Sequence[str], scans: Sequence[ScanResult]
) -> None:
    """Write one HTML file that opens anywhere, offline, with a row for each scan.

    Args:
        path: The file.
        title: Of the page.
        facts: What to know first, name to text: which model, when.
        classes: Names of the K classes.
        scans: In the order of the rows.
    """
    num_pictures = num_within_budget([scan.picture for scan in scans])
    header = ["scan", "prediction", *(f"probability of {name}" for name in classes), "to know", "heatmap"]
    rows = [_row(scan, len(classes), pictured=number < num_pictures) for number, scan in enumerate(scans)]
    sections = [heading(title, facts), _result(scans, classes), table(header, rows, css="scans")]
    if num_pictures < len(scans):
        text = (
            f"Heatmaps are shown for the first {num_pictures} scans, to keep this page small; the others are in files."
        )
        sections.append(element("p", text))
    write_page(path, title=title, sections=[*sections, element("h2", "How to read this"), _reading()])


def _result(scans: Sequence[ScanResult], classes: Sequence[str]) -> Html:
    used = [scan for scan in scans if scan.proba is not None]
    counts = Counter(scan.prediction for scan in used)
    said = ", ".join(f"{counts[name]} as {name}" for name in classes if counts[name])
    sentence = f"{'scan' if len(used) == 1 else 'scans'} classified" + (f": {said}." if said else ".")
    if len(used) < len(scans):
        sentence += f" {len(scans) - len(used)} could not be used; the reason stands beside each."
    return headline(str(len(used)), sentence)


def _row(scan: ScanResult, num_classes: int, *, pictured: bool) -> list[str]:
    if scan.proba is None:
        probabilities = [""] * num_classes
    else:
        bars = [element("span", css="bar", style=f"--share:{p:.3f}") for p in scan.proba]
        probabilities = [element("span", f"{p:.2f}", bar) for p, bar in zip(scan.proba, bars, strict=True)]
    spread = "" if scan.spread is None else f"models differ by ±{scan.spread:.2f}"
    prediction = element("span", scan.prediction or "not used", element("span", spread, css="soft"))
    picture = image(scan.picture) if scan.picture and pictured else ""
    return [scan.name, prediction, *probabilities, "; ".join(scan.warnings), picture]


def _reading() -> Html:
    return element(
        "ul",
        element(
            "li",
            "The prediction is the class with the highest probability. A probability near even is no answer: "
            "treat such a scan as undecided.",
        ),
        element(
            "li",
            "The probabilities hold for scans like those the model was trained on. Another scanner, sequence, age or "
            "illness can make them wrong without any sign of it here: check on labelled scans of your own first.",
        ),
        element(
            "li",
            "A heatmap shows where the model found its evidence, scaled to its own maximum; it does not show "
            "disease, and a strong colour does not mean a sure answer. L and R are the subject's left and right. "
            "Integrated gradients show where the scan differs from the average training scan in a way that speaks for "
            "the prediction; Grad-CAM weighs whole feature maps, is coarser, and cannot show what is missing in one "
            "place.",
        ),
        element("li", "Research use only: not for decisions about patients."),
    )
