"""Charts show the numbers they are given, whatever the classes are called."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from scipy.stats import binomtest

from mri3d.report.charts import (
    calibration_chart,
    probability_chart,
    roc_chart,
    training_chart,
    validation_chart,
    wilson_interval,
)

CHARTS = (roc_chart, probability_chart, calibration_chart)


def case(num_classes, seed=0):
    random = np.random.default_rng(seed)
    targets = random.integers(0, num_classes, 60)
    proba = random.dirichlet(np.ones(num_classes), 60)
    return targets, proba


def texts(picture):
    """All texts of the SVG, which parsing also proves to be well-formed."""
    return [
        "".join(node.itertext()) for node in ElementTree.fromstring(picture.data).iter() if node.tag.endswith("}text")
    ]


@pytest.mark.parametrize("chart", CHARTS)
def test_hostile_class_names_are_shown_as_they_are(chart):
    classes = ("_hidden", "<b>$\\frac", "健常")
    picture = chart(*case(3), classes)
    shown = texts(picture)
    if chart is not calibration_chart:
        assert {" _hidden", "<b>$\\frac", "健常"} <= set(shown)
    assert picture.media_type == "image/svg+xml"
    assert picture.alt
    assert picture.caption


@pytest.mark.parametrize("chart", CHARTS)
def test_two_classes_show_the_positive_one(chart):
    assert any("patient" in text for text in texts(chart(*case(2), ("control", "patient"))))


@pytest.mark.parametrize("chart", CHARTS)
def test_tests_of_one_class_are_drawn(chart):
    picture = chart(np.zeros(7, dtype=np.int64), np.tile([0.8, 0.2], (7, 1)), ("control", "patient"))
    assert len(texts(picture)) > 4


@pytest.mark.parametrize("chart", CHARTS)
def test_the_same_run_gives_the_same_bytes(chart):
    assert chart(*case(2), ("a", "b")).data == chart(*case(2), ("a", "b")).data


def test_training_draws_a_line_for_each_fold_and_a_legend_once():
    history = [{"epoch": epoch, "train_loss": 1 / (1 + epoch), "val_loss": 0.5, "val_auc": 0.9} for epoch in range(4)]
    picture = training_chart([history, history[:2], []])
    assert texts(picture).count("training") == texts(picture).count("AUC") == 1
    assert "accuracy" not in texts(picture)  # no such score was given
    assert "3 folds" in picture.caption


@pytest.mark.parametrize(("hits", "trials"), [(0, 5), (8, 10), (97, 131)])
def test_wilson_interval_equals_scipy(hits, trials):
    expected = binomtest(hits, trials).proportion_ci(0.95, method="wilson")
    assert wilson_interval(hits, trials) == pytest.approx((expected.low, expected.high), abs=1e-6)


def marks(picture):
    """Where the curves' marks stand, for each curve in order [marks, 2]; y runs down."""
    places = [
        [(float(mark.get("x")), float(mark.get("y"))) for mark in group if mark.tag.endswith("}use")]
        for node in ElementTree.fromstring(picture.data).iter()
        if node.get("id", "").startswith("line2d")
        for group in node
        if group.tag.endswith("}g")
    ]
    return [np.array(line) for line in places if len(line) > 1]


@pytest.mark.parametrize(
    ("values", "shares"),
    [
        ([100.0, 0.1, 1.0], [1, 0, 1 / 3]),  # decades: logarithmic, whatever the order
        ([1, 3, 5], [0, 0.5, 1]),  # less than a decade: linear
        ([0.9, 50, None], [0, 0.5, 1]),  # of several kinds: side by side
        (["scale", "auto", True], [0, 0.5, 1]),
    ],
)
def test_validation_curves_stand_where_their_values_are(values, shares):
    scores = {"training": [[1.0, 1.0], [0.9, 0.9], [0.8, 0.8]], "held out": [[0.5, 0.7], [0.6, 0.6], [0.7, 0.7]]}
    picture = validation_chart("C", values, scores, "caption")
    training, held_out = marks(picture)
    order = np.argsort(shares)
    across = training[:, 0] - training[0, 0]
    np.testing.assert_allclose(across / across[-1], np.array(shares)[order], atol=1e-6)
    heights = np.concatenate([training[:, 1], held_out[:, 1]])
    means = np.concatenate([np.array([1.0, 0.9, 0.8])[order], np.array([0.6, 0.6, 0.7])[order]])
    slope, start = np.polyfit(means, heights, 1)
    np.testing.assert_allclose(start + slope * means, heights, atol=1e-3)
    assert slope < 0
    shown = {"null" if value is None else f"{value:g}" if isinstance(value, float) else str(value) for value in values}
    assert shown | {"C", "AUC", "training", "held out"} <= set(texts(picture))


def test_a_parameter_may_have_any_name_and_many_values():
    values = [f"_${number}<" for number in range(30)]
    picture = validation_chart("_x", values, {"training": [[0.5]] * 30}, "caption")
    assert {" _x", " _$29<"} <= set(texts(picture))
