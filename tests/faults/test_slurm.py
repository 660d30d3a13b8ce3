"""Under SLURM no fit learns from another: a run that was signalled goes on to the bits of one that was not."""

import os
import signal
from dataclasses import replace

import numpy as np
import pytest
from pytorch_lightning.trainer.connectors.checkpoint_connector import _CheckpointConnector

import mri3d
from mri3d.errors import UserError
from mri3d.models.network.checkpoint_file import read_checkpoint
from mri3d.models.network.learner import Learner
from mri3d.models.network.trainer import build_trainer
from tests.models.blobs import SHAPE, cnn, training, weights

pytestmark = pytest.mark.usefixtures("one_core")

JOB = {"NTASKS": "1", "JOB_ID": "4711", "JOB_NAME": "train", "PROCID": "0", "LOCALID": "0", "NODEID": "0"}


class Announced(KeyboardInterrupt):
    """What the script of these tests makes of SIGUSR1, as the command line does."""


@pytest.fixture(autouse=True)
def job(monkeypatch):
    """Run as a job of SLURM's, in a script that ends by SIGUSR1."""
    for name, value in JOB.items():
        monkeypatch.setenv(f"SLURM_{name}", value)

    def end(number, frame):
        raise Announced

    before = signal.signal(signal.SIGUSR1, end)
    yield
    signal.signal(signal.SIGUSR1, before)


def signalled(monkeypatch, hook, when):
    """Have the batch system signal this process once, when `when(learner)` first holds in a hook of the learner's."""
    whole, sent = getattr(Learner, hook), []

    def and_signal(learner, *arguments: object) -> object:
        if not sent and when(learner):
            sent.append(learner.global_step)
            os.kill(os.getpid(), signal.SIGUSR1)
        return whole(learner, *arguments)

    monkeypatch.setattr(Learner, hook, and_signal)
    return sent


def told(model):
    """Give what a history holds but for the time it took."""
    timed = ("seconds",)
    return [{name: value for name, value in epoch.items() if name not in timed} for epoch in model.history()]


@pytest.mark.parametrize("epochs", [3, pytest.param(30, marks=pytest.mark.slow)])
def test_random_labels_stay_at_chance_and_the_run_ends_in_the_same_bits(tmp_path, monkeypatch, epochs):
    volumes = np.random.default_rng(0).standard_normal((48, *SHAPE)).astype(np.float32)
    labels = np.random.default_rng(1).permutation(np.repeat(["a", "b"], 24))
    study, splits, model = (
        mri3d.Study.from_arrays(volumes, labels),
        mri3d.KFold(folds=3),
        cnn(epochs=epochs, patience=epochs),
    )

    stop = 6 * epochs - 5  # 6 steps an epoch: in the last one

    def evaluate(name):
        return mri3d.evaluate(study, model, splits, folder=tmp_path / name)

    with monkeypatch.context() as patch:
        sent = signalled(patch, "training_step", at_step(stop))  # in fold 0
        with pytest.raises(Announced):
            evaluate("run")
    assert sent == [stop]
    left = sorted(str(path.relative_to(tmp_path / "run")) for path in tmp_path.rglob("*.ckpt"))
    assert left == ["checkpoints/fold_0/best.ckpt", "checkpoints/fold_0/last.ckpt"]
    assert read_checkpoint(tmp_path / "run/checkpoints/fold_0/last.ckpt")["global_step"] == stop + 1, (
        "not the next step"
    )
    resumed, whole = evaluate("run"), evaluate("undisturbed")
    np.testing.assert_array_equal(resumed.predicted, whole.predicted)
    assert abs(resumed.scores["auc"].value - 0.5) < 0.2
    assert not list(tmp_path.rglob("*hpc_ckpt*"))


def at_step(number):
    return lambda learner: learner.global_step == number


def in_epoch(number):
    return lambda learner: learner.current_epoch == number


