"""What image and covariates are worth to a model that has both."""

from collections.abc import Mapping
from typing import Any

from mri3d.report.elements import Html, element, in_full, number, score_title, table
from mri3d.texts import list_text

_READING = (
    "Permutation importance: within each test set the covariates were exchanged between sessions, five times, and "
    "the same models predicted again. Whoever's truth is then looked for, the image or the covariates are another's."
)


def importance_section(found: Mapping[str, Any] | None) -> list[Html]:
    """List the score as it is, with another session's image, and with another's covariates.

    Args:
        found: `covariates` of metrics.json; nothing is shown for models of the image alone.
    """
    if found is None:
        return []
    names = {
        "image": "Image of another session",
        "covariates": f"{list_text(found['columns'], ', ')} of another session",
    }
    rows = [["As it is", number(found["value"]), ""]]
    rows += [
        [names[part], number(each["score"]), in_full(each["difference"])] for part, each in found["exchanged"].items()
    ]
    header = ["", score_title(found["primary"]), "Difference (95 % interval)"]
    return [
        element("h2", "Image and covariates"),
        element("p", found["sentence"]),
        table(header, rows, css="numbers"),
        element("p", _READING),
    ]
