"""What is not mri3d's in a folder of predictions is never touched."""

import os

import pytest

from mri3d.errors import UserError
from mri3d.inference import predict_scans
from mri3d.predictions import written
from mri3d.predictions.written import LIST
from tests.predictions.made import contents
from tests.test_inference import maps_of, rows_of

RESULTS = ["predictions.csv", "report.html", "heatmaps/a_heatmap.nii.gz", "heatmaps/a_heatmap.json"]


@pytest.mark.parametrize("name", RESULTS)
@pytest.mark.parametrize("link", ["", "out", "heatmaps"])
def test_files_of_the_user_s_are_neither_replaced_nor_removed(model, scans, tmp_path, name, link, predicted):
    out = tmp_path / "out"
    real = tmp_path / "elsewhere"
    (real / "heatmaps").mkdir(parents=True)
    if link == "out":
        out.symlink_to(real)
    else:
        out.mkdir()
        if link == "heatmaps":
            (out / "heatmaps").symlink_to(real / "heatmaps")
    (out / name).parent.mkdir(exist_ok=True)
    (out / name).write_bytes(b"mine")
    (out / "notes.txt").write_bytes(b"mine")
    before = contents(tmp_path)
    with pytest.raises(UserError, match=rf"{name} stands where results go, and is not what mri3d wrote there: .*out"):
        predict_scans(model, str(scans), out)
    assert contents(tmp_path) == before
    assert not (out / LIST).exists()
    assert predicted == []


def test_files_of_the_user_s_under_other_names_stay(model, scans, tmp_path):
    (tmp_path / "heatmaps").mkdir()
    for name in ("heatmaps/z_heatmap.nii.gz", "other.csv", "heatmaps/mask.nii.gz"):
        (tmp_path / name).write_bytes(b"mine")
    for names in ("acd", "d"):
        predict_scans(model, [str(scans / f"{name}.nii") for name in names], tmp_path)
    found = {name: data for name, data in contents(tmp_path).items() if data == b"mine"}
    assert sorted(found) == ["heatmaps/mask.nii.gz", "heatmaps/z_heatmap.nii.gz", "other.csv"]
    assert (tmp_path / "heatmaps/d_heatmap.nii.gz").exists()
    assert not (tmp_path / "heatmaps/a_heatmap.nii.gz").exists()


@pytest.mark.parametrize("name", RESULTS)
@pytest.mark.parametrize("again", ["same", "other model"])
def test_a_result_that_the_user_changed_is_the_user_s(model, other_model, scans, tmp_path, name, again):
    predict_scans(model, str(scans), tmp_path)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:40] + b"mine")
    before = contents(tmp_path)
    with pytest.raises(UserError, match=f"{name} stands where results go"):
        predict_scans(model if again == "same" else other_model, str(scans), tmp_path)
    assert contents(tmp_path) == before


def test_a_changed_heatmap_that_is_not_in_the_way_stays(model, scans, tmp_path):
    predict_scans(model, str(scans), tmp_path)
    (tmp_path / "heatmaps/a_heatmap.nii.gz").write_bytes(b"mine")
    predict_scans(model, str(scans / "d.nii"), tmp_path)
    assert (tmp_path / "heatmaps/a_heatmap.nii.gz").read_bytes() == b"mine"
    assert maps_of(tmp_path) == ["a_heatmap.nii.gz", "d_heatmap.json", "d_heatmap.nii.gz"]


@pytest.mark.parametrize("kind", ["file", "broken link"])
def test_what_stands_in_the_place_of_the_folder_of_heatmaps_is_named(model, scans, tmp_path, kind):
    place = tmp_path / "heatmaps"
    place.symlink_to("nowhere") if kind == "broken link" else place.write_bytes(b"mine")
    said = "is a link to nowhere" if kind == "broken link" else "is a file"
    with pytest.raises(UserError, match=rf"heatmaps go into {place}, which {said}"):
        predict_scans(model, str(scans), tmp_path)
    predict_scans(model, str(scans), tmp_path, heatmap="none")
    assert os.path.lexists(place)


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_a_list_that_is_no_file_is_named(model, scans, tmp_path, kind):
    place = tmp_path / LIST
    (tmp_path / "mine").write_bytes(b"mine")
    {"link": lambda: place.symlink_to("mine"), "folder": place.mkdir, "pipe": lambda: os.mkfifo(place)}[kind]()
    with pytest.raises(UserError, match=rf"{LIST} is no file of mri3d's"):
        predict_scans(model, str(scans), tmp_path)
    assert (tmp_path / "mine").read_bytes() == b"mine"


def test_a_list_of_a_stranger_s_reaches_nothing_outside_and_no_file_that_it_does_not_know(model, scans, tmp_path):
    out = tmp_path / "out"
    (out / "heatmaps").mkdir(parents=True)
    for place in (tmp_path / "x_heatmap.nii.gz", out / "heatmaps/y_heatmap.nii.gz"):
        place.write_bytes(b"mine")
    digest = "9cd56b6a57a2da5f4ea6c9e1a8a3f3fd9d9ec9d6f6dc0bd6a4a2be0fb4a5f0d5"  # of anything else
    mine = written.digest(b"mine")
    record = dict(digest="", status="ok", prediction=1, spread=None, seen=0, heatmap=True, model="", row="")
    lines = [
        {"file": "heatmaps/../../x_heatmap.nii.gz", "size": 4, "sha256": mine},
        {"file": f"{tmp_path}/x_heatmap.nii.gz", "size": 4, "sha256": mine},
        {"file": "heatmaps/y_heatmap.nii.gz", "size": 4, "sha256": digest},
        *({"file": 3}, {"scan": "a"}, {"file": "report.html", "size": "x"}, {"scan": "a", "warnings": [3], **record}),
        {"scan": "../../x", "warnings": [], **record},
    ]
    foreign = [b"[" * 100_000, b"null", b"[]", b"3", b"x" * 3_000_000, b'{"line_sha256": 3}', b'{"scan": "cut o']
    (out / LIST).write_bytes(b"".join(map(written.sealed, lines)) + b"\n".join(foreign))
    assert predict_scans(model, str(scans), out) == 1
    assert (tmp_path / "x_heatmap.nii.gz").read_bytes() == (out / "heatmaps/y_heatmap.nii.gz").read_bytes() == b"mine"
    assert predict_scans(model, str(scans), out) == 1
    assert list(rows_of(out)) == ["a", "b", "c", "d"]
