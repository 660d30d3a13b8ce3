"""The report of predictions has a row for each scan, whatever is predicted."""

import numpy as np
import pytest

from mri3d.outcome import Classes, Measure
from mri3d.report.figures import HeadView, Picture, slices
from mri3d.report.prediction_page import ScanResult, write_prediction_report
from tests.report.reader import HOSTILE, read

COLUMNS = ("Probability of F", "Probability of M")


def write(path, scans, **more):
    """Write a page of classes, unless told otherwise, and read it back."""
    proba = [np.array(list(scan.values.values())) for scan in scans if scan.values]
    arguments = {
        "title": "p",
        "facts": {"model": "m"},
        "summary": Classes(("F", "M")).summary(proba) if "summary" not in more else "",
        "columns": COLUMNS,
        "reading": ["A probability near even is no answer."],
        "signed": False,
        "scans": scans,
    }
    write_prediction_report(path, **(arguments | more))
    return read(path)


def both(female):
    return dict(zip(COLUMNS, (female, 1 - female), strict=True))


@pytest.fixture(scope="module")
def heatmap():
    volume = np.random.default_rng(0).random((21, 24, 27)).astype(np.float32)
    return slices(HeadView(volume, np.diag([2.0, 2.0, 2.0, 1.0]), volume**4), alt=HOSTILE, caption=HOSTILE)


def test_predictions_have_a_row_for_each_scan(tmp_path, heatmap):
    scans = [
        ScanResult("sub-01_T1w", "M", both(0.25), spread=0.04, picture=heatmap),
        ScanResult(HOSTILE, "", None, warnings=("truncated", HOSTILE), status="failed"),
    ]
    reader = write(tmp_path / "p.html", scans)
    texts = [text for text in reader.texts if text.strip()]
    assert texts[texts.index("1") + 1] == (
        "scan classified: 1 as M. 1 could not be used: the reason is listed under Warnings."
    )
    row = texts.index("sub-01_T1w")
    assert texts[row + 1 : row + 5] == ["M", "±0.04 between models", "0.25", "0.75"]
    assert texts[texts.index(HOSTILE) + 1] == "failed"
    assert f"truncated; {HOSTILE}" in texts
    head = texts.index("Scan")
    assert texts[head : head + 6] == ["Scan", "Prediction", *COLUMNS, "Warnings", "Heatmap"]
    assert "script" not in reader.tags
    assert any("evidence for the class" in text for text in texts)
    assert any("Grad-CAM combines" in text for text in texts)
    assert "A probability near even is no answer." in texts
    assert [image["alt"] for image in reader.images] == [HOSTILE]


def test_many_heatmaps_are_cut_to_a_page_that_opens(tmp_path):
    picture = Picture(bytes(100_000), "image/jpeg", "heatmap")
    scans = [ScanResult(f"scan {number}", "F", both(0.9), picture=picture) for number in range(40)]
    reader = write(tmp_path / "p.html", scans, facts={})
    assert len(reader.images) == 20
    assert any("Heatmaps are shown for the first 20 scans" in text for text in reader.texts)
    assert "scan 39" in reader.texts
    assert (tmp_path / "p.html").stat().st_size < 3_000_000


def test_a_measure_is_its_prediction_and_nothing_beside_it(tmp_path):
    scans = [
        ScanResult("a", "34.1", {}, spread=2.1234),
        ScanResult("b", "61.7", {}),
        ScanResult("c", "", None, warnings=("truncated",)),
    ]
    summary = Measure("age").summary([np.array(34.1), np.array(61.7)])
    reader = write(tmp_path / "p.html", scans, columns=(), summary=summary, signed=True)
    texts = [text for text in reader.texts if text.strip()]
    assert texts[texts.index("2") + 1].startswith("scans predicted: age 34.1 to 61.7. 1 could not be used")
    head = texts.index("Scan")
    assert texts[head : head + 4] == ["Scan", "Prediction", "Warnings", "Heatmap"]
    assert texts[texts.index("a") + 1 :][:4] == ["34.1", "±2.12 between models", "b", "61.7"]
    assert texts[texts.index("c") + 1 :][:2] == ["no prediction", "truncated"]
    assert any("warm colours raise it and cool colours lower it" in text for text in texts)
    assert not any("evidence for the class" in text for text in texts)


def test_no_scan_at_all_could_be_used(tmp_path):
    texts = write(tmp_path / "p.html", [ScanResult("a", "", None, warnings=("w",))]).texts
    assert texts[texts.index("0") + 1] == (
        "scans classified. 1 could not be used: the reason is listed under Warnings."
    )
