"""Labels of people whom a model never saw: what it does not know is refused by name."""

import pytest

from mri3d.outcome import Classes, Measure
from tests.models.refusals import refused

SEX, AGE, STAGE = Classes(("F", "M"), "sex"), Measure("age"), Classes(("a", "b", "c"))
SOURCE = "column 'sex' of subjects.csv"


@pytest.mark.parametrize("labels", [{"s1": "F", "s2": "M"}, {"s1": "M"}])
def test_classes_of_the_model_pass_also_where_some_are_missing(labels):
    SEX.check_labels(labels, source=SOURCE)


def test_other_classes_are_named_and_counted():
    with refused(
        r"^the model predicts F and M, and column 'sex' of subjects\.csv has 'control' \(1 session\), 'depr' "
        r"\(2 sessions\), which are no classes of it\. Write the classes as the model does, or set data\.label to the "
        r"column that has them\.$"
    ):
        SEX.check_labels({"s1": "depr", "s2": "control", "s3": "depr"}, source=SOURCE)
    with refused(r"^the model predicts a, b and c, .* has 'd' \(1 session\), which is no class of it\. "):
        STAGE.check_labels({"s1": "a", "s2": "d"}, source=SOURCE)


def test_another_spelling_is_pointed_out():
    with refused(r"has 'f' \(1 session\), 'm' \(1 session\), which .* of it\. Did you mean 'F'\? Write"):
        SEX.check_labels({"s1": "f", "s2": "m"}, source=SOURCE)


def test_where_others_are_known_the_rest_can_be_left_out():
    with refused(r"or name them in data\.unlabelled, and their sessions are left out\.$", r"in unlabelled, and"):
        SEX.check_labels({"s1": "F", "s2": "X"}, source=SOURCE)


def test_numbers_of_a_measure_pass_however_few():
    AGE.check_labels({"s1": "35.5"}, source="column 'age'")


def test_what_is_no_number_is_named():
    with refused(
        r"^the model predicts a number, age, and column 'sex' holds 2 cells that are none: s1 has 'F'; s3 has 'M'\. "
        r"Set data\.label to the column that has it, or name what means that nothing is known in data\.unlabelled\.$"
    ):
        AGE.check_labels({"s1": "F", "s2": "40", "s3": "M"}, source="column 'sex'")


def test_codes_for_missing_values_are_none():
    with refused(r"^column 'age' holds -9, far from all other values, .* with data\.unlabelled=\[-9\.0\], or empty"):
        AGE.check_labels({"s1": "30", "s2": "-9", "s3": "41", "s4": "77"}, source="column 'age'")
