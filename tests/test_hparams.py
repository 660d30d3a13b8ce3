"""A run's row in TensorBoard's tab HParams: read back by TensorBoard's own reader, and shown by its own server."""

import contextlib
import errno
import json
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.metadata import SESSION_END_INFO_TAG, SESSION_START_INFO_TAG
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from mri3d.hparams import PLACE, settings_of, write_hparams
from tests.commands import run_here, undrawn

NETWORK = {
    "data": {
        "_target_": "mri3d.cohort.table.Table",
        "root": "study",
        "table": "people.csv",
        "scan": "T1/{id}.nii",
        "mask": None,
        "label": 'sex "\u202eא" <script>',
        "unlabelled": [-9, "?"],
    },
    "preprocess": {"_target_": "mri3d.volumes.recipe.Recipe", "shape": [7, 8, 9], "crop": "caf\udce9"},
    "model": {
        "_target_": "mri3d.models.network.cnn.CNN",
        "network": {"_target_": "mine.Net", "_partial_": True, "pretrained": "/home/me/weights.pt", "width": 3},
        "optimizer": {"_target_": "torch.optim.SGD", "_partial_": True, "lr": 0.003},
        "patience": None,
        "debias": True,
    },
    "trainer": {"_target_": "pytorch_lightning.Trainer", "_partial_": True, "max_epochs": 30, "max_time": float("inf")},
    "evaluation": {"_target_": "mri3d.evaluation.splits.KFold", "folds": 5, "splits": "runs/x/y"},
    "task": "classification",
    "resolution": "native",
    "seed": 0,
    "name": "first try",
}
SETTINGS = {
    "task": "classification",
    "resolution": "native",
    "seed": 0,
    "data": "Table",
    "data.label": 'sex "\u202eא" <script>',
    "data.unlabelled": '[-9, "?"]',
    "preprocess": "Recipe",
    "preprocess.shape": "[7, 8, 9]",
    "preprocess.crop": "caf\\udce9",
    "model": "CNN",
    "model.network": "Net",
    "model.network.width": 3,
    "model.optimizer": "SGD",
    "model.optimizer.lr": 0.003,
    "model.debias": True,
    "trainer": "Trainer",
    "trainer.max_epochs": 30,
    "trainer.max_time": "Infinity",
    "evaluation": "KFold",
    "evaluation.folds": 5,
}
AUC = {"value": 0.75, "low": 0.5, "high": 0.875}


def metrics_of(**test):
    return {"test": test, "seconds": {"total": 100.0}}


def test_settings_are_flat_and_say_nothing_of_the_machine():
    assert settings_of(NETWORK) == SETTINGS
    assert list(map(type, settings_of(NETWORK).values())) == list(map(type, SETTINGS.values()))


def test_models_without_a_network_have_no_trainer_and_little_may_be_set():
    model = {"_target_": "mri3d.models.classical.models.KNN", "k": [3, 5]}
    given = {"model": model, "trainer": NETWORK["trainer"]}
    assert settings_of(given) == {"model": "KNN", "model.k": "[3, 5]"}
    assert settings_of({}) == {}


def test_row_is_what_was_set_and_found_and_is_written_once(tmp_path):
    write_hparams(tmp_path, NETWORK, metrics_of(auc=AUC | {"value": 0.25}, f1=AUC), model_name="Other")
    undefined = {"value": None, "low": None, "high": None}
    write_hparams(tmp_path, NETWORK, metrics_of(auc=AUC, r2=undefined, mae={"value": 3.5}), model_name="Net")  # resumed
    assert [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()] == [PLACE]
    events = EventAccumulator(str((tmp_path / PLACE).parent)).Reload()
    scores = {name: [event.value for event in events.Scalars(name)] for name in events.Tags()["scalars"]}
    assert scores == {"test/auc": [0.75], "test/auc_low": [0.5], "test/auc_high": [0.875], "test/mae": [3.5]}
    content = events.SummaryMetadata(SESSION_START_INFO_TAG).plugin_data.content
    start = HParamsPluginData.FromString(content).session_start_info
    found = {name: getattr(cell, cell.WhichOneof("kind")) for name, cell in start.hparams.items()}
    assert found == SETTINGS | {"model": "Net"}
    assert found["model.debias"] is True
    assert start.group_name == "", "runs of equal settings are rows of their own"
    assert time.time() - start.start_time_secs == pytest.approx(100, abs=20)
    end = HParamsPluginData.FromString(events.SummaryMetadata(SESSION_END_INFO_TAG).plugin_data.content)
    assert end.session_end_info.status == 1, "it succeeded"


