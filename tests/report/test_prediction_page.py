"""The report of predictions has a card for each scan, whatever is predicted."""

import numpy as np
import pytest

from mri3d.outcome import Classes, Measure
from mri3d.report.figures import HeadView, slices
from mri3d.report.picture import Picture
from mri3d.report.prediction_page import ScanResult, write_prediction_report
from tests.report.reader import HOSTILE, read

COLUMNS = ("Probability of F", "Probability of M")


def write(path, scans, **more):
    """Write a page of classes, unless told otherwise, and read it back."""
    proba = [np.array(list(scan.values.values())) for scan in scans if scan.values]
    arguments = {
        "title": "p",
        "facts": {"model": "m"},
        "summary": Classes(("F", "M")).words.summary(proba) if "summary" not in more else "",
        "words": Classes(("F", "M")).words,
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


def test_predictions_have_a_card_for_each_scan(tmp_path, heatmap):
    scans = [
        ScanResult("sub-01_T1w", "M", both(0.25), spread=0.04, picture=heatmap, status="unusual", viewed=True),
        ScanResult(HOSTILE, "", None, warnings=("truncated", HOSTILE), status="failed"),
    ]
    reader = write(tmp_path / "p.html", scans)
    texts = [text for text in reader.texts if text.strip()]
    assert texts[texts.index("1") + 1] == (
        "scan classified: 1 as M. 1 could not be used: the reason stands on the card."
    )
    row = texts.index("sub-01_T1w")
    shown = [
        "unusual",
        "M",
        COLUMNS[0],
        "0.25",
        COLUMNS[1],
        "0.75",
        "SD between models",
        "0.040",
        HOSTILE,
        "View in 3D",
    ]
    assert texts[row + 1 : row + 11] == shown
    assert texts[row + 11 : row + 16] == [HOSTILE, "failed", "no prediction", "truncated", HOSTILE]
    assert any(
        text.startswith("SD between models is the standard deviation of the predicted class's probability between")
        for text in texts
    )
    assert "script" not in reader.tags
    assert any("warm colours speak for the class and cool colours against it" in text for text in texts)
    assert any("Grad-CAM combines" in text for text in texts)
    assert all(text in texts for text in Classes(("F", "M")).words.prediction_reading())
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
        ScanResult("a", "34.1", {}, spread=2.1234, status="ok"),
        ScanResult("b", "61.7", {}, status="ok"),
        ScanResult("c", "", None, warnings=("truncated",), status="failed"),
    ]
    summary = Measure("age").words.summary([np.array(34.1), np.array(61.7)])
    reader = write(tmp_path / "p.html", scans, summary=summary, words=Measure("age").words)
    texts = [text for text in reader.texts if text.strip()]
    assert texts[texts.index("2") + 1].startswith("scans predicted: age 34.1 to 61.7. 1 could not be used")
    assert texts[texts.index("a") + 1 :][:5] == ["ok", "34.1", "SD between models", "2.123", "b"]
    assert texts[texts.index("b") + 1 :][:3] == ["ok", "61.7", "c"]
    assert texts[texts.index("c") + 1 :][:3] == ["failed", "no prediction", "truncated"]
    assert any("warm colours raise it and cool colours lower it" in text for text in texts)
    assert any("the standard deviation of the predicted value between the models" in text for text in texts)
    assert not any("evidence for the class" in text for text in texts)


def test_no_scan_at_all_could_be_used(tmp_path):
    texts = write(tmp_path / "p.html", [ScanResult("a", "", None, warnings=("w",))]).texts
    assert texts[texts.index("0") + 1] == ("scans classified. 1 could not be used: the reason stands on the card.")


@pytest.mark.parametrize(
    ("spreads", "shown"),
    [
        ((52341.7, 160000.2), ["52342", "160000"]),
        ((0.00012, 0.000349), ["0.000120", "0.000349"]),
        ((0.28, 0.0061), ["0.280", "0.006"]),
    ],
)
def test_spreads_of_any_size_have_one_number_of_decimals(tmp_path, spreads, shown):
    scans = [ScanResult(name, "1", {}, spread=spread) for name, spread in zip("ab", spreads, strict=True)]
    texts = [text for text in write(tmp_path / "p.html", scans, words=Measure("age").words).texts if text.strip()]
    assert [texts[texts.index(name) + 3] for name in "ab"] == shown


def test_a_page_of_some_of_the_scans_says_so(tmp_path):
    scans = [ScanResult("a", "F", both(0.9)), ScanResult("b", "", None, status="failed")]
    texts = write(tmp_path / "p.html", scans, num_scans=5000, num_used=4990).texts
    assert "4990" in texts
    assert any("10 could not be used" in text for text in texts)
    assert any(text.startswith("2 of 5000 scans are listed") for text in texts)


def test_a_single_model_has_no_spread(tmp_path):
    texts = write(tmp_path / "p.html", [ScanResult("a", "F", both(0.9))]).texts
    assert not any("SD between models" in text for text in texts)


def test_the_models_own_test_stands_beside_each_prediction(tmp_path):
    scans = [ScanResult("a", "F", both(0.9)), ScanResult("b", "", None, warnings=["no"], status="failed")]
    page = write(tmp_path / "p.html", scans, own_test=("AUC", "0.956 (0.85 to 0.98)"))
    text = (tmp_path / "p.html").read_text()
    assert "AUC in its own test" in " ".join(page.texts)
    assert text.count("0.956 (0.85 to 0.98)") == 1, "not beside a scan that could not be used"
    assert "mri3d validate measures that" in text
    plain = write(tmp_path / "q.html", scans)
    assert "own test" not in " ".join(plain.texts)
