"""A comparison on paper: sentences to be cited, a forest plot, tables; every text is escaped."""

from pathlib import Path

import numpy as np
import pytest

from mri3d.outcome import Classes, Measure, Score
from mri3d.report.comparison_page import difference_section, write_comparison_page
from mri3d.report.comparison_words import ComparedModels, ComparedPair
from mri3d.report.forest import forest_chart
from tests.report.reader import HOSTILE, read
from tests.report.svg import lines, points, texts, told

SEX, AGE = Classes(("F", "M"), "sex"), Measure("age")


def pair(first, second, values, *, ends=(-0.01, 0.0642), p=0.15, p_holm=None, test="delong", outcome=SEX, **more):
    """A pair with these values of the primary score; of the others nothing is defined."""
    undefined = dict.fromkeys(("first", "second", "difference", "low", "high", "p", "p_folds", "p_mcnemar"))
    one, other = values
    row = {"first": one, "second": other, "difference": None if None in values else other - one, "p": p, **more}
    row |= {"low": ends[0], "high": ends[1]}
    rows = {name: undefined for name in outcome.compared}
    return ComparedPair(
        first, second, rows | {outcome.compared[0]: undefined | row}, p, p if p_holm is None else p_holm, test
    )


def compared(*pairs: ComparedPair, outcome=SEX, num_folds=5):
    values = {}
    for each in pairs:
        row = each.scores[outcome.compared[0]]
        values |= {each.first: row["first"], each.second: row["second"]}
    none = {name: Score(None) for name in outcome.compared}
    models = {name: none | {outcome.compared[0]: Score(value, 0.1, 0.987)} for name, value in values.items()}
    folders = {name: Path(f"runs/{number}") for number, name in enumerate(models)}
    return ComparedModels(outcome, models, pairs, folders, num_tests=131, num_folds=num_folds)


def test_the_better_of_two_comes_first_whichever_was_named_first():
    expected = (
        "The AUC of sfcn is 0.027 higher than that of ridge (95 % interval -0.01 to 0.064; p = 0.15 by DeLong's test "
        "within folds, widened because folds share training sessions): no evidence of a difference."
    )
    assert compared(pair("ridge", "sfcn", (0.958, 0.985))).conclusions() == [expected]
    turned = pair("sfcn", "ridge", (0.985, 0.958), ends=(-0.0642, 0.01))
    assert compared(turned).conclusions() == [expected]
    (held_out,) = compared(pair("ridge", "sfcn", (0.9, 0.95), p=0.0004), num_folds=1).conclusions()
    assert held_out.endswith("p < 0.001 by DeLong's test): evidence of a difference.")


def test_of_a_measure_less_is_better():
    expected = (
        "The MAE of sfcn is 1.200 lower than that of ridge (95 % interval -0.30 to 2.70; p = 0.1 by resampling, "
        "widened because folds share training sessions): no evidence of a difference."
    )
    options = {"test": "resampling", "outcome": AGE, "p": 0.1}
    one = pair("ridge", "sfcn", (8.7, 7.5), ends=(-2.7, 0.3), **options)
    other = pair("sfcn", "ridge", (7.5, 8.7), ends=(-0.3, 2.7), **options)
    for each in (one, other):
        assert compared(each, outcome=AGE).conclusions() == [expected]
        assert compared(each, outcome=AGE).best == "sfcn"


def test_what_is_not_defined_or_the_same_is_told():
    (same,) = compared(pair("a", "b", (0.9, 0.9), ends=(0.0, 0.0), p=1.0)).conclusions()
    assert same.startswith("The AUC of a and that of b are the same (p = 1 by ")
    (lone,) = compared(pair("a", "b", (0.9, None), ends=(None, None), p=1.0, test="")).conclusions()
    assert lone == "The AUC of a and b cannot be compared: one of them has none."
    none = compared(pair("a", "b", (None, None), ends=(None, None), p=1.0, test=""))
    assert none.conclusions() == ["No model has this score: AUC."]
    (unbounded,) = compared(pair("a", "b", (0.8, 0.9), ends=(None, None), p=1.0)).conclusions()
    assert "higher than that of a (p = 1 by" in unbounded