def test_final_model_without_tests_has_its_settings(tmp_path):
    write_hparams(tmp_path, NETWORK, metrics_of(), model_name="Net")
    events = EventAccumulator(str((tmp_path / PLACE).parent)).Reload()
    assert events.Tags()["scalars"] == []
    assert SESSION_START_INFO_TAG in events.Tags()["tensors"]


def ask(port, what, **request):
    """Ask TensorBoard's HParams plugin, as its page does."""
    address = f"http://127.0.0.1:{port}/data/plugin/hparams/{what}"
    data = json.dumps({"experimentName": ""} | request).encode()
    asked = urllib.request.Request(address, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return json.load(answer)


def shown(folder, *, num_rows):
    """Start a TensorBoard that shows the runs of a folder; return its columns of settings, and its rows by name."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", folder, "--host=127.0.0.1", f"--port={port}"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline, columns, rows = time.monotonic() + 120, [], []
    try:
        while time.monotonic() < deadline and sum("metricValues" in row for row in rows) < num_rows:
            time.sleep(0.5)
            with contextlib.suppress(OSError):  # it has not begun to listen
                experiment = ask(port, "experiment")
                columns = experiment.get("hparamInfos", [])
                asked = [{"hparam": each["name"]} for each in columns]
                asked += [{"metric": each["name"]} for each in experiment.get("metricInfos", [])]
                limits = {"allowedStatuses": ["STATUS_SUCCESS"], "startIndex": 0, "sliceSize": 99}
                rows = ask(port, "session_groups", colParams=asked, **limits).get("sessionGroups", [])
    finally:
        server.terminate()
        server.wait()
    return columns, {row["name"]: row for row in rows}


@pytest.mark.slow
@undrawn()
def test_tensorboard_compares_the_runs_of_a_sweep(tmp_path):
    small = ("data.demo.num_subjects=16", "resolution=24", "evaluation=kfold", "evaluation.folds=2")
    run_here("train", "-m", "model=knn,linear_svm", *small, cwd=tmp_path)
    network = ("model.network.channels=[4,8,4]", "trainer.accelerator=cpu", "trainer.max_epochs=1")
    run_here("train", *small, *network, cwd=tmp_path)
    expected = {}
    for path in tmp_path.glob("runs/*/*/metrics.json"):
        run = path.parent.relative_to(tmp_path / "runs")
        expected[f"{run}/tensorboard/result"] = json.loads(path.read_text())["test"]
    columns, rows = shown(tmp_path / "runs", num_rows=3)
    assert set(rows) == set(expected)
    assert sorted(row["hparams"]["model"] for row in rows.values()) == ["KNN", "LinearSVM", "SFCN"]
    differing = [each["name"] for each in columns if each.get("differs")]
    assert "model" in differing
    assert "evaluation.folds" not in differing
    for name, row in rows.items():
        assert len(row["sessions"]) == 1, "one row for all folds"
        values = {metric["name"]["tag"]: metric["value"] for metric in row["metricValues"]}
        for ending, part in (("", "value"), ("_low", "low"), ("_high", "high")):
            assert values[f"test/auc{ending}"] == pytest.approx(expected[name]["auc"][part], rel=1e-6)


@pytest.mark.slow
@undrawn()
def test_full_disk_does_not_end_a_finished_run(tmp_path, monkeypatch):
    def full(folder, configuration, metrics, *, model_name):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("mri3d.runs.write_hparams", full)
    done = run_here("train", "model=knn", "data.demo.num_subjects=16", "resolution=24", cwd=tmp_path)
    assert "the row in TensorBoard's tab HParams could not be made: [Errno 28] No space left on device" in done.stderr
    assert list(tmp_path.glob("runs/*/*/report.html"))
