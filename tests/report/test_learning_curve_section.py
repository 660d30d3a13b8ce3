"""Learning curves in the report of a run."""

import re

import numpy as np
import pytest

from mri3d.report.learning_curve_section import learning_curve_chart, learning_curve_section
from tests.report.example import class_metrics, report
from tests.report.svg import points, texts, told

SIZES = [20.0, 40.4, 60.0, 80.0, 100.0]
SENTENCE = "With twice as many training sessions (200) the AUC would be about 0.929, if the curve goes on."


def score(value, low=None, high=None):
    return {"value": value, "low": low, "high": high}


def found(**more):
    """The `learning_curve` of a metrics.json: errors of n ** -0.5."""
    band = np.geomspace(20, 400, 21)
    values = {size: 1 - size**-0.5 for size in [*SIZES, 150.0, 200.0, 400.0]}
    return {
        "score": "auc",
        "ascending": False,
        "fractions": [0.2, 0.4, 0.6, 0.8, 1.0],
        "num_train": SIZES,
        "scores": [
            {"auc": score(values[size], values[size] - 0.05, values[size] + 0.05), "accuracy": score(0.625)}
            for size in SIZES
        ],
        "helps": True,
        "sentence": SENTENCE,
        "law": {"a": 0.0, "b": 1.0, "c": 0.5, "c_low": 0.25, "c_high": 0.75},
        "forecasts": [
            {"times": size / 100, "num_train": size, **score(values[size], values[size] - 0.02, values[size] + 0.02)}
            for size in (150.0, 200.0, 400.0)
        ],
        "band": {
            "num_train": band.tolist(),
            "value": (1 - band**-0.5).tolist(),
            "low": (1 - 1.2 * band**-0.5).tolist(),
            "high": (1 - 0.8 * band**-0.5).tolist(),
        },
    } | more


def without_law():
    return {key: value for key, value in found(helps=False).items() if key not in ("law", "forecasts", "band")}


def section(curve, compared=("auc", "accuracy", "balanced_accuracy")):
    return "".join(learning_curve_section(curve, compared))


def cells(text):
    """The cells of each row of the table, its header first."""
    return [re.findall(r"<t[hd]>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", text)]


def test_points_and_forecasts_are_listed():
    header, *rows = cells(section(found()))
    assert header == ["Training sessions", "Share of all", "AUC", "Accuracy"]
    assert rows[0] == ["20", "20 %", "0.776 (0.726 to 0.826)", "0.625"]
    assert rows[1][:2] == ["40", "40 %"]
    assert rows[4] == ["100", "100 %", "0.900 (0.850 to 0.950)", "0.625"]
    assert rows[5] == ["150, forecast", "150 %", "0.918 (0.898 to 0.938)", ""]
    assert [row[:2] for row in rows[6:]] == [["200, forecast", "200 %"], ["400, forecast", "400 %"]]


def test_the_sentence_comes_first_and_the_law_is_explained():
    text = section(found())
    assert f"<h2>Learning curve</h2><p>{SENTENCE}</p>" in text
    assert "fitted again to 20 %, 40 %, 60 % and 80 % of the sessions that it learns from" in text
    assert "the power law 0.000 + 1.000 × n^−0.50 of the error (1 − AUC)" in text
    assert "exponent is 0.25 to 0.75" in text
    of_a_measure = found(score="mae", ascending=True, scores=[{"mae": score(5.0, 4.0, 6.0)}] * 5)
    assert "of the MAE for n training sessions" in section(of_a_measure, ["mae", "r2"])


def test_where_no_gain_is_shown_there_is_no_number_that_looks_certain():
    text = section(found(helps=False, sentence="These points do not show that more sessions would help."))
    assert "<p>These points do not show that more sessions would help.</p>" in text
    assert "power law" not in re.sub("<figcaption>.*</figcaption>", "", text)
    assert cells(text)[6] == ["150, forecast", "150 %", "0.898 to 0.938", ""]
    open_ended = found(helps=False)
    open_ended["forecasts"][0] |= {"low": 0.5, "high": None}
    open_ended["forecasts"][1] |= {"low": None}
    open_ended["forecasts"][2] |= {"low": None, "high": None}
    assert [row[2] for row in cells(section(open_ended))[6:]] == ["0.500 and more", "0.949 and less", "–"]


def test_scores_before_correction_are_listed_where_the_curve_is_of_them():
    curve = found(score="mae_raw", ascending=True, scores=[{"mae_raw": score(5.0), "r2_raw": score(0.5)}] * 5)
    assert cells(section(curve, ["mae", "r2", "pearson_r"]))[0][2:] == ["MAE, uncorrected", "R², uncorrected"]


def test_a_curve_without_a_law_has_points_only():
    text = section(without_law())
    assert len(cells(text)) == 6
    assert "Power law" not in "".join(texts(learning_curve_chart(without_law())))


def test_the_chart_has_a_mark_at_each_point_and_the_law_goes_through_them():
    picture = learning_curve_chart(found())
    marks, _ = points(picture)  # the other is the legend's
    assert len(marks) == 5
    steps = np.diff(marks, axis=0)
    assert (steps[:, 0] > 0).all()
    assert (steps[:, 1] < 0).all(), "better is higher, and y runs down"
    said = told(picture)
    assert said[0][0] == "20 training sessions\nAUC 0.776 (0.726 to 0.826)"
    assert said[-1][0] == "400 training sessions, forecast\nAUC 0.950 (0.930 to 0.970)"
    np.testing.assert_allclose([ends.mean(axis=0) for _, ends in said[:5]], marks, atol=0.01)
    logs = np.diff(np.log(SIZES))
    assert np.allclose(steps[:, 0] / logs, steps[0, 0] / logs[0], rtol=1e-3)
    shown = set(texts(picture))
    assert {
        "Training sessions",
        "AUC",
        "Measured, with 95 % interval",
        "Power law",
        "Power law, 95 % interval",
    } <= shown
    assert {"20", "50", "100", "200"} <= shown, "numbers, not powers of ten"
    assert picture.alt == (
        "AUC by the number of training sessions: 0.776 with 20, 0.843 with 40, 0.871 with 60, 0.888 with 80, 0.900 "
        "with 100."
    )
    assert learning_curve_chart(found()).data == picture.data


def test_a_law_that_shows_no_gain_is_drawn_as_a_band_alone():
    picture = learning_curve_chart(found(helps=False))
    assert len(told(picture)) == 5  # no forecast
    shown = set(texts(picture))
    assert "Power law, 95 % interval" in shown
    assert "Power law" not in shown


@pytest.mark.parametrize("lost", [0, 4])
def test_what_is_not_defined_or_open_is_left_out(lost):
    curve = found()
    curve["scores"][lost] = {"auc": score(None), "accuracy": score(None)}
    curve["band"]["low"] = [None] * 21
    marks, _ = points(learning_curve_chart(curve))
    assert len(marks) == 4
    assert cells(section(curve))[1 + lost][2:] == ["–", "–"]


def test_no_section_where_none_was_asked_for():
    assert learning_curve_section(None, ["auc"]) == []


def test_the_page_has_the_section_where_it_was_asked_for(tmp_path):
    assert "Learning curve" in report(tmp_path, class_metrics() | {"learning_curve": found()}).texts
    assert "Learning curve" not in report(tmp_path, class_metrics()).texts
