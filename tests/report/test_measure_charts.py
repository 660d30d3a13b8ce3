"""Charts of a measure show each test where it is, and lines that say how predictions follow the truth."""

import re

import numpy as np
import pytest

from mri3d.outcome import Measure
from mri3d.outcome.line import Line
from mri3d.report.measure_charts import error_against_true_chart, predicted_against_true_chart
from mri3d.report.shown_tests import ShownTests
from tests.report.reader import HOSTILE
from tests.report.svg import lines, points, texts, told

CHARTS = (predicted_against_true_chart, error_against_true_chart)
AGE = Measure("age")


def case(num_tests=40, slope=0.5, seed=0):
    random = np.random.default_rng(seed)
    targets = random.uniform(20, 86, num_tests)
    return targets, 50 + slope * (targets - 50) + random.normal(0, 5, num_tests)


def per_unit(values, places):
    """Pixels for each unit of the values; the places must follow them exactly."""
    scale, start = np.polyfit(values, places, 1)
    np.testing.assert_allclose(start + scale * values, places, atol=0.01)
    return scale


def test_predictions_stand_at_their_values_on_axes_of_one_scale():
    targets, predictions = case()
    picture = predicted_against_true_chart(AGE, ShownTests(targets, predictions))
    (drawn,) = points(picture)
    across, upwards = per_unit(targets, drawn[:, 0]), per_unit(predictions, drawn[:, 1])
    assert across > 0
    assert upwards == pytest.approx(-across, rel=1e-3)  # y runs down
    line = Line.fit(targets, predictions)
    identity, fitted = lines(picture)
    assert np.diff(identity[:, 1]) == pytest.approx(-np.diff(identity[:, 0]), rel=1e-3)
    ends = [targets.min(), targets.max()]
    np.testing.assert_allclose(fitted[:, 0], drawn[[targets.argmin(), targets.argmax()], 0], atol=0.01)
    heights = drawn[0, 1] + upwards * (line.undo(np.array(ends)) - predictions[0])
    np.testing.assert_allclose(fitted[:, 1], heights, atol=0.01)
    slope = line.slope
    assert {"True age", "Predicted age", "Identity", f"Fitted line, slope {slope:.2f}"} <= set(texts(picture))


def test_errors_stand_at_predicted_minus_true():
    targets, predictions = case()
    picture = error_against_true_chart(AGE, ShownTests(targets, predictions))
    (drawn,) = points(picture)
    per_unit(targets, drawn[:, 0])
    upwards = per_unit(predictions - targets, drawn[:, 1])
    assert upwards < 0
    zero, fitted = lines(picture)
    assert zero[:, 1] == pytest.approx(drawn[0, 1] - upwards * (predictions - targets)[0], abs=0.01)
    assert np.diff(fitted[:, 1]) / upwards < 0
    slope = AGE.scores(targets, predictions)["error_slope"]
    shown = {"True age", "Predicted minus true age", "No error", f"Fitted line, slope −{-slope:.2f}"}
    assert shown <= set(texts(picture))


@pytest.mark.parametrize("chart", CHARTS)
def test_each_point_says_who_it_is(chart):
    targets, predictions = np.array([40.0, 50.25, 60.0]), np.array([41.5, 50.0, 60.0])
    picture = chart(AGE, ShownTests(targets, predictions, subjects=["s1", HOSTILE, "נבדק"]))
    assert [text for text, _ in told(picture)] == [
        "s1\nTrue age 40.000\nPredicted 41.500\nError 1.500",
        f"{HOSTILE}\nTrue age 50.250\nPredicted 50.000\nError -0.250",
        "נבדק\nTrue age 60.000\nPredicted 60.000\nError 0.000",
    ]
    np.testing.assert_allclose([ends[0] for _, ends in told(picture)], points(picture)[0], atol=0.006)
    nameless = told(chart(AGE, ShownTests(targets, predictions, predictions + 1)))
    assert nameless[0][0].split("\n") == [
        "True age 40.000", "Predicted 41.500", "Error 1.500", "Predicted before correction 42.500",
    ]  # fmt: skip


@pytest.mark.parametrize("chart", CHARTS)
def test_predictions_before_correction_stand_beneath_in_grey(chart):
    targets, raw = case()
    corrected = Line.fit(targets, raw).correct(raw)
    picture = chart(AGE, ShownTests(targets, corrected, raw))
    beneath, above = points(picture)[:2]  # behind them, the legend's own
    expected = [raw, corrected] if chart is predicted_against_true_chart else [raw - targets, corrected - targets]
    scales = [per_unit(values, drawn[:, 1]) for values, drawn in zip(expected, (beneath, above), strict=True)]
    assert scales[0] == pytest.approx(scales[1], rel=1e-3)
    assert {"Before correction", "Corrected"} <= set(texts(picture))
    assert picture.caption.endswith("Grey: the predictions before correction (model.debias=true).")
    slope = "1.00" if chart is predicted_against_true_chart else "0.00"
    assert f"Fitted line, slope {slope}" in texts(picture)


@pytest.mark.parametrize("chart", CHARTS)
def test_a_line_is_fitted_only_where_there_are_two_values(chart):
    for targets in (np.array([50.0]), np.full(5, 50.0)):
        picture = chart(AGE, ShownTests(targets, targets + 3))
        assert len(points(picture)[0]) == len(targets)
        assert not any("slope" in text for text in texts(picture))


@pytest.mark.parametrize(("chart", "slope"), [(CHARTS[0], "0.00"), (CHARTS[1], "−1.00")])
def test_constant_predictions_are_drawn(chart, slope):
    targets, _ = case()
    assert f"Fitted line, slope {slope}" in texts(chart(AGE, ShownTests(targets, np.full(len(targets), 50.0))))


@pytest.mark.parametrize("chart", CHARTS)
@pytest.mark.parametrize("scale", [-1.0, 1e-5, 1e7])
def test_values_of_any_size_are_drawn(chart, scale):
    targets, predictions = case(500)
    (drawn,) = points(chart(AGE, ShownTests(scale * targets, scale * predictions)))
    assert len(drawn) == 500
    per_unit(scale * targets, drawn[:, 0])


@pytest.mark.parametrize("chart", CHARTS)
@pytest.mark.parametrize(("scale", "tick"), [(2e-6, "0.00008"), (2e4, "1200000"), (1e5, "6000000")])
def test_numbers_at_the_ticks_are_whole_and_do_not_overlap(chart, scale, tick):
    targets, predictions = case()
    picture = chart(AGE, ShownTests(scale * targets, scale * predictions))
    shown = texts(picture)
    assert tick in shown
    assert not any(re.search(r"\de[-+−]?\d", text) for text in shown)  # no power of ten beside an axis
    ticks = [text for text in shown[: shown.index("True age")] if re.fullmatch("[0-9.]+", text)]  # of the axis below
    assert 3 <= len(ticks) <= 5
    assert sum(map(len, ticks)) < 40


@pytest.mark.parametrize("chart", CHARTS)
@pytest.mark.parametrize("name", ["_x", "<b>$\\frac", "a score of a long battery of tests"])
def test_a_measure_may_have_any_name(chart, name):
    picture = chart(Measure(name), ShownTests(*case()))
    label = name if len(name) <= 24 else name[:23] + "…"
    assert f"True {label}" in texts(picture)
    assert name in picture.alt
    assert picture.data == chart(Measure(name), ShownTests(*case())).data  # the same run gives the same bytes
