"""The table of tasks: an outcome by its name, from labels and from JSON."""

import inspect

import pytest

from mri3d.cli.configuration import Schema
from mri3d.outcome import (
    DEFAULT_TASK,
    SCORE_MEANINGS,
    SCORE_TITLES,
    TASKS,
    Classes,
    Measure,
    outcome_from_json,
    outcome_of,
)
from mri3d.study import Study
from tests.models.refusals import refused


def test_a_task_that_is_none_is_named_with_the_nearest():
    with refused(r"task=regresion is unknown\. Did you mean 'regression'\? Give classification or regression\."):
        outcome_of({"a": "1", "b": "2", "c": "3"}, task="regresion", name="age")


@pytest.mark.parametrize("outcome", [Classes(("F", "M"), "sex"), Classes(("a", "b", "c")), Measure("age"), Measure()])
def test_an_outcome_comes_back_from_json(outcome):
    again = outcome_from_json(outcome.to_json())
    assert again == outcome
    assert (type(again), again.name, again.task) == (type(outcome), outcome.name, outcome.task)


def test_json_says_which_task_column_and_classes():
    assert Classes(("F", "M"), "sex").to_json() == {"task": "classification", "name": "sex", "classes": ["F", "M"]}
    assert Measure("age").to_json() == {"task": "regression", "name": "age"}
    for wrong in ({"task": "classification", "name": "sex"}, {"task": "ranking", "name": "sex", "classes": ["F", "M"]}):
        with pytest.raises(KeyError):
            outcome_from_json(wrong)


def test_what_the_first_version_kept_of_classes_is_read():
    old = outcome_from_json({"classes": ["-1", "1", "2"]})
    assert (old, old.name) == (Classes(("-1", "1", "2")), "label")
    with pytest.raises(KeyError):
        outcome_from_json({"classes": ["a", "b"], "name": "sex"})  # of no version


def test_one_task_is_the_default_everywhere():
    assert DEFAULT_TASK in TASKS
    assert Schema().task == DEFAULT_TASK  # which is read before numpy is imported, and so stands there again
    for make in (Study.from_table, Study.from_bids, Study.from_arrays, Study.read):
        assert inspect.signature(make).parameters["task"].default == DEFAULT_TASK


def test_a_score_whose_title_says_too_little_is_explained_by_it():
    for name, meaning in SCORE_MEANINGS.items():
        assert meaning.casefold().startswith(f"{SCORE_TITLES[name]} is ".casefold())


@pytest.mark.parametrize("task", TASKS)
def test_every_task_is_that_of_its_outcome(task):
    assert TASKS[task].outcome.task == task
    cells = {str(row): str(row % 3) for row in range(9)}
    made = outcome_of(cells, task=task, name="grade")
    assert type(made) is TASKS[task].outcome
    assert made.name == "grade"
