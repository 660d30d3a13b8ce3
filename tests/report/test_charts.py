"""Marks of charts say what they stand for where they stand, and charts of one page leave each other alone."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from mri3d.report.charts import chart, chart_picture, inline_chart, tell
from mri3d.report.elements import figure, write_page
from tests.report.reader import HOSTILE, read
from tests.report.svg import points, told

NAMES = [HOSTILE, "נבדק 12", "a \"b\" & 'c'", "new\nline", "\ud800\u202e\x00", ""]


def scatter(xs, ys, names=None, *, alt="Points.", **look):
    """A picture of marks, with another panel beside them."""
    with chart(6.0, 3.0) as drawing:
        first, axes = drawing.subplots(1, 2)
        first.set(xticks=[], yticks=[1e6], ylim=(0, 2e6))
        axes.scatter(xs, ys)
        axes.set(title="A title", **look)
        tell(axes, xs, ys, names or [str(place) for place in range(len(xs))])
        return chart_picture(drawing, alt, "A caption.")


@pytest.mark.parametrize("look", [{}, {"aspect": "equal"}, {"xscale": "log", "ylim": (60, 0)}])
def test_marks_say_their_text_where_they_are_drawn(look):
    xs, ys = np.random.default_rng(0).uniform(1, 50, (2, 7))
    picture = scatter(xs, ys, **look)
    (drawn,) = points(picture)
    assert [text for text, _ in told(picture)] == list("0123456")
    for (_, ends), point in zip(told(picture), drawn, strict=True):
        np.testing.assert_allclose(ends, [point, point], atol=0.006)  # of a point; y runs down


def test_marks_outside_of_the_axes_or_nowhere_say_nothing():
    xs, ys = [0.5, 2.0, np.nan, 0.0, 1.0], [0.5, 0.5, 0.5, 1.0, -0.1]
    assert [text for text, _ in told(scatter(xs, ys, xlim=(0, 1), ylim=(0, 1)))] == ["0", "3"]
    assert told(scatter([-1.0, 0.0, 10.0], [1.0, 2.0, 3.0], xscale="log"))[0][0] == "2"


def test_intervals_and_bars_are_hit_all_over_and_end_with_the_axes():
    with chart() as drawing:
        axes = drawing.add_subplot()
        axes.set(xlim=(0, 1), ylim=(0, 1))
        axes.scatter([0.2, 0.4, 1.0], [0.5, 0.1, 0.5], clip_on=False)
        tell(axes, [[0.2, 0.4]], [0.5], ["interval"])
        tell(axes, [[0.4, 7.0]], [[0.1, 0.5]], ["bar"])
        tell(axes, [[1.1, 7.0]], [0.5], ["outside"])
        picture = chart_picture(drawing, "", "")
    (interval, of_interval), (bar, of_bar) = told(picture)
    ((left, low, right),) = points(picture)
    assert (interval, bar) == ("interval", "bar")
    np.testing.assert_allclose(of_interval, [left, [low[0], left[1]]], atol=0.006)
    np.testing.assert_allclose(of_bar, [[low[0], right[1]], [right[0], low[1]]], atol=0.011)


def test_texts_of_marks_are_only_texts(tmp_path):
    picture = scatter(range(6), range(6), NAMES, alt=HOSTILE)
    shown = [*NAMES[:4], "???", None]
    assert [text for text, _ in told(picture)] == shown
    write_page(tmp_path / "report.html", title="t", sections=[figure(picture)])
    reader = read(tmp_path / "report.html")
    assert "script" not in reader.tags
    assert reader.told == shown[:-1]
    assert reader.images[0]["alt"] == HOSTILE
    assert reader.texts.count("A caption.") == 1
    assert not {"A title", HOSTILE} & set(reader.texts)


def test_charts_of_a_page_have_no_id_in_common_and_are_the_same_each_time(tmp_path):
    def pictures():
        return [scatter([0, 1], [0, 1], ["a", name], alt=alt) for name, alt in (("b", "x"), ("c", "x"), ("b", "y"))]

    write_page(tmp_path / "report.html", title="t", sections=list(map(figure, pictures())))
    ids = read(tmp_path / "report.html").ids
    assert len(ids) == len(set(ids)) > 9
    page = (tmp_path / "report.html").read_text()
    assert {place.partition('"')[0] for place in page.split('xlink:href="#')[1:]} <= set(ids)
    assert {place.partition(")")[0] for place in page.split("url(#")[1:]} <= set(ids)
    assert "<style" not in "".join(map(inline_chart, pictures()))  # it would be the whole page's
    assert [each.data for each in pictures()] == [each.data for each in pictures()]


@pytest.mark.parametrize(("number", "role"), [(0, "img"), (100, "group"), (101, "img")])
def test_a_screen_reader_finds_the_marks_where_they_are_few(number, role):
    picture = scatter(range(number), range(number))
    svg = ElementTree.fromstring(inline_chart(picture).replace("xlink:", ""))
    assert (svg.get("role"), svg.get("aria-label")) == (role, "Points.")
    drawn, *marks = svg
    assert drawn.get("aria-hidden") == "true"
    assert [each.get("aria-hidden") for each in marks] == ([] if not number else [None if role == "group" else "true"])


def test_of_too_many_marks_some_say_what_they_stand_for():
    found = [int(text) for text, _ in told(scatter(range(4000), range(4000)))]
    assert len(found) == 1500
    assert (found[0], found[-1]) == (0, 3999)
    assert set(np.diff(found)) == {2, 3}
