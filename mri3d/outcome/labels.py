"""From the cells of a label column to an outcome: what they must be, and what is told of them where they are not."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mri3d.arguments import plain
from mri3d.cohort.cohort import OTHER_COLUMN
from mri3d.cohort.missing import missing_codes
from mri3d.errors import UserError, did_you_mean, option
from mri3d.outcome.classes import Classes
from mri3d.outcome.measure import Measure
from mri3d.outcome.outcome import Outcome
from mri3d.texts import count_text, list_text, number_text, parse_number, spelling

# Blanks, underscores and dashes between words, but no minus sign before a number.

DEFAULT_TASK = Classes.task
"""What is predicted unless told."""

MAX_NUMERIC_CLASSES = 5
"""Grades and codes are fewer; more numbers than this are taken for a measurement unless the user insists."""

MIN_VALUES = 3
"""A measure of fewer different values is a pair of classes, or constant."""

SMALLEST, LARGEST = 1e-30, 1e30
"""Networks compute in float32, and squares of what lies beyond overflow."""


def outcome_of(
    labels: Mapping[str, str],
    *,
    task: str,
    name: str,
    source: str = "",
    num_unlabelled: int = 0,
    insist: bool = False,
    advice: str = OTHER_COLUMN,
) -> Outcome:
    """Make the outcome that label cells stand for.

    Args:
        labels: Id of each labelled session to its cell; missing ones are left out already.
        task: "classification" or "regression".
        name: Column that the cells stand in.
        source: Where they stand, to begin a message: "column 'sex' of subjects.csv".
        num_unlabelled: How many sessions have none, for a message.
        insist: Take numbers for names of classes, however many there are.
        advice: What to do where they cannot be used, to end a message.

    Raises:
        UserError: There is no such task, `insist` is neither true nor false, or the cells are none of its kind.
    """
    if not isinstance(plain(insist), bool):
        raise UserError(
            f"{option('data.classes', insist)} is neither True nor False. Leave it out, or give one of them."
        )
    check_task(task)
    return TASKS[task].from_labels(labels, name, source or f"column {name!r}", num_unlabelled, insist, advice)


def check_task(task: str) -> None:
    """Raise a UserError if there is no such task."""
    if not isinstance(task, str) or task not in TASKS:
        raise UserError(
            f"{option('task', task)} is unknown.{did_you_mean(str(task), TASKS)} Give {' or '.join(TASKS)}."
        )


def outcome_from_json(value: Mapping[str, Any]) -> Outcome:
    """Build an outcome from what its `to_json` returned.

    The first version knew classes only and kept nothing but their names, `{"classes": [...]}`: that is read too.

    Raises:
        KeyError: Something is missing.
        ValueError: Something is of another kind.

    >>> outcome_from_json({"classes": ["F", "M"]})
    Classes(names=('F', 'M'), name='label')
    """
    if set(value) == {"classes"}:
        return Classes.from_json({**value, "name": Classes.name})
    return TASKS[value["task"]].outcome.from_json(value)


def _classes(
    labels: Mapping[str, str], name: str, source: str, num_unlabelled: int, insist: bool, advice: str
) -> Classes:
    """Make sure that the cells are classes: two or more, spelt alike, not a measurement."""
    counts = dict(sorted(Counter(labels.values()).items()))
    if len(counts) < 2:
        found = f"one class ({count_text(counts)})" if counts else "no class"
        others = f", and {number_text(num_unlabelled, 'row')} without a label" if num_unlabelled else ""
        raise UserError(
            f"{source} holds {found}{others}; a classifier needs two or more classes. "
            f"{_sentence(advice)}, or mend {option('data.unlabelled')}."
        )
    numbers = {label: parse_number(label) for label in counts}
    numeric = all(number is not None for number in numbers.values())
    many = (numeric and len(counts) > MAX_NUMERIC_CLASSES) or (len(counts) > 2 and len(counts) > len(labels) / 2)
    if many and not (numeric and insist):
        what = "a measurement" if numeric else "a name, not a class"
        remedy = (
            f"Predict it as a number: {option('task', 'regression')}; or take each value for a class: "
            f"{option('data.classes', True)}."
            if numeric
            else f"{_sentence(advice)}."
        )
        raise UserError(
            f"{source} has {len(counts)} different values in {len(labels)} rows "
            f"({list_text(list(counts), ', ')}): this looks like {what}. {remedy}"
        )
    spellings: dict[object, str] = {}
    for label in counts:
        twin = spellings.setdefault(spelling(label) if numbers[label] is None else numbers[label], label)
        if twin != label:
            raise UserError(f"{source} spells one class in two ways: {twin!r} and {label!r}. Write them alike.")
    return Classes(tuple(counts), name)


def _measure(
    labels: Mapping[str, str], name: str, source: str, num_unlabelled: int, insist: bool, advice: str
) -> Measure:
    """Make sure that the cells are a measurement: numbers, not all alike, without codes for missing values."""
    if insist:
        raise UserError(
            f"{option('data.classes', True)} and {option('task', 'regression')} contradict each other: numbers are "
            "either names of classes or a measure. Leave one of them out."
        )
    numbers = {row: parse_number(cell) for row, cell in labels.items()}
    wrong = [f"{row} has {labels[row]!r}" for row, number in numbers.items() if number is None]
    values = {row: number for row, number in numbers.items() if number is not None}
    if labels and not values:
        raise UserError(
            f"{source} holds no numbers ({list_text(list(dict.fromkeys(labels.values())), ', ')}). "
            f"Set {option('task', 'classification')} to predict classes, or {advice}."
            + (" Decimals are written with a point: 35.5." if any("," in cell for cell in labels.values()) else "")
        )
    if wrong:
        raise UserError(
            f"{source} holds {number_text(len(wrong), 'cell', 'that is no number', 'that are no numbers')}: "
            f"{list_text(wrong)}. Write plain numbers such as "
            f"45.5, give none where nothing is known, or name what means that in {option('data.unlabelled')}."
        )
    if codes := missing_codes(list(values.values())):
        counts = Counter(value for value in values.values() if value in codes)
        counted = [f"{code:g} ({number_text(count, 'row')})" for code, count in sorted(counts.items())]
        raise UserError(
            f"{source} holds what looks like codes for missing values, far from all others: {list_text(counted)}. "
            f"Leave them out with {option('data.unlabelled', sorted(codes))}, or empty them."
        )
    different = sorted(set(values.values()))
    if len(different) < MIN_VALUES:
        to_classes = f"set {option('task', 'classification')} to predict classes, or " if len(different) == 2 else ""
        listed = list_text([f"{value:g}" for value in different], ", ")
        found = f"{number_text(len(different), 'different value')} ({listed})"
        raise UserError(
            f"{source} holds {found if different else 'no value'} in {number_text(len(values), 'row')}, and a "
            f"measure needs {MIN_VALUES} or more. {_sentence(to_classes + advice)}."
        )
    if not SMALLEST < max(map(abs, different)) < LARGEST or different[-1] - different[0] < SMALLEST:
        raise UserError(
            f"{source} has values from {different[0]:g} to {different[-1]:g}, which are not computed with exactly. Use "
            "another unit."
        )
    return Measure(name)


def _sentence(advice: str) -> str:
    return advice[0].upper() + advice[1:]


@dataclass(frozen=True)
class Task:
    """A kind of outcome.

    Attributes:
        outcome: Its class.
        from_labels: Makes one from label cells by id, column, source, number of unlabelled rows, `insist` and `advice`.
    """

    outcome: type[Outcome]
    from_labels: Callable[[Mapping[str, str], str, str, int, bool, str], Outcome]


TASKS = {Classes.task: Task(Classes, _classes), Measure.task: Task(Measure, _measure)}
"""Every kind of outcome by its task."""
