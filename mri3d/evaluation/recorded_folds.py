"""The test sets of a run, read from its `cohort.csv`."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mri3d.errors import UserError, option
from mri3d.evaluation.folds import Sample
from mri3d.evaluation.recorded_files import COHORT, described, read_rows
from mri3d.texts import list_text, number_text

MAX_FOLDS = 10_000


def recorded_tests(folder: Path, sample: Sample) -> list[tuple[int, np.ndarray]]:
    """Read which sessions each fold of a run tested.

    Args:
        folder: Of the run.
        sample: Who is to be split now: the same sessions.

    Returns:
        Repeat and tested rows, bool [N], of each fold in order.

    Raises:
        UserError: The folder is no run, or one of other sessions, or nobody was tested in it; or sessions that must
            stay together now were on two sides then.
    """
    whose = option("evaluation.splits", str(folder))
    found = _folds_of_sessions(folder, whose)
    ours, theirs = set(sample.ids), set(found)
    for lacking, told in ((ours - theirs, "did not take part in it"), (theirs - ours, "take no part now")):
        if lacking:
            named = list_text(sorted(lacking), ", ")
            raise UserError(
                f"{whose} is a run on other sessions: {number_text(len(lacking), 'session')} {told} ({named}). "
                "Give a run on the same cohort, or leave it out."
            )
    texts = [found[id] for id in sample.ids]
    if not set(texts) - {"train", "validation"}:
        raise UserError(f"{whose} is a run that tested nobody. Give one that was evaluated with a test.")
    try:
        tested = [_numbers(text) for text in texts]
        num_folds = max(number for numbers in tested for number in numbers) + 1
    except ValueError as error:
        raise UserError(f"{whose} is damaged: its cohort.csv has a fold that is none ({error}).") from error
    in_test = np.zeros((num_folds, len(texts)), dtype=bool)
    for row, numbers in enumerate(tested):
        in_test[numbers, row] = True
    repeats = [0] * num_folds
    for number in range(1, num_folds):  # a new repeat begins where a session is tested again
        first = repeats.index(repeats[number - 1])
        again = (in_test[first:number].any(axis=0) & in_test[number]).any()
        repeats[number] = repeats[number - 1] + int(again)
    for number, rows in enumerate(in_test):
        if not rows.any():
            raise UserError(f"{whose} is damaged: nobody was tested in fold {number} of its cohort.csv.")
        _check_together(rows, sample, whose)
    return list(zip(repeats, in_test, strict=True))


@dataclass(frozen=True)
class FirstTest:
    """How a session was tested for the first time.

    Attributes:
        fold: Number of the fold.
        digest: Of its scan then, see `Cohort.digests`; empty in runs of versions that kept none.
    """

    fold: int
    digest: str


def first_tests(folder: Path) -> dict[str, FirstTest]:
    """Read how each session of a run was tested first, by its name; those that were not are left away.

    Args:
        folder: A finished run.

    Raises:
        UserError: `cohort.csv` is damaged, or nobody was tested.
    """
    with described(folder / COHORT):
        rows = read_rows(folder / COHORT, ("subject", "fold"))
        folds = {row["subject"]: _numbers(row["fold"]) for row in rows if row["fold"]}
        digests = {row["subject"]: row.get("digest", "") for row in rows}
    found = {name: FirstTest(min(numbers), digests[name]) for name, numbers in folds.items() if numbers}
    if not found:
        raise UserError(f"{folder} is a run that tested nobody. Give one that was evaluated with a test.")
    return found


def _numbers(text: str) -> list[int]:
    """Read the folds that test a session.

    Raises:
        ValueError: The text is none that a run writes.
    """
    if text in ("train", "validation", "test"):
        return [0] if text == "test" else []
    numbers = [int(each) for each in text.split()]
    if not all(0 <= number < MAX_FOLDS for number in numbers):
        raise ValueError(f"{text[:40]!r} is no number of a fold")
    return numbers


def _folds_of_sessions(folder: Path, whose: str) -> Mapping[str, str]:
    """Read the column `fold` of a run's `cohort.csv`, of those who took part."""
    path = folder / COHORT
    if not os.path.lexists(path):
        raise UserError(f"{whose} is no run: it has no {COHORT}.")
    with described(path):
        rows = read_rows(path, ("subject", "fold"))
    return {row["subject"]: row["fold"] for row in rows if row["fold"]}


def _check_together(in_test: np.ndarray, sample: Sample, whose: str) -> None:
    """Refuse a test set that holds a part of a group only."""
    split = np.intersect1d(sample.groups[in_test], sample.groups[~in_test])
    if len(split):
        mates = [id for id, group in zip(sample.ids, sample.groups, strict=True) if group == split[0]]
        raise UserError(
            f"{whose} tested some of {list_text(mates, ', ')} and trained on others, who must stay together now. Give "
            "a run with the same groups, or leave it out."
        )
