"""Parts of a cohort: categories, thirds of numbers, and who is in none."""

import numpy as np
from numpy.testing import assert_array_equal

from mri3d.cohort.variables import Variable
from mri3d.evaluation.strata import Strata

ROWS = np.arange(36)


def parts(strata):
    return [(each.variable, each.level, len(each.rows)) for each in strata.members]


def test_categories_are_parts_and_numbers_are_cut_into_thirds():
    site = Variable.of("site", ["B", "A", "A"] * 12)
    age = Variable.of("age", [f"{20 + row / 2}" for row in ROWS])
    found = Strata.of([site, age], ROWS)
    assert parts(found) == [
        ("site", "A", 24), ("site", "B", 12), ("age", "20 to 25.5", 12), ("age", "26 to 31.5", 12),
        ("age", "32 to 37.5", 12),
    ]  # fmt: skip
    assert_array_equal(found.members[1].rows, ROWS[::3])
    assert (found.num_too_small, found.num_unknown) == (0, {})


def test_few_different_numbers_are_parts_each_and_large_ones_are_written_whole():
    found = Strata.of([Variable.of("scans", ["1", "2"] * 18)], ROWS)
    assert parts(found) == [("scans", "1", 18), ("scans", "2", 18)]
    volumes = Variable.of("icv_mm3", [str(1_100_000 + 10_000 * row) for row in ROWS])
    assert parts(Strata.of([volumes], ROWS))[0] == ("icv_mm3", "1100000 to 1210000", 12)


def test_small_parts_are_counted_by_groups():
    site = Variable.of("site", ["A"] * 20 + ["B"] * 16)
    families = np.where(ROWS < 20, ROWS, ROWS // 2)  # of B: 8 pairs
    found = Strata.of([site], families)
    assert (parts(found), found.num_too_small) == ([("site", "A", 20)], 1)


def test_sessions_of_which_nothing_is_known_are_in_no_part():
    cells = [""] * 4 + [f"{row}" for row in range(32)]
    found = Strata.of([Variable.of("age", cells)], ROWS)
    assert sorted(row for each in found.members for row in each.rows) == list(range(4, 36))
    assert found.num_unknown == {"age": 4}


def test_what_is_the_same_for_all_parts_nobody():
    found = Strata.of([Variable.of("sex", ["F"] * 36), Variable.of("dose", ["3"] * 36)], ROWS)
    assert (found.members, found.num_too_small) == ((), 0)


def test_ties_stay_together():
    cells = ["1"] * 30 + ["2", "3", "4", "5", "6", "7"]
    found = Strata.of([Variable.of("score", cells)], ROWS)
    assert (parts(found), found.num_too_small) == ([("score", "1", 30)], 1)
