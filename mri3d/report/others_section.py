"""Other runs on the same tests, in the report of a run."""

from collections.abc import Sequence
from dataclasses import dataclass

from mri3d.outcome.score import Score, p_text
from mri3d.report.elements import Html, element, in_full, table, with_interval

_READING = (
    "Each of these runs, the newest in the same folder, was tested on the same sessions in the same folds. Differences "
    "are of this run less that one, with 95 % intervals and p of the two being equally good, not adjusted for the "
    "number of runs. Whoever keeps the best of several runs has chosen by their tests: its score is then too good."
)


@dataclass(frozen=True)
class OtherShown:
    """Another run.

    Attributes:
        name: By which people find it.
        score: Its primary score.
        difference: This run's less that.
        p: Of no difference; None where it is not defined.
    """

    name: str
    score: Score
    difference: Score
    p: float | None


def others_section(others: Sequence[OtherShown], *, title: str) -> list[Html]:
    """Hold a run against others; nothing where there are none.

    Args:
        others: In the order of the rows.
        title: Of the score.
    """
    if not others:
        return []
    rows = [
        [
            other.name,
            with_interval(other.score),
            in_full(vars(other.difference)),
            "–" if other.p is None else p_text(other.p),
        ]
        for other in others
    ]
    return [
        element("h2", "Other runs on the same tests"),
        element("p", _READING),
        table(["Run", title, "Difference", "p"], rows, css="numbers"),
    ]
