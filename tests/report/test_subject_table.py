"""The table of tested subjects as it is without JavaScript, and what the script reads of it."""

import math
import re

import pytest

from mri3d.report.elements import element
from mri3d.report.subject_table import SubjectShown, subject_section
from tests.report.reader import HOSTILE
from tests.report.test_sprites import sheets
from tests.report.test_viewer import AWKWARD, SCRIPTS, Elements, digest, policy
from tests.report.tested import LABELS, ORDER, subject, subjects, table_of, text_of, write


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return write(tmp_path_factory.mktemp("page") / "page.html", subjects(), note=AWKWARD)


def measured(**more):
    """A subject whose value was predicted."""
    known = {"name": "s1", "fold": 0, "truth": "71.5", "prediction": "64", "values": {}, "wrongness": 7.5}
    return SubjectShown(**(known | more))


def titles(page):
    return [text_of(cell) for cell in table_of(page)[0]]


def column(page, title):
    """What stands in a column, and by what it is sorted."""
    place = titles(page).index(title)
    cells = [row[place] for row in table_of(page)[1]]
    return [text_of(cell).strip() for cell in cells], [cell.get("data-value") for cell in cells]


def test_the_most_wrong_come_first_and_what_is_not_known_last(page):
    header, rows = table_of(page)
    assert [row[0].find("bdi").text for row in rows] == ORDER
    assert {cell.get("aria-sort") for cell in header} == {None, "none", "descending"}
    (sorted_by,) = (text_of(cell) for cell in header if cell.get("aria-sort") == "descending")
    assert sorted_by == "Wrongness"
    ties = [subject(1, name=name, wrongness=0.5) for name in ("s10", "s9", "b")]
    assert re.findall("<bdi>(s10|s9|b)</bdi>", "".join(subject_section(ties, word="s", wrongness="w"))) == [
        "b",
        "s9",
        "s10",
    ]


def test_cells_have_what_is_known_and_the_numbers_that_they_are_sorted_by(page):
    assert titles(page) == [
        "Subject", "Picture", "Truth", "Prediction", "Probability of control", "<b>P</b>", "Wrongness", "Fold",
        "Most similar training scans", "Notes",
    ]  # fmt: skip
    assert column(page, "Truth") == (
        [LABELS[number % 3] for number in (11, 10, 9, 8, 7, 5, 4, 3, 2, 1, 0, 6)],
        [None] * 12,
    )
    wrong = [name for name, text in zip(ORDER, column(page, "Prediction")[0], strict=True) if text.endswith("wrong")]
    assert wrong == ["s11", "s7", "s5", "s1"]
    shown, values = column(page, "<b>P</b>")
    assert (shown[0], shown[8], values[0], values[8]) == ("0.110", "–", "0.11", None)
    assert [float(value) for value in column(page, "Fold")[1]] == [1, 0, 4, 3, 2, 0, 4, 3, 2, 1, 0, 1]
    assert (
        column(page, "Most similar training scans")[0][0]
        == f"train0control, 0.900train1{AWKWARD}, 0.800train2{LABELS[2]}, 0.700"
    )
    assert column(page, "Notes")[0][4:6] == ["", f"{AWKWARD}No heatmap."]


def test_each_picture_is_once_in_the_page_and_has_words(page):
    images = sheets(page)
    assert [of for _, of in images] == [12]  # though 44 are shown
    shown = [each for each in Elements(page).attributes("span") if each.get("role") == "img"]
    assert len(shown) == 11 * 4
    assert {each["class"] for each in shown} == {"tile tile-0"}
    assert {each["style"] for each in shown} == {f"--row:{row}" for row in range(12)}
    assert [each["aria-label"] for each in shown[:3]] == ["Heatmap of s11", "Scan of train0", "Scan of train1"]
    assert f"Heatmap of {AWKWARD}" in [each["aria-label"] for each in shown]
    assert page.count("No picture") == 1


def test_every_text_is_only_a_text_and_only_the_script_may_run(page):
    assert HOSTILE not in page
    assert AWKWARD in " ".join(Elements(page).texts)
    assert "<b>P</b>" not in page
    (code,) = SCRIPTS.findall(page)
    assert len(Elements(page).attributes("script")) == 1
    assert policy(page)["script-src"] == digest(code)
    assert policy(page)["img-src"] == "data:"
    assert not re.search(r"https?:|@import|\son[a-z]+=|url\((?!data:image/jpeg;base64,)", page)
    for forbidden in ("eval", "Function(", "fetch", "XMLHttpRequest", "innerHTML", "insertAdjacentHTML", "import("):
        assert forbidden not in code


def test_without_the_script_nothing_can_be_pressed(page):
    found = Elements(page)
    (bar,) = (each for each in found.attributes("div") if each.get("role") == "search")
    assert "hidden" in bar
    (button,) = found.attributes("button")
    assert button["data-view"] == AWKWARD
    assert "hidden" in button
    values = [each["value"] for each in found.attributes("option")]
    assert values == ["all", "wrong", "notes", "", AWKWARD, "control", LABELS[2]]


def test_a_measure_is_sorted_by_number_and_has_no_classes_to_choose(tmp_path):
    listed = [measured(), measured(name="s2", truth="8", prediction="9.25", wrongness=1.25)]
    text = write(tmp_path / "page.html", listed, word="session", wrongness="Absolute error")
    assert titles(text) == ["Session", "Truth", "Prediction", "Absolute error"]
    assert column(text, "Truth") == (["71.5", "8"], ["71.5", "8.0"])
    assert column(text, "Absolute error") == (["7.500", "1.250"], ["7.5", "1.25"])
    assert "2 tested sessions, the most wrong first.</p>" in text
    assert Elements(text).attributes("select") == []
    assert "image/jpeg" not in text


def test_labels_that_are_numbers_are_sorted_as_such_unless_one_is_none(tmp_path):
    for truths, values in ((("-1", "1"), ["-1.0", "1.0"]), (("1", "patient"), [None, None])):
        listed = [measured(truth=truth, wrongness=-place) for place, truth in enumerate(truths)]
        assert column(write(tmp_path / "page.html", listed), "Truth")[1] == values


def test_without_subjects_there_is_no_section_and_one_is_enough(tmp_path):
    assert subject_section([], word="subject", wrongness="w") == []
    only = [measured(values={"P": math.inf}, wrongness=math.nan, similar=[])]
    text = write(tmp_path / "page.html", only)
    assert column(text, "P") == (["–"], [None])
    assert "1 tested subject, the most wrong first." in text


def test_the_same_subjects_make_the_same_page_and_a_row_is_small(tmp_path, page):
    assert write(tmp_path / "page.html", subjects()[::-1], note=AWKWARD) == page
    several = [subject(number) for number in range(300)]
    text = element("div", *subject_section(several, word="subject", wrongness="w"))
    assert len(text.encode()) < 300 * 2200


def test_a_table_too_wide_for_the_page_scrolls_sideways_at_any_width():
    """Else it would stand over the edge of a wide window, where narrower tables are not held in."""
    for count, css in ((2, "subjects"), (12, "subjects subjects-wide")):
        many = [measured(values={f"Probability of {number}": 0.5 for number in range(count)})]
        page = "".join(subject_section(many, word="s", wrongness="w"))
        (width,) = re.findall(r"--width: ([0-9.]+)rem", page)
        assert (float(width) > 71) == (count == 12)
        assert f'class="{css}"' in page
