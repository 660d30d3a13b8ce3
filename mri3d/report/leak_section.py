"""What test sessions and those that were learnt from have in common, for the report of a run."""

from collections.abc import Mapping
from typing import Any

from mri3d.report.elements import Html, details, element, table

_MAX_ROWS = 50


def leak_cautions(leaks: Mapping[str, Any] | None) -> list[str]:
    """Warn of near-copies on two sides of the split; argument as for `leak_section`."""
    across = [pair for pair in leaks["near_copies"] if pair["folds"]] if leaks else []
    if certain := sum(bool(pair["certain"]) for pair in across):
        several = f"{certain} pairs of sessions that show" if certain > 1 else "a pair of sessions that shows"
        return [
            f"Tested on near-copies: {several} the same head lie on two sides of the split. The scores are too good."
        ]
    return ["Sessions that may show the same head lie on two sides of the split; look at them."] if across else []


def leak_section(leaks: Mapping[str, Any] | None) -> list[Html]:
    """Say whether near-copies were found, and list them.

    Args:
        leaks: `leaks` of metrics.json; None in runs of earlier versions, and where nobody was tested.
    """
    if leaks is None:
        return []
    pairs, told = leaks["near_copies"], leak_cautions(leaks)
    if pairs and not told:
        told = ["Sessions that show, or may show, the same head were found; none lie on two sides of the split."]
    if not pairs:
        told = [
            f"No near-copies were found among the {leaks['sessions']} sessions, and no participant or group is parted."
        ]
    parts = [element("p", text) for text in told]
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
