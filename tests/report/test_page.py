"""Reports are one offline file, say the result first, and treat every text as hostile."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from mri3d.report.figures import HeadView, Picture, slices
from mri3d.report.page import write_report
from mri3d.report.prediction_page import ScanResult, write_prediction_report

HOSTILE = '<script>alert("1")</script>'
HISTORY = [{"epoch": 0, "train_loss": 1.0}]
SCORES = ("auc", "accuracy", "balanced_accuracy", "f1", "log_loss", "brier", "expected_calibration_error")


class Reader(HTMLParser):
    """Collects elements, texts and images; complains where tags do not close."""

    def __init__(self) -> None:
        super().__init__()
        self.tags, self.texts, self.images, self.open = [], [], [], []

    def handle_starttag(self, tag, attributes):
        """Note an element."""
        self.tags.append(tag)
        if tag == "img":
            self.images.append(dict(attributes))
        elif tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        """Check that it was the last one opened."""
        assert self.open.pop() == tag

    def handle_data(self, data):
        """Note a text."""
        self.texts.append(data)


def read(path):
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    reader.close()
    assert reader.open == []
    return reader


def metrics(classes, *, num_folds=1, **values):
    """The content of a metrics.json."""
    scores = dict.fromkeys(SCORES, 0.9) | {"expected_calibration_error": 0.05} | values
    fold = {
        "repeat": 0,
        "num_train": 50,
        "num_validation": 12,
        "num_test": 15,
        "epochs": 9,
        "seconds": 3.2,
        "chosen": {},
    }
    return {
        "test": {name: {"value": value, "low": None, "high": None} for name, value in scores.items()},
        "folds": [{"fold": number, **fold, "scores": scores} for number in range(num_folds)],
        "classes": list(classes),
    }


def study(num_classes, num_tests):
    random = np.random.default_rng(0)
    return np.arange(num_tests) % num_classes, random.dirichlet(np.ones(num_classes), num_tests)


def cohort(**row):
    return [{"subject": "s1", "label": "a", "left_out": "", "warnings": ""} | row]


def report(tmp_path, content, num_tests=80, **more):
    targets, proba = study(len(content["classes"]), num_tests)
    more = {"title": "t", "facts": {}, "cohort": cohort()} | more
    write_report(tmp_path / "report.html", metrics=content, targets=targets, proba=proba, **more)
    return read(tmp_path / "report.html")


@pytest.fixture(scope="module")
def heatmap():
    volume = np.random.default_rng(0).random((21, 24, 27)).astype(np.float32)
    return slices(HeadView(volume, np.diag([2.0, 2.0, 2.0, 1.0]), volume**4), alt=HOSTILE, caption=HOSTILE)


def test_nothing_is_fetched_and_nothing_runs(tmp_path, heatmap):
    reader = report(tmp_path, metrics(["a", "b"]), sections=[("What it sees", [heatmap])], histories=[HISTORY])
    text = (tmp_path / "report.html").read_text()
    assert "default-src 'none'" in text
    assert not {"script", "link", "iframe", "object", "a"} & set(reader.tags)
    assert not re.search(r"https?:|url\(|@import", text)
    assert all(image["src"].startswith("data:image/") and image["alt"] for image in reader.images)
    assert len(reader.images) == 5
    assert len(text) < 3_000_000


def test_hostile_texts_are_only_texts(tmp_path, heatmap):
    rows = cohort(subject=HOSTILE, label=HOSTILE, warnings=HOSTILE) + cohort(left_out=HOSTILE)
    reader = report(
        tmp_path,
        metrics([HOSTILE, '" onload="x']),
        title=HOSTILE,
        facts={HOSTILE: HOSTILE},
        cohort=rows,
        sections=[(HOSTILE, [heatmap])],
        configuration=HOSTILE,
    )
    assert "script" not in reader.tags
    assert reader.texts.count(HOSTILE) >= 6  # title twice, subject, warning, reason, configuration
    assert not any("onload" in name for image in reader.images for name in image)


def test_the_result_comes_first_with_its_meaning(tmp_path):
    texts = report(tmp_path, metrics(["F", "M"], auc=0.9512, num_folds=5)).texts
    number = texts.index("0.951")
    assert "AUC), on 80 tests in 5 folds" in texts[number + 1]
    assert "tells which is which 95.1 times in 100; guessing does so 50 times." in texts[number + 1]
    assert number < texts.index("How well it does")
    assert not any("Few tests" in text for text in texts)


def test_an_interval_is_told_when_there_is_one(tmp_path):
    content = metrics(["F", "M"])
    content["test"]["auc"] = {"value": 0.9, "low": 0.8123, "high": 0.9501}
    texts = report(tmp_path, content).texts
    assert "95 % interval 0.812 to 0.950" in texts[texts.index("0.900") + 1]
    assert "0.900 (0.812 to 0.950)" in texts


def test_without_an_auc_the_next_score_is_the_result(tmp_path):
    texts = report(tmp_path, metrics(["F", "M"], auc=None, balanced_accuracy=0.75)).texts
    assert "balanced accuracy" in texts[texts.index("0.750") + 1]
    assert "–" in texts


def test_cautions_name_few_tests_and_bad_probabilities(tmp_path):
    texts = report(tmp_path, metrics(["F", "M"], expected_calibration_error=0.31), num_tests=58).texts
    assert any("only 29 of F and 29 of M" in text and "evaluation=kfold" in text for text in texts)
    assert any("off by 0.31 on average" in text for text in texts)


def test_the_confusion_matrix_counts_the_tests(tmp_path):
    targets = np.array([0] * 7 + [1] * 4)
    proba = np.eye(2)[[0] * 5 + [1] * 2 + [1] * 3 + [0]]
    write_report(
        tmp_path / "report.html",
        title="t",
        facts={},
        metrics=metrics(["F", "M"]),
        targets=targets,
        proba=proba,
        cohort=cohort(),
    )
    texts = [text for text in read(tmp_path / "report.html").texts if text.strip()]
    row = texts.index("truly F")
    assert texts[row : row + 5] == ["truly F", "5", "71 %", "2", "29 %"]
    assert texts[row + 5 : row + 10] == ["truly M", "1", "25 %", "3", "75 %"]


def test_folds_and_their_mean_stand_in_the_table(tmp_path):
    content = metrics(["F", "M"], num_folds=2)
    content["folds"][0]["scores"] = dict(content["folds"][0]["scores"], auc=0.8)
    content["folds"][1]["scores"] = dict(content["folds"][1]["scores"], auc=1.0)
    texts = [text for text in report(tmp_path, content).texts if text.strip()]
    row = texts.index("AUC")
    assert texts[row : row + 5] == ["AUC", "0.900", "0.900 ± 0.141", "0.800", "1.000"]
    row = texts.index("test subjects")
    assert texts[row : row + 4] == ["test subjects", "30", "15", "15"]


def test_epochs_stand_in_the_table_of_a_model_that_has_them(tmp_path):
    content = metrics(["F", "M"], num_folds=2)
    content["folds"][0]["epochs"] = 0
    texts = [text for text in report(tmp_path, content).texts if text.strip()]
    assert texts[texts.index("epochs") + 1 :][:2] == ["0", "9"]
    content["folds"][1]["epochs"] = 0
    assert "epochs" not in report(tmp_path, content).texts


def test_the_cohort_is_counted_and_the_left_out_named(tmp_path):
    rows = cohort() * 3 + cohort(label="b") + cohort(label="", left_out="no label") * 2
    rows += cohort(subject="s9", left_out="scan truncated") + cohort(subject="s8", warnings="qform and sform disagree")
    texts = [text for text in report(tmp_path, metrics(["a", "b"]), cohort=rows).texts if text.strip()]
    table = texts[texts.index("subjects") + 1 :]
    assert table[:10] == ["class a", "4", "class b", "1", "without a label", "2", "left out", "1", "in all", "8"]
    assert texts[texts.index("s9") + 1] == "scan truncated"
    assert texts[texts.index("s8") + 1] == "qform and sform disagree"


def test_long_lists_end_with_where_the_rest_stands(tmp_path):
    texts = report(tmp_path, metrics(["a", "b"]), cohort=cohort(warnings="w") * 57).texts
    assert texts.count("w") == 50
    assert "7 more stand in cohort.csv." in texts


def test_pictures_that_a_page_cannot_hold_are_counted(tmp_path):
    def pictures(num):
        return [Picture(bytes(100_000), "image/jpeg", "a", f"caption {number}") for number in range(num)]

    sections = [("Heads", pictures(2)), ("Nothing", []), ("Eigenbrains", pictures(23)), ("Space", pictures(3))]
    reader = report(tmp_path, metrics(["a", "b"]), sections=sections)
    texts = [text for text in reader.texts if text.strip()]
    assert [image["src"][:15] for image in reader.images].count("data:image/jpeg") == 20
    assert texts[texts.index("Heads") : texts.index("Eigenbrains")] == ["Heads", "caption 0", "caption 1"]
    left_out = [text for text in texts if "left out, to keep" in text]
    assert left_out == [f"{num} pictures are left out, to keep this page small." for num in (5, 3)]
    assert texts.index("caption 17") < texts.index(left_out[0]) < texts.index("Space") < texts.index(left_out[1])
    assert "Nothing" not in texts


def test_predictions_have_a_row_for_each_scan(tmp_path, heatmap):
    scans = [
        ScanResult("sub-01_T1w", "M", np.array([0.25, 0.75]), spread=0.04, picture=heatmap),
        ScanResult(HOSTILE, "", None, warnings=("truncated", HOSTILE)),
    ]
    write_prediction_report(tmp_path / "p.html", title="p", facts={"model": "m"}, classes=("F", "M"), scans=scans)
    reader = read(tmp_path / "p.html")
    texts = [text for text in reader.texts if text.strip()]
    assert texts[texts.index("1") + 1] == "scan classified: 1 as M. 1 could not be used; the reason stands beside each."
    row = texts.index("sub-01_T1w")
    assert texts[row + 1 : row + 5] == ["M", "models differ by ±0.04", "0.25", "0.75"]
    assert texts[texts.index(HOSTILE) + 1] == "not used"
    assert f"truncated; {HOSTILE}" in texts
    assert "script" not in reader.tags
    assert [image["alt"] for image in reader.images] == [HOSTILE]


def test_many_heatmaps_are_cut_to_a_page_that_opens(tmp_path):
    picture = Picture(bytes(100_000), "image/jpeg", "heatmap")
    scans = [ScanResult(f"scan {number}", "F", np.array([0.9, 0.1]), picture=picture) for number in range(40)]
    write_prediction_report(tmp_path / "p.html", title="p", facts={}, classes=("F", "M"), scans=scans)
    reader = read(tmp_path / "p.html")
    assert len(reader.images) == 20
    assert any("Heatmaps are shown for the first 20 scans" in text for text in reader.texts)
    assert "scan 39" in reader.texts
    assert (tmp_path / "p.html").stat().st_size < 3_000_000
