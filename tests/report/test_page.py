"""The report of a run is one offline file, shows the result first, and treats every text as hostile."""

import re

import numpy as np
import pytest

from mri3d.outcome import Classes
from mri3d.report.figures import HeadView, slices
from mri3d.report.page import Parts
from mri3d.report.picture import Picture
from mri3d.report.shown_tests import ShownTests
from tests.commands import undrawn
from tests.report.example import HISTORY, class_metrics, cohort, report
from tests.report.reader import HOSTILE


@pytest.fixture(scope="module")
def heatmap():
    volume = np.random.default_rng(0).random((21, 24, 27)).astype(np.float32)
    return slices(HeadView(volume, np.diag([2.0, 2.0, 2.0, 1.0]), volume**4), alt=HOSTILE, caption=HOSTILE)


def test_nothing_is_fetched_and_nothing_runs(tmp_path, heatmap):
    reader = report(tmp_path, class_metrics(), parts=Parts(pictures=[("What it sees", [heatmap])]), histories=[HISTORY])
    text = (tmp_path / "report.html").read_text()
    assert "default-src 'none'" in text
    assert not {"script", "link", "iframe", "object", "a"} & set(reader.tags)
    assert not re.search(r"https?:|url\((?!#)|@import", text)
    assert all(image["alt"] for image in reader.images)
    assert [image.get("src", "a chart")[:11] for image in reader.images] == ["a chart"] * 5 + ["data:image/"]
    assert len(text) < 3_000_000


def test_hostile_texts_are_only_texts(tmp_path, heatmap):
    rows = cohort(subject=HOSTILE, label=HOSTILE, warnings=HOSTILE) + cohort(left_out=HOSTILE)
    reader = report(
        tmp_path,
        class_metrics(),
        outcome=Classes((HOSTILE, '" onload="x')),
        title=HOSTILE,
        facts={HOSTILE: HOSTILE},
        cohort=rows,
        taking_part=[(HOSTILE, HOSTILE)],
        parts=Parts(pictures=[(HOSTILE, [heatmap])]),
        configuration=HOSTILE,
    )
    assert "script" not in reader.tags
    assert reader.texts.count(HOSTILE) >= 8  # title twice, who took part twice, subject, warning, reason, configuration
    assert not any("onload" in name for image in reader.images for name in image)


@undrawn()
def test_the_result_comes_first_with_its_meaning(tmp_path):
    texts = report(tmp_path, class_metrics(auc=0.9512, num_folds=5)).texts
    number = texts.index("0.951")
    assert "AUC), on 80 tests in 5 folds" in texts[number + 1]
    assert "it ranks the two correctly 95.1 times in 100; guessing does so 50 times." in texts[number + 1]
    assert number < texts.index("Test results")
    assert not any("Few tests" in text for text in texts)


@undrawn()
def test_an_interval_is_told_when_there_is_one(tmp_path):
    content = class_metrics()
    content["test"]["auc"] = {"value": 0.9, "low": 0.8123, "high": 0.9501}
    texts = report(tmp_path, content).texts
    assert "95 % interval 0.812 to 0.950" in texts[texts.index("0.900") + 1]
    assert "0.900 (0.812 to 0.950)" in texts


@undrawn()
def test_without_an_auc_the_next_score_is_the_result(tmp_path):
    texts = report(tmp_path, class_metrics(auc=None, balanced_accuracy=0.75)).texts
    assert "balanced accuracy" in texts[texts.index("0.750") + 1]
    assert "–" in texts


@undrawn()
def test_cautions_name_few_tests_and_bad_probabilities(tmp_path):
    texts = report(tmp_path, class_metrics(expected_calibration_error=0.31), num_tests=58).texts
    assert any("only 29 of class F and 29 of class M" in text and "evaluation=kfold" in text for text in texts)
    assert any("differ from the observed frequencies by 0.31 on average" in text for text in texts)


@undrawn()
def test_the_confusion_matrix_counts_the_tests(tmp_path):
    targets = np.array([0] * 7 + [1] * 4)
    proba = np.eye(2)[[0] * 5 + [1] * 2 + [1] * 3 + [0]]
    shown = report(tmp_path, class_metrics(), tests=ShownTests(targets, proba)).texts
    texts = [text for text in shown if text.strip()]
    row = texts.index("True: F")
    assert texts[row : row + 5] == ["True: F", "5", "71 %", "2", "29 %"]
    assert texts[row + 5 : row + 10] == ["True: M", "1", "25 %", "3", "75 %"]


