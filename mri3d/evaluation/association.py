"""What was found of one variable and the outcome, in numbers and in words."""

import re
from dataclasses import dataclass
from typing import Any

from mri3d.outcome.score import SIGNIFICANT, p_relation, p_text

RANK_CORRELATION = "rank correlation"
"""The kind of effect of one measure on another."""


@dataclass(frozen=True)
class Association:
    """What was found of one variable and the outcome.

    Attributes:
        name: Of the variable.
        outcome: Name of the outcome.
        values: The variable's values beside the outcome, in words.
        test: Name of the test of independence.
        kind: What the effect is: `AUC` of the variable alone, in the better of its two directions; `rank correlation`;
            `Cramér's V`; or `eta squared of ranks`, the share of the variance of ranks that lies between categories.
        effect: Its size.
        p: Of the null hypothesis that variable and outcome are independent, two-sided.
        p_holm: The same, adjusted for the number of variables that were tested together.
        num_sessions: How many sessions were compared, one of each group.
        estimate: See `Variable.estimate`.
        finding: What differs, as a reviewer would say it.
        figures: By how much, to stand in brackets.
        of_scan: See `Variable.of_scan`.
        determines: Whether the variable says the outcome, see `determines`.
        alias: Whether it may be the outcome by another name: a category for each class.
        used: Whether it is judged as a confound, or learnt from, already.
    """

    name: str
    outcome: str
    values: str
    test: str
    kind: str
    effect: float
    p: float
    p_holm: float
    num_sessions: int
    estimate: str
    finding: str
    figures: str
    of_scan: bool
    determines: bool = False
    alias: bool = False
    used: bool = False

    @property
    def associated(self) -> bool:
        """Whether chance is no good explanation, by the adjusted p."""
        return self.p_holm <= SIGNIFICANT

    def line(self) -> str:
        """Write values, test and p in one line."""
        size = f"{self.kind} {round(self.effect, 2) + 0:.2f}"  # + 0: nothing is not less than nothing
        told = f"{self.test}, {size}, p {p_relation(self.p)}, {p_text(self.p_holm)} by Holm"
        return f"{self.name}{' (estimate)' if self.estimate else ''}: {self.values}; {told}"

    def sentence(self) -> str:
        """Write what a reviewer would: what differs, what follows, what to do; empty where nothing differs."""
        if not (self.associated or self.determines or self.alias):
            return ""
        noted = f" Note that {self.name} is {self.estimate}." if self.estimate else ""
        if self.alias:
            told = self.figures if self.kind == RANK_CORRELATION else self.values
            return (
                f"{self.name} says the same as {self.outcome} of every session ({told}). If it is not the same "
                f"by another name, nothing can be learnt about {self.outcome} itself."
            )
        if self.determines and self.kind == RANK_CORRELATION:
            return (
                f"{self.name} has the order of {self.outcome} ({self.figures}): {self.name} alone says what "
                f"{self.outcome} is, so that nothing can be learnt about {self.outcome} itself. Leave it out.{noted}"
            )
        if self.determines:
            return (
                f"Each value of {self.name} occurs in one class only ({self.values}): {self.name} alone says what "
                f"{self.outcome} is, so that nothing can be learnt about {self.outcome} itself. Add sessions that have "
                f"the same {self.name} and another class.{noted}"
            )
        plain = re.fullmatch(r"\w+", self.name)
        asked = f"evaluation.confounds=[{self.name}]" if plain else "name it in evaluation.confounds"
        found = f"{self.finding} ({self.figures}, p {p_relation(self.p_holm)}):"
        if self.of_scan:
            judge = "Test" if self.used else f"Judge what {self.name} alone predicts ({asked}), and test"
            return (
                f"{found} the scans were made or stored differently, and a model may have read that in place of "
                f"{self.outcome}. {judge} the model on scans that were made alike.{noted}"
            )
        judge = "" if self.used else f" Judge what {self.name} alone predicts: {asked}."
        return f"{found} a model may have learnt {self.name} in place of {self.outcome}.{judge}{noted}"

    def to_json(self) -> dict[str, Any]:
        """Return what metrics.json keeps, with the texts that a report shows."""
        kept = ("name", "values", "test", "kind", "effect", "p", "p_holm", "estimate", "associated", "determines")
        texts = {"line": self.line(), "sentence": self.sentence()}
        return {name: getattr(self, name) for name in kept} | {"sessions": self.num_sessions} | texts
