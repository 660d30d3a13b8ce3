"""Whether predictions come true as they say, for the report of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mri3d.report.elements import Html, element, in_full, table

if TYPE_CHECKING:
    from mri3d.outcome import Outcome

_TITLES = {
    "mean_difference": "Calibration in the large",
    "intercept": "Calibration intercept",
    "slope": "Calibration slope",
}
_READING = (
    "Calibration in the large is the mean of predicted minus true (of a class: mean probability minus observed "
    "frequency), 0 at best. Intercept and slope are those of the calibration curve, the line that the truth follows "
    "given the prediction (of a class in log odds), 0 and 1 at best. In brackets: 95 % intervals."
)


def calibration_section(outcome: Outcome, content: Mapping[str, Any] | None) -> list[Html]:
    """Say what was done so that predictions come true as they say, and list how far they do.

    Args:
        outcome: What is predicted.
        content: `calibration` of metrics.json; None in runs of earlier versions, and where nobody was tested.
    """
    if content is None:
        return []
    texts = [element("p", text) for text in outcome.words.calibration(content) if text]
    rows = [[name, *(in_full(estimates[key]) for key in _TITLES)] for name, estimates in content["estimates"].items()]
    first = "" if outcome.name in content["estimates"] else outcome.name
    shown = table([first, *_TITLES.values()], rows, css="numbers")
    reasons = dict.fromkeys(
        f"{name}: {told['undefined']}"
        for name, estimates in content["estimates"].items()
        for told in estimates.values()
        if "undefined" in told
    )
    notes = [f"No calibration curve for {'; '.join(reasons)}."] if reasons else []
    return [element("h2", "Calibration"), *texts, shown, *(element("p", note) for note in [*notes, _READING])]
