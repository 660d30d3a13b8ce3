"""One call at a time writes into a folder, from its first moment to its last."""

import errno
import fcntl
import os

import pytest

from mri3d.errors import UserError
from mri3d.inference import predict_scans
from mri3d.models.scan_prediction import Record
from mri3d.models.trained import TrainedModel
from mri3d.predictions import folder
from mri3d.predictions.written import LIST
from tests.predictions.made import contents

BUSY = r"another process is at work on {}\. Wait for it, or set another"


def opened(out):
    """Open a folder for two scans."""
    return folder.open_folder(
        out, model="m", names=["a", "b"], header="scan\n", row=lambda record: f"{record.scan}\n"
    )  # fmt: skip


def result_of(name):
    return Record(name, "d", "ok", (), (0.5, 0.5), None, 0, False)


def test_a_call_beside_another_is_refused_and_changes_nothing(model, scans, tmp_path, predicted):
    predict_scans(model, str(scans), tmp_path)
    before = contents(tmp_path)
    del predicted[:]
    with (tmp_path / LIST).open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(UserError, match=BUSY.format(tmp_path)):
            predict_scans(model, str(scans), tmp_path)
    assert contents(tmp_path) == before
    assert predicted == []


def test_calls_with_another_model_are_refused_before_the_first_has_a_result_and_between_its_results(
    model, other_model, scans, tmp_path, monkeypatch, known, whole
):
    predict, refused = TrainedModel.predict_scan, []

    def meanwhile(self, name, path, **more):
        for _ in range(2):
            with pytest.raises(UserError, match=BUSY.format(tmp_path / "out")):
                predict_scans(other_model, str(scans), tmp_path / "out")
            refused.append(name)
        return predict(self, name, path, **more)

    monkeypatch.setattr(TrainedModel, "predict_scan", meanwhile)
    assert predict_scans(model, str(scans), tmp_path / "out") == 1
    assert refused == list("aabbccdd")
    assert contents(tmp_path / "out")["predictions.csv"] == whole["predictions.csv"]
    assert predict_scans(model, str(scans), tmp_path / "out") == 1, "it knows its own files"


def test_a_refused_call_leaves_list_and_lock_to_the_one_at_work(tmp_path):
    out = tmp_path / "new/out"
    with opened(out) as first:
        for _ in range(3):
            with pytest.raises(UserError, match=BUSY.format(out)), opened(out):
                pass
            assert (out / LIST).exists()
        first.add(result_of("a"))
        first.finish()
    with opened(out) as again:
        again.check(heatmaps=False)
        assert list(again.records) == ["a"]


def test_a_list_that_another_call_removes_between_opening_and_locking_is_opened_again(tmp_path, monkeypatch):
    lock = folder._lock

    def late(descriptor, out):
        if (out / LIST).exists() and not removed:
            removed.append((out / LIST).unlink())
        lock(descriptor, out)

    removed = []
    monkeypatch.setattr(folder, "_lock", late)
    with opened(tmp_path):
        assert removed
        assert (tmp_path / LIST).exists()
        with pytest.raises(UserError, match=BUSY.format(tmp_path)), opened(tmp_path):
            pass


def test_a_call_whose_list_was_removed_does_not_remove_that_of_the_next(tmp_path):
    with opened(tmp_path):
        (tmp_path / LIST).unlink()
        second = opened(tmp_path)
        second.__enter__()
    assert (tmp_path / LIST).exists()
    second.__exit__(None, None, None)
    assert not (tmp_path / LIST).exists()


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_a_list_that_cannot_be_opened_is_told_and_no_folder_is_left(tmp_path, monkeypatch, code):
    (tmp_path / "there").mkdir()

    def fail(path, *_: object):
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr(folder.os, "open", fail)
    for out in (tmp_path / "new/out", tmp_path / "there"):
        told = rf"^{out / LIST} cannot be written: {os.strerror(code)}\. Set another out\.$"
        with pytest.raises(UserError, match=told), opened(out):
            pass
    assert [path.name for path in tmp_path.rglob("*")] == ["there"]


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_bytes(b"mine")
    told = r"file/out cannot be written: Not a directory\. Set another"
    with pytest.raises(UserError, match=told), opened(tmp_path / "file/out"):
        pass


@pytest.mark.parametrize("error", [None, KeyboardInterrupt])
def test_a_call_without_a_result_leaves_nothing(tmp_path, error):
    try:
        with opened(tmp_path / "new/out"):
            if error:
                raise error
    except KeyboardInterrupt:
        pass
    assert list(tmp_path.iterdir()) == []