@undrawn()
def test_folds_and_their_mean_stand_in_the_table(tmp_path):
    content = class_metrics(num_folds=2)
    content["folds"][0]["scores"] = dict(content["folds"][0]["scores"], auc=0.8)
    content["folds"][1]["scores"] = dict(content["folds"][1]["scores"], auc=1.0)
    texts = [text for text in report(tmp_path, content).texts if text.strip()]
    row = texts.index("AUC")
    assert texts[row : row + 5] == ["AUC", "0.900", "0.900 ± 0.141", "0.800", "1.000"]
    row = texts.index("Test sessions")
    assert texts[row : row + 4] == ["Test sessions", "30", "15", "15"]


@undrawn()
def test_many_folds_stand_in_rows_of_their_own(tmp_path):
    content = class_metrics(num_folds=7)
    for number, fold in enumerate(content["folds"]):
        fold["scores"] = dict(fold["scores"], auc=0.8 + 0.01 * number)
    texts = [text for text in report(tmp_path, content).texts if text.strip()]
    row = texts.index("AUC")
    assert texts[row : row + 4] == ["AUC", "0.900", "0.830 ± 0.022", "Accuracy"]
    assert texts.index("Each of 7 folds") < texts.index("Fold 0")
    row = texts.index("Fold 6")
    assert texts[row : row + 3] == ["Fold 6", "0.860", "0.900"]
    assert texts[row + 8 : row + 13] == ["50", "12", "15", "9", "3.2"]


@undrawn()
def test_epochs_stand_in_the_table_of_a_model_that_has_them(tmp_path):
    content = class_metrics(num_folds=2)
    content["folds"][0]["epochs"] = 0
    texts = [text for text in report(tmp_path, content).texts if text.strip()]
    assert texts[texts.index("Epochs") + 1 :][:2] == ["0", "9"]
    content["folds"][1]["epochs"] = 0
    assert "Epochs" not in report(tmp_path, content).texts


@undrawn()
def test_the_cohort_is_counted_and_the_left_out_named(tmp_path):
    rows = cohort() * 3 + cohort(label="b") + cohort(label="", left_out="no label") * 2
    rows += cohort(subject="s9", left_out="scan truncated") + cohort(subject="s8", warnings="qform and sform disagree")
    taking_part = Classes(("a", "b")).words.cohort_rows(np.array([0, 0, 0, 1, 0]))
    shown = report(tmp_path, class_metrics(), cohort=rows, taking_part=taking_part).texts
    texts = [text for text in shown if text.strip()]
    table = texts[texts.index("Who took part") + 1 :]
    assert table[:4] == ["Class a", "4", "Class b", "1"]
    assert table[4:10] == ["Without a label", "2", "Left out", "1", "Sessions in all", "8"]
    assert texts[texts.index("s9") + 1] == "scan truncated"
    assert texts[texts.index("s8") + 1] == "qform and sform disagree"


@undrawn()
def test_long_lists_end_with_where_the_rest_stands(tmp_path):
    texts = report(tmp_path, class_metrics(), cohort=cohort(warnings="w") * 57).texts
    assert texts.count("w") == 50
    assert "7 more are listed in cohort.csv." in texts


def test_pictures_that_a_page_cannot_hold_are_counted(tmp_path):
    def pictures(num):
        return [Picture(bytes(100_000), "image/jpeg", "a", f"caption {number}") for number in range(num)]

    sections = [("Heads", pictures(2)), ("Nothing", []), ("Eigenbrains", pictures(23)), ("Space", pictures(3))]
    reader = report(tmp_path, class_metrics(), parts=Parts(pictures=sections))
    texts = [text for text in reader.texts if text.strip()]
    assert [image.get("src", "")[:15] for image in reader.images].count("data:image/jpeg") == 20
    assert texts[texts.index("Heads") : texts.index("Eigenbrains")] == ["Heads", "caption 0", "caption 1"]
    left_out = [text for text in texts if "left out, to keep" in text]
    assert left_out == [f"{num} pictures are left out, to keep this page small." for num in (5, 3)]
    assert texts.index("caption 17") < texts.index(left_out[0]) < texts.index("Space") < texts.index(left_out[1])
    assert "Nothing" not in texts
    texts = report(tmp_path, class_metrics(), parts=Parts(pictures=[("Heads", pictures(21))])).texts
    assert "1 picture is left out, to keep this page small." in texts


@undrawn()
def test_a_heatmap_of_classes_has_both_signs(tmp_path):
    texts = report(tmp_path, class_metrics()).texts
    assert any("warm colours speak for the class and cool colours against it" in text for text in texts)
    assert "For research only: not for decisions about patients." in texts


def test_class_scores_are_explained(tmp_path):
    texts = report(tmp_path, class_metrics(), outcome=Classes(("a", "b", "c"))).texts
    assert any("guessing gives 0.33, however unequal" in text for text in texts)
    assert not any("positive class" in text for text in texts)
    assert any("M is the positive class." in text for text in report(tmp_path, class_metrics()).texts)
