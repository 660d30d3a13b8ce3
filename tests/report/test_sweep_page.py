"""The page of a sweep has a row for each run, with the numbers of its metrics."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mri3d.outcome import Measure, Score
from mri3d.report.sweep_page import sweep_chart, sweep_table, write_sweep_page
from mri3d.report.sweep_runs import SweepPart, SweepRun, varied_keys
from tests.report.reader import HOSTILE, read
from tests.report.svg import lines, points, texts, told

COMPARED = ("auc", "accuracy", "balanced_accuracy")
AGE = Measure("age")


def of_classes(runs):
    return SweepPart("sex (classification)", runs, COMPARED, False, {"auc": 0.5, "balanced_accuracy": 0.5})


def of_ages(runs):
    return SweepPart("age (regression)", runs, AGE.compared, AGE.ascending, AGE.chance)


def result(folder, aucs, pooled, **settings):
    scores = [{"auc": auc, "accuracy": 0.75, "balanced_accuracy": None} for auc in aucs]
    metrics = {
        "test": {name: {"value": value} for name, value in (scores[0] | {"auc": pooled}).items()},
        "folds": [{"scores": fold} for fold in scores],
        "seconds": {"total": 12.4},
        "peak_memory_mb": 693.8,
        "classes": ["F", "M"],
    }
    return SweepRun({"seed": "0", **settings}, Path(folder), metrics)


def study(tmp_path):
    return [
        result(tmp_path / "runs/a b/1", [0.8, 1.0], 0.9123, model="ridge"),
        result(tmp_path / "runs/knn/2", [0.7, 0.7], 0.6, model=HOSTILE),
        SweepRun({"seed": "0", "model": "sfcn"}, tmp_path / "runs/sfcn/3", None, f"no room {HOSTILE}"),
    ]


def test_rows_hold_what_was_varied_and_the_scores(tmp_path):
    header, rows = sweep_table(study(tmp_path), COMPARED)
    assert header[:3] == ["model", "AUC", "Mean ± SD"]
    assert header[3:] == ["Accuracy", "Mean ± SD", "Balanced accuracy", "Mean ± SD", "Seconds", "Peak memory", "Run"]
    assert rows[0] == [
        "ridge", "0.912", "0.900 ± 0.141", "0.750", "0.750 ± 0.000", "–", "–", "12", "694 MiB",
        str(tmp_path / "runs/a b/1"),
    ]  # fmt: skip
    assert rows[2] == ["sfcn", *["–"] * 8, f"failed: no room {HOSTILE}"]


def test_settings_that_only_some_runs_have_are_varied():
    runs = [SweepRun({"model": "knn"}, Path(), None), SweepRun({"model": "knn", "seed": "1"}, Path(), None)]
    assert varied_keys(runs) == ["seed"]
    assert varied_keys(runs[:1]) == ["model"]


def test_the_page_links_to_each_report_and_escapes_every_text(tmp_path):
    write_sweep_page(tmp_path / "runs/x-sweep/report.html", [of_classes(study(tmp_path))])
    page = tmp_path / "runs/x-sweep/report.html"
    reader = read(page)
    assert "script" not in reader.tags
    assert reader.tags.count("a") == 2
    assert 'href="../a%20b/1/report.html"' in page.read_text()
    shown = [text for text in reader.texts if text.strip()]
    assert shown[shown.index("0.912") + 1].startswith("is the best AUC, reached by model=ridge. It is the best of 2")
    assert f"failed: no room {HOSTILE}" in shown
    assert shown[shown.index("results") + 1 :][:5] == [" 2", "failed", " 1", "seed", " 0"]


@pytest.mark.parametrize(
    ("settings", "because"),
    [
        ([{"seed": "1"}, {"seed": "2"}], "seed"),
        ([{"data.demo.effect": "0"}, {"data.demo.effect": "1", "model": "knn"}], "data.demo.effect"),
        ([{"evaluation": "kfold", "evaluation.folds": "3"}, {}], "evaluation, evaluation.folds"),
    ],
)
def test_runs_on_different_subjects_are_not_called_comparable(tmp_path, settings, because):
    runs = [result(tmp_path / str(place), [0.8], 0.8, **varied) for place, varied in enumerate(settings)]
    write_sweep_page(tmp_path / "report.html", [of_classes(runs)])
    page = (tmp_path / "report.html").read_text()
    assert f"tested on different subjects, because they differ in {because}: " in page
    assert "same tests" not in page


def test_a_run_that_failed_does_not_make_the_others_incomparable(tmp_path):
    runs = [result(tmp_path / name, [0.8], 0.8, model=name, seed="1") for name in ("knn", "ridge")]
    runs.append(SweepRun({"seed": "2", "model": "knn"}, tmp_path / "c", None, "no room"))
    write_sweep_page(tmp_path / "report.html", [of_classes(runs)])
    assert "It is the best of 2 on the same tests" in (tmp_path / "report.html").read_text()


def test_the_chart_places_folds_and_all_tests():
    def drawn(pooled, folds):
        picture = sweep_chart(
            ["knn", "_ridge"], {"auc": [(Score(pooled), folds), (Score(0.5), [None, 0.6])]}, {"auc": 0.5}
        )
        assert {"knn", " _ridge", "AUC"} <= set(texts(picture))
        assert [text for text, _ in told(picture)[-2:]] == ["_ridge, all tests\nAUC 0.500", "_ridge, fold 1\nAUC 0.600"]
        return points(picture)

    dots, other_dots, diamond, other = drawn(0.75, [0.5, 1.0])
    assert diamond[0, 0] == pytest.approx(dots[:, 0].mean(), abs=1e-3)
    assert len(other_dots) == 1  # a fold without a score has no dot
    per_unit = (dots[1, 0] - dots[0, 0]) / 0.5
    assert other_dots[0, 0] - other[0, 0] == pytest.approx(0.1 * per_unit, abs=1e-3)
    assert diamond[0, 1] < other[0, 1]  # the first run on top: y runs down
    assert len(drawn(0.75, [0.75])) == 3  # one fold is all tests


def ages(tmp_path, errors):
    runs = []
    for name, (error, folds) in errors.items():
        test = {score: {"value": 0.5} for score in AGE.compared} | {"mae": {"value": error}}
        scores = [dict.fromkeys(AGE.compared, 0.5) | {"mae": fold} for fold in folds]
        metrics = {"test": test, "folds": [{"scores": fold} for fold in scores], "seconds": {"total": 3.0}}
        runs.append(SweepRun({"model": name}, tmp_path / name, metrics))
    return runs


def test_a_measure_has_the_lowest_error_first(tmp_path):
    runs = ages(tmp_path, {"ridge": (7.125, [7.0, 7.25]), "sfcn": (48211.0, [None, 9.0])})
    write_sweep_page(tmp_path / "report.html", [of_ages(runs)])
    shown = read(tmp_path / "report.html").texts
    assert shown[shown.index("7.125") + 1].startswith("is the lowest MAE, reached by model=ridge.")
    assert any("MAE is the mean absolute error, in the unit of the measure." in text for text in shown)
    header, rows = sweep_table(runs, AGE.compared)
    assert header[1:4] == ["MAE", "Mean ± SD", "R²"]
    assert [row[1] for row in rows] == ["7.125", "48211"]
    picture = sweep_chart(["a"], {"mae": [(Score(7.0), [6.0, 8.0])], "r2": [(Score(0.5), [0.4, 0.6])]}, AGE.chance)
    assert {"MAE", "R²"} <= set(texts(picture))
    assert picture.alt == "MAE, R² of 1 runs."
    assert "Dotted line: guessing." in picture.caption
    assert "guessing" not in sweep_chart(["a"], {"mae": [(Score(7.0), [])]}, AGE.chance).caption


def test_single_splits_have_no_column_of_spreads(tmp_path):
    held_out = ages(tmp_path, {"ridge": (7.125, [7.125]), "knn": (8.5, [8.5])})
    header, rows = sweep_table(held_out, AGE.compared)
    assert header == ["model", "MAE", "R²", "Pearson r", "Seconds", "Run"]
    assert [row[:5] for row in rows] == [
        ["ridge", "7.125", "0.500", "0.500", "3"],
        ["knn", "8.500", "0.500", "0.500", "3"],
    ]
    write_sweep_page(tmp_path / "report.html", [of_ages(held_out)])
    shown = read(tmp_path / "report.html").texts
    assert not {"Mean ± SD", "–"} & set(shown)
    assert not any("over the folds" in text for text in shown)
    header, rows = sweep_table([*held_out, *ages(tmp_path, {"sfcn": (9.0, [8.0, 10.0])})], AGE.compared)
    assert [row[2] for row in rows] == ["–", "–", "9.000 ± 1.414"]


def test_runs_of_different_outcomes_have_a_table_and_a_best_run_each(tmp_path):
    parts = [of_classes(study(tmp_path)), of_ages(ages(tmp_path, {"ridge": (7.125, [7.0, 7.25])}))]
    write_sweep_page(tmp_path / "report.html", parts)
    reader = read(tmp_path / "report.html")
    shown = [text for text in reader.texts if text.strip()]
    first, second = shown.index("sex (classification)"), shown.index("age (regression)")
    assert first < shown.index("0.912") < shown.index("AUC") < second < shown.index("7.125") < shown.index("MAE")
    assert "MAE" not in shown[first:second]
    assert "AUC" not in shown[second:]
    assert "Sweep of 4 runs" in shown
    assert len(reader.images) == 2
    assert any("No other run has a result." in text for text in shown[second:])


def test_a_chart_of_many_runs_says_what_it_leaves_out(tmp_path):
    runs = ages(tmp_path, {f"m{number}": (7.0, [7.0]) for number in range(43)})
    write_sweep_page(tmp_path / "report.html", [of_ages(runs)])
    shown = read(tmp_path / "report.html").texts
    assert any(text.endswith("The chart leaves out the last 3 runs of the table.") for text in shown)
    assert "m42" in shown


def test_runs_without_tests_have_dashes(tmp_path):
    metrics = {"test": {}, "folds": [{"scores": {}}], "seconds": {"total": 3.0}}
    runs = [SweepRun({"model": name}, tmp_path / name, metrics) for name in ("knn", "ridge")]
    assert [row[1:4] for row in sweep_table(runs, COMPARED)[1]] == [["–"] * 3] * 2
    write_sweep_page(tmp_path / "report.html", [of_classes(runs)])
    assert "No run has this score: there is no best one." in read(tmp_path / "report.html").texts


def test_intervals_stand_in_the_cells_and_are_drawn_as_bars(tmp_path):
    run = result(tmp_path / "a", [0.8, 1.0], 0.9, model="ridge")
    run.metrics["test"]["auc"] |= {"low": 0.8123, "high": 0.9678}
    earlier = result(tmp_path / "b", [0.7, 0.9], 0.8, model="knn")
    _, rows = sweep_table([run, earlier], COMPARED)
    assert [row[1] for row in rows] == ["0.900 (0.81 to 0.97)", "0.800"]
    assert rows[0][3] == "0.750"
    write_sweep_page(tmp_path / "report.html", [of_classes([run, earlier])])
    assert any("in brackets its 95 % interval" in text for text in read(tmp_path / "report.html").texts)
    picture = sweep_chart(["a", "b"], {"auc": [(Score(0.9, 0.8, 0.95), [0.9]), (Score(0.8), [0.8])]}, {})
    bar, (diamond, _) = lines(picture)[-1], points(picture)
    per_unit = (bar[1, 0] - bar[0, 0]) / 0.15
    assert bar[0, 0] == pytest.approx(diamond[0, 0] - 0.1 * per_unit, abs=0.01)
    assert bar[:, 1] == pytest.approx([diamond[0, 1]] * 2, abs=0.01)
    assert "Bars: 95 % intervals." in picture.caption
    (text, ends), (other, (at, _)) = told(picture)
    assert (text, other) == ("a, all tests\nAUC 0.900 (0.800 to 0.950)", "b, all tests\nAUC 0.800")
    np.testing.assert_allclose(ends, bar, atol=0.006)
    np.testing.assert_allclose(at, points(picture)[1][0], atol=0.006)


def test_what_is_not_compared_is_told_on_the_page(tmp_path):
    part = of_classes([result(tmp_path / name, [0.8], 0.8, model=name) for name in ("knn", "ridge")])
    part = replace(part, same_tests=False, uncompared="ridge, whose tests are of other sessions or folds.")
    write_sweep_page(tmp_path / "report.html", [part])
    shown = read(tmp_path / "report.html").texts
    assert "Not compared: ridge, whose tests are of other sessions or folds." in shown
    assert any("tested on different subjects, or in different folds: the order" in text for text in shown)


def test_a_sweep_over_resolutions_is_drawn_above_the_table_of_its_runs(tmp_path):
    runs = [result(tmp_path / edge, [0.8], 0.8, model=HOSTILE, resolution=edge) for edge in ("50", "native")]
    write_sweep_page(tmp_path / "report.html", [of_classes(runs)])
    reader = read(tmp_path / "report.html")
    assert [image["alt"] for image in reader.images] == [
        "AUC, Seconds, Memory (GiB) by resolution: 1 line.", "AUC, Balanced accuracy of 2 runs.",
    ]  # fmt: skip
    assert reader.told[0] == "50\nAUC 0.800\n12.4 seconds, memory 694 MiB"
    assert next(place for place, text in enumerate(reader.texts) if "AUC by resolution" in text) < reader.texts.index(
        "All runs"
    )
    assert reader.texts.count("694\u00a0MiB") == 2
    assert sum("Memory is the most held at once: on the GPU" in text for text in reader.texts) == 2
    write_sweep_page(tmp_path / "report.html", [of_classes(runs[:1])])
    assert len(read(tmp_path / "report.html").images) == 1
