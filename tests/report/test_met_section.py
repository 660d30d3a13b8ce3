"""What the report says of how tested scans compare with those that were learnt from."""

from mri3d.report.met_section import met_section


def test_shares_and_reasons_are_shown():
    sessions = [
        {"subject": "s<1>", "status": "unusual", "reasons": ["it is noisier", "it is turned"]},
        *({"subject": f"t{number}", "status": "outside", "reasons": ["cut"]} for number in range(60)),
    ]
    page = "".join(map(str, met_section({"ok": 139, "unusual": 1, "outside": 60, "sessions": sessions})))
    assert "<td>139</td><td>69.5%</td>" in page.replace(' class="number"', "")
    assert "s&lt;1&gt;" in page
    assert "it is noisier; it is turned" in page
    assert "61 tests are not ok" in page
    assert "11 more are listed in metrics.json." in page


def test_nothing_is_said_of_runs_that_say_nothing():
    assert met_section(None) == []
    page = "".join(map(str, met_section({"ok": 3, "unusual": 0, "outside": 0, "sessions": []})))
    assert "100.0%" in page
    assert "not ok" not in page
