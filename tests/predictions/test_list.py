"""The list of what mri3d wrote: damaged, cut, or of another version, it lets nothing wrong through."""

import json
import random

import pytest

from mri3d.errors import UserError
from mri3d.inference import predict_scans
from mri3d.predictions.written import LIST, sealed
from tests.predictions.made import contents
from tests.test_inference import rows_of


def refusal(model, scans, out):
    """Predict again; return why that was refused, or nothing."""
    try:
        assert predict_scans(model, str(scans), out) == 1
    except UserError as error:
        return str(error)
    return ""


def goes_on(model, scans, out, whole):
    """Predict again: whole results, or a refusal that changes nothing; return whether they are whole."""
    before = contents(out)
    told = refusal(model, scans, out)
    assert not told or "not what mri3d wrote there" in told
    assert contents(out) == (before if told else whole)
    return not told


def test_a_flipped_bit_in_the_list_changes_no_result(model, scans, tmp_path, known):
    predict_scans(model, str(scans), tmp_path)
    written, whole, choose = (tmp_path / LIST).read_bytes(), contents(tmp_path), random.Random(0)
    went_on = []
    for _ in range(60):
        damaged = bytearray(written)
        damaged[choose.randrange(len(written))] ^= 1 << choose.randrange(8)
        (tmp_path / LIST).write_bytes(damaged)
        went_on.append(goes_on(model, scans, tmp_path, whole))
    assert {True, False} == set(went_on)


def test_a_list_that_was_cut_anywhere_changes_no_result(model, scans, tmp_path, known):
    predict_scans(model, str(scans), tmp_path)
    written, whole = (tmp_path / LIST).read_bytes(), contents(tmp_path)
    for size in range(0, len(written), len(written) // 40):
        (tmp_path / LIST).write_bytes(written[:size])
        goes_on(model, scans, tmp_path, whole)
    (tmp_path / LIST).write_bytes(written)
    assert goes_on(model, scans, tmp_path, whole)


@pytest.mark.parametrize("cell", ["prediction", "status", "digest", "row", "model"])
def test_a_line_that_was_changed_by_hand_tells_nothing(model, scans, tmp_path, cell, known, predicted):
    predict_scans(model, str(scans), tmp_path)
    lines = [json.loads(line) for line in (tmp_path / LIST).read_text().splitlines()]
    (line,) = (line for line in lines if line.get("scan") == "d")
    line[cell] = {"prediction": [0.25, 0.75], "status": "unusual"}.get(cell) or line[cell] + "x"
    (tmp_path / LIST).write_text("".join(json.dumps(line) + "\n" for line in lines))
    before = rows_of(tmp_path)
    assert "predictions.csv stands where results go" in refusal(model, scans, tmp_path)
    assert rows_of(tmp_path) == before


def test_results_of_another_version_are_known_and_predicted_again(model, scans, tmp_path, monkeypatch, known):
    with monkeypatch.context() as patch:
        patch.setattr("mri3d.predictions.call.__version__", "0.2.9")
        predict_scans(model, str(scans), tmp_path)
    whole, calls = contents(tmp_path), []
    monkeypatch.setattr("mri3d.predictions.folder.log.info", lambda *told: calls.append(told))
    assert predict_scans(model, str(scans), tmp_path) == 1
    assert contents(tmp_path) == whole
    assert calls, "it says what it replaces"


def test_lines_with_more_or_less_than_this_version_writes_do_no_harm(model, scans, tmp_path, known):
    predict_scans(model, str(scans), tmp_path)
    whole = contents(tmp_path)
    lines = [json.loads(line) for line in (tmp_path / LIST).read_text().splitlines()]
    for number, line in enumerate(lines):
        del line["line_sha256"]
        line["of a later version"] = [number]
    lines += [{"scan": "a", "status": "ok"}, {"note": "of a later version"}, {}]
    (tmp_path / LIST).write_bytes(b"".join(map(sealed, lines)))
    assert goes_on(model, scans, tmp_path, whole)
