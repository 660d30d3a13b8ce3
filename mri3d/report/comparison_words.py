"""Models that were compared on the same tests, and what is said of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mri3d.outcome.score import SIGNIFICANT, Score, interval_text, p_relation, p_text, score_text
from mri3d.report.elements import num_decimals, number, score_title, with_interval

if TYPE_CHECKING:
    from mri3d.outcome import Outcome

_FEW_PAIRS = 10  # all of five models
_TESTS = {"delong": "DeLong's test", "resampling": "resampling"}


@dataclass(frozen=True, eq=False)
class ComparedPair:
    """Two of the models.

    Attributes:
        first: Name of one.
        second: Name of the other.
        scores: Name of each score to `first`, `second`, `difference` (second less first), `low`, `high`, `p`, `p_folds`
            and `p_mcnemar`; None where they are not defined.
        p: Of the primary score, which decides.
        p_holm: The same, adjusted for the number of pairs.
        test: How it was found: `delong`, `resampling`, or nothing where the score is not defined.
    """

    first: str
    second: str
    scores: Mapping[str, Mapping[str, float | None]]
    p: float
    p_holm: float
    test: str

    @property
    def name(self) -> str:
        """The pair in words, in the order of the difference."""
        return f"{self.second} against {self.first}"

    def difference(self, score: str) -> Score:
        """Return the difference in a score with its interval."""
        row = self.scores[score]
        return Score(row["difference"], row["low"], row["high"])

    def decimals(self, score: str) -> int:
        """Choose how many decimals both values of a score have, and their difference."""
        return num_decimals([self.scores[score]["first"], self.scores[score]["second"]])

    def difference_text(self, score: str) -> str:
        """Write the difference in a score with its interval, a dash where it is not defined."""
        found = self.difference(score)
        return "–" if found.value is None else number(found.value, decimals=self.decimals(score)) + interval_text(found)


@dataclass(frozen=True, eq=False)
class ComparedModels:
    """Two or more models that were tested on the same.

    Attributes:
        outcome: What they predict.
        models: Name of each to its scores with their intervals, in the order in which they were given.
        pairs: Every two of them.
        folders: Name of each to its run.
        num_tests: How often somebody was tested.
        num_folds: In how many folds.
        measured: Whether the widening was measured for any of them; else it is that of Nadeau and Bengio.
    """

    outcome: Outcome
    models: Mapping[str, Mapping[str, Score]]
    pairs: Sequence[ComparedPair]
    folders: Mapping[str, Path]
    num_tests: int
    num_folds: int
    measured: bool = False

    @property
    def primary(self) -> str:
        """Name of the score that decides, declared beforehand."""
        return self.outcome.compared[0]

    @property
    def primary_title(self) -> str:
        """What that is called."""
        return score_title(self.primary)

    @property
    def best(self) -> str | None:
        """Name of the model with the best primary score; None where no model has one."""
        found = {name: scores[self.primary].value for name, scores in self.models.items()}
        defined = {name: value for name, value in found.items() if value is not None}
        choose = min if self.outcome.ascending else max
        return choose(defined, key=defined.__getitem__) if defined else None

    @property
    def with_best(self) -> list[ComparedPair]:
        """The pairs that the best model is one of."""
        return [pair for pair in self.pairs if self.best in (pair.first, pair.second)]

    @property
    def shown(self) -> Sequence[ComparedPair]:
        """The pairs to look at: all, or where those are many the best model's."""
        return self.pairs if len(self.pairs) <= _FEW_PAIRS else self.with_best

    def conclusions(self) -> list[str]:
        """Write the result: the best of several, then what is known of each pair that it is one of."""
        title, best = self.primary_title, self.best
        if best is None:
            return [f"No model has this score: {title}."]
        told = [self._sentence(pair) for pair in self.with_best]
        if len(self.models) == 2:
            return told
        superlative = "lowest" if self.outcome.ascending else "highest"
        score = with_interval(self.models[best][self.primary])
        said = f"The {superlative} {title} of {len(self.models)} models is that of {best}: {score}."
        if self.outcome.above_chance(self.models[best]) is False:
            said += " There is no evidence that it is better than chance."
        return [said, *told]

    def _sentence(self, pair: ComparedPair) -> str:
        """Write what is known of a pair, to be cited."""
        title, found = self.primary_title, pair.difference(self.primary)
        if found.value is None:
            return f"The {title} of {pair.first} and {pair.second} cannot be compared: one of them has none."
        how = _TESTS[pair.test]
        if self.num_folds > 1:
            how += " within folds" if pair.test == "delong" else ""
            how += ", widened because folds share training sessions"
        p = f"p {p_relation(pair.p)} by {how}"
        if len(self.pairs) > 1:
            p += f"; adjusted for {len(self.pairs)} pairs by Holm's method p {p_relation(pair.p_holm)}"
        verdict = "evidence of a difference" if pair.p_holm <= SIGNIFICANT else "no evidence of a difference"
        if abs(found.value) < 1e-12:
            return f"The {title} of {pair.first} and that of {pair.second} are the same ({p}): {verdict}."
        upwards, lower = found.value > 0, self.outcome.ascending
        better, worse = (pair.first, pair.second) if upwards == lower else (pair.second, pair.first)
        apart = found
        if not upwards:  # told without a sign
            apart = Score(-found.value, *(None if end is None else -end for end in (found.high, found.low)))
        interval = interval_text(apart).strip(" ()")
        interval = f"95 % interval {interval}; " if interval else ""
        direction = "lower" if lower else "higher"
        return (
            f"The {title} of {better} is {score_text(abs(found.value))} {direction} than that of {worse} "
            f"({interval}{p}): {verdict}."
        )

    def table(self, pairs: Sequence[ComparedPair]) -> tuple[list[str], list[list[str]]]:
        """Return the header of a table of pairs, and a row of texts for each of them and each compared score."""
        several = len(self.pairs) > 1
        folded, answered = self._has("p_folds"), self._has("p_mcnemar")
        header = ["Models", "Score", "Values", "Difference (95 % interval)", "p"]
        header += [f"p by Holm ({len(self.pairs)} pairs)"] * several
        header += ["p by t-test over folds"] * folded + ["p by McNemar"] * answered
        rows = []
        for pair in pairs:
            for name in self.outcome.compared:
                row, primary = pair.scores[name], name == self.primary
                values = " against ".join(
                    number(row[side], decimals=pair.decimals(name)) for side in ("second", "first")
                )
                title = score_title(name) + (" (primary)" if primary else "")
                cells = [pair.name, title, values, pair.difference_text(name), p_text(row["p"])]
                cells += [p_text(pair.p_holm) if primary else ""] * several
                cells += [p_text(row["p_folds"])] * folded + [p_text(row["p_mcnemar"], none="")] * answered
                rows.append(cells)
        return header, rows

    def _has(self, column: str) -> bool:
        """Return whether a column has a number for any score of any pair."""
        return any(row[column] is not None for pair in self.pairs for row in pair.scores.values())

    def reading(self) -> list[str]:
        """Write how the differences are to be read."""
        title = self.primary_title
        texts = [
            "Differences are those of the first-named model less the second, on the same tests. The p of the primary "
            f"score, {title}, was declared beforehand as the one that decides. Those of the other scores stand beside "
            "it, and are not adjusted for their number."
        ]
        if len(self.pairs) > 1:
            texts.append(
                f"p by Holm: the primary p, adjusted for all {len(self.pairs)} pairs of these {len(self.models)} "
                "models (Holm 1979). So it holds whichever pair is looked at, those of the best model too."
            )
        by = "Scores are compared"
        if any(pair.test == "delong" for pair in self.pairs):
            by = f"{title} is compared by DeLong's test of pairs of the same fold, other scores"
        source = "the largest factor of these runs" if self.measured else "Nadeau and Bengio 2003"
        about = (
            "Differences are about these models as they are: another training could give others."
            if self.num_folds == 1
            else "Differences are about these ways of training, not about the fitted models, and their intervals are "
            f"widened because folds share training sessions ({source})."
        )
        texts.append(f"{by} by resampling whole groups of sessions, or sessions where each stands alone. {about}")
        if self._has("p_folds"):
            texts.append("p by t-test over folds: the corrected resampled t-test (Nadeau and Bengio 2003).")
        if self._has("p_mcnemar"):
            texts.append(
                "p by McNemar: whether one of the fitted models is right more often than the other on these tests, "
                "exactly."
            )
        texts.append("No evidence of a difference is no evidence of equality: the interval says how large it may be.")
        return texts
