"""What an external validation gave: predictions of people whom a model never saw, and how they hold."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from mri3d.cohort.people import count_sessions, num_participants
from mri3d.evaluation.validation import FrozenTests
from mri3d.models.scan_prediction import ScanPrediction
from mri3d.models.trained import TrainedModel
from mri3d.outcome import Score
from mri3d.study import Study

SEEN = "seen"
"""`status` of a session whose scan, or a near-copy of it, the model was trained on: it is not scored."""


@dataclass(frozen=True, eq=False, repr=False)
class Validation:
    """What a model that stays as it is predicts of labelled people, and how that holds.

    `mri3d.validate` gives one.

    Attributes:
        model: The model, with its threshold.
        study: The people, their volumes made by the model's recipe; N take part.
        found: What the model says of each [N].
        rows: Those that are scored: all but those whose scans the model has seen or cannot use.
        tests: Truth and predictions of these.
        own_scores: Scores of the model's own test by name; empty where there was none, or that is not known.

    >>> from mri3d import Study, fit, models, validate
    >>> volumes = np.random.default_rng(0).random((40, 7, 8, 9))
    >>> volumes[1::2, 2:4, 2:4, 2:4] += 1
    >>> here, there = (Study.from_arrays(half, ["control", "patient"] * 10) for half in (volumes[:20], volumes[20:]))
    >>> validation = validate(fit(here, models.Ridge(num_components=0.9, inner_folds=2)), there)
    >>> validation.scores["accuracy"].value, validation.num_subjects["tested"], len(validation.strata)
    (1.0, 20, 0)
    """

    model: TrainedModel
    study: Study
    found: tuple[ScanPrediction, ...]
    rows: np.ndarray
    tests: FrozenTests
    own_scores: Mapping[str, Score]

    def __repr__(self) -> str:
        return f"<Validation: {self.headline()}>"

    @property
    def scores(self) -> dict[str, Score]:
        """Scores by name, each with its interval: about this model, on people like these."""
        return self.tests.scores

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """A row for each session, as in predictions.csv: subject, label, prediction, p_<class> ..., status, warnings.

        `status` is "ok"; "unusual" where a scan is unlike the training scans, "outside" where so much that `predict`
        would not predict it; "seen" where it is not scored, because
        the model was trained on it; or "failed". With several members `spread` is how far they differ.
        """
        return pd.DataFrame(self.table_rows())

    @cached_property
    def strata(self) -> pd.DataFrame:
        """A row for each part of the cohort that is alike in one thing, such as its site: scores with intervals."""
        return self.tests.strata.table(list(self.scores))

    def table_rows(self) -> list[dict[str, Any]]:
        """Return the rows of predictions.csv, column to cell."""
        outcome, table, targets = self.model.outcome, self.model.table, self.study.targets
        nothing = dict.fromkeys(outcome.test_columns(targets[:0], targets[:0], None))
        rows = []
        for each, label, target in zip(self.found, outcome.cells(targets), targets, strict=True):
            beside: dict[str, Any] = nothing
            if each.prediction is not None:
                columns = outcome.test_columns(target[None], each.prediction[None], None)
                beside = {name: cells[0] for name, cells in columns.items()}
            cells = table.row(each)
            row = {"subject": cells.pop("scan"), "label": label}
            for name, cell in cells.items():
                row |= beside if name == "status" else {}
                row[name] = cell
            rows.append(row)
        return rows

    @property
    def num_subjects(self) -> dict[str, int]:
        """How many sessions there are, and what became of them."""
        cohort, status = self.study.cohort, [each.status for each in self.found]
        unlabelled = sum(session.label is None for session in cohort.sessions)
        return {
            "total": len(cohort.sessions),
            "unlabelled": unlabelled,
            "left_out": len(cohort.sessions) - len(cohort.ids) - unlabelled,
            "seen": status.count(SEEN),
            "failed": status.count("failed"),
            "unusual": status.count("unusual"),
            "outside": status.count("outside"),
            "tested": len(self.rows),
            "participants": num_participants(cohort),
        }

    def metrics(self, *, seconds: float) -> dict[str, Any]:
        """Return the content of metrics.json.

        Args:
            seconds: How long the validation took.

        Returns:
            What `FrozenTests.metrics` returns; `own_test`, scores of the model's own test; `num_subjects`; `outcome`,
            of the model; and `seconds`.
        """
        return {
            **self.tests.metrics(),
            "own_test": {name: vars(score) for name, score in self.own_scores.items()},
            "num_subjects": self.num_subjects,
            "outcome": self.model.outcome.to_json(),
            "seconds": {"total": round(seconds, 3)},
        }

    def headline(self) -> str:
        """Write the result in one line."""
        everybody = count_sessions(self.study.cohort, self.rows)
        chance = "" if self.tests.better_than_chance in (None, True) else ", no evidence that it is better than chance"
        return f"{self.model.outcome.headline(self.scores)} ({everybody} that the model never saw){chance}"
