"""Prediction on a list of places, some of which are no scans."""

import csv
import os

import numpy as np
import pytest
import torch

from mri3d.cli.predict import predict
from mri3d.errors import UserError
from mri3d.inference import predict_scans
from mri3d.model_folder import Card, write_model
from mri3d.models.network.cnn import CNN
from mri3d.nets.sfcn import SFCN
from mri3d.outcome import Classes, Measure
from mri3d.scans.scan import canonical_digest, read_scan
from mri3d.volumes.recipe import Recipe
from mri3d.volumes.reference import Reference
from tests.scans.phantom import write_scan

CLASSES, AGE = Classes(("a", "b")), Measure("age")


def write_network(folder, *, outcome=CLASSES, seed=0, line=None, reference=(-1.0, 1.0), **card: object):
    """Write a model folder of a network as it was made, without training."""
    torch.manual_seed(seed)
    model = CNN()
    model.network_ = SFCN((16, 16, 16), 1, channels=[2, 2]).eval()
    model.outcome_, model.scaling_, model.line_, model.temperature_ = outcome, None, line, None
    if outcome == AGE:
        model.scaling_ = np.array([[15.0, 50.0]])
    model.arguments_ = {
        "network": "sfcn",
        "options": {"channels": [2, 2]},
        "volume_shape": [16, 16, 16],
        "num_outputs": 1,
        "batch_size": 1,
    }
    mean = np.zeros((1, 16, 16, 16), np.float32)
    write_model(folder, model.contents(Card(outcome, Recipe(resolution=16), Reference(mean, *reference), **card)))
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("model"))


def head(path):
    values = np.random.default_rng(0).integers(50, 200, (20, 24, 22)).astype(np.uint8)
    values[:3] = values[-3:] = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_scan(path, values, np.diag([9.0, 8.0, 9.0, 1.0]))


def rows_of(out):
    with (out / "predictions.csv").open(newline="") as file:
        return {row["scan"]: row for row in csv.DictReader(file)}


def maps_of(out):
    return sorted(path.name for path in (out / "heatmaps").iterdir())


def folder_at(path):
    path.mkdir()


def absent(path):
    pass


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (absent, "does not exist"),
        (folder_at, "folder"),
        (os.mkfifo, "is neither a file nor a folder"),
        (lambda path: path.symlink_to("nowhere"), "does not exist"),
        (lambda path: path.write_bytes(b"text"), "not a NIfTI file"),
    ],
    ids=["missing", "folder", "pipe", "broken-link", "text"],
)
def test_a_place_that_is_no_scan_has_a_row_with_the_reason(model, tmp_path, make, reason):
    good, bad = head(tmp_path / "good.nii"), tmp_path / "bad.nii"
    make(bad)
    out = tmp_path / "out"
    assert predict_scans(model, [str(bad), str(good)], out) == 1
    rows = rows_of(out)
    assert list(rows) == ["bad", "good"]
    assert reason in rows["bad"]["warnings"]
    assert str(bad) in rows["bad"]["warnings"]
    assert rows["bad"]["prediction"] == rows["bad"]["p_a"] == rows["bad"]["p_b"] == ""
    assert float(rows["good"]["p_a"]) + float(rows["good"]["p_b"]) == pytest.approx(1)
    assert maps_of(out) == ["good_heatmap.json", "good_heatmap.nii.gz"]


def test_a_glob_without_a_match_among_others_has_a_row(model, tmp_path):
    good = head(tmp_path / "good.nii")
    assert predict_scans(model, [str(tmp_path / "none*.nii"), str(good)], tmp_path / "out", heatmap="none") == 1
    rows = rows_of(tmp_path / "out")
    assert [bool(row["prediction"]) for row in rows.values()] == [False, True]
    assert not (tmp_path / "out" / "heatmaps").exists()


