"""Labels, groups and the like of arrays, in whatever type they come; groups that are numbers, in tables too."""

import decimal
import logging

import numpy as np
import pandas as pd
import pytest
import torch

from mri3d.cohort.arrays import array_cohort
from mri3d.cohort.cohort import Cohort, Session
from mri3d.errors import UserError
from mri3d.outcome import outcome_of

DIGESTS = [f"{row:064x}" for row in range(6)]
LABELS = ["a", "b"] * 3


NOTHING = dict.fromkeys(("ids", "groups", "sites", "covariates"))


def cohort(labels=LABELS, **more: object):
    return array_cohort(DIGESTS, labels, **NOTHING | {"name": "dx"} | more)


@pytest.mark.parametrize(
    "labels",
    [
        np.array(LABELS),
        [np.str_(label) for label in LABELS],
        [label.encode() for label in LABELS],
        np.array(LABELS, dtype="S"),
        np.array(LABELS, dtype=object),
        pd.Series(LABELS, index=range(7, 13)),
        pd.Series(LABELS, dtype="category"),
        pd.Categorical(LABELS, categories=["b", "a", "never"]),
        pd.array(LABELS, dtype="string"),
        pd.Index(LABELS),
        [f" {label}\u200b" for label in LABELS],
    ],
)
def test_labels_are_text_whatever_holds_them(labels):
    assert cohort(labels).labels == tuple(LABELS)


@pytest.mark.parametrize(
    ("labels", "texts"),
    [
        ([True, False] * 3, ("True", "False") * 3),
        (torch.tensor([0, 1] * 3), ("0", "1") * 3),
        (np.array([0, 1] * 3, dtype=np.float32), ("0.0", "1.0") * 3),
        ([1, 1.0, 2, np.float64(2), np.int8(1), decimal.Decimal(2)], ("1", "1", "2", "2", "1", "2")),
        ([0.0, -0.0, 1, 1, 2, 2], ("0.0", "0.0", "1", "1", "2", "2")),
        ([1, "b"] * 3, ("1", "b") * 3),
        (["\u00e9", "e\u0301"] * 3, ("\u00e9",) * 6),
    ],
)
def test_equal_labels_are_written_alike(labels, texts):
    assert cohort(labels).labels == texts


@pytest.mark.parametrize("missing", [None, float("nan"), np.nan, pd.NA, pd.NaT, np.ma.masked, b"", "None"])
def test_missing_labels_take_no_part(missing):
    labels = np.empty(6, dtype=object)
    labels[:] = [missing, *LABELS[1:]]
    assert cohort(labels).labels == tuple(LABELS[1:])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": None}, r"labels has 0 entries, and there are 6 volumes"),
        ({"labels": np.zeros((6, 1))}, r"labels has 6 x 1 entries"),
        ({"labels": pd.DataFrame({"dx": LABELS})}, r"labels has 6 x 1 entries"),
        ({"labels": (label for label in LABELS)}, r"labels is <generator.*>, not a list with an entry for each of 6"),
        ({"labels": [["a"]] * 6}, r"labels\[0\] is \['a'\], not one value"),
        ({"groups": [1, 2]}, r"groups has 2 entries, and there are 6 volumes"),
        ({"groups": [(1, 2)] * 6}, r"groups\[0\] is \(1, 2\), not one value"),
        ({"ids": [1, 1.0, 2, 3, 4, 5]}, r"1 id stands more than once: 1\."),
        ({"covariates": "age"}, r"covariates are no dictionary"),
        ({"name": None}, r"name is None\. Give a text that says what the labels are"),
        ({"name": 5}, r"name is 5\."),
        ({"name": ""}, r"name is ''\."),
    ],
)
def test_what_is_no_list_of_labels_is_named(options, message):
    with pytest.raises(UserError, match=rf"^{message}"):
        cohort(**options)


def test_covariates_may_be_a_data_frame():
    frame = pd.DataFrame({"age": np.arange(6), "note": ["x"] * 6})
    assert cohort(covariates=frame).sessions[2].covariates == {"age": "2", "note": "x"}


SAME = [
    (["1", "1.0", "1.", "1.000"], 1),
    (["-1", "-1.0"], 1),
    (["1", "01", "1e0", "1.5", "a.0", "10", "1.01"], 7),
    (["12345678901234567890", "12345678901234567891.0"], 2),
    (["a b", "a  b", "A b"], 3),
]


