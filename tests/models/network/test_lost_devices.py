"""A process of a training that was killed is told of in one line of advice, by whichever is left."""

import itertools
import os
import signal
import time
from pathlib import Path

import pytest
import torch
from lightning_fabric.strategies.launchers.subprocess_script import _ChildProcessObserver
from pytorch_lightning.utilities import rank_zero_only

from mri3d.errors import UserError
from mri3d.models.network import devices
from mri3d.models.network.devices import one_voice
from tests.cli.test_stopping import end, start


@pytest.fixture(autouse=True)
def own_environment(monkeypatch):
    """Forget, after each test, that processes were ended in it."""
    monkeypatch.setenv(devices.ENDED, "")
    monkeypatch.delenv(devices.ENDED)


def killed(process):
    """Be at work for long, while another device's process is killed."""
    with one_voice():
        process.kill()
        time.sleep(30)


def test_death_of_another_process_is_told_in_one_line_with_advice(sleepers):
    def interrupt(number, frame):
        raise KeyboardInterrupt

    other, remaining = sleepers
    before = signal.signal(signal.SIGTERM, interrupt)
    observer = _ChildProcessObserver(os.getpid(), [other, remaining], sleep_period=0.2)
    observer.start()
    try:
        devices.watch_others()
        with pytest.raises(UserError, match=r"^a process of another device was ended by SIGKILL.* lower batch_size"):
            killed(other)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert remaining.returncode == -signal.SIGKILL


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("[pair.cc:537] gloo/transport Read error [127.0.0.1]:50: Connection reset by peer. GLHF!"),
        torch.distributed.DistBackendError("NCCL error: remote process exited"),
    ],
)
def test_lost_connection_is_told_by_whoever_is_left(monkeypatch, rank, error):
    monkeypatch.setattr(rank_zero_only, "rank", rank)
    parents = itertools.chain([7, 7], itertools.repeat(1))
    monkeypatch.setattr(os, "getppid", lambda: next(parents))
    with pytest.raises(UserError, match="a process of another device was ended, and the training with it"), one_voice():
        raise error


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_of_two_leaves_one_line_of_advice(tmp_path, rank):
    process = start(tmp_path, "trainer.devices=2")
    (other,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill((process.pid, int(other))[rank], signal.SIGKILL)
    (told,) = end(process)
    assert told.startswith("error: a process of another device was ended")
    assert process.returncode == (-signal.SIGKILL, 2)[rank]