def test_nothing_is_written_where_no_place_holds_a_scan(model, tmp_path):
    with pytest.raises(UserError, match="none1"):
        predict_scans(model, [str(tmp_path / "none1*"), str(tmp_path / "none2*")], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_heatmaps_of_an_earlier_call_are_no_scans(model, tmp_path):
    head(tmp_path / "good.nii")
    for heatmap in ("gradcam", "none"):
        assert predict_scans(model, str(tmp_path), tmp_path, heatmap=heatmap) == 0
        assert list(rows_of(tmp_path)) == ["good"]
    (tmp_path / "heatmaps").mkdir(exist_ok=True)
    head(tmp_path / "heatmaps" / "x_heatmap.nii")
    with pytest.raises(UserError, match="nothing but heatmaps of an earlier call"):
        predict_scans(model, str(tmp_path / "heatmaps"), tmp_path)


def test_results_never_take_the_place_of_a_run_s_own(model, tmp_path):
    scan = head(tmp_path / "good.nii")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/config.yaml").write_text("seed: 0")
    for out in (tmp_path / "run", model):
        with pytest.raises(UserError, match="holds a run or a model, whose own files would be replaced"):
            predict_scans(model, str(scan), out)
    assert not (tmp_path / "run/predictions.csv").exists()


@pytest.mark.parametrize(
    "stem", ["a" * 245, b"latin-1 \xe9\xff".decode(errors="surrogateescape")], ids=["long", "bytes"]
)
def test_odd_names_cost_neither_the_prediction_nor_those_of_others(model, tmp_path, stem):
    try:
        head(tmp_path / f"scans/{stem}.nii")
    except OSError as error:
        pytest.skip(f"no such name can be given here: {error}")
    head(tmp_path / "scans/zzz.nii")
    predict_scans(model, str(tmp_path / "scans"), tmp_path / "out")
    odd, good = rows_of(tmp_path / "out").values()
    assert odd["prediction"] == good["prediction"] != ""
    assert ("the heatmap could not be written: File name too long" in odd["warnings"]) == (len(stem) > 200)
    assert (tmp_path / "out/heatmaps/zzz_heatmap.nii.gz").exists()
    assert (tmp_path / "out/report.html").exists()


@pytest.mark.parametrize(("parts", "kind"), [({}, "T1w"), ({"suffix": "FLAIR"}, "FLAIR")])
def test_scans_of_a_bids_tree_are_of_the_kind_that_the_model_was_trained_on(tmp_path, parts, kind):
    root = tmp_path / "bids"
    for suffix in ("T1w", "FLAIR"):
        head(root / "sub-1" / "anat" / f"sub-1_{suffix}.nii")
    (root / "dataset_description.json").write_text("{}")
    out = tmp_path / "out"
    assert predict_scans(write_network(tmp_path / "model", **parts), str(root), out, heatmap="none") == 0
    assert list(rows_of(out)) == [f"sub-1_{kind}"]


@pytest.mark.parametrize(
    "name", ["predictions.csv", "report.html", "heatmaps/a_heatmap.nii.gz", "heatmaps/a_heatmap.json"]
)
def test_a_folder_in_the_place_of_a_result_is_named(model, tmp_path, name):
    (tmp_path / "out" / name).mkdir(parents=True)
    with pytest.raises(UserError, match=rf"{name} is a folder"):
        predict_scans(model, str(head(tmp_path / "a.nii")), tmp_path / "out")


def test_results_of_an_earlier_call_are_gone(model, tmp_path):
    out = tmp_path / "out"
    predict_scans(model, str(head(tmp_path / "first.nii")), out)
    predict_scans(model, str(head(tmp_path / "second.nii")), out)
    assert maps_of(out) == ["second_heatmap.json", "second_heatmap.nii.gz"]
    assert list(rows_of(out)) == ["second"]


def test_classes_have_their_status_beside_their_probabilities(model, tmp_path):
    assert predict_scans(model, str(head(tmp_path / "a.nii")), tmp_path / "out", heatmap="none") == 0
    assert list(rows_of(tmp_path / "out")["a"]) == ["scan", "prediction", "p_a", "p_b", "status", "warnings"]


def test_folds_of_a_run_that_was_cut_off_do_not_vote(tmp_path):
    for k in range(2):
        write_network(tmp_path / "run" / "model" / f"fold_{k}", fold=k, num_folds=5)
    with pytest.raises(UserError, match="holds the models of 2 of its 5 folds"):
        predict_scans(tmp_path / "run", str(head(tmp_path / "a.nii")), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("number", "counted"), [(1, "1 scan is"), (2, "2 scans are")])
def test_scans_unlike_all_of_training_are_counted_where_everybody_looks(tmp_path, caplog, number, counted):
    folder = write_network(tmp_path / "model", reference=(0.999, 1.0))
    scans = [str(head(tmp_path / f"{place}.nii.gz")) for place in range(number)]
    predict_scans(folder, scans, tmp_path / "out", heatmap="none")
    assert {row["status"] for row in rows_of(tmp_path / "out").values()} == {"unusual"}
    said = f"{counted} unlike the training scans: what is predicted of such a scan cannot be relied on."
    assert said in caplog.messages
    assert said in (tmp_path / "out/report.html").read_text()


def test_scans_of_the_training_are_counted_where_everybody_looks(tmp_path, caplog):
    scans = [head(tmp_path / f"{name}.nii.gz") for name in "ab"]
    folder = write_network(tmp_path / "model", training=(canonical_digest(read_scan(scans[0])),))
    head_of_another = read_scan(scans[1]).data.copy()
    head_of_another[10, 10, 10] += 1
    write_scan(scans[1], head_of_another, np.diag([9.0, 8.0, 9.0, 1.0]))
    assert predict_scans(folder, list(map(str, scans)), tmp_path / "out", heatmap="none") == 0
    rows = rows_of(tmp_path / "out")
    assert rows["a"]["warnings"] == "was among the training scans of this model"
    assert (rows["a"]["status"], rows["b"]["warnings"]) == ("ok", "")
    said = "1 scan was among the training scans, saved anew or not: what is predicted of such a scan does not show how"
    assert any(message.startswith(said) for message in caplog.messages)
    assert said in (tmp_path / "out/report.html").read_text()


def test_a_page_lists_first_what_somebody_must_look_at(model, tmp_path, monkeypatch):
    monkeypatch.setattr("mri3d.predictions.page.MAX_ROWS", 3)
    for name in "abcde":
        head(tmp_path / f"scans/{name}.nii")
    (tmp_path / "scans/d.nii").write_bytes(b"text")
    assert predict_scans(model, str(tmp_path / "scans"), tmp_path / "out", heatmap="none") == 1
    page = (tmp_path / "out/report.html").read_text()
    assert [f"<bdi>{name}</bdi>" in page for name in "abcde"] == [True, True, False, True, False]
    assert "3 of 5 scans are listed" in page
    assert list(rows_of(tmp_path / "out")) == list("abcde")


def test_nothing_is_said_of_unusual_scans_where_there_are_none(model, tmp_path, caplog):
    predict_scans(model, str(head(tmp_path / "a.nii.gz")), tmp_path / "out", heatmap="none")
    assert "unlike every training scan" not in caplog.text + (tmp_path / "out/report.html").read_text()


@pytest.mark.parametrize("outcome", [CLASSES, AGE])
def test_a_number_that_is_none_is_no_prediction(tmp_path, outcome, monkeypatch):
    folder = write_network(tmp_path / "model", outcome=outcome)
    monkeypatch.setattr(
        "mri3d.models.network.fitted.network_outputs",
        lambda network, volumes, rows, **_: np.full((len(rows), 1), np.nan),
    )
    scan = str(head(tmp_path / "a.nii.gz"))
    assert predict_scans(folder, scan, tmp_path / "out", heatmap="none") == 1
    row = rows_of(tmp_path / "out")["a"]
    assert (row["prediction"], row["status"]) == ("", "failed")
    assert row["warnings"] == "the model computes no finite number for this scan."


def test_links_that_lead_in_a_circle_get_rows_with_a_reason_and_the_others_predictions(tmp_path):
    write_network(tmp_path / "model")
    places = tmp_path / "scans"
    places.mkdir()
    write_scan(places / "good.nii.gz", np.random.default_rng(0).random((20, 20, 20), dtype=np.float32))
    for name, to in (("a", "b"), ("b", "a"), ("self", "self")):
        (places / f"{name}.nii.gz").symlink_to(f"{to}.nii.gz")
    (places / "folder").symlink_to("folder")
    assert predict_scans(tmp_path / "model", str(places), tmp_path / "out", heatmap="none") == 1
    with (tmp_path / "out/predictions.csv").open(newline="") as file:
        rows = {row["scan"]: row for row in csv.DictReader(file)}
    assert {name for name, row in rows.items() if row["prediction"]} == {"good"}
    assert {name for name, row in rows.items() if "is a link that leads in a circle" in row["warnings"]} == {
        *("a", "b", "self")
    }


def test_an_option_in_place_of_those_of_the_report_is_refused(tmp_path):
    given = {"model": "m", "scans": "s", "out": str(tmp_path / "out"), "heatmap": "none", "trust": None}
    with pytest.raises(UserError, match=r"report=none is no option\. Set one of its own, such as report\.faces=true"):
        predict(given | {"report": "none"})


@pytest.mark.parametrize("out", ["", "  "])
def test_an_empty_folder_for_results_is_refused(tmp_path, monkeypatch, out):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"out is empty\. Give the folder for the results"):
        predict({"model": "m", "scans": "s", "out": out, "heatmap": "none", "trust": None})
    assert not list(tmp_path.iterdir())


def test_a_list_of_scans_may_be_longer_than_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = {"model": "m", "scans": ["s" * 50] * 200, "out": "out", "heatmap": "none", "trust": None}
    with pytest.raises(UserError, match=r"m is no folder\. Give a run"):
        predict(options)
