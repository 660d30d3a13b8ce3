"""Runs that are stopped from outside say so, end with the shell's status, and can be gone on with by one process."""

import os
import signal
import subprocess
import sys

import pytest
import yaml

from tests.cli.test_train_and_predict import ROOT, SMALL, run

LONG = (*SMALL, "trainer.max_epochs=400", "model.patience=400", "name=long")


def start(cwd, *options: str, epochs=400):
    """Start a training in a session of its own and wait for its second epoch."""
    process = subprocess.Popen(
        [sys.executable, ROOT / "train.py", *LONG, *options],
        cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert any(f"epoch 2 of {epochs}" in line for line in process.stderr), "it never came to the second epoch"
    return process


def end(process):
    """Wait for the end; give what was said since."""
    try:
        out, said = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert out == ""
    return [line for line in said.splitlines() if line.startswith("error:") or "Traceback" in line]


@pytest.mark.slow
def test_one_process_works_on_a_run_until_it_is_stopped(tmp_path):
    process = start(tmp_path)
    (folder,) = tmp_path.glob("runs/long/*")
    second = run("train", f"resume={folder}", cwd=tmp_path, status=2)
    assert "another process is at work on" in second.stderr
    process.send_signal(signal.SIGTERM)
    (told,) = end(process)
    assert process.returncode == 128 + signal.SIGTERM
    assert told.startswith("error: stopped by SIGTERM. Go on with: python train.py resume=runs/long/")
    assert "stopped from outside" in (folder / "log.txt").read_text()
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["model"]["network"]["channels"] = [4, 6, 4]
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    other = run("train", f"resume={folder}", cwd=tmp_path, status=2)
    assert "the run's checkpoint is of another network, optimizer, augmentation" in other.stderr
    assert "Traceback" not in other.stderr


def bits(folder):
    """Give what a run leaves of its training: the weights of each model, and what was predicted."""
    models = sorted(folder.glob("model/**/weights.safetensors"))
    return [path.read_bytes() for path in (*models, folder / "predictions.csv")]


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1, 2])
def test_a_job_that_slurm_signals_saves_its_step_and_goes_on_to_the_same_bits(tmp_path, monkeypatch, devices):
    for name, value in {"NTASKS": "1", "JOB_ID": "4711", "PROCID": "0", "LOCALID": "0", "NODEID": "0"}.items():
        if devices == 1:  # of several, SLURM starts the processes itself
            monkeypatch.setenv(f"SLURM_{name}", value)
    options = ("evaluation=kfold", "evaluation.folds=2", "trainer.max_epochs=40", "model.patience=400", "name=job")
    options += (f"trainer.devices={devices}", "trainer.accelerator=cpu")
    process = start(tmp_path, *options, epochs=40)
    process.send_signal(signal.SIGUSR1)
    (told,) = end(process)
    assert process.returncode == 128 + signal.SIGUSR1
    assert told.startswith("error: stopped by SIGUSR1. Go on with: python train.py resume=runs/job/")
    (stopped,) = tmp_path.glob("runs/job/*")
    assert not list(stopped.rglob("*hpc_ckpt*"))
    run("train", f"resume={stopped}", cwd=tmp_path)
    run("train", *LONG, *options, "name=whole", cwd=tmp_path)
    (whole,) = tmp_path.glob("runs/whole/*")
    assert len(bits(whole)) == 3
    assert bits(stopped) == bits(whole)


@pytest.mark.slow
def test_control_c_ends_a_sweep_with_a_word(tmp_path):
    process = start(tmp_path, "-m", "seed=0,1")
    process.send_signal(signal.SIGINT)
    (told,) = end(process)
    assert process.returncode == 128 + signal.SIGINT
    assert told.startswith("error: stopped by SIGINT. Go on with: python train.py resume=runs/long/")
    assert len(list(tmp_path.glob("runs/long/*"))) == 1, "the second run was begun"


@pytest.mark.slow
@pytest.mark.parametrize("whole_group", [False, True])
def test_sigterm_ends_all_devices(tmp_path, whole_group):
    process = start(tmp_path, "trainer.devices=2")
    (os.killpg if whole_group else os.kill)(process.pid, signal.SIGTERM)
    (told,) = end(process)
    assert process.returncode == 128 + signal.SIGTERM
    assert told.startswith("error: stopped by SIGTERM. Go on with")
    with pytest.raises(ProcessLookupError):  # nobody is left
        os.killpg(process.pid, 0)
    assert not list(tmp_path.rglob("metrics.json"))
