"""On several devices one process tells of an error, none is left behind, and predictions are those of one device."""

import csv
import itertools
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric.strategies.launchers import subprocess_script
from lightning_fabric.strategies.launchers.subprocess_script import _ChildProcessObserver
from pytorch_lightning.utilities import rank_zero_only
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mri3d.errors import UserError
from mri3d.models.loading import load
from mri3d.models.network import devices
from mri3d.models.network.devices import one_voice
from mri3d.models.network.live_heatmaps import TAG
from mri3d.models.network.trainer import build_trainer
from mri3d.processes import first_speaks, is_first
from mri3d.scans.scan import read_scan
from mri3d.volumes.sequence import InMemory
from tests.models.blobs import cnn, training
from tests.scans.phantom import write_scan
from tests.studies import HEAD_SHAPE, SPACING_MM, write_heads

ROOT = Path(__file__).parents[3]
SMALL = ("data.demo.num_subjects=16", "resolution=24", "model.network.channels=[4,8,4]", "model.batch_size=3")
TWO = ("trainer.accelerator=cpu", "trainer.devices=2", "trainer.max_epochs=1")


LIBRARY = """
import functools, logging, os

import mri3d
from mri3d.models.network.trainer import default_trainer
from tests.studies import class_study, cnn, planted

logging.basicConfig(level=logging.INFO, format="said: %(message)s")
study = class_study()
strange = mri3d.Study.from_table("study.csv", root="heads", resolution=16)
model = cnn()
model.trainer = functools.partial(default_trainer, devices=2, accelerator="cpu", strategy="ddp", max_epochs=1)
results = mri3d.evaluate(study, model, mri3d.KFold(folds=2), folder="folder")
fitted = mri3d.fit(study, model)
again = mri3d.evaluate(strange, mri3d.models.KNN(k=3, num_components=2, inner_folds=2), mri3d.Holdout())
new = planted([0, 2])
rank = os.environ.get("LOCAL_RANK", "0")
values = [results.predicted, results.model.predict_arrays(new), fitted.predict_arrays(new), again.predicted]
with open(f"rank_{rank}.txt", "w") as file:
    file.write(repr([each.tolist() for each in values]))
"""


@pytest.fixture(autouse=True)
def own_environment(monkeypatch):
    """Forget, after each test, that processes were ended in it."""
    monkeypatch.setenv(devices.ENDED, "")
    monkeypatch.delenv(devices.ENDED)


def fail(message):
    with one_voice():
        raise UserError(message)


def test_first_process_ends_the_others_and_lives_on(sleepers):
    first, other = sleepers
    observer = _ChildProcessObserver(first.pid, [other], sleep_period=0.2)
    observer.start()
    with pytest.raises(UserError, match="diverged"):
        fail("diverged")
    assert other.returncode == -signal.SIGKILL
    observer.join(timeout=10)
    assert not observer.is_alive()
    assert first.poll() is None, "the observer killed the first process too"


class Obstinate:
    """A process at whose death the observer happens to look."""

    def __init__(self) -> None:
        self.pid, self.returncode, self.happened = 1, None, []

    def poll(self):
        """Have `returncode` up to date always."""

    def kill(self):
        """Die, and be seen dead."""
        self.returncode = -signal.SIGKILL
        self.happened.append("killed")
        self.observer._run()

    def wait(self):
        """Be gone."""
        self.happened.append("awaited")

    def send_signal(self, number):
        """Be killed by the observer."""
        self.happened.append("killed by the observer")


def test_observer_that_looks_while_the_others_die_spares_the_first(monkeypatch):
    other = Obstinate()
    other.observer = _ChildProcessObserver(os.getpid(), [other])
    monkeypatch.setattr(os, "kill", lambda pid, number: other.happened.append("first process killed"))
    monkeypatch.setattr(threading, "enumerate", lambda: [threading.main_thread(), other.observer])
    with pytest.raises(UserError, match="diverged"):
        fail("diverged")
    assert other.happened == ["killed", "awaited"]


def test_lightning_lets_its_observer_watch_a_list_by_the_name_that_is_cleared(monkeypatch):
    started = []
    monkeypatch.setattr(_ChildProcessObserver, "start", lambda observer: started.append(observer))
    others = [Obstinate()]
    subprocess_script._launch_process_observer(others)
    (observer,) = started
    assert observer._child_processes is others


def test_other_process_tells_of_an_error_only_if_nobody_ends_it(monkeypatch):
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    monkeypatch.setattr(devices, "PATIENCE_S", 0.5)
    start = time.monotonic()
    with pytest.raises(UserError, match="unreadable"):
        fail("unreadable")
    assert time.monotonic() - start >= 0.5
    parents = itertools.chain([7, 7], itertools.repeat(1))  # the first process ends
    monkeypatch.setattr(os, "getppid", lambda: next(parents))
    monkeypatch.setattr(devices, "PATIENCE_S", 60.0)
    with pytest.raises(SystemExit):
        fail("diverged")


