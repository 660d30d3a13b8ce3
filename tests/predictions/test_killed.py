"""A call that is killed anywhere goes on to the same result, also where it is killed there again and again."""

import csv
import io
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Self

import pytest

from mri3d.inference import predict_scans
from mri3d.predictions.written import LIST
from mri3d.temporaries import sweep_once
from tests.predictions.made import contents
from tests.test_inference import head, rows_of

OPEN = Path("/proc/self/fd")


class Killed(BaseException):
    """Stands for kill -9: nothing below catches it."""


class Kill:
    """Ends a call before one of its steps that change the disk; after that nothing of it does.

    Args:
        out: The folder that counts.
        step: Which step; None for none.
        of: The name of the function of `os` that counts; any unless given.
        file: The end of the name of the file that counts; any unless given.

    Attributes:
        begun: How many steps were begun.
    """

    def __init__(self, out, step=None, of=None, file="") -> None:
        self.out, self.step, self.of, self.file, self.begun, self.dead = str(out), step, of, file, 0, False

    def __enter__(self) -> Self:
        self._patch = pytest.MonkeyPatch()
        for name in ("mkdir", "open", "replace", "unlink", "rmdir", "ftruncate", "write"):
            self._patch.setattr(os, name, self._counted(name, getattr(os, name)))
        return self

    def __exit__(self, kind, error, trace) -> bool:
        self._patch.undo()
        sweep_once.cache_clear()  # of a new process
        if self.dead:
            for descriptor in list(OPEN.iterdir()):
                with suppress(FileNotFoundError):
                    if str(descriptor.readlink()).startswith(self.out):
                        os.close(int(descriptor.name))  # as the system does, and so the locks fall
        return kind is Killed

    def _counted(self, name, function):
        def counted(first, *args: object, **more: object):
            place = str((OPEN / str(first)).readlink()) if isinstance(first, int) else os.fspath(first)
            target = os.fspath(args[0]) if name == "replace" else place
            if place.startswith(self.out) and not (name == "open" and not args[0] & os.O_CREAT):
                self._begin(name, target)
                if name == "write":
                    half = len(args[0]) // 2
                    function(first, args[0][:half])
                    self._begin(name, target)
                    return half + function(first, args[0][half:])
            return function(first, *args, **more)

        return counted

    def _begin(self, name, target):
        if self.dead:
            raise Killed
        if self.of in (None, name) and target.endswith(self.file):
            self.begun += 1
            self.dead = self.begun == self.step
        if self.dead:
            raise Killed


def rows_of_valid(out):
    """Read the table, of which nothing but the end of the last row may be lacking."""
    text = (out / "predictions.csv").read_bytes().decode()
    return [row for row in csv.reader(io.StringIO(text[: text.rfind("\n") + 1]))]


@pytest.mark.parametrize("earlier", ["", "other model", "same model"])
def test_wherever_a_call_is_killed_the_same_call_goes_on_to_the_same_result(
    model, other_model, scans, tmp_path, earlier, known
):
    first, step = tmp_path / "first", 0
    assert predict_scans(model, str(scans), tmp_path / "whole") == 1
    whole = contents(tmp_path / "whole")
    if earlier:
        more = [str(scans), str(head(tmp_path / "more/z.nii"))]
        predict_scans(other_model if earlier == "other model" else model, more, first)
    while True:
        step += 1
        out = tmp_path / f"out{step}"
        if earlier:
            shutil.copytree(first, out)
        with Kill(out, step) as kill:
            predict_scans(model, str(scans), out)
        if (out / "predictions.csv").exists():
            header, *rows = rows_of_valid(out)
            assert header == ["scan", "prediction", "p_a", "p_b", "status", "warnings"]
            assert all(len(row) == len(header) for row in rows)
        assert predict_scans(model, str(scans), out) == 1, step
        assert contents(out) == whole, step
        if not kill.dead:
            break
    assert step > (12 if earlier == "same model" else 35)


@pytest.mark.parametrize("file", ["predictions.csv", "report.html", "a_heatmap.nii.gz", "a_heatmap.json"])
def test_being_killed_before_the_same_file_takes_its_place_again_and_again_loses_nothing(
    model, other_model, tmp_path, file, known
):
    names = "abcdefg"
    for name in names:
        head(tmp_path / f"scans/{name}.nii")
    out = tmp_path / "out"
    predict_scans(other_model, str(tmp_path / "scans"), out)
    before = (out / file if file in ("predictions.csv", "report.html") else out / "heatmaps" / file).read_bytes()
    for _ in range(6):
        with Kill(out, 1, of="replace", file=file) as kill:
            predict_scans(model, str(tmp_path / "scans"), out)
        assert kill.dead
    (there,) = (path for path in out.rglob(file)) if file != "report.html" else (None,)
    assert there is None or there.read_bytes() == before
    assert predict_scans(model, str(tmp_path / "scans"), out) == 0
    predict_scans(model, str(tmp_path / "scans"), tmp_path / "fresh")
    assert contents(out) == contents(tmp_path / "fresh")


def test_a_heatmap_of_another_model_is_never_taken_for_that_of_a_result_that_is_kept(
    model, other_model, scans, tmp_path, known
):
    predict_scans(model, str(scans), tmp_path)
    whole = contents(tmp_path)
    with Kill(tmp_path, 5, of="write", file=LIST) as kill:  # its heatmap is there, its result is not on the list
        predict_scans(other_model, str(scans), tmp_path)
    assert kill.dead
    assert contents(tmp_path)["heatmaps/a_heatmap.nii.gz"] != whole["heatmaps/a_heatmap.nii.gz"]
    predict_scans(model, str(scans), tmp_path)
    assert contents(tmp_path) == whole


def test_what_was_predicted_is_not_predicted_again_but_what_failed_is(model, scans, tmp_path, whole, predicted):
    with Kill(tmp_path, 1, of="replace", file="d_heatmap.nii.gz") as kill:
        predict_scans(model, str(scans), tmp_path)
    assert kill.dead
    assert predicted == ["a", "b", "c", "d"]
    assert list(rows_of(tmp_path)) == ["a", "b", "c"]
    del predicted[:]
    predict_scans(model, str(scans), tmp_path)
    assert predicted == ["b", "d"]
    del predicted[:]
    assert predict_scans(model, str(scans), tmp_path) == 1, "one failed still"
    assert predicted == ["b"]
    assert contents(tmp_path) == whole
