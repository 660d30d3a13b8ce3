"""The runs of a sweep: what was set for each, and what it came to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mri3d.outcome import Score
from mri3d.report.comparison_words import ComparedModels

MEMORY_MEANING = "Memory is the most held at once: on the GPU of runs that used one, else main memory"


@dataclass(frozen=True, eq=False)
class SweepRun:
    """One run of a sweep.

    Attributes:
        settings: What the command line set for it, key to value as text.
        folder: Its directory.
        metrics: The content of its metrics.json; None where it failed.
        failure: Why it failed.
    """

    settings: Mapping[str, str]
    folder: Path
    metrics: Mapping[str, Any] | None
    failure: str = ""

    def score(self, name: str) -> Score:
        """Return the score of all tests together; of a run of an earlier version it has no interval."""
        entry = self.metrics["test"].get(name, {}) if self.metrics else {}
        return Score(*(entry.get(key) for key in ("value", "low", "high")))

    def fold_scores(self, name: str) -> list[float | None]:
        """Return the score of each fold."""
        return [fold["scores"].get(name) for fold in self.metrics["folds"]] if self.metrics else []

    @property
    def seconds(self) -> float | None:
        """What the run took; None where it failed."""
        return self.metrics["seconds"]["total"] if self.metrics else None

    @property
    def peak_memory_mb(self) -> float | None:
        """The most memory that it held at once in MiB; None where it failed, or is of an earlier version."""
        return self.metrics.get("peak_memory_mb") if self.metrics else None


@dataclass(frozen=True, eq=False)
class SweepPart:
    """The runs of a sweep that predict the same, and so have the same scores.

    Attributes:
        title: What they predict.
        runs: Best first; the first has a result.
        compared: Names of the scores, the first of which orders the runs, see `Outcome.compared`.
        ascending: Whether less of the first score is better.
        chance: What guessing gives, by the name of the score, where that is known.
        same_tests: Whether all that have a result were tested on the same; None where that is not known.
        comparisons: Of those that were tested on the same, two or more.
        uncompared: Which ones are not compared, and why; empty where all are.
    """

    title: str
    runs: Sequence[SweepRun]
    compared: Sequence[str]
    ascending: bool
    chance: Mapping[str, float]
    same_tests: bool | None = None
    comparisons: Sequence[ComparedModels] = ()
    uncompared: str = ""


def run_names(runs: Sequence[SweepRun]) -> list[str]:
    """Name runs by what was varied; one that is like another has its number behind it.

    >>> run_names([SweepRun({"model": name, "seed": "0"}, Path("."), None) for name in ("knn", "ridge", "knn")])
    ['knn', 'ridge', 'knn (3)']
    """
    keys, names = varied_keys(runs), list[str]()
    for place, run in enumerate(runs, start=1):
        name = " · ".join(run.settings.get(key, "") for key in keys)
        names.append(f"{name} ({place})" if name in names else name)
    return names


def varied_keys(runs: Sequence[SweepRun]) -> list[str]:
    """Return the settings that are not the same in all runs; all settings where none is.

    >>> varied_keys([SweepRun({"model": name, "seed": "0"}, Path("."), None) for name in ("knn", "ridge")])
    ['model']
    """
    return differing_keys(runs) or _all_keys(runs)


def differing_keys(runs: Sequence[SweepRun]) -> list[str]:
    """Return the settings that are not the same in all runs."""
    return [key for key in _all_keys(runs) if len({run.settings.get(key) for run in runs}) > 1]


def _all_keys(runs: Sequence[SweepRun]) -> list[str]:
    return list(dict.fromkeys(key for run in runs for key in run.settings))
