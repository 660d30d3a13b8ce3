"""How tested scans compare with those that were learnt from: what `predict` would say of them."""

from collections.abc import Mapping
from typing import Any

from mri3d.report.elements import Html, details, element, table
from mri3d.texts import number_text

_MAX_ROWS = 50
_WHAT = {"ok": "ok", "unusual": "unusual (predictions may be wrong)", "outside": "outside (predict predicts nothing)"}


def met_section(scans: Mapping[str, Any] | None) -> list[Html]:
    """Count the tests by what their scans are like, and list those that are not as the others are.

    Args:
        scans: `scans` of metrics.json; None in runs of arrays, and of versions that had none.
    """
    if not scans:
        return []
    total = sum(scans[status] for status in _WHAT)
    rows = [[what, str(scans[status]), f"{scans[status] / total:.1%}"] for status, what in _WHAT.items()]
    told = (
        "Each tested scan beside those that its fold learnt from: voxel size, head, contrast, sharpness and noise, and "
        "the preprocessed image. New scans are held against the model's training scans in the same way."
    )
    parts = [element("h2", "What the tested scans are like"), element("p", told)]
    parts.append(table(["", "Tests", "Share"], rows, css="numbers"))
    if listed := scans["sessions"]:
        shown = [[each["subject"], each["status"], "; ".join(each["reasons"])] for each in listed[:_MAX_ROWS]]
        more = f"{len(listed) - _MAX_ROWS} more are listed in metrics.json." if len(listed) > _MAX_ROWS else ""
        title = number_text(len(listed), "test", "is not ok", "are not ok")
        parts.append(details(title, table(["Session", "Scan", "Why"], shown), element("p", more)))
    return parts
