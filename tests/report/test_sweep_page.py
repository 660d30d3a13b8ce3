"""The page of a sweep has a row for each run, with the numbers of its metrics."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from mri3d.report.charts import sweep_chart
from mri3d.report.sweep_page import SweepRun, sweep_table, varied_keys, write_sweep_page
from tests.report.test_charts import texts
from tests.report.test_page import HOSTILE, read


def result(folder, aucs, pooled, **settings):
    scores = [{"auc": auc, "accuracy": 0.75, "balanced_accuracy": None} for auc in aucs]
    metrics = {
        "test": {name: {"value": value} for name, value in (scores[0] | {"auc": pooled}).items()},
        "folds": [{"scores": fold} for fold in scores],
        "seconds": {"total": 12.4},
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
    header, rows = sweep_table(study(tmp_path))
    assert header[:3] == ["model", "AUC", "mean ± SD"]
    assert rows[0] == [
        "ridge", "0.912", "0.900 ± 0.141", "0.750", "0.750 ± 0.000", "–", "–", "12", str(tmp_path / "runs/a b/1"),
    ]  # fmt: skip
    assert rows[2] == ["sfcn", *["–"] * 7, f"failed: no room {HOSTILE}"]


def test_settings_that_only_some_runs_have_are_varied():
    runs = [SweepRun({"model": "knn"}, Path(), None), SweepRun({"model": "knn", "seed": "1"}, Path(), None)]
    assert varied_keys(runs) == ["seed"]
    assert varied_keys(runs[:1]) == ["model"]


def test_the_page_links_to_each_report_and_escapes_every_text(tmp_path):
    write_sweep_page(tmp_path / "runs/x-sweep/report.html", study(tmp_path))
    page = tmp_path / "runs/x-sweep/report.html"
    reader = read(page)
    assert "script" not in reader.tags
    assert reader.tags.count("a") == 2
    assert 'href="../a%20b/1/report.html"' in page.read_text()
    shown = [text for text in reader.texts if text.strip()]
    assert shown[shown.index("0.912") + 1].startswith("is the best AUC, that of model=ridge. It is the best of 2")
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
    write_sweep_page(tmp_path / "report.html", runs)
    page = (tmp_path / "report.html").read_text()
    assert f"tested on different subjects, because they differ in {because}: " in page
    assert "same tests" not in page


def test_a_run_that_failed_does_not_make_the_others_incomparable(tmp_path):
    runs = [result(tmp_path / name, [0.8], 0.8, model=name, seed="1") for name in ("knn", "ridge")]
    runs.append(SweepRun({"seed": "2", "model": "knn"}, tmp_path / "c", None, "no room"))
    write_sweep_page(tmp_path / "report.html", runs)
    assert "It is the best of 2 on the same tests" in (tmp_path / "report.html").read_text()


def test_the_chart_places_folds_and_all_tests():
    def drawn(pooled, folds):
        picture = sweep_chart(["knn", "_ridge"], {"AUC": [(pooled, folds), (0.5, [None, 0.6])]}, {"AUC": 0.5})
        assert {"knn", " _ridge", "AUC"} <= set(texts(picture))
        groups = [
            [(float(mark.get("x")), float(mark.get("y"))) for mark in node.iter() if mark.tag.endswith("}use")]
            for node in ElementTree.fromstring(picture.data).iter()
            if node.get("id", "").startswith("PathCollection")
        ]
        return [np.array(group) for group in groups if group]

    dots, other_dots, diamond, other = drawn(0.75, [0.5, 1.0])
    assert diamond[0, 0] == pytest.approx(dots[:, 0].mean(), abs=1e-3)
    assert len(other_dots) == 1  # a fold without a score has no dot
    per_unit = (dots[1, 0] - dots[0, 0]) / 0.5
    assert other_dots[0, 0] - other[0, 0] == pytest.approx(0.1 * per_unit, abs=1e-3)
    assert diamond[0, 1] < other[0, 1]  # the first run on top: y runs down
    assert len(drawn(0.75, [0.75])) == 3  # one fold is all tests
