"""What a long examination of a run's maps found, and the folder that it is written to."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from mri3d.csv_files import write_csv
from mri3d.evaluation.own_tests import map_verdict, own_scores
from mri3d.explain.evidence import Method
from mri3d.explain.faithfulness import SHARES, mean_curves
from mri3d.explain.trust import SIMILAR, Trust
from mri3d.files import write_json
from mri3d.models.trained import TrainedModel
from mri3d.outcome import Score
from mri3d.report.trust_page import write_trust_page

RESULTS, TABLE, REPORT = "trust.json", "trust.csv", "report.html"

_VERDICTS = {True: "trusted", False: "not trusted", None: "not judged"}


@dataclass(frozen=True)
class Asked:
    """One tested scan of which is asked.

    Attributes:
        name: Of the session.
        row: In the study.
        fold: Number of the fold that tested it, whose model is asked.
        target: What is explained: the predicted class.
    """

    name: str
    row: int
    fold: int
    target: int


@dataclass(frozen=True, eq=False)
class Examinations:
    """What was found of each way to explain.

    Attributes:
        run: Its folder.
        model: Those of its folds.
        num_tested: How many scans the run tested.
        asked: The scans that were examined, those of a fold beside each other.
        left_out: Session to why nothing could be asked about it.
        by_way: What was found, its tests in the order of `asked`.
    """

    run: Path
    model: TrainedModel
    num_tested: int
    asked: Sequence[Asked]
    left_out: dict[str, str]
    by_way: dict[Method, Trust] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """Say of each way in a line whether its maps can be trusted, and why."""
        names = [way.name + (f" of {way.layer}" if way.layer else "") for way in self.by_way]
        verdicts = [self._verdict(way, trust) for way, trust in self.by_way.items()]
        width = max(map(len, names))
        return [
            f"{name:{width}}  {_VERDICTS[trusted]}: {reason}"
            for name, (trusted, reason) in zip(names, verdicts, strict=True)
        ]

    def write(self, out: Path) -> None:
        """Write `trust.json`, `trust.csv` and `report.html`."""
        content = {
            "run": str(self.run),
            "form": "long",
            "num_tested": self.num_tested,
            "num_models": len(self.model.members),
            "short_form": self._short_form,
            "better_than_chance": self._better_than_chance,
            "similarity_limit": SIMILAR,
            "left_out": self.left_out,
            "ways": [self._content(way, trust) for way, trust in self.by_way.items()],
        }
        write_csv(out / TABLE, list(self._rows()))
        write_trust_page(out / REPORT, content)
        write_json(out / RESULTS, content)

    @property
    def _better_than_chance(self) -> bool | None:
        """Whether the run showed that its models predict better than chance."""
        return self.model.outcome.above_chance(self._own_test) if self._own_test else None

    @property
    def _short_form(self) -> int | None:
        """Of how many scans the maps were examined when the model was trained; None where they were not."""
        for member in self.model.members:
            found = member.card.facts.get("maps")
            number = found.get("num_scans") if isinstance(found, dict) else None
            if isinstance(number, int):
                return number
        return None

    @cached_property
    def _own_test(self) -> dict[str, Score]:
        """The scores of the run."""
        return own_scores(self.model, self.run)

    def _verdict(self, way: Method, trust: Trust) -> tuple[bool | None, str]:
        """Return whether maps can be trusted, and why."""
        return map_verdict(self.model, way, self._own_test, examined=trust)

    def _rows(self) -> Iterator[dict[str, object]]:
        """List what was found of each scan by each way."""
        words = self.model.outcome.words
        for way, trust in self.by_way.items():
            for asked, test in zip(self.asked, trust.tests, strict=True):
                yield {
                    "subject": asked.name,
                    "fold": asked.fold,
                    "method": way.name,
                    **({"layer": way.layer} if way.layer else {}),
                    "evidence": words.evidence(asked.target)[0],
                    "gain": test.gain,
                    "gain_shuffled": test.gain_shuffled,
                    "similarity": test.similarity[-1] if test.similarity else None,
                }

    def _content(self, way: Method, trust: Trust) -> dict[str, Any]:
        """Return what trust.json says of a way, see `Trust`: also of each fold, and curves with 95 % intervals."""
        verdict, reason = self._verdict(way, trust)
        return {
            **trust.to_json(),
            "layer": way.layer,
            "title": str(way),
            "trusted": verdict,
            "reason": reason,
            "folds": list(self._folds(trust)),
            "curves": _curves(trust),
        }

    def _folds(self, trust: Trust) -> Iterator[dict[str, Any]]:
        """Sum up what was found of each fold's model."""
        pairs = zip(self.asked, trust.tests, strict=True)
        for fold, group in itertools.groupby(pairs, key=lambda pair: pair[0].fold):
            found = Trust.of(trust.method, [test for _, test in group])
            similarity = found.similarity[-1] if found.similarity else None
            sums = {"gain": found.gain, "gain_shuffled": found.gain_shuffled, "similarity": similarity}
            yield {"fold": fold, "num_scans": found.num_scans, **sums}


def _curves(trust: Trust) -> dict[str, Any]:
    """Return the mean curves of deletion and insertion in each order, with 95 % intervals of what sets them apart."""
    mean, margin = mean_curves([test.curves for test in trust.tests])
    content: dict[str, Any] = {"shares": [0.0, *SHARES, 1.0]}
    for side, title in enumerate(("deletion", "insertion")):
        content[title] = {"random": {"mean": mean.random[side].tolist()}}
        for name, values, half in zip(("map", "shuffled"), mean.maps[:, side], margin[:, side], strict=False):
            ends = {"low": (values - half).tolist(), "high": (values + half).tolist()}
            content[title][name] = {"mean": values.tolist(), **ends}
    return content
