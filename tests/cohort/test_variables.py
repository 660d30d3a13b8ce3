"""Columns as numbers and categories: what is read of cells, what is refused, and the matrix that a model sees."""

import numpy as np
import pytest

from mri3d import UserError
from mri3d.cohort.encoding import Coding, Encoder
from mri3d.cohort.variables import Variable, Variables

IDS = [f"s{number}" for number in range(8)]


def read(cells, name="age", **options):
    return Variables.read({name: cells}, IDS[: len(cells)], asked="evaluation.confounds", **options)


def encoded(cells, rows=None, name="age"):
    variables = read(cells, name)
    return Encoder.fit(variables, np.arange(len(cells)) if rows is None else np.array(rows)).encode(variables)


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        (["30", "31", "abc", "40", "41", "42", "43", "44"], r"'age': a column of numbers has 'abc' \(s2\)"),
        (["30"] * 8, "is 30 for every session"),
        (["F"] * 8, "is 'F' for every session"),
        (["30", "31", "", "NA", "n/a", "", "43", "44"], "says nothing of 4 of 8 sessions"),
        (["30", "31", "-9", "40", "41", "42", "43", "44"], "has -9 among its numbers"),
        (list("abcdefgh"), "has 8 different texts in 8 sessions, so it names sessions"),
        ([f"1,{number},000" for number in range(101, 109)], "such as '1,101,000'. Write numbers without commas"),
        (["950", *(f"1,{number}" for number in range(101, 108))], "has 8 different texts|a column of numbers"),
        (
            ["30", "31", "1e300", "40", "41", "42", "43", "44"],
            r"has 1e\+300 \(s2\), which is not computed with",
        ),
        (["yes", "no", "NO", "yes"] * 2, "has 'NO' and 'no', which may be the same"),
        (["left hand", "Left-Hand", "right", "right"] * 2, "has 'Left-Hand' and 'left hand'"),
    ],
)
def test_what_says_nothing_or_is_something_else_is_refused_by_name(cells, told):
    with pytest.raises(UserError, match=told):
        read(cells)


def test_codes_are_numbers_and_those_of_sites_names():
    assert read(["0", "1", "1.0", "0", "NA", "1"]).members[0].is_number
    sites = read(["1", "2", "10", "1", "2", "10"], categorical=["age"]).members[0]
    assert sites.levels == ("1", "2", "10")
    assert Variable.of("x", ["38,7", "41", ""]).values.tolist()[:2] == [38.7, 41.0]
    assert Variable.of("x", ["1,052", "41,5", "3"]).values.tolist() == [1.052, 41.5, 3.0]
    assert not Variable.of("x", ["950", "1,052"]).is_number, "a thousand and more, or about one?"
    assert not Variable.of("x", ["1,2,3", "41"]).is_number
    with pytest.raises(UserError, match=r"has '1' and '1\.0', which may be the same"):
        read(["1", "1.0", "2", "2"] * 2, categorical=["age"])
    assert Variable.of("x", ["", "NA"]).known.tolist() == [False, False]


def test_numbers_are_in_standard_units_of_the_rows_learnt_from():
    values = np.array([20.0, 31.0, 45.0, 80.0, 22.0])
    found = encoded([f"{value}" for value in values], rows=[0, 1, 2])
    np.testing.assert_allclose(found[:, 0], (values - values[:3].mean()) / values[:3].std(), rtol=1e-12)


def test_categories_have_a_column_each_and_together_the_weight_of_a_number():
    cells = ["a", "b", "c", "a", "b", "a"]
    found = encoded(cells)
    assert found.shape == (6, 3)
    assert found.var(axis=0).sum() == pytest.approx(1)
    assert found.mean(axis=0) == pytest.approx([0, 0, 0])
    assert np.linalg.matrix_rank(np.hstack([found, np.eye(3)[["abc".index(cell) for cell in cells]]])) == 3
    assert encoded(["F", "M", "M", "F", "F"], name="sex").shape == (5, 1)


def test_what_is_missing_is_the_mean_and_flagged():
    found = encoded(["20", "", "40", "60"])
    assert found.shape == (4, 2)
    assert found[1, 0] == 0
    assert found[:, 1] == pytest.approx([-0.25, 0.75, -0.25, -0.25])
    assert found[[0, 2, 3], 0].mean() == pytest.approx(0)
    assert encoded(["20", "", "40", "60"], rows=[0, 2, 3]).shape == (4, 1), "no row that is learnt from lacks it"


def test_a_category_that_was_not_learnt_counts_as_not_known_and_is_told():
    variables = read(["a", "b", "a", "c", "b", ""], "site")
    encoder = Encoder.fit(variables, np.array([0, 1, 2, 4]))
    (coding,) = encoder.codings
    assert coding.unseen(variables.members[0]).tolist() == [False, False, False, True, False, False]
    assert encoder.encode(variables)[[3, 5]].ravel().tolist() == [0, 0]


def test_rows_that_are_not_learnt_from_have_no_say():
    numbers, texts = np.arange(8.0), np.array(list("abababab"))
    rows = np.arange(5)
    before = Encoder.fit(Variables((Variable("n", numbers), Variable("t", texts))), rows)
    numbers, texts = numbers.copy(), texts.copy()
    numbers[5:], texts[5:] = [np.nan, 1e9, -1e9], ["z", "", "y"]
    assert Encoder.fit(Variables((Variable("n", numbers), Variable("t", texts))), rows) == before


def test_a_column_that_is_constant_where_it_is_learnt_from_says_nothing():
    assert encoded(["5", "5", "5", "7"], rows=[0, 1, 2]).ravel().tolist() == [0, 0, 0, 0]
    assert encoded(["0.1", "0.1", "0.1", "7"], rows=[0, 1, 2]).ravel().tolist() == [0, 0, 0, 0]
    nothing = Variables((Variable("n", np.array([np.nan, np.nan, 3.0])),))
    assert Encoder.fit(nothing, np.array([0, 1])).encode(nothing).tolist() == [[0, 0], [0, 0], [0, -1]]


def test_it_is_built_again_from_json():
    variables = Variables((Variable("n", np.array([1.0, np.nan, 3.0])), Variable("t", np.array(["a", "b", "c"]))))
    encoder = Encoder.fit(variables, np.arange(3))
    again = Encoder.from_json(encoder.to_json())
    assert again == encoder
    np.testing.assert_array_equal(again.encode(variables), encoder.encode(variables))


@pytest.mark.parametrize(
    "damage",
    [{"scale": float("nan")}, {"scale": -1.0}, {"missing": 2.0}, {"levels": ["x"]}, {"centres": []}, {"name": 3},
     {"is_number": "yes"}],
)  # fmt: skip
def test_json_of_somebody_elses_is_refused(damage):
    (coding,) = Encoder.fit(read(["1", "2", "3"]), np.arange(3)).to_json()
    with pytest.raises((ValueError, TypeError)):
        Encoder.from_json([coding | damage])
    with pytest.raises((ValueError, TypeError, KeyError)):
        Encoder.from_json([{name: value for name, value in coding.items() if name != "centres"}])


def test_variables_are_found_by_name_and_rows_may_repeat():
    variables = Variables((Variable("a", np.array([1.0, 2.0])), Variable("b", np.array([5.0, 9.0]))))
    encoder = Encoder.fit(variables, np.arange(2))
    turned = Variables(variables.members[::-1]).taking(np.array([1, 1, 0]))
    np.testing.assert_array_equal(encoder.encode(turned), encoder.encode(variables)[[1, 1, 0]])
    assert Coding.fit(variables.members[0]).width == 1