def test_p_of_several_pairs_is_judged_after_the_adjustment():
    three = compared(
        pair("a", "b", (0.7, 0.9), p=0.03, p_holm=0.09),
        pair("a", "c", (0.7, 0.8), p=0.5, p_holm=0.5),
        pair("b", "c", (0.9, 0.8), p=0.01, p_holm=0.03),
    )
    first, with_a, with_c = three.conclusions()
    best = "The highest AUC of 3 models is that of b: 0.900 (0.10 to 0.99)."
    assert first == f"{best} There is no evidence that it is better than chance."
    assert "adjusted for 3 pairs by Holm's method p = 0.09): no evidence" in with_a
    assert "adjusted for 3 pairs by Holm's method p = 0.03): evidence" in with_c
    header, rows = three.table(three.shown)
    assert header == ["Models", "Score", "Values", "Difference (95 % interval)", "p", "p by Holm (3 pairs)"]
    assert rows[0] == ["b against a", "AUC (primary)", "0.900 against 0.700", "0.200 (-0.01 to 0.064)", "0.03", "0.09"]
    assert rows[1] == ["b against a", "Accuracy", "– against –", "–", "–", ""]
    more = compared(pair("a", "b", (0.9, 0.95), p_folds=0.2, p_mcnemar=0.02))
    assert more.table(more.pairs)[0][5:] == ["p by t-test over folds", "p by McNemar"]
    assert more.table(more.pairs)[1][0][5:] == ["0.2", "0.02"]


def test_of_many_pairs_those_of_the_best_are_shown(tmp_path):
    names = [f"m{number}" for number in range(6)]
    pairs = [pair(a, b, (int(a[1]) / 10, int(b[1]) / 10)) for n, a in enumerate(names) for b in names[n + 1 :]]
    many = compared(*pairs)
    assert [each.name for each in many.shown] == [f"m5 against m{number}" for number in range(5)]
    assert any(
        "Shown are the pairs of m5, the best one. comparison.csv has all." in part for part in difference_section(many)
    )
    write_comparison_page(tmp_path / "report.html", many)
    assert read(tmp_path / "report.html").texts.count("m2 against m1") == 3  # each compared score, in the folded table
    few = compared(*pairs[:10])
    assert len(few.shown) == 10


def test_the_page_escapes_names_and_links_to_the_runs(tmp_path):
    two = compared(pair(HOSTILE, "b & c", (0.958, 0.985)))
    write_comparison_page(tmp_path / "out/report.html", two)
    reader = read(tmp_path / "out/report.html")
    assert "script" not in reader.tags
    assert HOSTILE in reader.texts
    assert f"b & c against {HOSTILE}" in reader.texts
    shown = [text for text in reader.texts if text.strip()]
    assert shown[shown.index("tests") + 1] == " 131 in 5 folds, the same for all"
    assert shown[shown.index("0.027") + 1].startswith("The AUC of b & c is 0.027 higher than that of <script>")
    assert any("was declared beforehand as the one that decides" in text for text in shown)
    assert len(reader.images) == 2
    assert reader.tags.count("a") == 2


def test_the_forest_plot_places_values_and_ends():
    rows = [(["b", "a"], Score(0.2, 0.1, 0.4)), (["_c", "a"], Score(-0.1, -0.3, 0.1)), (["d", "a"], Score(None))]
    picture = forest_chart(rows, axis="Difference in AUC", reference=0.0, alt="x", caption="y.")
    assert {"b against a", " _c against a", "d against a", "Difference in AUC"} <= set(texts(picture))
    first, second = points(picture)
    zero, *_, one_line, other_line = lines(picture)  # lines of the grid are between
    per_unit = (first[0, 0] - second[0, 0]) / 0.3
    assert zero[:, 0] == pytest.approx([first[0, 0] - 0.2 * per_unit] * 2, abs=0.01)
    for line, point, (low, high) in zip(
        (one_line, other_line), (first, second), ((-0.1, 0.2), (-0.2, 0.2)), strict=True
    ):
        np.testing.assert_allclose(np.sort(line[:, 0]) - point[0, 0], np.array([low, high]) * per_unit, atol=0.01)
        assert line[:, 1] == pytest.approx([point[0, 1]] * 2, abs=0.01)
    assert first[0, 1] < second[0, 1]  # the first on top: y runs down
    assert [text for text, _ in told(picture)] == [
        "b against a\nDifference in AUC 0.200 (0.100 to 0.400)",
        "_c against a\nDifference in AUC -0.100 (-0.300 to 0.100)",
    ]
    np.testing.assert_allclose([told(picture)[0][1], told(picture)[1][1]], [one_line, other_line], atol=0.006)
    many = forest_chart([([str(n)], Score(0.5)) for n in range(43)], axis="AUC", reference=None, alt="x", caption="y.")
    assert many.caption == "y. 3 more are left out."
    assert "39" in texts(many)
    assert "40" not in texts(many)
