"""Other runs in a report: their scores, and how far this one is from each."""

from mri3d.outcome.score import Score
from mri3d.report.elements import write_page
from mri3d.report.others_section import OtherShown, others_section
from tests.report.reader import HOSTILE, read


def test_each_run_has_its_score_and_the_difference(tmp_path):
    others = [
        OtherShown(HOSTILE, Score(0.91, 0.85, 0.96), Score(-0.02, -0.05, 0.01), 0.2),
        OtherShown("b/first", Score(None), Score(None), None),
    ]
    write_page(tmp_path / "p.html", title="t", sections=others_section(others, title="AUC"))
    texts = [text for text in read(tmp_path / "p.html").texts if text.strip()]
    start = texts.index("Run")
    assert texts[start : start + 4] == ["Run", "AUC", "Difference", "p"]
    assert texts[start + 4 : start + 12] == [
        *(HOSTILE, "0.910 (0.85 to 0.96)", "-0.020 (-0.050 to 0.010)", "0.2"),
        *("b/first", "–", "–", "–"),
    ]


def test_without_others_there_is_no_section():
    assert others_section([], title="AUC") == []
