"""What was predicted stands while its scan cannot be read; where the scan holds something else now, it does not."""

import errno
import os

import nibabel as nib
import pytest

from mri3d.inference import predict_scans
from mri3d.scans.stream import Stream
from tests.predictions.made import contents
from tests.test_inference import head, rows_of


@pytest.fixture
def linked(tmp_path):
    """Write two scans, the first of which is a link to another place."""
    head(tmp_path / "disk/a.nii")
    scans = tmp_path / "scans"
    head(scans / "b.nii")
    (scans / "a.nii").symlink_to(tmp_path / "disk/a.nii")
    return scans


def take_away(path, kind, patch):
    """Let the scan at a path be unreadable until the patch is undone; return what tells so."""
    if kind == "its disk is away":
        path.resolve().rename(path.resolve().with_name("away"))
        return "does not exist"
    read = Stream.read_array

    def failing(stream, num_bytes):
        if stream.path == path:
            raise MemoryError if kind == "too little memory" else OSError(errno.EIO, os.strerror(errno.EIO))
        return read(stream, num_bytes)

    patch.setattr(Stream, "read_array", failing)
    return "there is not enough memory" if kind == "too little memory" else "cannot be read: Input/output error"


@pytest.mark.parametrize("kind", ["its disk is away", "a broken disk", "too little memory"])
@pytest.mark.parametrize("heatmap", ["integrated_gradients", "none"])
def test_a_result_whose_scan_cannot_be_read_now_stands_with_a_warning(
    model, linked, tmp_path, kind, heatmap, quick, predicted, caplog
):
    out, away = tmp_path / "out", tmp_path / "disk/away"
    assert predict_scans(model, str(linked), out, heatmap=heatmap) == 0
    before, rows = contents(out), rows_of(out)
    del predicted[:]
    caplog.clear()
    with pytest.MonkeyPatch.context() as patch:
        told = take_away(linked / "a.nii", kind, patch)
        for _ in range(2):
            assert predict_scans(model, str(linked), out, heatmap=heatmap) == 1
            row = rows_of(out)["a"]
            assert row.pop("warnings").count("kept from an earlier call, as the scan cannot be read now: ") == 1
            assert row == {name: cell for name, cell in rows["a"].items() if name != "warnings"}
            assert rows_of(out)["b"] == rows["b"]
            maps = {name: data for name, data in before.items() if "heatmap" in name}
            assert {name: data for name, data in contents(out).items() if "heatmap" in name} == maps
            assert "kept from an earlier call" in (out / "report.html").read_text()
    assert any("kept from an earlier call" in said and told in said for said in caplog.messages)
    if away.exists():
        away.rename(away.with_name("a.nii"))
    assert predict_scans(model, str(linked), out, heatmap=heatmap) == 0
    assert contents(out) == before
    assert predicted == []


def test_half_of_a_pair_that_is_gone_takes_no_result_with_it(model, tmp_path, quick):
    image = nib.load(head(tmp_path / "whole.nii"))
    nib.save(nib.Nifti1Pair(image.dataobj, image.affine, image.header), tmp_path / "pair.img")
    predict_scans(model, str(tmp_path / "pair.hdr"), tmp_path / "out")
    before = rows_of(tmp_path / "out")["pair"]
    (tmp_path / "pair.img").unlink()
    assert predict_scans(model, str(tmp_path / "pair.hdr"), tmp_path / "out") == 1
    row = rows_of(tmp_path / "out")["pair"]
    assert (row["status"], row["p_a"]) == ("ok", before["p_a"])
    assert "its image pair.img does not lie beside it" in row["warnings"]


def test_a_result_without_its_heatmap_stands_too(model, linked, tmp_path, quick):
    predict_scans(model, str(linked), tmp_path / "out")
    before = rows_of(tmp_path / "out")["a"]
    (tmp_path / "out/heatmaps/a_heatmap.nii.gz").unlink()
    (tmp_path / "disk/a.nii").unlink()
    assert predict_scans(model, str(linked), tmp_path / "out") == 1
    row = rows_of(tmp_path / "out")["a"]
    assert (row["status"], row["p_a"]) == ("ok", before["p_a"])
    head(tmp_path / "disk/a.nii")
    assert predict_scans(model, str(linked), tmp_path / "out") == 0
    assert (tmp_path / "out/heatmaps/a_heatmap.nii.gz").exists()


@pytest.mark.parametrize("change", ["cut", "text", "empty"])
def test_what_was_predicted_of_a_scan_is_not_kept_for_a_file_that_holds_something_else_now(
    model, linked, tmp_path, change, quick
):
    predict_scans(model, str(linked), tmp_path / "out")
    place = tmp_path / "disk/a.nii"
    data = place.read_bytes()
    place.write_bytes({"cut": data[: len(data) // 2], "text": b"text" * 200, "empty": b""}[change])
    assert predict_scans(model, str(linked), tmp_path / "out") == 1
    assert [row["status"] for row in rows_of(tmp_path / "out").values()] == ["failed", "ok"]
    assert not (tmp_path / "out/heatmaps/a_heatmap.nii.gz").exists()


def test_what_failed_and_cannot_be_read_still_has_one_reason(model, linked, tmp_path, quick):
    (tmp_path / "disk/a.nii").unlink()
    for _ in range(2):
        assert predict_scans(model, str(linked), tmp_path / "out") == 1
        row = rows_of(tmp_path / "out")["a"]
        assert row["status"] == "failed"
        assert row["warnings"].startswith(f"{linked / 'a.nii'} is a link to ")