@pytest.mark.parametrize(("cells", "different"), SAME)
def test_groups_of_a_table_are_the_same_where_pandas_wrote_a_whole_number_as_a_fraction(cells, different):
    sessions = tuple(Session(f"s{row}", None, "F", group=cell) for row, cell in enumerate(cells))
    assert len(set(Cohort(sessions).groups)) == different
    assert [row["group"] for row in Cohort(sessions).to_rows()] == cells, "cohort.csv has what the table has"


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ([1, 1.0, "1", "1.0", np.float32(1), b"1"], 1),
        (np.repeat([1.0, 2.0, np.nan], 2), 4),
        ([None, None, 1, 1, np.nan, pd.NA], 5),
        (pd.array([1, 1, None, None, 2, 2], dtype="Int64"), 4),
        (pd.Categorical(list("aabbcc")), 3),
        ([" fam 1", "fam 1 ", "fam 1", "fam 2", "fam 2", "fam  2"], 3),
        (torch.arange(6) // 2, 3),
        ([True, True, False, False, None, None], 4),
    ],
)
def test_equal_groups_stay_together_and_missing_ones_stand_alone(groups, expected):
    assert len(set(cohort(groups=groups).groups)) == expected


@pytest.mark.parametrize(
    ("labels", "task", "message"),
    [
        (["a"] * 6, "classification", r"two or more classes\. Give other labels, or mend unlabelled\."),
        (list("abcdef"), "classification", r"this looks like a name, not a class\. Give other labels\."),
        (
            LABELS,
            "regression",
            r"no numbers \(a, b\)\. Set task='classification' to predict classes, or give other lab",
        ),
        ([1, 2] * 3, "regression", r"or more\. Set task='classification' to predict classes, or give other labels\."),
        ([1] * 6, "regression", r"a measure needs 3 or more\. Give other labels\."),
        ([1, 2, 3, 4, 5, "x"], "regression", r"5 has 'x'\. Write plain numbers such as 45\.5, give none where nothing"),
    ],
)
def test_advice_about_labels_of_arrays_names_no_column_and_no_table(labels, task, message):
    made = cohort(labels)
    with pytest.raises(UserError, match=message) as raised:
        outcome_of(
            dict(zip(made.ids, made.labels, strict=True)), task=task, name="dx", source=made.source, advice=made.advice
        )
    told = str(raised.value)
    assert told.startswith("labels (dx) ")
    assert not [word for word in ("column", "table", "cells empty") if word in told]


@pytest.mark.parametrize("task", [None, 1, ["classification"], {"a": 1}, "Classification", "classify"])
def test_tasks_that_are_none_are_named(task):
    with pytest.raises(UserError, match=r"^task=.* is unknown\..* Give classification or regression\."):
        outcome_of({"1": "a", "2": "b"}, task=task, name="dx")


def test_numbers_are_insisted_on_as_classes_by_a_truth_value(caplog):
    with caplog.at_level(logging.WARNING), pytest.raises(UserError, match=r"^classes='no' is neither True nor False"):
        outcome_of({"1": "a", "2": "b"}, task="classification", name="dx", insist="no")
    assert outcome_of({"1": "a", "2": "b"}, task="classification", name="dx", insist=np.bool_(False)).names == (
        "a",
        "b",
    )


def test_spellings_of_people_groups_and_labels_are_told_as_of_tables(caplog):
    cells = {"ids": ["s1", "S01", "c", "d", "e", "f"], "groups": ["fam 1", "Fam_1", "x", "y", "z", None]}
    cohort(labels=["F", "M", "F", "M", "none", "NA"], **cells)
    assert "participants are the same but for case" in caplog.text
    assert "'s1' and 'S01'" in caplog.text
    assert "groups in groups are the same but for case" in caplog.text
    assert "'fam 1' and 'Fam_1'" in caplog.text
    assert "cells that mean no label: none 1, NA 1. If this is a class, give it another name" in caplog.text


def test_visits_that_ids_tell_of_stay_together(caplog):
    ids = ["sub-01_ses-1", "sub-01_ses-2", "sub-02_ses-1", "sub-02_ses-2", "sub-03_ses-1", "sub-04_ses-1"]
    assert len(set(cohort(labels=["F", "M"] * 3, ids=ids).groups)) == 4
