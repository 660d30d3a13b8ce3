"""Whether the heatmaps of a page can be trusted."""

from collections.abc import Mapping
from typing import Any

from mri3d.report.elements import Html, details, element, number, table

_READING = (
    "Parts of each scan are replaced by those of the average training scan, and the other way round, in the order in "
    "which the map calls them evidence. The sooner the prediction follows, the better the map tells what the model "
    "goes by. The same is done in the order of a map of the same network with shuffled weights, which has learnt "
    "nothing. A map that stays as it is when weights are shuffled shows the scan, not the model."
)


def trust_section(maps: Mapping[str, Any] | None) -> list[Html]:
    """Say whether heatmaps can be trusted, and by which figures.

    Args:
        maps: `maps` of metrics.json; None of models whose maps are what they compute, and of earlier versions.
    """
    if not maps:
        return []
    shuffled = maps["similarity"][-1]
    rows = [
        ["How much sooner than by chance the prediction follows the map", number(maps["gain"])],
        ["The same for maps of the network with shuffled weights", number(maps["gain_shuffled"])],
        ["p", number(maps["p"])],
        ["Correlation of the map with that of the network with shuffled weights", number(shuffled)],
    ]
    if maps.get("agreement") is not None:
        rows.append(["Correlation of the maps of different folds' models", number(maps["agreement"])])
    hidden = " No heatmap is shown." if maps["trusted"] is False else ""
    return [
        element("h2", "Can the heatmaps be trusted?"),
        element("p", f"{maps['reason']}{hidden}", **({"css": "caution"} if maps["trusted"] is not True else {})),
        details(
            f"How that was found out, on {maps['num_scans']} tested scans",
            element("p", _READING),
            table([], rows, css="numbers"),
        ),
    ]
