"""Labels that mean that nothing is known, or may have been meant so: words, and the codes of classes and measures."""

import numpy as np
import pytest

from mri3d.cohort.missing import MISSING_CODES, is_missing, may_be_missing, missing_codes
from mri3d.cohort.table import Table
from mri3d.errors import UserError
from mri3d.outcome import outcome_of
from mri3d.study import Study
from tests.cohort.test_table import study


@pytest.mark.parametrize("code", ["-9", "-99", "-999", "-4", "999", "99", "-9.0", "-8", "-7", "-3", "9999", "-9999"])
@pytest.mark.parametrize("others", [["0", "1"], ["1", "2", "3"], ["CN", "MCI", "AD"], ["F", "M", "unknown"]])
def test_codes_beside_classes_are_named(tmp_path, caplog, code, others):
    labels = [*others * 4, code, code]
    assert may_be_missing(labels) == sorted({code, *others} & {code, "unknown"})
    rows = "".join(f"s{number},{label}\n" for number, label in enumerate(labels))
    root = study(tmp_path, f"subject,label\n{rows}", [f"s{number}.nii" for number in range(len(labels))])
    told = f"label '{code}' of column 'label' is taken as it stands; if it means no label, set unlabelled=['{code}']"
    assert code in Table(str(root), "subjects.csv").read().labels
    assert told in caplog.text
    caplog.clear()
    assert code not in Table(str(root), "subjects.csv", unlabelled=[float(code)]).read().labels
    assert f"label '{code}'" not in caplog.text
    if "unknown" in others:  # what is set already stays set
        assert f"set unlabelled=[{float(code)}, 'unknown']" in caplog.text


@pytest.mark.parametrize(
    "labels",
    [
        ["-1", "1"],  # the seed study
        ["-1", "0", "1"],
        ["-1.0", "1.0"],
        ["0", "1", "2", "3", "4"],
        ["-4", "-3", "-2", "-1", "0", "1"],
        ["97", "98", "99", "100"],
        ["no", "yes"],
        ["99", "999"],  # nothing else
        ["a", "N", "x"],
    ],
)
def test_ordinary_classes_are_not_named(labels):
    assert may_be_missing(labels * 3) == []


@pytest.mark.parametrize(
    ("others", "codes"),
    [
        (["1", "2"], ["9"]),
        (["1", "2"], ["-1"]),
        (["0", "1", "2"], ["-1"]),
        (["1", "2"], ["-5", "-6"]),
        (["0", "1"], ["-2", "-818"]),
        (["0", "1", "2", "3"], ["66", "77", "88", "99"]),
        (["1", "2", "3", "4", "5"], ["95", "96", "97", "98", "7777777"]),
        (["0", "1", "2", "3", "4"], ["8", "9"]),
        (["F", "M"], ["-5", "-818", "66", "9", "96"]),
        (["stage 3a", "stage 2"], ["-5", "66"]),
    ],
)
def test_numbers_that_lie_apart_from_classes_are_named_as_codes(others, codes):
    assert may_be_missing([*others * 5, *codes]) == sorted(codes)


@pytest.mark.parametrize(
    "labels",
    [
        ["-2", "2"],
        ["-2", "-1", "0", "1", "2"],
        ["-2", "-1", "0", "1"],
        ["0", "-5"],
        ["1.5", "2.5", "-5"],  # a measure
        ["5", "6", "7", "8", "9"],
        ["60", "66", "72", "77"],
        ["1", "2", "3a", "9"],
        ["+", "F"],
        ["-5", *map(str, range(13))],  # a measure of many values
    ],
)
def test_numbers_among_classes_are_classes(labels):
    assert may_be_missing(labels * 3) == []


@pytest.mark.parametrize(
    "word", ["\u2013", "\u2014", "\u2212", "----", "Unk.", "ND", "n.d.", "inf", "-Infinity", "\uff1f"]
)
def test_further_words_and_marks_are_named(word):
    assert may_be_missing(["F", "M", word]) == [word]
    assert may_be_missing(["1", "2", word]) == [word]


@pytest.mark.parametrize("word", ["unknown", "Missing", "?", ".", "-", "n.a.", "#VALUE!", "#DIV/0!", "#REF!", "UNK"])
def test_words_are_named(word):
    assert may_be_missing(["F", "M", word]) == [word]


@pytest.mark.parametrize("word", ["#N/A", "#n/a", "#N/A N/A", "-nan", "-1.#IND", "1.#QNAN", "<NA>", "NULL"])
def test_what_pandas_takes_for_missing_is(word):
    assert is_missing(word)
    assert may_be_missing(["F", "M", word]) == []


@pytest.mark.parametrize("code", sorted(MISSING_CODES))
def test_classes_and_measures_have_one_list(code):
    ages = [float(age) for age in range(20, 60)]
    assert missing_codes([*ages, code]) == {code}
    assert may_be_missing([f"{value:g}" for value in [*ages, code]]) == [f"{code:g}"]
    cells = {f"s{row}": f"{value:g}" for row, value in enumerate([*ages, code])}
    with pytest.raises(UserError, match=rf"codes for missing values, far from all others: {code:g} \(1 row\)"):
        outcome_of(cells, task="regression", name="age")


@pytest.mark.parametrize("code", [-3.0, -4.0, -7.0, -8.0])
def test_small_negative_numbers_are_values_beside_others(code):
    assert missing_codes([-8.5, -6.0, -2.0, 3.0, 8.0, code]) == set()
    assert missing_codes([0.0, 1.5, 8.0, code]) == {code}


def test_codes_among_labels_of_arrays_are_named_too(caplog):
    volumes = np.random.default_rng(0).random((9, 7, 8, 9))
    assert Study.from_arrays(volumes, [0, 1, -9] * 3).outcome.names == ("-9", "0", "1")
    assert "label '-9' is taken as it stands; if it means no label, set unlabelled=['-9']" in caplog.text
    caplog.clear()
    assert Study.from_arrays(volumes, [-1, 1, 1] * 3).outcome.names == ("-1", "1")
    assert Study.from_arrays(volumes, [0, 1, -9] * 3, unlabelled=[-9]).outcome.names == ("0", "1")
    assert not caplog.records
