"""Permutation tests in the report of a run."""

import numpy as np
import pytest

from mri3d.report.permutation_section import null_chart, permutation_section
from tests.commands import undrawn
from tests.report.example import class_metrics, report
from tests.report.svg import lines, texts, told

SCORE = {
    "observed": 0.9,
    "compared": 0.9,
    "p": 0.004975,
    "null_mean": 0.501,
    "null_low": 0.35,
    "null_median": 0.5,
    "null_high": 0.7,
}
UNKNOWN = dict.fromkeys(SCORE)
NULL = np.random.default_rng(0).normal(0.5, 0.1, size=200).tolist()


def found(method="refitted", null=NULL, **score):
    return {
        "primary": "auc",
        "method": method,
        "number": 200,
        "scores": {"auc": SCORE | score, "accuracy": SCORE | {"observed": 0.8, "compared": 0.8, "p": 0.0149}},
        "null": null,
    }


def section(method="refitted", **more):
    return "".join(permutation_section(found(method, **more)))


def test_the_section_has_p_and_what_permuted_labels_give():
    text = section()
    assert "p = 0.00498 for the AUC, by 200 permutations of the labels." in text
    assert "<th>AUC</th><td>0.900</td><td>0.501</td><td>0.350 to 0.700</td><td>0.00498</td>" in text
    assert "<th>Accuracy</th><td>0.800</td>" in text
    assert text.count("<svg") == 1
    assert "like with like" not in text


@pytest.mark.parametrize(
    ("method", "told"),
    [
        ("refitted", "the model was fitted anew on every fold"),
        ("fixed predictions", "the predictions stay as they are"),
        ("folds combined", "twice their mean"),
    ],
)
def test_the_way_it_was_done_is_told(method, told):
    assert told in section(method)


def test_folds_that_were_combined_have_no_histogram():
    nothing = dict.fromkeys(("null_mean", "null_low", "null_median", "null_high"))
    test = found("folds combined", [], **nothing)
    test["scores"]["accuracy"] |= nothing
    text = "".join(permutation_section(test))
    assert "<svg" not in text
    assert "Permuted labels" not in text
    assert "<th>AUC</th><td>0.900</td><td>0.00498</td>" in text


def test_true_labels_that_were_fitted_anew_are_told():
    text = section(compared=0.938, observed=0.887)
    assert "AUC 0.938, where the evaluation itself has 0.887." in text


@pytest.mark.parametrize("null", [[None] * 200, [], [None, 0.5], [0.5] * 7])
def test_scores_that_are_not_defined_are_left_out(null):
    text = section(null=null)
    assert ("<svg" in text) == (0.5 in null)


def test_a_score_that_the_tests_do_not_define_has_no_p():
    test = found() | {"scores": {"auc": UNKNOWN}}
    text = "".join(permutation_section(test))
    assert "No p: the tests do not define the AUC." in text
    assert "<svg" not in text
    assert text.count("–") >= 2


def test_the_histogram_has_a_line_at_the_true_labels():
    picture = null_chart("balanced_accuracy", [0.4, 0.5, 0.5, 0.6], 0.9)
    shown = texts(picture)
    assert {"Permuted labels", "True labels", "Balanced accuracy", "Number of permutations"} <= set(shown)
    assert (
        "4 permutations of the labels, from 0.400 to 0.600, and a line at that of the true labels, 0.900" in picture.alt
    )
    assert picture.caption.startswith("Balanced accuracy with permuted labels")
    assert [text for text, _ in told(picture)] == [
        "Balanced accuracy 0.400 to 0.440\nPermutations: 1",
        "Balanced accuracy 0.480 to 0.520\nPermutations: 2",
        "Balanced accuracy 0.560 to 0.600\nPermutations: 1",
        "True labels\nBalanced accuracy 0.900",
    ]
    (line,) = lines(picture)
    assert told(picture)[-1][1][0, 0] == pytest.approx(line[0, 0], abs=0.006)
    assert line[0, 0] == line[1, 0]  # upright
    assert null_chart("mae", NULL, 0.9).data == null_chart("mae", NULL, 0.9).data


@undrawn()
def test_the_page_has_the_section_where_it_was_asked_for(tmp_path):
    content = class_metrics() | {"permutation": found(), "better_than_chance": True}
    assert "Permutation test" in report(tmp_path, content).texts
    assert "Permutation test" not in report(tmp_path, class_metrics()).texts


def test_no_section_where_none_was_asked_for():
    assert permutation_section(None) == []
