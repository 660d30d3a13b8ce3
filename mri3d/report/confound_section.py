"""What the confounds predict by themselves, and what the image adds."""

from collections.abc import Mapping, Sequence
from typing import Any

from mri3d.outcome.score import Score, p_text
from mri3d.report.elements import Html, difference_in_full, element, score_title, table, with_interval
from mri3d.texts import list_text

WAYS = {
    "confounds": "{columns} alone, linear model",
    "confounds_boosted": "{columns} alone, gradient boosting",
    "image": "Image alone (this run)",
    "both": "Image and {columns}",
    "image_without_confounds": "Image without what {columns} explain linearly",
}
"""Ways to predict by their names in metrics.json, as a table names them."""

_READING = (
    "All rows are tests of the same sessions in the same folds, by models that had not seen them. The confounds alone "
    "are judged by a linear model and by boosted trees; the image is compared with the better of the two. “Image and” "
    "weighs what the image model and those two predict, by sessions that they had not learnt from. In the last row a "
    "regression on the confounds, fitted to the sessions that are learnt from, has been taken out of every voxel "
    "before the image model was fitted anew. Only linear shares are removed: what depends on the confounds in another "
    "way is still there. What the outcome has in common with the confounds is gone with them, so the last row errs on "
    "the low side."
)


def confound_section(confounds: Mapping[str, Any] | None, compared: Sequence[str]) -> list[Html]:
    """List the ways to predict with their scores, and the differences between them.

    Args:
        confounds: `confounds` of metrics.json; nothing is shown where none were asked for.
        compared: Names of the scores to show, see `Outcome.compared`.
    """
    if confounds is None or "scores" not in confounds:
        return []
    columns = list_text(confounds["columns"], ", ", most=8)
    titles = {way: title.format(columns=columns) for way, title in WAYS.items()}
    names = [name for name in compared if name in confounds["scores"]["image"]]
    rows = [
        [titles[way], *(with_interval(Score(**scores[name])) for name in names)]
        for way, scores in confounds["scores"].items()
    ]
    primary = confounds["primary"]
    differences = [
        [titles[each["second"]], titles[each["first"]], difference_in_full(found), p_text(found["p"])]
        for each in confounds["differences"]
        if (found := each["scores"].get(primary)) is not None
    ]
    return [
        element("h2", "Confounds"),
        element("p", confounds["sentence"]),
        table(["Predicted from", *map(score_title, names)], rows, css="numbers"),
        table(["", "less", f"{score_title(primary)}: difference (95 % interval)", "p"], differences, css="numbers"),
        element("p", _READING),
    ]


def confound_cautions(confounds: Mapping[str, Any] | None) -> list[str]:
    """Say that the image adds nothing, where nothing shows that it does."""
    if confounds is None or confounds.get("beyond_confounds") is not False:
        return []
    return [confounds["sentence"]]
