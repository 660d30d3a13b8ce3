"""Calibration in the report of a run."""

import pytest

from mri3d.outcome import Classes, Measure
from mri3d.report.calibration_section import calibration_section
from tests.commands import undrawn
from tests.report.example import AGE, class_metrics, report
from tests.report.reader import HOSTILE

UNDEFINED = {"value": None, "low": None, "high": None, "undefined": "the tests are of one class only"}


def content(name="M", **more):
    estimates = {
        "mean_difference": {"value": 0.1412, "low": 0.0812, "high": 0.2012},
        "intercept": {"value": -0.2, "low": -0.6, "high": 0.2},
        "slope": {"value": 0.612, "low": 0.412, "high": 0.812},
    }
    told = {"number": 52, "mean_probability": 0.8, "observed": 0.72}
    return {
        "fits": [{"fold": 0, "method": "temperature", "temperature": 1.31, "log_odds": [-1.2]}],
        "prevalence": {"F": 0.77, name: 0.23},
        "predicted": {"F": told, name: told},
        "estimates": {name: estimates | more},
    }


@undrawn()
def test_the_section_says_what_was_done_and_what_came_of_it(tmp_path):
    texts = report(tmp_path, class_metrics() | {"calibration": content()}).texts
    texts = [text for text in texts if text.strip()]
    start = texts.index("Calibration")
    assert texts.index("Who took part") < texts.index("Test results") < start
    assert "77 % of class F, 23 % of class M" in texts[start + 1]
    assert "a temperature of 1.31" in texts[start + 1]
    assert "Of the 52 tests predicted as class M, with a probability of 80 % on average, 72 %" in texts[start + 2]
    assert "too high, by 0.14 on average. Probabilities of class M are too extreme" in texts[start + 3]
    row = texts.index("M", start)
    header = ["label", "Calibration in the large", "Calibration intercept", "Calibration slope"]
    assert texts[row - 4 : row] == header
    assert texts[row + 1 : row + 4] == ["0.141 (0.081 to 0.201)", "-0.200 (-0.600 to 0.200)", "0.612 (0.412 to 0.812)"]


def test_a_measure_has_its_own_words():
    text = "".join(calibration_section(AGE, {"fits": [], "estimates": content("age")["estimates"]}))
    assert "Predicted minus true age is 0.1412 on average (95 % interval 0.0812 to 0.2012)." in text
    assert "<th></th><th>Calibration in the large</th>" in text
    assert "<th>age</th>" in text


@pytest.mark.parametrize(("name", "shown"), [("M", "M"), (HOSTILE, "&lt;script&gt;")])
def test_what_is_not_defined_is_a_dash_and_a_reason(name, shown):
    undefined = content(name, slope=UNDEFINED, intercept=UNDEFINED)
    text = "".join(calibration_section(Classes(("F", name)), undefined))
    assert text.count("–") == 2
    assert f"No calibration curve for {shown}" in text
    assert text.count("the tests are of one class only") == 1
    assert HOSTILE not in text


def test_runs_of_earlier_versions_have_no_such_section():
    assert calibration_section(Measure("age"), None) == []
