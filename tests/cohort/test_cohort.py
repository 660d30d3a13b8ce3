"""The cohort: rows, classes, groups, and labels that are none."""

import csv
import dataclasses
import pickle
from pathlib import Path

import numpy as np
import pytest

from mri3d.cohort.cohort import NO_LABEL, Cohort, Subject, means_no_label, require_classes
from mri3d.errors import UserError


def cohort_of(*labels: str | None) -> Cohort:
    return Cohort(
        tuple(
            Subject(f"s{i}", Path(f"s{i}.nii"), label, left_out="" if label is not None else NO_LABEL)
            for i, label in enumerate(labels)
        )
    )


def test_rows_index_participants_and_classes_sort_as_text():
    cohort = cohort_of("10", None, "9", "-1", "10")
    assert cohort.classes == ("-1", "10", "9")
    assert cohort.participants.ids == cohort.ids == ("s0", "s2", "s3", "s4")
    np.testing.assert_array_equal(cohort.targets, [1, 2, 0, 1])
    assert cohort.targets.dtype == np.int64
    assert cohort.scans == (Path("s0.nii"), Path("s2.nii"), Path("s3.nii"), Path("s4.nii"))


def test_a_class_whose_subjects_are_all_left_out_is_no_class():
    a, b, c = cohort_of("F", "M", "X").subjects
    cohort = Cohort((a, b, dataclasses.replace(c, left_out="truncated")))
    assert cohort.classes == ("F", "M")
    assert cohort.describe() == "3 subjects: 2 take part (F 1, M 1), 1 left out"


def test_groups_hold_together_and_a_subject_without_one_stands_alone():
    subjects = [
        Subject(id, None, "F", group) for id, group in [("a", "b"), ("b", None), ("c", "b"), ("subject b", None)]
    ]
    groups = Cohort(tuple(subjects)).groups
    assert groups[0] == groups[2]
    assert len(set(groups)) == 3


def test_csv_names_every_subject_with_what_became_of_it(tmp_path):
    subject = Subject("a", Path("/x/a.nii"), "F", "fam", "Oslo", {"age": "3,5"}, warnings=("odd", "old"))
    other = Subject("b", None, None, covariates={"age": ""}, left_out=NO_LABEL)
    (tmp_path / "cohort.csv").write_text(Cohort((subject, other)).to_csv({"a": "0 test"}))
    with (tmp_path / "cohort.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {
        "subject": "a",
        "scan": "/x/a.nii",
        "label": "F",
        "fold": "0 test",
        "left_out": "",
        "warnings": "odd; old",
        "digest": "",
        "group": "fam",
        "site": "Oslo",
        "covariate_age": "3,5",
    }
    assert (rows[1]["fold"], rows[1]["left_out"], rows[1]["scan"]) == ("", "no label", "")


def test_csv_has_a_column_for_every_covariate_whoever_comes_first_and_none_hides_another_column():
    without, with_age = Subject("a", None, "F"), Subject("b", None, "M", "fam", covariates={"age": "3", "group": "x"})
    rows = list(csv.DictReader(Cohort((without, with_age)).to_csv().splitlines()))
    assert [row["covariate_age"] for row in rows] == ["", "3"]
    assert (rows[1]["group"], rows[1]["covariate_group"]) == ("fam", "x")


def test_cohort_is_frozen_and_travels_between_processes():
    cohort = cohort_of("F", "M")
    with pytest.raises(dataclasses.FrozenInstanceError):
        cohort.subjects[0].label = "M"  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(cohort)) == cohort
    assert hash(cohort) == hash(cohort_of("F", "M"))


@pytest.mark.parametrize(
    ("cell", "unlabelled", "expected"),
    [
        ("", [], True),
        ("0", [0], True),
        ("0.0", [0], True),
        ("0", ["0.0"], True),
        ("00", ["0"], True),
        ("1", [True], False),
        ("FALSE", [False], True),
        ("0", [False], False),
        ("NaN", [float("nan")], True),
        *(
            (cell, [], True)
            for cell in ("NA", "na", "N/A", "n/a", "nan", "NaN", "NULL", "null", "None", "none", "<NA>")
        ),
        *((cell, [], False) for cell in ("no", "nano", "N", "-", "nil", "unknown")),
        ("unknown", ["UNKNOWN"], False),
        ("10", [1, "0"], False),
    ],
)
def test_no_label_compares_as_text_and_as_number(cell, unlabelled, expected):
    assert means_no_label(cell, unlabelled) is expected


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["F", "F", None], r"column 'sex' holds one class \(F 2\), and 1 rows without a label; a classifier needs two"),
        ([None, None], r"column 'sex' holds no class, and 2 rows without a label"),
        ([f"{20 + i / 7:.2f}" for i in range(9)], r"has 9 different values in 9 rows \(20.00, 20.14, .*measurement"),
        ([str(i % 30) for i in range(3000)], "has 30 different values in 3000 rows"),
        (["1", "1.0", "2", "1", "2", "2"], "spells one class in two ways: '1' and '1.0'"),
        (["F", "f", "M", "F", "M", "M"], "spells one class in two ways: 'F' and 'f'"),
    ],
)
def test_labels_that_are_not_classes_are_refused_by_name(labels, message):
    with pytest.raises(UserError, match=message):
        require_classes(cohort_of(*labels), "column 'sex'")


def test_few_rows_of_two_classes_are_classes():
    require_classes(cohort_of("F", "M"), "column 'sex'")
    require_classes(cohort_of(*[f"hospital {i % 25}" for i in range(100)]), "column 'site'")
