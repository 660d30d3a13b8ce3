"""The closest name in a message."""

import pytest

from mri3d.errors import UserError, did_you_mean


@pytest.mark.parametrize(
    ("name", "candidates", "closest"),
    [
        ("lable", ["label", "group"], "label"),
        ("sex", ["AGE", "SEX"], "SEX"),
        ("DIAGNOSIS", ["Diagnosis", "Sex"], "Diagnosis"),
        ("max_epoch", ["max_epochs", "max_time", "min_epochs"], "max_epochs"),
    ],
)
def test_closest_name_is_given_as_it_is_spelt(name, candidates, closest):
    assert did_you_mean(name, candidates) == f" Did you mean {closest!r}?"


def test_nothing_is_said_when_no_name_is_close():
    assert did_you_mean("xyz", ["label", "table"]) == ""
    assert did_you_mean("xyz", []) == ""


def test_a_user_error_is_a_value_error():
    with pytest.raises(ValueError, match="no such column"):
        raise UserError("no such column")
