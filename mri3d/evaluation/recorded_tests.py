"""The tests of a finished run, read from what it left: they can be compared with those of others, as results can."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from mri3d.cohort.cohort import Cohort, Session
from mri3d.errors import UserError, option
from mri3d.evaluation.comparison import JudgedModel
from mri3d.evaluation.intervals import scores_with_intervals
from mri3d.evaluation.recorded_files import (
    COHORT,
    METRICS,
    PREDICTIONS,
    check_run,
    described,
    read_metrics,
    read_rows,
)
from mri3d.evaluation.sampling import Sampling
from mri3d.outcome import Outcome, Score, Scores, outcome_from_json
from mri3d.texts import list_text, natural_order, parse_number

_ROUNDING = 1e-4  # relative: earlier versions wrote nine digits of a prediction


@dataclass(frozen=True, eq=False)
class RecordedTests:
    """What a finished run says of its tests.

    Attributes:
        folder: The run.
        judged: The tests, to be compared with those of others.
        scores: Scores of all tests by name, each with its interval.
    """

    folder: Path
    judged: JudgedModel
    scores: dict[str, Score]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read them.

        A run of a version that knew no intervals is scored once more: its `auc` took pairs of different folds.

        Args:
            folder: Of the run.

        Raises:
            UserError: It is no finished run, nobody was tested in it, or a file of it is damaged.
        """
        check_run(folder)
        metrics = read_metrics(folder / METRICS)
        with described(folder / METRICS):
            outcome = outcome_from_json(metrics.get("outcome") or {"classes": metrics["classes"]})
            scores = {str(name): _score(entry) for name, entry in metrics["test"].items()}
            folds = [_FoldRecord.of(entry) for entry in metrics["folds"]]
            widening = _measured_widening(metrics.get("intervals", {}))
        if not scores:
            raise UserError(
                f"{folder} tested nobody: it trained on every session, so nothing of it can be compared. Train the "
                f"model with a test too, as by {option('evaluation', 'kfold')}."
            )
        with described(folder / COHORT):
            sessions = _sessions(read_rows(folder / COHORT, ("subject", "label", "left_out", "group")))
            targets = dict(zip(sessions.ids, outcome.encode(sessions.labels).tolist(), strict=True))
            groups = dict(zip(sessions.ids, sessions.groups.tolist(), strict=True))
        with described(folder / PREDICTIONS):
            tests = _Tests.of(read_rows(folder / PREDICTIONS, ("subject", "fold", "label")), outcome, targets, folds)
        row_of = {id: row for row, id in enumerate(sessions.ids)}
        sampling = Sampling(
            tests.folds,
            np.array([row_of[id] for id in tests.subjects]),
            np.array([groups[id] for id in tests.subjects]),
            tuple(fold.num_train for fold in folds),
            widening,
        )
        resampling = outcome.resampling(tests.targets, tests.predictions, tests.raw)
        found = outcome.scores(tests.targets, tests.predictions, tests.raw)
        _check_same(folder, found, scores, outcome)
        if "intervals" not in metrics:
            scores = scores_with_intervals(outcome, tests.targets, tests.predictions, sampling, tests.raw)
        values = {name: score.value for name, score in scores.items()}
        of_folds = tuple(fold.scores for fold in folds)
        judged = JudgedModel(outcome, tests.subjects, sampling, tests.targets, resampling, values, of_folds, folder)
        return cls(folder, judged, scores)


@dataclass(frozen=True)
class _FoldRecord:
    """What metrics.json says of a fold: how many were learnt from, how many tested, and the scores."""

    num_train: int
    num_test: int
    scores: Scores

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Self:
        counts = [entry[key] for key in ("num_train", "num_validation", "num_test")]
        if not all(type(count) is int and 0 <= count < 1 << 31 for count in counts) or not sum(counts[:2]):
            raise ValueError(f"a fold has impossible numbers of sessions ({', '.join(map(str, counts))})")
        scores = {str(name): _number(value) for name, value in entry["scores"].items()}
        return cls(counts[0] + counts[1], counts[2], scores)


