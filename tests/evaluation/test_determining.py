"""What says the outcome by itself, so that nothing can be learnt about it; and what cannot be asked."""

import numpy as np
import pytest

from mri3d import Study
from mri3d.evaluation.associations import associations, associations_json, associations_of, determines
from tests.evaluation.test_associations import AGE, GROUP, held_against, numbers, texts


@pytest.mark.parametrize(
    ("letters", "classes", "expected"),
    [
        ("AAABBB", "000111", True),
        ("AAABBBC", "0001110", True),  # one session of a site has one class whatever it is
        ("AAABBBCC", "00011101", False),
        ("AAABBB", "000000", False),
        ("AABBCC", "001100", False),  # as many as half of the sessions: not surprising
        ("AABBBCC", "0011100", True),
        ("AAAB B ", "000010", False),
        ("AAABBB  ", "00011101", True),  # what is not known does not count
    ],
)
def test_a_site_that_says_the_class_is_known(letters, classes, expected):
    targets, cells = np.array([*map(int, classes)]), [letter.strip() for letter in letters]
    assert determines(GROUP, targets, texts("site", cells)) is expected
    codes = [float(ord(cell)) if cell else np.nan for cell in cells]
    assert determines(GROUP, targets, numbers("site", codes)) is expected
    assert not determines(AGE, targets.astype(np.float64), texts("site", cells))  # a measure is never said


def test_a_number_that_has_the_order_of_a_measure_says_it():
    random = np.random.default_rng(0)
    ages = random.uniform(20, 80, 100)
    months, years, near = (ages * 12).round(), ages.round(), ages + random.normal(scale=3, size=100)
    columns = [numbers("months", months), numbers("years", -years), numbers("near", near), numbers("stage", ages > 50)]
    found = held_against(AGE, ages, *columns)
    assert [each.alias for each in found] == [True, True, False, False]
    assert [each.determines for each in found] == [False] * 4, "the age by another name does no harm to an image"
    assert "months says the same as age of every session (Spearman's correlation 1.00)" in found[0].sentence()
    used = associations(AGE, ages, np.arange(100), columns, ["months"])
    assert [each.determines for each in used] == [True, False, False, False]
    assert "months alone says what age is, so that nothing can be learnt about age itself" in used[0].sentence()


def test_a_text_among_numbers_is_named_where_it_keeps_a_column_from_being_tested(caplog):
    random = np.random.default_rng(0)
    cells = [*map(str, random.uniform(20, 80, 39).round(1)), "unknown"]
    study = Study.from_arrays(random.normal(size=(40, 3, 3, 3)), ["a", "b"] * 20, covariates={"age": cells})
    found = associations_of(study)
    assert associations_json(study, found)["untested"] == {"age": "a column of numbers has 'unknown'"}
    assert "age is not tested: a column of numbers has 'unknown'" in caplog.text


def test_all_sessions_of_a_group_decide_whether_a_site_says_the_class():
    targets, sites, groups = np.repeat([0, 1], 8), [*"AAAAAAAABBBBCCCC"], np.arange(16)
    (found,) = held_against(GROUP, targets, texts("site", sites))
    assert found.determines
    visits = texts("site", [*sites, "A"])  # the second visit of a patient was at the site of the controls
    (other,) = held_against(GROUP, np.append(targets, 1), visits, groups=np.append(groups, 15))
    assert not other.determines
    assert other.p == found.p
    ages = numbers("age", np.repeat([*range(11), 10], 2))  # eleven for twelve people: each has its own, as they have
    assert not held_against(GROUP, np.repeat([0, 1], 12), ages, groups=np.repeat(groups[:12], 2))[0].determines