def test_loader_processes_are_as_many_as_half_the_cores_that_this_process_may_use(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(6)))
    assert cnn(num_workers=None)._workers() == 3
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert cnn(num_workers=None)._workers() == 0


def train(*arguments: str, cwd):
    return subprocess.run(
        [sys.executable, ROOT / "train.py", *SMALL, *TWO, *arguments],
        cwd=cwd,
        capture_output=True,  # ends when the last process does that holds the pipe
        text=True,
        timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=False,
    )


@pytest.mark.slow
def test_divergence_on_two_devices_is_told_once_and_the_sweep_goes_on(tmp_path):
    done = train("seed=0,1", "model.network.norm=none", "model.optimizer.lr=1e30", "-m", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("error: training diverged") == done.stderr.count("error:") == 2, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_probabilities_of_two_devices_are_those_of_one(tmp_path):
    done = train(cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not re.search("recommended|Initializing|Warning", done.stderr), "what libraries say is no news"
    (predictions,) = tmp_path.glob("runs/*/*/predictions.csv")
    run = predictions.parent
    with (run / "cohort.csv").open(newline="") as file:
        scans = {row["subject"]: Path(row["scan"]) for row in csv.DictReader(file)}
    with predictions.open(newline="") as file:
        rows = list(csv.DictReader(file))
    model = load(run / "model")
    volumes = InMemory(np.stack([model.recipe.volume(read_scan(scans[row["subject"]])) for row in rows]))
    (member,) = model.members
    proba = member.model.predict(volumes, np.arange(len(rows)))
    assert len(rows) > 1
    np.testing.assert_allclose([[float(row["p_-1"]), float(row["p_1"])] for row in rows], proba, atol=1e-6)
    assert len(EventAccumulator(str(run / "tensorboard")).Reload().Images(TAG)) == 1, "the first process pictures"


@pytest.mark.parametrize(
    ("environment", "first"),
    [({}, True), ({"LOCAL_RANK": "0"}, True), ({"LOCAL_RANK": "1"}, False), ({"SLURM_PROCID": "3"}, False),
     ({"RANK": "0", "LOCAL_RANK": "1"}, True)],
)  # fmt: skip
def test_first_process_is_known_before_lightning_is_imported(monkeypatch, environment, first):
    monkeypatch.delattr(rank_zero_only, "rank")
    for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert is_first() == first


def test_only_the_first_process_logs_and_all_tell_errors(monkeypatch, caplog):
    log = logging.getLogger("mri3d.somewhere")
    for rank in (0, 1):
        monkeypatch.setattr(rank_zero_only, "rank", rank)
        with first_speaks():
            log.warning("warning of %d", rank)
            log.error("error of %d", rank)
        log.warning("later of %d", rank)
    assert caplog.messages == ["warning of 0", "error of 0", "later of 0", "error of 1", "later of 1"]


def test_no_training_waits_for_processes_that_were_ended(tmp_path, sleepers):
    first, other = sleepers
    observer = _ChildProcessObserver(first.pid, [other], sleep_period=0.2)
    observer.start()
    with pytest.raises(UserError, match="diverged"):
        fail("diverged")
    observer.join(timeout=10)
    two = cnn(trainer={"devices": 2})
    with pytest.raises(UserError, match=r"devices were ended with an earlier error\. Start the script again"):
        build_trainer(two.trainer, training(tmp_path), [], bar=False)
    build_trainer(cnn().trainer, training(tmp_path), [], bar=False)


@pytest.mark.slow
def test_a_script_on_two_devices_speaks_once_and_ends_in_order(tmp_path):
    write_heads(tmp_path / "heads")
    noise = np.random.default_rng(5).random(HEAD_SHAPE).astype(np.float32)
    write_scan(tmp_path / "heads/s03.nii", noise, np.diag([*SPACING_MM, 1.0]))
    (tmp_path / "script.py").write_text(LIBRARY)
    done = subprocess.run(
        [sys.executable, "-W", "always", "script.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "rank_0.txt").read_text() == (tmp_path / "rank_1.txt").read_text()
    assert "destroy_process_group" not in done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("said: ")]
    for what, times in (
        ("study: 24 sessions", 1), ("subject s03 is unlike the other scans", 1), ("epoch 1 of 1", 3),
        ("fold 0 (1 of 2)", 1), ("fold 1 (2 of 2)", 1), ("trained on all subjects", 1),
    ):  # fmt: skip
        assert sum(what in line for line in said) == times, (what, done.stderr)
    assert (tmp_path / "folder/cohort.csv").is_file()
