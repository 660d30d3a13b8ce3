"""What else differs along with the outcome, for the report of a run."""

from collections.abc import Mapping
from typing import Any

from mri3d.outcome.score import SIGNIFICANT, p_text
from mri3d.report.elements import Html, element, number, table

_READING = (
    "Where something else differs along with what is predicted, a model may have learnt that in its place. Each "
    "variable was tested for independence of what is predicted, with one session of each participant or group. p by "
    f"Holm allows for the number of variables: up to {SIGNIFICANT} a variable counts as associated."
)
_NONE_TESTED = (
    "No variable was tested: nothing is known of enough sessions that differs between them. Columns for age, sex, site "
    "and head size are found by their usual names, others where data.covariates names them."
)
_NONE_FOUND = (
    "None of these is associated with what is predicted. What was not recorded, and what differs too little to be seen "
    "with so many sessions, is not found this way."
)


def association_section(found: Mapping[str, Any] | None) -> list[Html]:
    """List what was tested for being associated with the outcome, and write what follows where something is.

    Args:
        found: `confounds` of metrics.json, whose `associations` are shown; None in runs of earlier versions.
    """
    if found is None or "associations" not in found:
        return []
    tested, skipped = found["associations"], found.get("untested", {})
    title = element("h2", "What else differs")
    told = [f"Not tested: {name} ({reason})." for name, reason in skipped.items()]
    left = [element("p", " ".join(told))] if told else []
    if not tested:
        return [title, element("p", _NONE_TESTED), *left]
    header = ["Variable", "Values", "Test", "Effect", "Sessions", "p", "p by Holm"]
    rows = [
        [
            f"{each['name']} (estimate)" if each["estimate"] else each["name"],
            *(each["values"], each["test"], f"{each['kind']} {number(each['effect'], decimals=2)}"),
            *(str(each["sessions"]), p_text(each["p"]), p_text(each["p_holm"])),
        ]
        for each in tested
    ]
    said = [each["sentence"] for each in tested if each["sentence"]] or [_NONE_FOUND]
    return [title, element("p", _READING), table(header, rows), *(element("p", text) for text in said), *left]


def association_cautions(found: Mapping[str, Any] | None) -> list[str]:
    """Say what alone says the outcome, where something does; arguments as for `association_section`."""
    told = [] if found is None else found.get("associations", [])
    return [each["sentence"] for each in told if each["determines"]]
