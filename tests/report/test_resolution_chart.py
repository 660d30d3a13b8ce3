"""The chart of a sweep over resolutions shows scores with intervals, seconds and memory where they belong."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from mri3d.report.resolution_chart import resolution_chart
from mri3d.report.sweep_runs import SweepPart, SweepRun
from tests.report.reader import HOSTILE
from tests.report.svg import lines, marks, texts, told


def run(resolution, value, *, reach=None, seconds=4.0, memory=512.0, **settings):
    ends = {} if reach is None else {"low": value - reach, "high": value + reach}
    metrics = {"test": {"auc": {"value": value, **ends}}, "seconds": {"total": seconds}, "peak_memory_mb": memory}
    return SweepRun({"resolution": resolution, **settings}, Path(), metrics)


def failed(resolution, **settings):
    return SweepRun({"resolution": resolution, **settings}, Path(), None, "no room")


def chart_of(*runs: SweepRun, **chance):
    return resolution_chart(SweepPart("sex", runs, ("auc",), False, chance))


def most_starts(picture):
    """In how many pieces the most broken line is drawn."""
    paths = [node for node in ElementTree.fromstring(picture.data).iter() if node.tag.endswith("}path")]
    return max(path.get("d").count("M") for path in paths if path.get("clip-path"))


def slopes(across, values):
    """How far a unit reaches on the way from one to the next."""
    return np.diff(across) / np.diff(values)


def test_values_stand_at_their_number_with_their_intervals():
    scores = {"50": 0.6, "100": 0.7, "200": 0.8}
    costs = {"50": (4.0, 512.0), "100": (8.0, 1024.0), "200": (10.0, 3072.0)}
    of_runs = [
        run(edge, score, reach=0.05, seconds=costs[edge][0], memory=costs[edge][1])
        for edge, score in reversed(scores.items())
    ]
    picture = chart_of(*of_runs, auc=0.5)
    score, seconds, memory = marks(picture)
    np.testing.assert_allclose(np.diff(score[:, 0])[1], 2 * np.diff(score[:, 0])[0], atol=0.01)
    np.testing.assert_allclose(seconds[:, 0], score[:, 0], atol=0.01)  # the panels share the axis
    np.testing.assert_allclose(memory[:, 0], score[:, 0], atol=0.01)
    per_unit = slopes(score[:, 1], list(scores.values()))
    assert per_unit[0] == pytest.approx(per_unit[1], rel=1e-3)
    long = 0.1 * abs(per_unit[0])
    bars = [bar for bar in lines(picture) if np.ptp(bar[:, 1]) == pytest.approx(long, abs=0.01)]  # not the grid
    expected = [[(x, y - sign * long / 2) for sign in (-1, 1)] for x, y in score]
    np.testing.assert_allclose(bars, expected, atol=0.01)
    np.testing.assert_allclose([np.sort(ends, axis=0)[::-1] for _, ends in told(picture)[:3]], expected, atol=0.01)
    for drawn, values in ((seconds, [4, 8, 10]), (memory, [0.5, 1, 3])):
        assert slopes(drawn[:, 1], values)[0] == pytest.approx(slopes(drawn[:, 1], values)[1], rel=1e-3)
    assert {"50", "100", "200", "AUC", "Seconds", "Memory (GiB)"} <= set(texts(picture))
    assert sum(text.isdigit() and int(text) > 20 for text in texts(picture)) == 3  # no panel has ticks of its own
    assert "Bars: 95 % intervals. Dotted line: guessing." in picture.caption
    assert "One line" not in picture.caption


def test_each_model_has_a_line_moved_sideways():
    pairs = [
        run(edge, value, reach=0.05, model=model)
        for edge in ("16", "24")
        for model, value in (("knn", 0.7), ("ridge", 0.6))
    ]
    picture = chart_of(*pairs)
    knn, ridge, *_ = marks(picture)
    assert (knn[:, 1] < ridge[:, 1]).all()  # y runs down
    step = ridge[:, 0] - knn[:, 0]
    np.testing.assert_allclose(step, [0.015 * np.diff(knn[:, 0])[0]] * 2, atol=0.01)
    assert {"knn", "ridge"} <= set(texts(picture))
    assert "One line for each model, moved a little sideways." in picture.caption
    assert "guessing" not in picture.caption
    said = told(picture)
    assert len(said) == 3 * 4  # in each panel
    text, ends = said[0]
    assert text == "16 · knn\nAUC 0.700 (0.650 to 0.750)\n4.0 seconds, memory 512 MiB"
    assert ends[:, 0] == pytest.approx(knn[0, 0], abs=0.006)
    assert said[3][0].startswith("24 · ridge\nAUC 0.600 (0.550")
    assert said[3][1][:, 0] == pytest.approx(ridge[1, 0], abs=0.006)


def test_lines_move_by_less_than_half_the_way_to_the_next_resolution():
    many = [run(edge, 0.6, seed=str(seed)) for edge in ("48", "50", "200") for seed in range(14)]
    picture = chart_of(*many)
    score = np.array(marks(picture)[:12])
    assert np.ptp(score[:, 0, 0]) < 0.5 * (score[0, 1, 0] - score[0, 0, 0])
    assert {"48", "200"} <= set(texts(picture))
    assert "50" not in texts(picture)  # would touch 48
    assert "2 more lines are left out." in picture.caption
    assert len(marks(picture)) == 3 * 12


def test_native_stands_last_and_the_others_side_by_side():
    picture = chart_of(run("native", 0.8), run("50", 0.6), run("200", 0.7))
    across, upwards = marks(picture)[0].T
    assert np.diff(across) == pytest.approx([np.diff(across)[0]] * 2, abs=0.01)
    assert (np.diff(upwards) < 0).all()
    shown = texts(picture)
    assert shown.index("50") < shown.index("200") < shown.index("native")


def test_a_run_that_failed_leaves_a_gap():
    ended = [run(edge, 0.7) for edge in ("10", "20", "40", "50")]
    whole, broken = chart_of(*ended), chart_of(*ended, failed("30"))
    assert (most_starts(whole), most_starts(broken)) == (1, 2)
    assert len(told(broken)) == len(told(whole)) == 12
    assert "30" in texts(broken)
    assert "Gaps: runs that failed." in broken.caption
    assert "Gaps" not in whole.caption
    assert "Gaps" not in chart_of(*ended[:2], failed("a", model="b")).caption  # no resolution


@pytest.mark.parametrize(
    "runs",
    [
        [run("50", 0.7, model="knn"), run("50", 0.8, model="ridge")],
        [run("50", 0.7), failed("100")],
        [run("50", 0.7), run("100", None)],
        [run("50", 0.7), run("[50,60,50]", 0.7)],
        [SweepRun({"model": model}, Path(), run("50", 0.7).metrics) for model in ("knn", "ridge")],
    ],
)
def test_fewer_than_two_resolutions_have_no_chart(runs):
    assert chart_of(*runs) is None


def test_runs_of_earlier_versions_do_not_know_their_memory():
    earlier = [run(edge, 0.7, memory=None) for edge in ("16", "24")]
    picture = chart_of(*earlier)
    assert len(marks(picture)) == 2
    assert "emory" not in picture.caption + picture.alt
    assert told(picture)[0][0].endswith("\n4.0 seconds, memory –")
    del earlier[0].metrics["peak_memory_mb"]
    one = chart_of(*earlier, run("32", 0.7))
    assert "Memory (GiB)" in texts(one)
    assert len(told(one)) == 3 + 3 + 1


def test_the_axis_of_memory_counts_mebibytes_by_1024():
    shown = texts(chart_of(*(run(edge, 0.7, seconds=10.0, memory=2.6 * 1024) for edge in ("16", "24"))))
    assert "2" in shown
    assert "3" not in shown  # the axis ends at 2.99


def test_costs_that_span_more_than_a_decade_are_logarithmic():
    picture = chart_of(*(run(edge, 0.7, seconds=took) for edge, took in (("16", 10.0), ("24", 100.0), ("32", 1000.0))))
    upwards = marks(picture)[1][:, 1]
    assert np.diff(upwards) == pytest.approx([np.diff(upwards)[0]] * 2, abs=0.01)
    assert {"10", "100", "1000"} <= set(texts(picture))


def test_names_are_texts():
    names = [HOSTILE, "_a $x$", "\u05e9\u05dc\u05d5\u05dd\u202e\x07"]
    picture = chart_of(*(run(edge, 0.7, **{HOSTILE: name}) for edge in ("16", "native") for name in names))
    assert HOSTILE.encode() not in picture.data
    assert {'<script>alert("1")</scr…', " _a $x$", "\u05e9\u05dc\u05d5\u05dd??"} <= set(texts(picture))
    assert told(picture)[0][0].startswith(f"16 · {HOSTILE}\nAUC 0.700\n")
