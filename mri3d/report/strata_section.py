"""How well a model does in parts of a cohort: a table and a forest plot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mri3d.outcome.score import Score
from mri3d.report.elements import Html, element, figure, in_full, score_title, table
from mri3d.report.forest import forest_chart
from mri3d.texts import number_text

if TYPE_CHECKING:
    from mri3d.outcome import Outcome


def strata_section(outcome: Outcome, metrics: Mapping[str, Any]) -> list[Html]:
    """List the scores of each part beside those of all.

    Args:
        outcome: What is predicted.
        metrics: The content of metrics.json, of a validation or a run.
    """
    content = metrics["strata"]
    parts, small = content["members"], content["too_small"]
    fewer = f"fewer than {content['fewest']} participants and"
    few = number_text(small, "part", f"has {fewer} is not shown.", f"have {fewer} are not shown.") if small else ""
    title = element("h2", "Parts of the cohort")
    if not parts:
        nothing = "Nothing that parts these people is known: name columns in data.site or data.covariates."
        return [title, element("p", few or nothing)]
    names, primary = outcome.compared, outcome.compared[0]
    everybody = {"scores": metrics["test"], "sessions": metrics["num_subjects"]["tested"]}
    labelled = [("All", everybody), *((f"{part['variable']}: {part['level']}", part) for part in parts)]
    rows = [
        [label, str(part["sessions"]), *(in_full(part["scores"][name]) for name in names)] for label, part in labelled
    ]
    chart = forest_chart(
        [([label], Score(**part["scores"][primary])) for label, part in labelled],
        axis=score_title(primary),
        reference=metrics["test"][primary]["value"],
        alt=f"{score_title(primary)} of all, and of each part of the cohort, with 95 % intervals.",
        caption=f"{score_title(primary)} with 95 % intervals. Dotted line: all sessions.",
    )
    unknown = [f"{name} of {number_text(number, 'session')}" for name, number in content["unknown"].items()]
    notes = [
        "Numbers are parted into thirds. Each interval is about its part alone; of many parts, some differ by chance.",
        few,
        f"Not known: {', '.join(unknown)}." if unknown else "",
    ]
    shown = table(["", "Sessions", *map(score_title, names)], rows, css="numbers folds")
    return [title, figure(chart), shown, element("p", " ".join(filter(None, notes)))]
