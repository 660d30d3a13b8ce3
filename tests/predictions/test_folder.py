"""Results come one by one, and a call that was cut off anywhere goes on."""

import errno
import gc
import logging
import os
import weakref

import pytest

from mri3d.errors import UserError
from mri3d.inference import predict_scans
from mri3d.models.trained import TrainedModel
from tests.predictions.made import contents
from tests.test_inference import head, maps_of, rows_of


def test_a_scan_that_changed_is_predicted_again_and_keeps_its_place(model, tmp_path, predicted):
    scans = [head(tmp_path / f"scans/{name}.nii") for name in "abc"]
    predict_scans(model, str(tmp_path / "scans"), tmp_path / "out")
    data = bytearray(scans[1].read_bytes())
    data[-2000:] = bytes(2000)
    scans[1].write_bytes(data)
    scans[2].unlink()
    head(tmp_path / "scans/d.nii")
    del predicted[:]
    assert predict_scans(model, str(tmp_path / "scans"), tmp_path / "out") == 0
    assert predicted == ["b", "d"]
    assert predict_scans(model, str(tmp_path / "scans"), tmp_path / "fresh") == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


@pytest.mark.parametrize("ending", ["nii.gz", "json"])
def test_a_heatmap_that_is_gone_is_made_again(model, scans, tmp_path, predicted, whole, ending):
    predict_scans(model, str(scans), tmp_path)
    (tmp_path / f"heatmaps/c_heatmap.{ending}").unlink()
    del predicted[:]
    predict_scans(model, str(scans), tmp_path)
    assert predicted == ["b", "c"]
    assert contents(tmp_path) == whole


@pytest.mark.parametrize("change", ["model", "heatmap", "scans"])
def test_results_of_something_else_are_replaced_and_that_is_said(
    model, other_model, scans, tmp_path, caplog, change, predicted
):
    predict_scans(model, str(scans), tmp_path)
    del predicted[:]
    caplog.set_level(logging.INFO)
    caplog.clear()
    chosen = str(scans / "d.nii") if change == "scans" else str(scans)
    kind = "none" if change == "heatmap" else "integrated_gradients"
    predict_scans(other_model if change == "model" else model, chosen, tmp_path, heatmap=kind)
    assert predicted == ([] if change == "scans" else ["a", "b", "c", "d"])
    (said,) = [message for message in caplog.messages if message.startswith("replaced")]
    number = {"model": 2, "heatmap": 3, "scans": 2}[change]  # of the new model the first is there already
    kept = ", of which 1 result is kept" if change == "scans" else ""
    assert said == f"replaced: {tmp_path / 'predictions.csv'} and {number} heatmaps of an earlier call{kept}"
    left = {"model": "acd", "heatmap": "", "scans": "d"}[change]
    assert maps_of(tmp_path) == [f"{name}_heatmap.{kind}" for name in left for kind in ("json", "nii.gz")]
    assert list(rows_of(tmp_path)) == (["d"] if change == "scans" else ["a", "b", "c", "d"])


def test_nothing_is_replaced_before_there_is_a_new_result(model, other_model, scans, tmp_path, monkeypatch):
    predict_scans(model, str(scans), tmp_path)
    before = contents(tmp_path)

    def stopped(*_: object, **__: object):
        raise KeyboardInterrupt

    monkeypatch.setattr(TrainedModel, "predict_scan", stopped)
    with pytest.raises(KeyboardInterrupt) as stop:
        predict_scans(other_model, str(scans), tmp_path)
    assert stop.value.__notes__ == ["0 of 4 scans are predicted; the same command goes on."]
    assert contents(tmp_path) == before


def test_rows_are_there_as_they_come(model, scans, tmp_path, monkeypatch):
    predict, seen = TrainedModel.predict_scan, []

    def look(self, name, path, **more):
        seen.append(list(rows_of(tmp_path)) if (tmp_path / "predictions.csv").exists() else None)
        return predict(self, name, path, **more)

    monkeypatch.setattr(TrainedModel, "predict_scan", look)
    predict_scans(model, str(scans), tmp_path)
    assert seen == [None, ["a"], ["a", "b"], ["a", "b", "c"]]


def test_scans_and_volumes_are_not_held(model, tmp_path, monkeypatch, quick):
    for number in range(3):
        head(tmp_path / f"scans/{number}.nii")
    predict, held, most = TrainedModel.predict_scan, weakref.WeakSet(), []

    def watch(self, name, path, **more):
        gc.collect()
        most.append(len(held))
        found = predict(self, name, path, **more)
        held.update([found.scan, found])
        return found

    monkeypatch.setattr(TrainedModel, "predict_scan", watch)
    predict_scans(model, str(tmp_path / "scans"), tmp_path / "out")
    assert max(most) == 0


@pytest.mark.parametrize("heatmap", ["none", "integrated_gradients"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_ends_the_call_with_what_there_is(model, scans, tmp_path, monkeypatch, whole, code, heatmap):
    write, room = os.write, [1100]

    def limited(descriptor, data):
        if room[0] < len(data):
            if room[0] > 0:
                room[0] -= (written := write(descriptor, data[: room[0]]))
                return written
            raise OSError(code, os.strerror(code))
        room[0] -= len(data)
        return write(descriptor, data)

    def full(*_: object, **__: object):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr("mri3d.predictions.written.os.write", limited)
        if heatmap != "none":
            patch.setattr("mri3d.models.heatmap.write_image", full)
        with pytest.raises(
            UserError, match=rf"{tmp_path}.* cannot be written: {os.strerror(code)}\. What was predicted"
        ):
            predict_scans(model, str(scans), tmp_path, heatmap=heatmap)
    if heatmap == "none":
        assert 1 <= len(rows_of(tmp_path)) < 4
        assert all(row["scan"] for row in rows_of(tmp_path).values())
    assert not list(tmp_path.rglob(".writing-*"))
    predict_scans(model, str(scans), tmp_path, heatmap=heatmap)
    assert contents(tmp_path)["predictions.csv"] == whole["predictions.csv"]