@dataclass(frozen=True, eq=False)
class _Tests:
    """The rows of predictions.csv, by fold and within it by session, as `Results` has them. T counts tests."""

    subjects: tuple[str, ...]
    folds: np.ndarray  # [T]
    targets: np.ndarray  # [T]
    predictions: np.ndarray  # [T, K] or [T]
    raw: np.ndarray | None  # [T]

    @classmethod
    def of(
        cls,
        rows: Sequence[Mapping[str, str]],
        outcome: Outcome,
        targets: Mapping[str, Any],
        folds: Sequence[_FoldRecord],
    ) -> Self:
        """Check the rows against the truth of each session and the folds of the run."""
        numbered = sorted(
            ((int(row["fold"]), row) for row in rows), key=lambda item: (item[0], natural_order(item[1]["subject"]))
        )
        numbers = np.array([number for number, _ in numbered], dtype=np.int64)
        subjects = [row["subject"] for _, row in numbered]
        if len(set(zip(numbers.tolist(), subjects, strict=True))) < len(rows):
            raise ValueError("a session is tested twice in a fold")
        if strange := sorted(set(subjects) - set(targets)):
            raise ValueError(f"{list_text(strange, ', ')} did not take part by {COHORT}")
        if not all(0 <= number < len(folds) for number in numbers):
            raise ValueError(f"it has a fold that {METRICS} does not")
        if np.bincount(numbers, minlength=len(folds)).tolist() != [fold.num_test for fold in folds]:
            counted = ", ".join(str(fold.num_test) for fold in folds[:10])
            ours = ", ".join(map(str, np.bincount(numbers, minlength=len(folds))[:10]))
            raise ValueError(f"its folds have {ours} tests, and those of {METRICS} {counted}")
        truth = np.array([targets[subject] for subject in subjects])
        written = outcome.encode([row["label"] for _, row in numbered])
        if not np.isfinite(truth).all() or not np.allclose(written, truth, rtol=1e-6, atol=0):
            raise ValueError(f"its labels are not those of {COHORT}")
        nothing = outcome.activate(np.empty((0, outcome.num_outputs)), outcome.scaling(truth))
        decided, *proba = outcome.prediction_columns(nothing)  # where a name is predicted, the numbers stand beside it
        values = np.array([[_cell(row[column]) for column in proba or [decided]] for _, row in numbered])
        if proba and (values.min() < 0 or values.max() > 1 or not np.allclose(values.sum(axis=1), 1, atol=1e-4)):
            raise ValueError("it has probabilities that are none")
        corrected = [row["prediction_raw"] for _, row in numbered if "prediction_raw" in row]
        raw = np.array([_cell(text) for text in corrected]) if corrected else None
        return cls(tuple(subjects), numbers, truth, values if proba else values[:, 0], raw)


def _sessions(rows: Sequence[Mapping[str, str]]) -> Cohort:
    """Return those who took part."""
    cohort = Cohort(
        tuple(
            Session(
                row["subject"], None, row["label"], row["group"] or None, participant=row.get("participant") or None
            )
            for row in rows
            if not row["left_out"]
        )
    )
    if len(set(cohort.ids)) < len(cohort.ids):
        raise ValueError("a session stands in it twice")
    return cohort


def _check_same(folder: Path, found: Scores, written: Mapping[str, Score], outcome: Outcome) -> None:
    """Refuse predictions that are not those of which the scores of a run are.

    Raises:
        UserError: They are of another run, or were changed.
    """
    for name in outcome.compared:
        noted = f"{name}_pooled" if f"{name}_pooled" in written else name
        if noted not in written:
            raise UserError(f"{folder / METRICS} is damaged: it has no {name}. Copy the run again, whole.")
        ours, theirs = found[name], written[noted].value
        if (ours is None) != (theirs is None) or not np.isclose(ours or 0.0, theirs or 0.0, rtol=_ROUNDING, atol=1e-6):
            raise UserError(
                f"{folder / PREDICTIONS} and {METRICS} beside it are of different tests: {noted} is {ours} by one and "
                f"{theirs} by the other. Copy the run again, whole."
            )


def _measured_widening(about: Mapping[str, Any]) -> float | None:
    """Read the factor on standard errors, where it was measured; else it follows from the numbers of sessions."""
    if not about.get("measured"):
        return None
    widening = _number(about["widening"])
    if widening is None or widening < 1:
        raise ValueError(f"{widening} is no factor that intervals are widened by")
    return widening


def _score(entry: Mapping[str, Any]) -> Score:
    """Read a score of metrics.json; those of earlier versions have no interval."""
    return Score(*(_number(entry.get(key)) for key in ("value", "low", "high")))


def _number(value: object) -> float | None:
    """Read a number of JSON, or null."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise ValueError(f"{str(value)[:40]!r} is no score")
    if value is not None and not np.isfinite(float(value)):
        raise ValueError("it has a score that is not finite")
    return None if value is None else float(value)


def _cell(text: str) -> float:
    """Read a number of a table."""
    number = parse_number(text)
    if number is None:
        raise ValueError(f"it has {text[:40]!r} where a number goes")
    return number
