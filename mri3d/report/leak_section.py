"""What test sessions and those that were learnt from have in common, for the report of a run."""

from collections.abc import Mapping
from typing import Any

from mri3d.report.elements import Html, details, element, table

_MAX_ROWS = 50


def leak_section(leaks: Mapping[str, Any] | None) -> list[Html]:
    """Say whether near-copies were found, and list them.

    Args:
        leaks: `leaks` of metrics.json; None in runs of earlier versions, and where nobody was tested.
    """
    if leaks is None:
        return []
    pairs = leaks["near_copies"]
    certain = sum(bool(pair["folds"]) and pair["certain"] for pair in pairs)
    parts = []
    if certain:
        several = f"{certain} pairs of sessions that show" if certain > 1 else "a pair of sessions that shows"
        told = f"Tested on near-copies: {several} the same head lie on two sides of the split. The scores are too good."
        parts.append(element("p", told, css="caution"))
    elif any(pair["folds"] for pair in pairs):
        told = "Sessions that may show the same head lie on two sides of the split; look at them."
        parts.append(element("p", told, css="caution"))
    elif pairs:
        told = "Sessions that show, or may show, the same head were found; none lie on two sides of the split."
        parts.append(element("p", told))
    else:
        told = (
            f"No near-copies were found among the {leaks['sessions']} sessions, and no participant or group is parted."
        )
        parts.append(element("p", told))
    if pairs:
        header = ["First", "Second", "Similarity", "Certain", "Parted in folds"]
        rows = [
            [
                *(pair["first"], pair["second"], f"{pair['similarity']:.2f}"),
                *("yes" if pair["certain"] else "no", ", ".join(map(str, pair["folds"])) or "none"),
            ]
            for pair in pairs
        ]
        more = f"{len(rows) - _MAX_ROWS} more are in metrics.json." if len(rows) > _MAX_ROWS else ""
        shown = table(header, rows[:_MAX_ROWS])
        parts.append(details(f"Near-copies: {len(rows)}", shown, element("p", more)))
    return [element("h2", "Leaks"), *parts]
