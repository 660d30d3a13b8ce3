"""The page of a run's long examination: whether its maps can be trusted."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mri3d.report.elements import Html, details, element, figure, heading, number, table, write_page
from mri3d.report.trust_charts import cascade_chart, following_chart
from mri3d.texts import number_text

_VERDICTS = {True: "trusted", False: "not trusted", None: "not judged"}
_LONG = (
    "This is the long form. Each scan is explained by the model that was tested on it, which has not learnt from it."
)
_SHORT = (
    " The report of the run, and what predict and explain write beside heatmaps, go by the short form, which looked at "
    "{} of the first fold when the model was trained. They stay as they are."
)
_AGREEMENT = (
    "Folds agree: correlation between the maps that the models of different folds make of the same scans. All but one "
    "of these models have learnt from them."
)


def write_trust_page(path: Path, content: Mapping[str, Any]) -> None:
    """Write one HTML file that opens anywhere, offline.

    Args:
        path: The file.
        content: Of trust.json.
    """
    ways, num_models = content["ways"], content["num_models"]
    facts = {
        "run": content["run"],
        "scans": f"{ways[0]['num_scans']} of {content['num_tested']} that were tested",
        "models": str(num_models),
    }
    body = [heading("Can the heatmaps be trusted?", facts)]
    if content["better_than_chance"] is False:
        body.append(element("p", "The models predict no better than chance: no map tells anything.", css="caution"))
    if left_out := content["left_out"]:
        told = number_text(len(left_out), "scan", "is left out", "are left out")
        listed = table(["Session", "Reason"], [[name, reason] for name, reason in left_out.items()])
        body += [element("p", f"{told}.", css="caution"), details("Which, and why", listed)]
    short = _SHORT.format(number_text(content["short_form"], "scan")) if content["short_form"] else ""
    body += [*_summary(ways), element("p", _LONG + short), *([element("p", _AGREEMENT)] if num_models > 1 else [])]
    if cascaded := {way["title"]: way["similarity"] for way in ways if way["similarity"]}:
        body += [
            element("h2", "Shuffled weights"),
            figure(cascade_chart(cascaded, limit=content["similarity_limit"])),
        ]
    for way in ways:
        body += _way(way)
    write_page(path, title="Can the heatmaps be trusted?", sections=body)


def _summary(ways: Sequence[Mapping[str, Any]]) -> list[Html]:
    """List the ways with their verdicts and figures."""
    header = ["", "Maps are", "Gain", "Gain, shuffled weights", "p", "Likeness, shuffled weights", "Folds agree"]
    rows = [
        [
            way["title"],
            _VERDICTS[way["trusted"]],
            number(way["gain"]),
            number(way["gain_shuffled"]),
            number(way["p"]),
            number(way["similarity"][-1] if way["similarity"] else None),
            number(way["agreement"]),
        ]
        for way in ways
    ]
    return [
        table(header, rows, css="numbers"),
        element(
            "p",
            "Gain: how much sooner than in random order the prediction changes where what the map calls evidence is "
            "taken out and put in, in the unit of the explained number. p: that it exceeds 0 and the gain of shuffled "
            "weights by chance. Likeness: correlation with the map of the network with all weights shuffled.",
        ),
    ]


def _way(way: Mapping[str, Any]) -> list[Html]:
    """Show one way: why it is trusted or not, its curves, and the models of the folds apart."""
    rows = [
        [
            f"Fold {fold['fold']}",
            str(fold["num_scans"]),
            *(number(fold[name]) for name in ("gain", "gain_shuffled", "similarity")),
        ]
        for fold in way["folds"]
    ]
    header = ["", "Scans", "Gain", "Gain, shuffled weights", "Likeness, shuffled weights"]
    title = f"{way['title'][:1].upper()}{way['title'][1:]}"
    return [
        element("h2", title),
        element("p", way["reason"], **({"css": "caution"} if way["trusted"] is False else {})),
        figure(following_chart(title, way["curves"])),
        *([details("The model of each fold", table(header, rows, css="numbers"))] if len(rows) > 1 else []),
    ]