@pytest.mark.parametrize(
    ("hook", "when", "settings", "step"),
    [
        ("training_step", at_step(7), {}, 8),  # of 18 steps, 6 an epoch
        ("training_step", at_step(4), {"accumulate_grad_batches": 2}, 5),
        ("validation_step", in_epoch(1), {}, 12),
        pytest.param("training_step", at_step(0), {}, 1, marks=pytest.mark.slow),
        pytest.param("training_step", at_step(11), {}, 12, marks=pytest.mark.slow),  # the last one of an epoch
        pytest.param("training_step", at_step(8), {"num_workers": 2}, 9, marks=pytest.mark.slow),
        pytest.param("training_step", at_step(2), {"val_check_interval": 3}, 4, marks=pytest.mark.slow),
        pytest.param("training_step", at_step(3), {"check_val_every_n_epoch": 2}, 4, marks=pytest.mark.slow),
        pytest.param("training_step", at_step(7), {"max_epochs": -1, "max_steps": 14}, 8, marks=pytest.mark.slow),
        pytest.param("training_step", at_step(13), {"max_epochs": -1, "max_steps": 14}, 14, marks=pytest.mark.slow),
        pytest.param("training_step", at_step(1), {"batch_size": 24}, 2, marks=pytest.mark.slow),  # one step an epoch
        pytest.param("validation_step", in_epoch(2), {}, 18, marks=pytest.mark.slow),  # the last of all
    ],
)
def test_whenever_the_signal_comes_the_fit_goes_on_to_the_same_bits(tmp_path, monkeypatch, hook, when, settings, step):
    own = {name: settings[name] for name in ("num_workers", "batch_size") if name in settings}
    trainer = {name: value for name, value in settings.items() if name not in own}

    def model():
        return cnn(epochs=3, trainer=trainer, **own)

    whole, stopped, resumed = model(), model(), model()
    whole.fit(training(tmp_path / "whole"))
    with monkeypatch.context() as patch:
        signalled(patch, hook, when)
        with pytest.raises(Announced):
            stopped.fit(training(tmp_path / "stopped"))
    assert read_checkpoint(tmp_path / "stopped/checkpoints/last.ckpt")["global_step"] == step
    resumed.fit(training(tmp_path / "stopped"))
    assert weights(resumed) == weights(whole)
    assert told(resumed) == told(whole)
    assert all(0 < epoch["seconds"] < 60 for epoch in resumed.history())


def test_a_script_whose_answer_returns_goes_on_training(tmp_path, monkeypatch):
    answered = []
    signal.signal(signal.SIGUSR1, lambda number, frame: answered.append(number))
    whole, signalled_one = cnn(), cnn()
    whole.fit(training(tmp_path / "whole"))
    signalled(monkeypatch, "training_step", lambda learner: learner.global_step == 2)
    signalled_one.fit(training(tmp_path / "signalled"))
    assert answered == [signal.SIGUSR1]
    assert weights(signalled_one) == weights(whole)


@pytest.mark.parametrize(
    "place", ["hpc_ckpt_1.ckpt", "checkpoints/hpc_ckpt_3.ckpt", "checkpoints/fold_1/old_hpc_ckpt_2.x"]
)
def test_what_lightning_left_is_refused_before_anything_is_read(tmp_path, place):
    stray = tmp_path / place
    stray.parent.mkdir(parents=True, exist_ok=True)
    stray.write_bytes(b"weights of another fold")
    for act in (cnn().check, cnn().fit):
        with pytest.raises(UserError, match=rf"^{stray} was left by Lightning's requeueing .* Start a new run"):
            act(replace(training(tmp_path), name="fold_0"))


def test_each_fit_has_a_folder_of_its_own_and_lightning_requeues_nothing(tmp_path):
    made = training(tmp_path)
    trainers = [
        build_trainer(cnn().trainer, replace(made, name=name), [], bar=False)
        for name in ("fold_0", "fold_1", "fold_1_inner/point_0_fold_0")
    ]
    for trainer in trainers:
        environment = trainer._accelerator_connector.cluster_environment
        assert type(environment).__name__ == "SLURMEnvironment"
        assert not environment.auto_requeue
    assert len({trainer.default_root_dir for trainer in trainers}) == len(trainers)
    # Lightning itself looks there, whatever it is told to begin from.
    (tmp_path / "hpc_ckpt_1.ckpt").write_bytes(b"weights of another fold")
    assert all(_CheckpointConnector(trainer)._hpc_resume_path is None for trainer in trainers)


def test_torchrun_inside_a_job_is_left_as_it_is(tmp_path, monkeypatch):
    for name in ("RANK", "LOCAL_RANK", "GROUP_RANK"):
        monkeypatch.setenv(name, "0")
    for name in ("LOCAL_WORLD_SIZE", "WORLD_SIZE"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    trainer = build_trainer(cnn().trainer, training(tmp_path), [], bar=False)
    assert type(trainer._accelerator_connector.cluster_environment).__name__ == "TorchElasticEnvironment"
