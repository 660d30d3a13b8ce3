"""Charts of classes show the numbers they are given, whatever the classes are called."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from scipy.stats import binomtest

from mri3d.outcome import Classes
from mri3d.report.class_charts import (
    calibration_chart,
    confusion_table,
    precision_recall_chart,
    probability_chart,
    roc_chart,
    wilson_interval,
)
from mri3d.report.shown_tests import ShownTests
from tests.report.svg import points, texts, told

CHARTS = (roc_chart, precision_recall_chart, probability_chart, calibration_chart)
RANKED = np.array([0.9, 0.8, 0.7, 0.6, 0.3]), np.array([1, 1, 0, 1, 0])  # probabilities, truth


def case(names, seed=0):
    random = np.random.default_rng(seed)
    targets = random.integers(0, len(names), 60)
    proba = random.dirichlet(np.ones(len(names)), 60)
    return Classes(names), ShownTests(targets, proba)


@pytest.mark.parametrize("chart", CHARTS)
def test_hostile_class_names_are_shown_as_they_are(chart):
    picture = chart(*case(("_hidden", "<b>$\\frac", "健常")))
    shown = texts(picture)
    if chart is not calibration_chart:
        assert {" _hidden", "<b>$\\frac", "健常"} <= set(shown)
    assert picture.media_type == "image/svg+xml"
    assert picture.alt
    assert picture.caption


@pytest.mark.parametrize("chart", CHARTS)
def test_two_classes_show_the_positive_one(chart):
    assert any("patient" in text for text in texts(chart(*case(("control", "patient")))))


@pytest.mark.parametrize(
    ("chart", "across", "upwards"),
    [
        (roc_chart, "False positive rate", "True positive rate"),
        (precision_recall_chart, "Recall", "Precision"),
        (probability_chart, "Predicted probability of patient", "Number of tests"),
        (calibration_chart, "Predicted probability of patient", "Observed frequency"),
    ],
)
def test_axes_have_the_names_that_the_field_has_for_them(chart, across, upwards):
    assert {across, upwards} <= set(texts(chart(*case(("control", "patient")))))


def test_more_classes_are_drawn_each_against_all_others():
    picture = roc_chart(*case(("a", "b", "c")))
    assert {"a", "b", "c", "Chance"} <= set(texts(picture))
    assert picture.caption.startswith("ROC curve of each class against all others.")
    assert "Predicted probability of the true class" in texts(probability_chart(*case(("a", "b", "c"))))
    assert "Predicted probability of the predicted class" in texts(calibration_chart(*case(("a", "b", "c"))))


@pytest.mark.parametrize("chart", CHARTS)
@pytest.mark.parametrize("num_tests", [1, 7])
def test_tests_of_one_class_are_drawn(chart, num_tests):
    proba = np.tile([0.8, 0.2], (num_tests, 1))  # constant too
    picture = chart(Classes(("control", "patient")), ShownTests(np.zeros(num_tests, dtype=np.int64), proba))
    assert len(texts(picture)) > 4


@pytest.mark.parametrize("chart", CHARTS)
def test_the_same_run_gives_the_same_bytes(chart):
    assert chart(*case(("a", "b"))).data == chart(*case(("a", "b"))).data


def of_two(positive, truth):
    """Arguments of a chart of two classes."""
    return Classes(("a", "b")), ShownTests(truth, np.stack([1 - positive, positive], 1))


def test_steps_of_the_roc_curve_say_from_which_probability_on():
    picture = roc_chart(*of_two(*RANKED))
    steps = {0.9: (0, 1 / 3), 0.8: (0, 2 / 3), 0.7: (1 / 2, 2 / 3), 0.6: (1 / 2, 1), 0.3: (1, 1)}
    named = {"Never b": (0, 0)} | {f"Probability of b from {step:.3f} on": rates for step, rates in steps.items()}
    assert [text for text, _ in told(picture)] == [
        f"{name}\nFalse positive rate {false:.3f}\nTrue positive rate {true:.3f}"
        for name, (false, true) in named.items()
    ]
    places = np.array([ends[0] for _, ends in told(picture)])
    shares = (places - places[0]) / (places[-1] - places[0])
    np.testing.assert_allclose(shares, list(named.values()), atol=1e-4)


def test_precision_and_recall_by_hand():
    picture = precision_recall_chart(*of_two(*RANKED))
    said = [text.replace("Probability of b from ", "") for text, _ in told(picture)]
    assert said == [  # from the last probability on everybody is b: chance
        "0.300 on\nRecall 1.000\nPrecision 0.600",
        "0.600 on\nRecall 1.000\nPrecision 0.750",
        "0.700 on\nRecall 0.667\nPrecision 0.667",
        "0.800 on\nRecall 0.667\nPrecision 1.000",
        "0.900 on\nRecall 0.333\nPrecision 1.000",
    ]
    area = (2 / 3) * 1 + (1 / 3) * 0.75
    assert picture.caption == (
        f"Precision-recall curve of b. Dotted line: chance. Average precision of b is {area:.3f} (chance 0.600)."
    )
    assert {"Chance", "b"} <= set(texts(picture))
    several = precision_recall_chart(*case(("a", "b", "c")))
    assert "against all others. Dotted lines: chance, how frequent each class is. Average precision of a is" in (
        several.caption
    )
    assert several.caption.count("(chance 0.") == 3


def test_bars_and_bins_say_how_many_tests_they_are_of():
    positive, truth = np.array([0.01, 0.02, 0.02, 0.61, 0.93]), np.array([0, 0, 1, 1, 1])
    assert [text for text, _ in told(probability_chart(*of_two(positive, truth)))] == [
        "Probability 0.00 to 0.05\na: 2\nb: 1",
        "Probability 0.60 to 0.65\nb: 1",
        "Probability 0.90 to 0.95\nb: 1",
    ]
    first, *_, last = [text for text, _ in told(calibration_chart(*of_two(positive, truth)))]
    assert first == "Predicted 0.0 to 0.1, mean 0.017\nObserved 0.333 (0.061 to 0.792)\n1 of 3 tests"
    assert last.startswith("Predicted 0.9 to 1.0, mean 0.930\nObserved 1.000 (0.207 to 1.000)\n1 of 1 test")


def test_calibration_marks_stand_at_probability_and_frequency():
    proba = np.repeat([0.15, 0.55, 0.85], [10, 10, 20])
    targets = np.r_[np.repeat([1, 0], [1, 9]), np.repeat([1, 0], [5, 5]), np.repeat([1, 0], [16, 4])]
    drawn = np.concatenate(points(calibration_chart(*of_two(proba, targets))))
    assert len(drawn) == 3
    scale = np.polyfit([0.15, 0.55, 0.85], drawn[:, 0], 1)[0]  # the axes have one scale, and y runs down
    np.testing.assert_allclose(np.diff(drawn[:, 0]) / scale, [0.4, 0.3], atol=1e-4)
    np.testing.assert_allclose(np.diff(drawn[:, 1]) / -scale, [0.5 - 0.1, 0.8 - 0.5], atol=1e-4)


def test_the_confusion_matrix_escapes_names_and_counts_absent_classes():
    html = confusion_table(Classes(("a", "<b>", "c")), ShownTests(np.array([0, 0, 1]), np.eye(3)[[0, 1, 1]]))
    assert "<th>True: &lt;b&gt;</th>" in html
    cells = [int(cell.partition("<")[0]) for cell in html.split("<td")[1:] for cell in [cell.partition("<b>")[2]]]
    assert cells == [1, 1, 0, 0, 1, 0, 0, 0, 0]


@pytest.mark.parametrize(("hits", "trials"), [(0, 5), (8, 10), (97, 131)])
def test_wilson_interval_equals_scipy(hits, trials):
    expected = binomtest(hits, trials).proportion_ci(0.95, method="wilson")
    assert wilson_interval(hits, trials) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_many_classes_have_room_for_their_names():
    few, many = (case(tuple(f"diagnosis number {place}" for place in range(count))) for count in (4, 10))

    def height(picture):
        return float(ElementTree.fromstring(picture.data).get("height").removesuffix("pt"))

    for chart in (roc_chart, precision_recall_chart, probability_chart):
        assert {f"diagnosis number {place}" for place in range(10)} <= set(texts(chart(*many)))
        assert height(chart(*many)) > height(chart(*few)) + 30
    assert confusion_table(*many).startswith('<figure class="wide">')
    assert 'class="confusion dense"' in confusion_table(*many)
    assert 'class="confusion"' in confusion_table(*few)
