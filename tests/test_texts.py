"""Texts: a number is what is written as one, and one value is as good as a list of it."""

import numpy as np
import pytest

from mri3d.texts import as_list, file_names, list_text, number_text, parse_number


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        ("7.50", 7.5),
        ("-9", -9.0),
        ("1e3", 1000.0),
        *((cell, None) for cell in ("45 y", "1,5", "nan", "inf", "", "1_0")),
    ],
)
def test_numbers_are_what_is_written_as_one(cell, number):
    assert parse_number(cell) == number


@pytest.mark.parametrize("names", [["a/b", "a b"], ["Yes", "yes"], ["x" * 300, "y"], ["\u05d1" * 61, "y"]])
def test_files_of_names_that_would_be_one_or_too_long_are_numbered(names):
    assert file_names(dict(enumerate(names))) == {0: "0", 1: "1"}


@pytest.mark.parametrize(
    ("value", "values"),
    [("age", ["age"]), (["age", "sex"], ["age", "sex"]), ((), []), (0, [0]), (None, [None]), ("", [""])],
)
def test_a_text_is_one_value(value, values):
    assert as_list(value) == values


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 groups"), (1, "1 group"), (np.int64(1), "1 group"), (2, "2 groups")]
)
def test_one_of_a_thing_is_not_several(number, text):
    assert number_text(number, "group") == text


def test_a_list_as_long_as_may_be_is_written_in_full():
    assert list_text(list("abcde")) == "a; b; c; d; e"
    assert list_text(list("abcdef")) == "a; b; c; d; e; and 1 more"
